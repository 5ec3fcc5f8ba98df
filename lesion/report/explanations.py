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


def inside_the_lesion(
    predictor: Predictor, explained: Explained, masks: list[np.ndarray], weights: np.ndarray
) -> dict[str, dict]:
    """How much of each method's maps lies inside the lesion, and how often its hottest point does, with intervals.

    Args:
        predictor: of a checkpoint.
        explained: maps of the photographs.
        masks: bool (H, W) of each photograph, none of them empty.
        weights: of `bootstrap_weights`.
    """
    area = np.array([mask.mean() for mask in masks])
    methods = {}
    for name, maps in explained.maps.items():
        energy, pointing, guess_energy, guess_pointing = np.empty((4, len(masks)))
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
    return methods


def deletion_report(predictor: Predictor, table: pd.DataFrame, explained: Explained, rounds: int, seed: int) -> dict:
    """Deletion and insertion on a sample of the photographs, with intervals.

    Args:
        predictor, table, rounds, seed: see `explanation_report`.
        explained: maps of the photographs of the table.
    """
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
        "images": len(sample),
        "lesions": int(sample.lesion_id.nunique()),
        "steps": STEPS,
        "removed": f"Gaussian blur, standard deviation {BLUR:.0%} of the input's side",
        "probability of the whole photograph": mean_with_interval(ends[:, 0], sample_weights),
        "probability of the blurred photograph": mean_with_interval(ends[:, 1], sample_weights),
        "orders": orders,
    }


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
    area = np.array([mask.mean() for mask in masks])
    return {
        "images": len(table),
        "lesions": int(table.lesion_id.nunique()),
        "without a mask": int((~outlined).sum()),
        "explained": "the decided diagnosis (data-set prevalence), with the record's own age, sex and site",
        "bootstrap": {"unit": "lesion", "rounds": rounds, "seed": seed, "interval": "95 % percentile"},
        "area share": mean_with_interval(area, weights),
        "methods": inside_the_lesion(predictor, explained, masks, weights),
        "deletion and insertion": deletion_report(predictor, table, explained, rounds, seed),
    }
