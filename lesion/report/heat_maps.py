"""The heat maps of many photographs at once, with the answers that they explain."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from tqdm.auto import tqdm

from lesion.data.diagnoses import CODES
from lesion.data.ham10000 import records_of
from lesion.data.reading import read_image
from lesion.inference.activation_maps import METHODS, formula_maps, gradients_of
from lesion.inference.predictor import Predictor

BATCH = 32


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
        images = images.to(model.device, memory_format=torch.channels_last)
        # Gradients are needed only from the first measured stage on.
        with torch.no_grad(), model.autocast():
            start_map = (predictor.stages[0] if predictor.stages else model.forward_features)(images).float()
        start_map.requires_grad_()
        with model.autocast():
            last = predictor.stages[1](start_map).float() if predictor.stages else start_map
        stage_maps = {True: start_map, False: last} if predictor.stages else {False: last}
        top = predictor.answers(model.pool(last.detach()).cpu().numpy(), metadata[rows], known[rows]).argmax(1)
        codes = [CODES[k] for k in top]
        gradients = gradients_of(model, list(stage_maps.values()), last, metadata[rows], codes)
        of_stage = {
            earlier: (stage_map.detach().cpu().numpy(), gradient.cpu().numpy())
            for (earlier, stage_map), gradient in zip(stage_maps.items(), gradients, strict=True)
        }
        for name in methods:
            maps[name].append(formula_maps(name, model.head, *of_stage[METHODS[name].earlier]))
        decided.append(top)
    return Explained(np.concatenate(decided), {name: np.concatenate(values) for name, values in maps.items()})


def largest_one(activation_map: np.ndarray) -> np.ndarray:
    """A map scaled to a largest value of 1. A map that is 0 everywhere is replaced by a constant one."""
    top = activation_map.max()
    return (activation_map / top if top > 0 else np.ones_like(activation_map)).astype(np.float32)
