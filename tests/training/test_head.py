"""The head, trained on stored embeddings."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from lesion.data.ham10000 import read_table
from lesion.model.calibration import EVERYTHING, IMAGE_ALONE
from lesion.model.fusion import ConcatenationHead
from lesion.training.data import prepare_data
from lesion.training.head import epoch_metrics, fit_head
from train import parse_arguments

VIEWS = {"fused": EVERYTHING, "image alone": IMAGE_ALONE}


@pytest.fixture(scope="module")
def data(ham10000):
    return prepare_data(read_table(ham10000, verify=False), "lesion", 2, "balanced")


def embeddings_of(data, noise=0.3) -> np.ndarray:
    """One-hot labels with noise."""
    generator = np.random.default_rng(0)
    return (np.eye(7)[data.labels] + generator.normal(0, noise, (len(data.labels), 7))).astype(np.float32)


def configured(*arguments: str):
    return parse_arguments(["--data", "x", "--recipe", "frozen", *arguments])[1]


def fitted(data, config, seed=0) -> ConcatenationHead:
    torch.manual_seed(seed)
    head = ConcatenationHead(7)
    fit_head(head, embeddings_of(data), data, config)
    return head


def loss_of(head, data) -> float:
    return epoch_metrics(head, embeddings_of(data)[data.split.validation], data, VIEWS)[0]["validation_loss"]


def test_a_worse_head_never_replaces_the_one_that_came(data):
    """Fine-tuning hands over a good head; one epoch at a huge learning rate would ruin it."""
    head = fitted(data, configured("--epochs", "30"))
    before, weights = loss_of(head, data), [p.clone() for p in head.parameters()]
    history = fit_head(head, embeddings_of(data), data, replace(configured("--epochs", "2"), learning_rate=5.0))
    assert min(row["validation_loss"] for row in history) > before
    assert all(torch.equal(a, b) for a, b in zip(weights, head.parameters(), strict=True))
    assert loss_of(head, data) == before


def test_the_best_epoch_is_left(data):
    torch.manual_seed(0)
    head = ConcatenationHead(7)
    history = fit_head(head, embeddings_of(data), data, configured("--epochs", "60", "--learning-rate", "0.02"))
    best = min(row["validation_loss"] for row in history)
    assert loss_of(head, data) == pytest.approx(best, abs=1e-6) and history[-1]["validation_loss"] >= best


def test_patience_counts_from_the_best(data):
    torch.manual_seed(0)
    head = ConcatenationHead(7)
    config = replace(configured("--epochs", "200", "--learning-rate", "0.05"), patience=3)
    history = fit_head(head, embeddings_of(data), data, config)
    best = min(history, key=lambda row: row["validation_loss"])["epoch"]
    assert len(history) == best + 3


def test_the_null_image_is_learned(data):
    assert fitted(data, configured("--epochs", "3")).null_image.abs().max() > 1e-3


def test_the_validation_loss_is_the_mean_of_complete_input_and_image_alone(data):
    head, rows = fitted(data, configured("--epochs", "3")), data.split.validation
    embeddings = embeddings_of(data)[rows]
    both, each = epoch_metrics(head, embeddings, data, VIEWS)
    alone = [epoch_metrics(head, embeddings, data, {name: index}) for name, index in VIEWS.items()]
    assert both["validation_loss"] == pytest.approx(np.mean([metrics["validation_loss"] for metrics, _ in alone]))
    np.testing.assert_allclose(each, np.mean([losses for _, losses in alone], axis=0))
    assert each.shape == (len(rows),)
