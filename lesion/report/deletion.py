"""Deletion and insertion: whether a heat map shows what the answer depends on (Petsiuk et al., "RISE", 2018).

If a map is right, the probability should fall soon when its hottest pixels are blurred first, and rise soon when they
are uncovered first. The diagnosis explained is the one decided for the photograph with its own age, sex and site.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd
import torch
from torchvision.transforms.v2.functional import gaussian_blur
from tqdm.auto import tqdm

from lesion.data.ham10000 import records_of
from lesion.data.reading import read_image
from lesion.inference.predictor import Predictor
from lesion.report.heat_maps import BATCH, Explained, largest_one
from lesion.report.localisation import GAUSSIAN, centred_gaussian

STEPS = 6
"""Steps of deletion and of insertion; each step is a pass of the backbone."""
BLUR = 0.2
"""Standard deviation of the blur that stands for "removed", as a share of the input's side: of 0.05 to 0.5, that which
lowered the probability of the decided diagnosis most on the validation images."""
RANDOM = "random order"


def blurred(images: torch.Tensor) -> torch.Tensor:
    """Photographs without detail, float (B, 3, S, S)."""
    sigma = BLUR * images.shape[-1]
    return gaussian_blur(images, [2 * int(2 * sigma) + 1] * 2, [sigma] * 2)


def replaced(image: torch.Tensor, other: torch.Tensor, order: np.ndarray, steps: int) -> torch.Tensor:
    """A photograph whose pixels are replaced by another's, step by step.

    Args:
        image, other: float (3, S, S).
        order: pixels, int (S · S,), those replaced first at the front.
        steps: K.

    Returns:
        float (K + 1, 3, S, S), from the one to the other.
    """
    rank = np.empty(len(order), int)
    rank[order] = np.arange(len(order))
    counts = np.round(np.linspace(0, len(order), steps + 1))
    gone = torch.from_numpy(rank.reshape(1, *image.shape[1:]) < counts[:, None, None])
    return torch.where(gone[:, None], other, image)


def pixel_order(heat: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Pixels from the hottest to the coldest, int (H · W,); equal ones in random order."""
    return np.lexsort((generator.random(heat.size), -heat.ravel()))


def area_under(values: np.ndarray) -> np.ndarray:
    """Area under curves (…, K + 1) over [0, 1] in equal steps, by the trapezoidal rule."""
    return (values[..., 1:] + values[..., :-1]).mean(-1) / 2


def deletion_and_insertion(
    image: torch.Tensor, orders: dict[str, np.ndarray], probability: Callable[[torch.Tensor], np.ndarray]
) -> tuple[tuple[float, float], dict[str, tuple[float, float]]]:
    """Areas under the deletion and the insertion curve for several orders of the pixels (Petsiuk et al., 2018).

    Deletion blurs the photograph pixel by pixel: a small area is good. Insertion uncovers the blurred photograph: a
    large area is good.

    Args:
        image: float (3, S, S), the backbone's input.
        orders: by name, of `pixel_order`.
        probability: images (B, 3, S, S) to float (B,), the probability of the diagnosis explained.

    Returns:
        The probability of the whole and of the blurred photograph, between which all curves run; and by name:
        deletion, insertion, both in [0, 1].
    """
    blank = blurred(image[None])[0]
    # Both ends of every curve are the same two images.
    pairs = [(image, blank), (blank, image)]
    batch = [replaced(a, b, order, STEPS)[1:-1] for order in orders.values() for a, b in pairs]
    values = probability(torch.cat([torch.stack([image, blank]), *batch]))
    whole, gone = values[:2]
    inner = values[2:].reshape(len(orders), 2, STEPS - 1)
    areas = {}
    for name, (deletion, insertion) in zip(orders, inner, strict=True):
        curves = np.array([[whole, *deletion, gone], [gone, *insertion, whole]])
        areas[name] = tuple(area_under(curves).tolist())
    return (float(whole), float(gone)), areas


def perturb_table(
    predictor: Predictor, table: pd.DataFrame, explained: Explained, seed: int
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Deletion and insertion for the rows of a table, in the order of each map that the app offers, of the centred
    Gaussian as wide as the first of them, and of chance.

    Args:
        predictor: of a checkpoint.
        table: rows of `lesion.data.ham10000.read_table`.
        explained: of the same rows.
        seed: of the random order.

    Returns:
        Probabilities of the decided diagnosis, of the whole and of the blurred photograph, float (N, 2); and by order:
        float (N, 2), deletion and insertion.
    """
    generator, size = np.random.default_rng(seed), predictor.config.transform.size
    metadata, known = predictor.config.encoder.encode(records_of(table))
    ends, areas = [], {name: [] for name in (*predictor.map_methods, GAUSSIAN, RANDOM)}
    for row, path in enumerate(tqdm(table.path, desc="Deletion and insertion", unit="image")):

        def probability(images: torch.Tensor, row: int = row) -> np.ndarray:
            embeddings = []
            with torch.inference_mode(), predictor.model.autocast():
                for part in images.to(predictor.model.device, memory_format=torch.channels_last).split(BATCH):
                    embeddings.append(predictor.model.embed(part).float().cpu().numpy())
            record, fields = (np.repeat(x[row : row + 1], len(images), 0) for x in (metadata, known))
            answers = predictor.answers(np.concatenate(embeddings), record, fields)
            return answers[:, explained.decided[row]]

        heats = {
            name: predictor.enlarge(largest_one(explained.maps[name][row]), (size, size), name)
            for name in predictor.map_methods
        }
        heats[GAUSSIAN] = centred_gaussian(heats[predictor.map_methods[0]])
        heats[RANDOM] = np.zeros((size, size))
        orders = {name: pixel_order(heat, generator) for name, heat in heats.items()}
        image = predictor.config.transform(read_image(path))
        between, of_order = deletion_and_insertion(image, orders, probability)
        ends.append(between)
        for name, pair in of_order.items():
            areas[name].append(pair)
    return np.array(ends), {name: np.array(pairs) for name, pairs in areas.items()}
