"""The heat maps measured on the test part."""

from pathlib import Path

import numpy as np
import pandas as pd

from lesion.inference.activation_maps import METHODS
from lesion.inference.predictor import Predictor
from lesion.metrics.bootstrap import bootstrap_weights, mean_with_interval
from lesion.report.deletion import BLUR, RANDOM, STEPS, perturb_table
from lesion.report.heat_maps import Explained, explain_table, largest_one
from lesion.report.localisation import GAUSSIAN, centred_gaussian, energy_inside, pointing_hit, read_masks

SAMPLE = 100
"""Photographs whose maps are measured by deletion and insertion, which takes many passes of the backbone."""


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
