"""Images that are not dermoscopic photographs, to tune and to test the detector of `lesion.model.out_of_distribution`.

Every family comes from two sources that share no image: "tuning", by which the detector was chosen, and "report", on
which it is scored. Far families show nothing of a lesion; near ones have skin's colours, a tissue's texture, or a
blurred or covered lesion. What is drawn is drawn by seeded generators, another seed and other kinds for each source;
ordinary photographs and stained tissue are the samples that scikit-learn (tuning) and scikit-image (report) carry in
their packages.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont
from scipy.ndimage import gaussian_filter
from sklearn.datasets import load_sample_images

from lesion.data.reading import read_image
from lesion.errors import UserError

SOURCES = ("tuning", "report")
EACH = 30
"""Pictures of each family that is drawn."""
SIZES = ((200, 150), (400, 300), (600, 450))
SAMPLES = (
    "astronaut", "brick", "camera", "chelsea", "clock_motion", "coffee", "coins", "grass", "gravel",
    "hubble_deep_field", "moon", "motorcycle_left", "motorcycle_right", "rocket",
)  # fmt: skip
"""The photographs among scikit-image's files; the others are drawings, text, tissue or too small."""
WORDS = ["the", "light", "of", "a", "lamp", "and", "its", "shadow", "on", "one", "wall", "are", "not", "what"]
SKIN = np.array([[255, 224, 205], [236, 188, 160], [224, 172, 140], [198, 134, 96], [141, 85, 54], [88, 52, 34]])
"""RGB of skin from light to dark."""


def to_image(pixels: np.ndarray) -> Image.Image:
    """Float (H, W) or (H, W, 3), 0 to 255 and cut there, as RGB."""
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).convert("RGB")


def field(generator: np.random.Generator, shape: tuple[int, int], *sigma: float) -> np.ndarray:
    """Gaussian noise smoothed over `sigma` pixels (one for both axes, or one each), mean 0 and deviation 1."""
    values = gaussian_filter(generator.normal(size=shape), sigma if len(sigma) > 1 else sigma[0], mode="wrap")
    return (values - values.mean()) / values.std()


def colour(generator: np.random.Generator) -> np.ndarray:
    """Any RGB colour, float (3,)."""
    return generator.uniform(0, 255, 3)


def shade(generator: np.random.Generator, height: int, width: int, source: str) -> Image.Image:
    """One colour, or a passage between two: straight (tuning) or round (report)."""
    if generator.random() < 0.5:
        return to_image(np.broadcast_to(colour(generator), (height, width, 3)))
    y, x = np.mgrid[:height, :width] / max(height, width)
    angle = generator.uniform(0, 2 * np.pi)
    where = np.cos(angle) * x + np.sin(angle) * y if source == "tuning" else np.hypot(x - 0.5, y - 0.4)
    where = ((where - where.min()) / np.ptp(where))[..., None]
    return to_image(colour(generator) * where + colour(generator) * (1 - where))


def noise(generator: np.random.Generator, height: int, width: int, source: str) -> Image.Image:
    """Tuning: white noise in grey or in colours. Report: noise smoothed over some pixels, or salt and pepper."""
    if source == "tuning":
        channels = 3 if generator.random() < 0.5 else 1
        pixels = generator.normal(128, generator.uniform(30, 90), (height, width, channels))
    elif generator.random() < 0.5:
        sigma = generator.uniform(0.7, 4)
        pixels = 128 + 50 * np.stack([field(generator, (height, width), sigma) for _ in range(3)], -1)
    else:
        pixels = 255 * np.where(generator.random((height, width, 1)) < generator.uniform(0.05, 0.5), 1, 0.5)
        pixels = pixels * (generator.random((height, width, 1)) > generator.uniform(0.05, 0.5))
    return to_image(np.broadcast_to(pixels, (height, width, 3)))


def text(generator: np.random.Generator, height: int, width: int, source: str) -> Image.Image:
    """Lines of words: dark on light (tuning) or light on dark and in colours (report)."""
    dark, light = generator.uniform(0, 90, 3), generator.uniform(200, 255, 3)
    ink, paper = (dark, light) if source == "tuning" else (light, colour(generator) * 0.5)
    image = to_image(np.broadcast_to(paper, (height, width, 3)))
    draw, size = ImageDraw.Draw(image), int(height * generator.uniform(0.04, 0.12))
    for top in range(size // 2, height - size, round(1.4 * size)):
        line = " ".join(generator.choice(WORDS, 30))
        draw.text((size / 2, top), line, fill=tuple(ink.astype(int)), font=ImageFont.load_default(size))
    return image


def drawing(generator: np.random.Generator, height: int, width: int, source: str) -> Image.Image:
    """Tuning: lines and outlines on light paper. Report: bar charts and curves between axes."""
    image = to_image(np.broadcast_to(generator.uniform(215, 255, 3), (height, width, 3)))
    draw, pen = ImageDraw.Draw(image), max(1, height // 100)

    def ink() -> tuple[int, ...]:
        return tuple(int(x) for x in generator.uniform(0, 180, 3))

    if source == "tuning":
        for _ in range(generator.integers(5, 30)):
            points = [tuple(p) for p in generator.uniform(0, 1, (3, 2)) * (width, height)]
            kind = generator.integers(3)
            if kind == 0:
                draw.line(points, fill=ink(), width=pen)
            elif kind == 1:
                draw.polygon(points, outline=ink(), width=pen)
            else:
                draw.circle(points[0], generator.uniform(0.02, 0.3) * height, outline=ink(), width=pen)
        return image
    left, right, top, bottom = 0.1 * width, 0.95 * width, 0.05 * height, 0.9 * height
    draw.line([(left, top), (left, bottom), (right, bottom)], fill="black", width=pen)
    count = int(generator.integers(4, 12))
    if generator.random() < 0.5:
        fill, step = ink(), (right - left) / count
        for i, share in enumerate(generator.uniform(0.05, 1, count)):
            x = left + i * step
            draw.rectangle([x + 0.2 * step, bottom - share * (bottom - top), x + 0.8 * step, bottom], fill=fill)
    else:
        for _ in range(generator.integers(1, 5)):
            heights = np.cumsum(generator.normal(size=8 * count))
            heights = bottom - (heights - heights.min()) / np.ptp(heights) * (bottom - top)
            draw.line(list(zip(np.linspace(left, right, 8 * count), heights, strict=True)), fill=ink(), width=pen)
    return image


def skin(generator: np.random.Generator, height: int, width: int, source: str) -> Image.Image:
    """Skin without a lesion: a tone, soft shading, fine relief, sometimes hairs.

    Tuning takes the even tones of SKIN, report the odd ones.
    """
    tone = SKIN[generator.choice(np.arange(source == "report", len(SKIN), 2))] + generator.normal(0, 6, 3)
    light = 1 + 0.06 * field(generator, (height, width), height / 3)
    relief = field(generator, (height, width), height / 150) + field(generator, (height, width), height / 50)
    pixels = tone * light[..., None] + generator.uniform(1, 5) * relief[..., None]
    pixels[..., 0] += 4 * field(generator, (height, width), height / 12)  # redder and paler patches
    image = to_image(pixels)
    draw = ImageDraw.Draw(image)
    for _ in range(generator.integers(0, 12) if generator.random() < 0.5 else 0):
        x, y = generator.uniform(0, 1, 2) * (width, height)
        t, turn = np.linspace(0, 1, 20), generator.uniform(0, 2 * np.pi)
        bend = turn + generator.uniform(-1, 1) * t
        curve = np.column_stack([x + 0.5 * height * t * np.cos(bend), y + 0.5 * height * t * np.sin(bend)])
        draw.line([tuple(p) for p in curve], fill=tuple((tone * 0.35).astype(int)), width=max(1, height // 150))
    return image.filter(ImageFilter.GaussianBlur(height / 300))


def wood(generator: np.random.Generator, height: int, width: int, source: str) -> Image.Image:
    """Planks: rings of a trunk cut along (tuning) or across (report), with fibres."""
    tone = np.array([170, 115, 70]) * generator.uniform(0.6, 1.3) + generator.normal(0, 8, 3)
    y, x = np.mgrid[:height, :width] / height
    warp = field(generator, (height, width), height / 8, height / 2)
    if source == "tuning":
        rings = np.sin(2 * np.pi * generator.uniform(4, 12) * (y + 0.06 * warp))
    else:
        centre = generator.uniform(-0.5, 1.5, 2)
        rings = np.sin(2 * np.pi * generator.uniform(5, 15) * (np.hypot(x - centre[0], y - centre[1]) + 0.03 * warp))
    fibres = field(generator, (height, width), height / 300, height / 15)
    return to_image(tone * (1 + 0.12 * rings + 0.05 * fibres)[..., None])


def fabric(generator: np.random.Generator, height: int, width: int, source: str) -> Image.Image:
    """Cloth: a plain weave (tuning) or a twill with stripes (report)."""
    y, x = np.mgrid[:height, :width] / height
    threads = 2 * np.pi * generator.uniform(15, 50)
    x, y = (axis + 0.004 * field(generator, (height, width), height / 10) for axis in (x, y))
    if source == "tuning":
        weave = np.sin(threads * x) * np.sin(threads * y)
    else:
        weave = np.sin(threads * (x + y)) + np.sign(np.sin(2 * np.pi * generator.uniform(2, 6) * x))
    weave = weave + 0.3 * field(generator, (height, width), height / 300)
    return to_image(generator.uniform(60, 200, 3) * (1 + 0.15 * weave)[..., None])


def stain(generator: np.random.Generator, height: int, width: int) -> Image.Image:
    """Tissue under the microscope as haematoxylin and eosin colour it: purple nuclei on pink."""
    pink, purple = np.array([230, 160, 195]), np.array([95, 60, 140])
    ground = pink + 14 * field(generator, (height, width), height / 30)[..., None]
    nuclei = field(generator, (height, width), height / generator.uniform(40, 90)) > generator.uniform(0.8, 1.5)
    share = gaussian_filter(nuclei.astype(float), height / 200)[..., None]
    return to_image(ground * (1 - share) + purple * share + generator.normal(0, 5, (height, width, 1)))


def drawn(paint: Callable[..., Image.Image], seed: int, *source: str) -> list[Image.Image]:
    """EACH pictures of a painter above, of SIZES by turns."""
    generator = np.random.default_rng([seed, *(SOURCES.index(s) for s in source)])
    sizes = [SIZES[i % len(SIZES)] for i in range(EACH)]
    return [paint(generator, height, width, *source) for width, height in sizes]


def crops(images: Sequence[Image.Image], each: int, seed: int) -> list[Image.Image]:
    """The images and, of each, `each` crops of 40 to 90 % of its sides."""
    generator, out = np.random.default_rng(seed), []
    for image in images:
        out.append(image)
        for share in generator.uniform(0.4, 0.9, each):
            size = np.array(image.size) * share
            left, top = generator.uniform(0, 1, 2) * (image.size - size)
            out.append(image.crop((round(left), round(top), round(left + size[0]), round(top + size[1]))))
    return out


def scikit_image_samples(*names: str) -> list[Image.Image]:
    """Images that scikit-image's package contains, so that nothing is downloaded.

    Raises:
        UserError: scikit-image is not installed, or lacks one.
    """
    try:
        import skimage.data
    except ImportError:
        raise UserError(
            "Out-of-distribution detection is scored on scikit-image's sample images; "
            "install it with `pip install -r tests/requirements.txt`."
        ) from None
    folder, out = Path(skimage.data.__file__).parent, []
    for name in names:
        files = [folder / f"{name}{suffix}" for suffix in (".png", ".jpg")]
        path = next((file for file in files if file.exists()), None)
        if path is None:
            raise UserError(
                f"This version of scikit-image lacks the image {name}; install the version of tests/requirements.txt."
            )
        out.append(read_image(path))
    return out


def blurred(image: Image.Image, generator: np.random.Generator) -> Image.Image:
    """Out of focus: a Gaussian over 4 to 10 % of the height."""
    return image.filter(ImageFilter.GaussianBlur(image.height * generator.uniform(0.04, 0.1)))


def half_covered(image: Image.Image, generator: np.random.Generator) -> Image.Image:
    """Half the photograph, from a side, under one colour: a finger, a sleeve, a label."""
    width, height = image.size
    boxes = [(0, 0, width // 2, height), (width // 2, 0, width, height)]
    boxes += [(0, 0, width, height // 2), (0, height // 2, width, height)]
    out = image.copy()
    out.paste(tuple(int(x) for x in colour(generator)), boxes[generator.integers(4)])
    return out


def far(source: str) -> dict[str, list[Image.Image]]:
    """Images that show nothing of a lesion, by family.

    Args:
        source: one of SOURCES.

    Raises:
        UserError: the report's need scikit-image.
    """
    if source == "tuning":
        photographs = crops([Image.fromarray(x) for x in load_sample_images().images], 14, seed=0)
        pages, figures = [], []
    else:
        photographs = crops(scikit_image_samples(*SAMPLES), 3, seed=1)
        pages = crops(scikit_image_samples("page", "text"), 4, seed=2)
        figures = scikit_image_samples("chessboard_GRAY", "chessboard_RGB", "horse", "logo", "phantom", "color")
    return {
        "ordinary photographs": photographs,
        "plain colours": drawn(shade, 10, source),
        "noise": drawn(noise, 11, source),
        "text": drawn(text, 12, source) + pages,
        "drawings": drawn(drawing, 13, source) + figures,
    }


def near(source: str, photographs: Sequence[Path]) -> dict[str, list[Image.Image]]:
    """Images that resemble skin, tissue or a lesion, by family.

    Args:
        source: one of SOURCES.
        photographs: dermoscopic ones to blur and to cover, of the validation part for tuning and of the test part for
            the report.

    Raises:
        UserError: the report's need scikit-image; a photograph cannot be read.
    """
    lesions = [read_image(path) for path in photographs]
    generator = np.random.default_rng([20, SOURCES.index(source)])
    tissue = drawn(stain, 17) if source == "tuning" else crops(scikit_image_samples("ihc"), EACH - 1, seed=3)
    return {
        "plain skin": drawn(skin, 14, source),
        "wood": drawn(wood, 15, source),
        "fabric": drawn(fabric, 16, source),
        "stained tissue": tissue,
        "blurred lesions": [blurred(image, generator) for image in lesions],
        "half-covered lesions": [half_covered(image, generator) for image in lesions],
    }
