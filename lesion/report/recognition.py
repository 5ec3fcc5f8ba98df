"""Whether photographs of the data set are recognised at another size, and others are not; see `lesion.model.seen`."""

import io
from pathlib import Path

from PIL import Image

from lesion.data.perceptual_hash import perceptual_hash
from lesion.data.reading import SUFFIXES, read_image
from lesion.errors import UserError
from lesion.model.checkpoint import Checkpoint
from lesion.model.seen import FILE, MAKE_ONE, Match, SeenPhotographs, digest_of, read_seen

QUALITY = 70
"""Of the JPEG files that photographs are saved as again."""
PARTS = ("training", "validation", "test")


def photographs_in(option: str, folder: Path) -> list[Path]:
    """The photographs in a folder, which an option of a command named.

    Raises:
        UserError: there are none.
    """
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not paths:
        raise UserError(f"{option} {folder} holds no photographs; give a folder of image files.")
    return paths


def saved_again(image: Image.Image) -> Image.Image:
    """A photograph as a JPEG of QUALITY gives it back."""
    file = io.BytesIO()
    image.save(file, "JPEG", quality=QUALITY)
    return read_image(file.getvalue())


def recognition_report(checkpoint: Checkpoint, originals: Path | None, others: Path | None) -> dict:
    """How often photographs are recognised as of their own part, and others mistaken for one of the data set.

    Args:
        checkpoint: whose photographs they are.
        originals: folder of photographs of the data set at another size, named by their image ids; or None.
        others: folder of photographs of another collection; or None.

    Returns:
        "threshold", bits; "originals", by how they are saved and by part, {"images": …, "recognised": …}; "others", the
        same in all; each where its folder is given.

    Raises:
        UserError: the checkpoint has no perceptual hashes, or of other images; or a photograph cannot be used.
    """
    seen, table = read_seen(checkpoint.folder), checkpoint.held_out().table
    if not len(seen.training) or seen.held_out_ids != digest_of(table.image_id):
        raise UserError(f"{checkpoint.folder} has no {FILE} with hashes of its photographs. {MAKE_ONE}")
    parts = dict(zip(table.image_id, ("test" if test else "validation" for test in table.test), strict=True))
    report: dict = {"threshold": seen.threshold}
    if originals:
        report["originals"] = {}
        for name, change in {"as they are": lambda image: image, f"JPEG quality {QUALITY}": saved_again}.items():
            found = {part: {"images": 0, "recognised": 0} for part in PARTS}
            for path in photographs_in("--originals", originals):
                part = part_of(path.stem, seen, parts)
                match = seen.find(perceptual_hash(change(read_image(path))))
                found[part]["images"] += 1
                found[part]["recognised"] += part == part_found(match, list(parts.values()))
            report["originals"][name] = found
    if others:
        matches = [seen.find(perceptual_hash(read_image(path))) for path in photographs_in("--others", others)]
        report["others"] = {"images": len(matches), "recognised": sum(match is not None for match in matches)}
    return report


def part_of(image_id: str, seen: SeenPhotographs, held_out: dict[str, str]) -> str:
    """The part of the data set that an image belongs to.

    Raises:
        UserError: it does not belong to the data set.
    """
    if image_id in held_out:
        return held_out[image_id]
    if seen.contains_id(image_id):
        return "training"
    raise UserError(
        f"--originals: {image_id} is no image of the checkpoint's data set; name each file by its image id."
    )


def part_found(match: Match | None, held_out: list[str]) -> str | None:
    """The part that a picture was found in, None where it was found in none.

    Args:
        match: of `SeenPhotographs.find`.
        held_out: part of each held-out image.
    """
    if match is None:
        return None
    return "training" if match.row is None else held_out[match.row]


def in_all(found: dict[str, dict]) -> tuple[int, int]:
    """Images and recognised ones over the three parts, of "originals"."""
    return tuple(sum(entry[key] for entry in found.values()) for key in ("images", "recognised"))


def recognition_in_words(report: dict) -> str:
    """The figures in a sentence or two.

    Args:
        report: of `recognition_report`.
    """
    words = []
    if "originals" in report:
        each = []
        for name, found in report["originals"].items():
            images, recognised = in_all(found)
            by_part = ", ".join(f"{part} {e['recognised']} of {e['images']}" for part, e in found.items())
            each.append(f"{name} {recognised} of {images} ({by_part})")
        words.append(
            f"Full-size photographs of the data set that are recognised as of their own part: {'; '.join(each)}."
        )
    if "others" in report:
        others = report["others"]
        words.append(
            f"Photographs of another collection that are taken for one of the data set: {others['recognised']} of "
            f"{others['images']}."
        )
    return " ".join(words)
