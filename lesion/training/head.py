"""The fusion head, trained on cached embeddings."""

import copy
import math
import time
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from torch import nn
from tqdm.auto import tqdm

from lesion.data.diagnoses import DIAGNOSES
from lesion.data.transforms import ImageTransform
from lesion.metrics.metrics import decide, decision_metrics, probability_metrics
from lesion.model.calibration import (
    SUBSETS,
    Calibration,
    effective,
    fit_calibration,
)
from lesion.model.fusion import FusionHead, FusionModel, head_logits, head_on_subsets
from lesion.training.config import TrainingConfig, views_of
from lesion.training.data import TrainingData
from lesion.training.embeddings import embed_table
from lesion.training.examples import NotFinite
from lesion.training.loop import not_finite
from lesion.training.subsets import random_subsets, subset_losses


def epoch_metrics(head: FusionHead, embeddings: np.ndarray, data: TrainingData, views: dict[str, int]) -> dict:
    """Validation metrics of an epoch, calibrated: the first view's, and the others' balanced accuracy.

    Raises:
        NotFinite: the head's answers are not.
    """
    rows = data.split.validation
    out = {}
    for name, index in views.items():
        present = effective(SUBSETS[index], data.known[rows])
        logits = head_logits(head, embeddings, data.metadata[rows], SUBSETS[index])
        if not np.isfinite(logits).all():
            raise NotFinite
        fitted = fit_calibration(logits, data.labels[rows], data.weights)
        calibration = Calibration(data.weights, data.prevalence, *np.outer(fitted, np.ones(len(SUBSETS))))
        probabilities = calibration.probabilities(logits, present)
        balanced = decision_metrics(data.labels[rows], decide(probabilities, data.prevalence, "uniform"))
        if not out:
            common = decision_metrics(data.labels[rows], decide(probabilities, data.prevalence, "dataset"))
            out["validation_loss"] = probability_metrics(data.labels[rows], probabilities)["log_loss"]
            out["accuracy"] = common["accuracy"]
            out["balanced_accuracy"] = balanced["balanced_accuracy"]
        else:
            out[f"{name.replace(' ', '_')}_balanced_accuracy"] = balanced["balanced_accuracy"]
    return out


def train_frozen(
    accelerator: Accelerator,
    model: FusionModel,
    data: TrainingData,
    transform: ImageTransform,
    config: TrainingConfig,
    output: Path,
) -> tuple[list[dict], np.ndarray]:
    """Trains the head on embeddings of the frozen backbone; the best epoch by validation loss is left in `model`.

    The embedding pass is what takes time, and its cache is what a resumed run goes on from; the head trains in
    seconds, identically in every process.

    Returns:
        The history, one dictionary an epoch, and the embeddings of every row, float32, of
        `FusionModel.pool`.
    """
    started = time.monotonic()
    embeddings = embed_table(
        accelerator, model, data.table, transform, output / "state", config.batch_size, config.workers
    )
    head = model.head.to(accelerator.device)
    history = fit_head(head, embeddings, data, config, accelerator.is_main_process)
    history[-1]["minutes"] = (time.monotonic() - started) / 60
    return history, embeddings


def fit_head(
    head: FusionHead, embeddings: np.ndarray, data: TrainingData, config: TrainingConfig, show_progress: bool = False
) -> list[dict]:
    """Adam on cached embeddings with early stopping on the validation loss; the best epoch is left in `head`.

    Args:
        head: trained in place, on its device.
        embeddings: float32, of `FusionModel.pool`, of every row of the table.
        data: see `TrainingData`.
        config: gives epochs, batch_size, learning_rate, patience and seed.
        show_progress: show a progress bar.

    Returns:
        The history, one dictionary an epoch.

    Raises:
        UserError: the loss or the answers stopped being finite.
    """
    device = next(head.parameters()).device
    rows = torch.from_numpy(data.split.training)
    inputs = torch.from_numpy(embeddings), torch.from_numpy(data.metadata), torch.tensor(data.labels)
    weights = torch.tensor(data.weights, dtype=torch.float32, device=device)
    optimizer = torch.optim.Adam(head.parameters(), lr=config.learning_rate)
    generator = torch.Generator().manual_seed(config.seed)
    torch.manual_seed(config.seed)
    validation = embeddings[data.split.validation]
    best, best_state, history, step = float("inf"), None, [], 0
    kept = "nothing of it was written"
    for epoch in (bar := tqdm(range(config.epochs), desc="Training the head", unit="epoch", disable=not show_progress)):
        head.train()
        total = 0.0
        for batch in rows[torch.randperm(len(rows), generator=generator)].split(config.batch_size):
            embedding, metadata, labels = (x[batch].to(device) for x in inputs)
            present = random_subsets(len(batch), generator).to(device)
            logits = head_on_subsets(head, embedding, metadata, present)
            targets = nn.functional.one_hot(labels, len(DIAGNOSES)).float()
            loss = subset_losses(logits, targets, weights).mean()
            value = loss.item()
            if not math.isfinite(value):
                raise not_finite(f"The head's loss is {value} at step {step}", config.learning_rate, kept)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            step += 1
            total += value * len(batch)
        row = {"epoch": epoch + 1, "train_loss": total / len(rows)}
        try:
            row |= epoch_metrics(head, validation, data, views_of(config))
        except NotFinite:
            what = f"The head's answers are not finite after step {step - 1}"
            raise not_finite(what, config.learning_rate, kept) from None
        history.append(row)
        bar.set_postfix(validation_loss=f"{row['validation_loss']:.3f}", refresh=False)
        if row["validation_loss"] < best:
            best, best_state = row["validation_loss"], copy.deepcopy(head.state_dict())
        elif epoch + 1 - min(history, key=lambda h: h["validation_loss"])["epoch"] >= config.patience:
            break
    head.load_state_dict(best_state)
    return history
