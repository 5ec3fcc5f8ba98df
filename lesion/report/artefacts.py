"""How often a ruler, ink, hair or a colour cast changes the decision, beside changes that no reader would notice."""

from pathlib import Path

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from lesion.data.artefacts import ARTEFACTS, HARMLESS, STRENGTHS
from lesion.data.ham10000 import records_of
from lesion.data.reading import read_image
from lesion.inference.predictor import Predictor
from lesion.metrics.bootstrap import bootstrap_weights, mean_with_interval
from lesion.metrics.metrics import decide
from lesion.report.answers import ROUNDS, SEED

MOST = 250
"""Photographs at most: each takes fifteen passes."""


def artefact_report(predictor: Predictor, table: pd.DataFrame, photographs: list[Path]) -> dict:
    """The share of photographs whose decision, under data-set prevalence with all inputs, is another with an artefact.

    Args:
        predictor: of a checkpoint.
        table: of the test images, with image_id, lesion_id, age, sex and site.
        photographs: of the same rows. Of more than MOST, evenly spaced ones are taken.

    Returns:
        "photographs", how many; "flips" by artefact and strength ("1" to "3"), and "harmless" by change, each with
        "value" and its 95 % "interval", by a bootstrap over lesions.

    Raises:
        UserError: a photograph cannot be read.
    """
    rows = np.unique(np.linspace(0, len(table) - 1, min(MOST, len(table))).round().astype(int))
    chosen = table.iloc[rows]
    metadata, known = predictor.config.encoder.encode(records_of(chosen))
    changes = {("as it is", ""): lambda image: image}
    for name, draw in ARTEFACTS.items():
        for strength in STRENGTHS:
            changes[name, str(strength)] = lambda image, draw=draw, strength=strength: draw(image, strength)
    changes |= {(name, ""): change for name, change in HARMLESS.items()}
    embeddings = {key: [] for key in changes}
    for row in tqdm(rows, desc="Ruler, ink, hair, colour", unit="image"):
        frame = predictor.config.transform.frame(read_image(photographs[row]))
        for key, change in changes.items():
            embeddings[key].append(predictor.features(change(frame)).embedding)
    prevalence = predictor.config.calibration.prevalence
    decided = {
        key: decide(predictor.answers(np.stack(of), metadata, known), prevalence, "dataset")
        for key, of in embeddings.items()
    }
    weights = bootstrap_weights(chosen.lesion_id, ROUNDS, SEED)
    flips = {
        key: mean_with_interval((of != decided["as it is", ""]).astype(float), weights) for key, of in decided.items()
    }
    return {
        "photographs": len(rows),
        "flips": {name: {str(s): flips[name, str(s)] for s in STRENGTHS} for name in ARTEFACTS},
        "harmless": {name: flips[name, ""] for name in HARMLESS},
    }
