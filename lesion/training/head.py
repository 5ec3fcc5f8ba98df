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
from lesion.metrics.metrics import decide, decision_metrics
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

NOTHING_WRITTEN = "nothing of it was written"


def epoch_metrics(
    head: FusionHead, embeddings: np.ndarray, data: TrainingData, views: dict[str, int]
) -> tuple[dict, np.ndarray]:
    """Validation metrics of an epoch, calibrated.

    Args:
        head: to judge.
        embeddings: of the validation part.
        data: see `TrainingData`.
        views: names and indices into SUBSETS of the inputs to judge it with; the first is the complete one.

    Returns:
        validation_loss, the mean log-loss of the views in nats, by which epochs are chosen; accuracy and balanced
        accuracy of the first view and balanced accuracy of the others; and the log-loss of each photograph, the mean
        of the views, float (N,).

    Raises:
        NotFinite: the head's answers are not.
    """
    rows = data.split.validation
    labels = data.labels[rows]
    out, losses = {}, []
    for name, index in views.items():
        present = effective(SUBSETS[index], data.known[rows])
        logits = head_logits(head, embeddings, data.metadata[rows], SUBSETS[index])
        if not np.isfinite(logits).all():
            raise NotFinite
        fitted = fit_calibration(logits, labels, data.weights)
        calibration = Calibration(data.weights, data.prevalence, *np.outer(fitted, np.ones(len(SUBSETS))))
        probabilities = calibration.probabilities(logits, present)
        losses.append(-calibration.log_probabilities(logits, present)[np.arange(len(labels)), labels])
        balanced = decision_metrics(labels, decide(probabilities, data.prevalence, "uniform"))["balanced_accuracy"]
        if len(losses) == 1:
            common = decision_metrics(labels, decide(probabilities, data.prevalence, "dataset"))
            out |= {"accuracy": common["accuracy"], "balanced_accuracy": balanced}
        else:
            out[f"{name.replace(' ', '_')}_balanced_accuracy"] = balanced
    each = np.mean(losses, axis=0)
    return {"validation_loss": float(each.mean()), **out}, each


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
    """Adam on cached embeddings with early stopping on the validation loss; the best epoch is left in `head`, or the
    head as it came where no epoch is better.

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
    inputs = torch.from_numpy(embeddings), torch.from_numpy(data.metadata), torch.tensor(data.labels)
    optimizer = torch.optim.Adam(head.parameters(), lr=config.learning_rate)
    generator = torch.Generator().manual_seed(config.seed)
    torch.manual_seed(config.seed)

    def judged(epoch: int) -> dict:
        try:
            return epoch_metrics(head, embeddings[data.split.validation], data, views_of(config))[0]
        except NotFinite:
            what = f"The head's answers are not finite after the last step of epoch {epoch}"
            raise not_finite(what, config.learning_rate, NOTHING_WRITTEN) from None

    best, best_epoch, best_state, history = judged(0)["validation_loss"], 0, copy.deepcopy(head.state_dict()), []
    epochs = range(1, config.epochs + 1)
    for epoch in (bar := tqdm(epochs, desc="Training the head", unit="epoch", disable=not show_progress)):
        train_loss = head_epoch(head, inputs, data, config, optimizer, generator)
        history.append({"epoch": epoch, "train_loss": train_loss} | judged(epoch))
        loss = history[-1]["validation_loss"]
        bar.set_postfix(validation_loss=f"{loss:.3f}", refresh=False)
        if loss < best:
            best, best_epoch, best_state = loss, epoch, copy.deepcopy(head.state_dict())
        elif epoch - best_epoch >= config.patience:
            break
    head.load_state_dict(best_state)
    return history


def head_epoch(
    head: FusionHead,
    inputs: tuple[torch.Tensor, ...],
    data: TrainingData,
    config: TrainingConfig,
    optimizer: torch.optim.Optimizer,
    generator: torch.Generator,
) -> float:
    """One pass of `fit_head` over the training part; gives its mean loss.

    Args:
        head, data, config: see `fit_head`.
        inputs: embeddings, metadata and labels of every row of the table.
        optimizer: of the head.
        generator: of the order and of the subsets of the inputs.

    Raises:
        UserError: the loss stopped being finite.
    """
    device = next(head.parameters()).device
    weights = torch.tensor(data.weights, dtype=torch.float32, device=device)
    rows = torch.from_numpy(data.split.training)
    head.train()
    total = 0.0
    batches = rows[torch.randperm(len(rows), generator=generator)].split(config.batch_size)
    for step, batch in enumerate(batches):
        embedding, metadata, labels = (x[batch].to(device) for x in inputs)
        present = random_subsets(len(batch), generator).to(device)
        logits = head_on_subsets(head, embedding, metadata, present)
        targets = nn.functional.one_hot(labels, len(DIAGNOSES)).float()
        loss = subset_losses(logits, targets, weights).mean()
        value = loss.item()
        if not math.isfinite(value):
            raise not_finite(
                f"The head's loss is {value} at step {step} of an epoch", config.learning_rate, NOTHING_WRITTEN
            )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += value * len(batch)
    return total / len(rows)
