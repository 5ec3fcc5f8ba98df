"""How good the heat maps are: do they lie on the lesion, and do they show what the answer hangs on?

Both need no opinion. The lesion's outline is known (the masks of Tschandl et al., Nat. Med. 26, 1229, 2020), so the
share of a map inside it can be counted: the energy-based pointing game (Wang et al., "Score-CAM", 2020) and the
pointing game (Zhang et al., "Top-down neural attention by excitation backprop", 2018). Photographers centre lesions, so
a blind guess does well; each map is therefore compared with a blob in the middle that is exactly as wide as the map.
And where a map is right, blurring its hottest pixels first must ruin the answer soon, and uncovering them first must
bring it back soon: deletion and insertion (Petsiuk et al., "RISE", 2018).

The diagnosis explained is the one decided for the photograph with its own age, sex and site (data-set prevalence).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torchvision.transforms.v2.functional import gaussian_blur
from tqdm.auto import tqdm

from lesion.data.diagnoses import CODES
from lesion.data.ham10000 import records_of
from lesion.data.reading import read_image
from lesion.errors import UserError
from lesion.inference.activation_maps import METHODS, formula_maps, gradients_of
from lesion.inference.predictor import Predictor
from lesion.metrics.bootstrap import bootstrap_weights, mean_with_interval

MASKS = "HAM10000_segmentations_lesion_tschandl"
SAMPLE, STEPS = 100, 6
"""Photographs and steps of deletion and insertion, each of which is a pass of the backbone."""
BLUR = 0.2
"""Standard deviation of the blur that stands for "removed", as a share of the input's side: of 0.05 to 0.5, that which
lowered the probability of the decided diagnosis most on the validation images."""
BATCH = 32
GAUSSIAN, RANDOM = "centred Gaussian", "random order"


def energy_inside(heat: np.ndarray, mask: np.ndarray) -> float:
    """The share of a map that lies inside the lesion (Wang et al., 2020).

    Args:
        heat: float (H, W), not negative, not all 0.
        mask: bool (H, W).
    """
    return float(heat[mask].sum() / heat.sum())


def pointing_hit(heat: np.ndarray, mask: np.ndarray) -> float:
    """Whether the map's hottest pixel is inside the lesion (Zhang et al., 2018); of several, the share that is.

    Args:
        heat: float (H, W).
        mask: bool (H, W).
    """
    return float(mask[heat == heat.max()].mean())


def spread(profile: np.ndarray) -> float:
    """Standard deviation, in pixels, of a map's sums along one axis, about their own centre."""
    share = profile / profile.sum()
    position = np.arange(len(profile))
    return float(np.sqrt(share @ (position - share @ position) ** 2))


@lru_cache
def gaussian_spreads(length: int) -> tuple[np.ndarray, np.ndarray]:
    """Widths of centred Gaussians, cut off at the photograph's edges, before and after the cut, in pixels.

    Args:
        length: of the photograph's side, pixels.

    Returns:
        Standard deviations before and after, both rising, float (400,).
    """
    before = np.geomspace(0.01, 100, 400) * length
    return before, np.array([spread(gaussian_profile(length, width)) for width in before])


def gaussian_profile(length: int, width: float) -> np.ndarray:
    """A Gaussian in the middle of `length` pixels, of standard deviation `width` before it is cut off, summing to 1."""
    distance = np.arange(length) - (length - 1) / 2
    profile = np.exp(-0.5 * (distance / width) ** 2)
    return profile / profile.sum()


def centred_gaussian(heat: np.ndarray) -> np.ndarray:
    """The blind guess as wide as a map: a Gaussian in the middle of the photograph, which along each axis has the
    map's own standard deviation about the map's own centre. It differs from the map in not knowing where to look.

    The width is that inside the photograph. Where the map is wider than even an even one, the Gaussian is (nearly)
    even.

    Args:
        heat: float (H, W), not negative, not all 0.

    Returns:
        float64 (H, W), summing to 1.
    """
    profiles = []
    for axis in (1, 0):
        profile = heat.sum(axis, dtype=np.float64)
        before, after = gaussian_spreads(len(profile))
        profiles.append(gaussian_profile(len(profile), np.interp(spread(profile), after, before)))
    return np.outer(*profiles)


def has_masks(folder: Path) -> bool:
    """Whether a folder of HAM10000 holds any lesion masks."""
    return any(folder.rglob("*_segmentation.png"))


def read_masks(folder: Path, image_ids: Sequence[str]) -> list[np.ndarray]:
    """The lesions' outlines, bool (H, W) each.

    Args:
        folder: of HAM10000; the masks are in or under it.
        image_ids: whose.

    Raises:
        UserError: the masks are not there, or not of all of them.
    """
    paths = {path.stem.removesuffix("_segmentation"): path for path in folder.rglob("*_segmentation.png")}
    missing = [image_id for image_id in image_ids if image_id not in paths]
    if missing:
        raise UserError(
            f"{folder} lacks the lesion masks of {len(missing)} of {len(image_ids)} images ({missing[0]}, …). Download "
            f"{MASKS}.zip of HAM10000 at the Harvard Dataverse (doi:10.7910/DVN/DBW86T; Tschandl et al., Nat. Med. 26, "
            f"1229, 2020) and unpack it there."
        )
    masks = []
    for image_id in image_ids:
        with Image.open(paths[image_id]) as image:
            masks.append(np.asarray(image.convert("L")) > 127)
    return masks


@dataclass(frozen=True)
class Explained:
    """Photographs with their answers and the maps of the decided diagnoses.

    Attributes:
        decided: index into CODES, int (N,).
        maps: by method, float32 (N, h, w), each on its own scale.
    """

    decided: np.ndarray
    maps: dict[str, np.ndarray]


def explain_table(predictor: Predictor, table: pd.DataFrame) -> Explained:
    """Every method's map of every row's decided diagnosis; the backbone runs once a photograph.

    Args:
        predictor: of a checkpoint.
        table: rows of `lesion.data.ham10000.read_table`.
    """
    metadata, known = predictor.config.encoder.encode(records_of(table))
    methods = [name for name, method in METHODS.items() if predictor.stages or not method.earlier]
    decided, maps = [], {name: [] for name in methods}
    model = predictor.model
    for first in tqdm(range(0, len(table), BATCH), desc="Heat maps", unit="batch"):
        rows = slice(first, first + BATCH)
        images = torch.stack([predictor.config.transform(read_image(path)) for path in table.path[rows]])
        images = images.contiguous(memory_format=torch.channels_last)
        # Gradients are wanted from the first measured stage on, and no earlier.
        with torch.no_grad(), model.autocast():
            start_map = (predictor.stages[0] if predictor.stages else model.forward_features)(images).float()
        start_map.requires_grad_()
        with model.autocast():
            last = predictor.stages[1](start_map).float() if predictor.stages else start_map
        stage_maps = {True: start_map, False: last} if predictor.stages else {False: last}
        top = predictor.answers(model.pool(last.detach()).numpy(), metadata[rows], known[rows]).argmax(1)
        codes = [CODES[k] for k in top]
        gradients = gradients_of(model, list(stage_maps.values()), last, metadata[rows], codes)
        of_stage = {
            earlier: (stage_map.detach().numpy(), gradient.numpy())
            for (earlier, stage_map), gradient in zip(stage_maps.items(), gradients, strict=True)
        }
        for name in methods:
            maps[name].append(formula_maps(name, model.head, *of_stage[METHODS[name].earlier]))
        decided.append(top)
    return Explained(np.concatenate(decided), {name: np.concatenate(values) for name, values in maps.items()})


def largest_one(activation_map: np.ndarray) -> np.ndarray:
    """A map with its largest value 1; one that is 0 everywhere says nothing, and is counted as even."""
    top = activation_map.max()
    return (activation_map / top if top > 0 else np.ones_like(activation_map)).astype(np.float32)


def blurred(images: torch.Tensor) -> torch.Tensor:
    """Photographs with all detail gone, float (B, 3, S, S)."""
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

    Deletion blurs the photograph pixel by pixel, and a small area is good; insertion uncovers the blurred photograph,
    and a large area is good.

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
                for part in images.contiguous(memory_format=torch.channels_last).split(BATCH):
                    embeddings.append(predictor.model.embed(part).float().numpy())
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


def explanation_report(
    predictor: Predictor, table: pd.DataFrame, data: Path, rounds: int = 1000, seed: int = 0
) -> dict:
    """Measures every method on the photographs of a table.

    Args:
        predictor: of a checkpoint.
        table: rows of `lesion.data.ham10000.read_table`.
        data: folder of HAM10000, with the masks.
        rounds, seed: of the bootstrap; the seed also draws the sample of deletion and insertion.

    Returns:
        What report.json keeps under "explanations", see the keys below; every figure {"value", "interval"}.

    Raises:
        UserError: masks are missing.
    """
    masks = read_masks(data, list(table.image_id))
    outlined = np.array([mask.any() for mask in masks])
    table, masks = table[outlined].reset_index(drop=True), [mask for mask in masks if mask.any()]
    explained = explain_table(predictor, table)
    weights = bootstrap_weights(table.lesion_id, rounds, seed)
    area = np.array([mask.mean() for mask in masks])

    methods = {}
    for name, maps in explained.maps.items():
        energy, pointing, guess_energy, guess_pointing = np.empty((4, len(table)))
        for i, (activation_map, mask) in enumerate(zip(maps, masks, strict=True)):
            heat = predictor.enlarge(largest_one(activation_map), mask.shape[::-1], name)
            guess = centred_gaussian(heat)
            energy[i], pointing[i] = energy_inside(heat, mask), pointing_hit(heat, mask)
            guess_energy[i], guess_pointing[i] = energy_inside(guess, mask), pointing_hit(guess, mask)
        figures = {
            "energy": energy,
            "energy of the centred Gaussian": guess_energy,
            "energy minus area share": energy - area,
            "energy minus centred Gaussian": energy - guess_energy,
            "pointing": pointing,
            "pointing of the centred Gaussian": guess_pointing,
            "pointing minus area share": pointing - area,
            "pointing minus centred Gaussian": pointing - guess_pointing,
        }
        methods[name] = {
            "offered": name in predictor.map_methods,
            "cells": list(maps.shape[1:]),
            "runs again": "the head and the last stage" if METHODS[name].earlier else "the head",
            "empty maps": int((maps.max((1, 2)) == 0).sum()),
            **{figure: mean_with_interval(values, weights) for figure, values in figures.items()},
        }

    chosen = np.sort(np.random.default_rng(seed).permutation(len(table))[:SAMPLE])
    sample = table.iloc[chosen].reset_index(drop=True)
    of_sample = Explained(explained.decided[chosen], {name: maps[chosen] for name, maps in explained.maps.items()})
    ends, areas = perturb_table(predictor, sample, of_sample, seed)
    sample_weights = bootstrap_weights(sample.lesion_id, rounds, seed)
    orders = {}
    for name, pairs in areas.items():
        orders[name] = {}
        for column, curve in enumerate(("deletion", "insertion")):
            orders[name][curve] = mean_with_interval(pairs[:, column], sample_weights)
            for other in (GAUSSIAN, RANDOM):
                if name not in (other, RANDOM):
                    difference = pairs[:, column] - areas[other][:, column]
                    orders[name][f"{curve} minus {other}"] = mean_with_interval(difference, sample_weights)
    return {
        "images": len(table),
        "lesions": int(table.lesion_id.nunique()),
        "without a mask": int((~outlined).sum()),
        "explained": "the decided diagnosis (data-set prevalence), with the record's own age, sex and site",
        "bootstrap": {"unit": "lesion", "rounds": rounds, "seed": seed, "interval": "95 % percentile"},
        "area share": mean_with_interval(area, weights),
        "methods": methods,
        "deletion and insertion": {
            "images": len(sample),
            "lesions": int(sample.lesion_id.nunique()),
            "steps": STEPS,
            "removed": f"Gaussian blur, standard deviation {BLUR:.0%} of the input's side",
            "probability of the whole photograph": mean_with_interval(ends[:, 0], sample_weights),
            "probability of the blurred photograph": mean_with_interval(ends[:, 1], sample_weights),
            "orders": orders,
        },
    }
