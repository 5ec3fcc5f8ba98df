"""The heat maps measured on the test part."""

import numpy as np
import pandas as pd

from lesion.inference.activation_maps import METHODS
from lesion.inference.predictor import Predictor
from lesion.metrics.bootstrap import bootstrap_weights, mean_with_interval
from lesion.report.deletion import BLUR, RANDOM, STEPS, perturb_table
from lesion.report.heat_maps import Explained, explain_table, largest_one
from lesion.report.localisation import GAUSSIAN, centred_gaussian, energy_inside, pointing_hit

SAMPLE = 100
"""Photographs whose maps are measured by deletion and insertion, which takes many passes of the backbone."""


def explanation_report(
    predictor: Predictor, table: pd.DataFrame, masks: list[np.ndarray], rounds: int = 1000, seed: int = 0
) -> dict:
    """Measures every method on the photographs of a table.

    Args:
        predictor: of a checkpoint.
        table: test images with their `path`.
        masks: of each of them, of `lesion.report.localisation.read_masks`; an empty one leaves its image out.
        rounds, seed: of the bootstrap; the seed also draws the sample of deletion and insertion.

    Returns:
        What report.json keeps under "explanations", see the keys below; every figure {"value", "interval"}.

    Raises:
        UserError: a photograph cannot be read.
    """
    outlined = np.array([mask.any() for mask in masks])
    table, masks = table[outlined].reset_index(drop=True), [mask for mask in masks if mask.any()]
    explained = explain_table(predictor, table)
    weights = bootstrap_weights(table.lesion_id, rounds, seed)
    chosen = np.sort(np.random.default_rng(seed).permutation(len(table))[:SAMPLE])
    of_sample = Explained(explained.decided[chosen], {name: maps[chosen] for name, maps in explained.maps.items()})
    return {
        "images": len(table),
        "lesions": int(table.lesion_id.nunique()),
        "without a mask": int((~outlined).sum()),
        "explained": "the decided diagnosis (data-set prevalence), with the record's own age, sex and site",
        "bootstrap": {"unit": "lesion", "rounds": rounds, "seed": seed, "interval": "95 % percentile"},
        "area share": mean_with_interval(np.array([mask.mean() for mask in masks]), weights),
        "methods": {
            name: {
                "offered": name in predictor.map_methods,
                "cells": list(maps.shape[1:]),
                "runs again": "the head and the last stage" if METHODS[name].earlier else "the head",
                "empty maps": int((maps.max((1, 2)) == 0).sum()),
                **localisation_figures(predictor, name, maps, masks, weights),
            }
            for name, maps in explained.maps.items()
        },
        "deletion and insertion": deletion_report(
            predictor, table.iloc[chosen].reset_index(drop=True), of_sample, rounds, seed
        ),
    }


def localisation_figures(
    predictor: Predictor, method: str, maps: np.ndarray, masks: list[np.ndarray], weights: np.ndarray
) -> dict[str, dict]:
    """How much of the maps of one method lies inside the lesions, with intervals.

    Args:
        predictor: lays a map on the photograph.
        method: its name.
        maps: float32 (N, h, w).
        masks: bool (H, W) each, not empty.
        weights: of `bootstrap_weights`, float (rounds, N).
    """
    area = np.array([mask.mean() for mask in masks])
    energy, pointing, guess_energy, guess_pointing = np.empty((4, len(masks)))
    for i, (activation_map, mask) in enumerate(zip(maps, masks, strict=True)):
        heat = predictor.enlarge(largest_one(activation_map), mask.shape[::-1], method)
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
    return {name: mean_with_interval(values, weights) for name, values in figures.items()}


def deletion_report(predictor: Predictor, sample: pd.DataFrame, explained: Explained, rounds: int, seed: int) -> dict:
    """Deletion and insertion on a sample of the photographs, with intervals.

    Args:
        predictor: of a checkpoint.
        sample: test images with their `path`.
        explained: of the same images.
        rounds, seed: of the bootstrap and of the random order.
    """
    ends, areas = perturb_table(predictor, sample, explained, seed)
    weights = bootstrap_weights(sample.lesion_id, rounds, seed)
    orders = {}
    for name, pairs in areas.items():
        orders[name] = {}
        for column, curve in enumerate(("deletion", "insertion")):
            orders[name][curve] = mean_with_interval(pairs[:, column], weights)
            for other in (GAUSSIAN, RANDOM):
                if name not in (other, RANDOM):
                    difference = pairs[:, column] - areas[other][:, column]
                    orders[name][f"{curve} minus {other}"] = mean_with_interval(difference, weights)
    return {
        "images": len(sample),
        "lesions": int(sample.lesion_id.nunique()),
        "steps": STEPS,
        "removed": f"Gaussian blur, standard deviation {BLUR:.0%} of the input's side",
        "probability of the whole photograph": mean_with_interval(ends[:, 0], weights),
        "probability of the blurred photograph": mean_with_interval(ends[:, 1], weights),
        "orders": orders,
    }
