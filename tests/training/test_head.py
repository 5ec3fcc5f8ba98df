"""The head, trained on embeddings: the best epoch is kept, and nothing is learned from the test part."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from lesion.data.ham10000 import Split
from lesion.data.metadata import WIDTH, MetadataEncoder
from lesion.model.calibration import class_weights
from lesion.model.fusion import ConcatenationHead, MetaBlockHead
from lesion.training.config import views_of
from lesion.training.data import TrainingData
from lesion.training.finish import fit_after_training
from lesion.training.head import epoch_metrics, fit_head

SIZE, IMAGES = 8, 420
CONFIG = SimpleNamespace(fusion="concat", epochs=6, batch_size=70, learning_rate=1e-2, patience=10, seed=0)


def make_data(generator: np.random.Generator) -> TrainingData:
    """Made-up photographs, two a lesion: two thirds to learn from, a sixth to choose by, a sixth to test with."""
    labels = np.arange(IMAGES) % 7
    lesions = [f"HAM_{i // 14 * 7 + i % 7}" for i in range(IMAGES)]  # two photographs each
    table = pd.DataFrame({"label": labels, "lesion_id": lesions})
    rows = np.arange(IMAGES)
    split = Split("lesion", 0, rows[:280], rows[280:350], rows[350:])
    metadata = generator.normal(size=(IMAGES, WIDTH)).astype(np.float32)
    known = np.ones((IMAGES, 3), bool)
    return TrainingData(
        table, split, MetadataEncoder(50.0, 15.0), metadata, known, class_weights(labels, "none"), np.full(7, 1 / 7)
    )


def make_embeddings(data: TrainingData, generator: np.random.Generator, distance: float = 2.0) -> np.ndarray:
    """float32 (IMAGES, SIZE), which tell the diagnoses apart."""
    noise = generator.normal(size=(IMAGES, SIZE))
    return (noise + distance * np.eye(7, SIZE)[data.labels]).astype(np.float32)


def validation_loss(head, embeddings: np.ndarray, data: TrainingData) -> float:
    metrics, _ = epoch_metrics(head, embeddings[data.split.validation], data, views_of(CONFIG))
    return metrics["validation_loss"]


def changed_test_part(data: TrainingData, embeddings: np.ndarray, generator) -> tuple[TrainingData, np.ndarray]:
    """The same data with other photographs, records and diagnoses in the test part."""
    table, metadata, embeddings = data.table.copy(), data.metadata.copy(), embeddings.copy()
    rows = data.split.test
    table.loc[rows, "label"] = (table.label[rows] + 1) % 7
    metadata[rows] = generator.normal(size=(len(rows), WIDTH))
    embeddings[rows] = generator.normal(size=(len(rows), SIZE))
    return TrainingData(
        table, data.split, data.encoder, metadata, data.known, data.weights, data.prevalence
    ), embeddings


def test_the_best_epoch_is_kept_and_not_the_last():
    """Where learning the training part by heart makes the validation part worse, an early epoch is the best."""
    generator = np.random.default_rng(0)
    data = make_data(generator)
    embeddings = make_embeddings(data, generator, distance=0.7)
    torch.manual_seed(0)
    head = ConcatenationHead(SIZE)
    config = SimpleNamespace(**vars(CONFIG) | {"epochs": 40, "patience": 40})
    history = fit_head(head, embeddings, data, config)
    losses = [row["validation_loss"] for row in history]
    assert len(losses) == 40 and np.argmin(losses) < 39, "the case is made so that the last is not the best"
    assert validation_loss(head, embeddings, data) == pytest.approx(min(losses), rel=1e-6)


def test_a_head_that_only_gets_worse_stays_as_it_came():
    generator = np.random.default_rng(0)
    data = make_data(generator)
    embeddings = make_embeddings(data, generator)
    torch.manual_seed(0)
    head = ConcatenationHead(SIZE)
    fit_head(head, embeddings, data, CONFIG)
    before = {name: tensor.clone() for name, tensor in head.state_dict().items()}
    data.table.loc[data.split.training, "label"] = (data.labels[data.split.training] + 1) % 7  # from now on all wrong
    history = fit_head(head, embeddings, data, CONFIG)
    assert min(row["validation_loss"] for row in history) > validation_loss(head, embeddings, data)
    assert all(torch.equal(before[name], tensor) for name, tensor in head.state_dict().items())


def test_nothing_is_learned_from_the_test_part():
    """Neither the head, nor its best epoch, nor what is fitted to its answers afterwards."""
    made = []
    for changed in (False, True):
        generator = np.random.default_rng(0)
        data = make_data(generator)
        embeddings = make_embeddings(data, generator)
        if changed:
            data, embeddings = changed_test_part(data, embeddings, generator)
        torch.manual_seed(0)
        head = ConcatenationHead(SIZE)
        history = fit_head(head, embeddings, data, CONFIG)
        parts = embeddings[data.split.training], embeddings[data.split.validation]
        made.append((head, history, fit_after_training(head, *parts, data, metadata=True)))
    (head, history, fitted), (other_head, other_history, other) = made
    assert history == other_history
    assert all(torch.equal(a, b) for a, b in zip(head.parameters(), other_head.parameters(), strict=True))
    for name in ("temperatures", "prior_correction_exponents"):
        np.testing.assert_array_equal(getattr(fitted.calibration, name), getattr(other.calibration, name))
    np.testing.assert_array_equal(fitted.prediction_sets.thresholds, other.prediction_sets.thresholds)
    assert fitted.validation["fused"]["log_loss"] == other.validation["fused"]["log_loss"]


@pytest.mark.parametrize("kind", [ConcatenationHead, MetaBlockHead])
def test_the_null_image_is_learned(kind):
    """What stands for a missing photograph starts at zero, learns, and then has a say in every answer without one."""
    generator = np.random.default_rng(0)
    data = make_data(generator)
    embeddings = make_embeddings(data, generator)
    if kind is MetaBlockHead:
        embeddings = embeddings[:, None].repeat(4, 1)  # four positions
    torch.manual_seed(0)
    head = kind(SIZE)
    fit_head(head, embeddings, data, CONFIG)
    learned = head.null_image.detach().clone()
    assert learned.abs().min() > 1e-3

    def without_an_image() -> torch.Tensor:
        head.eval()
        present = torch.tensor([[False, True, True, True]])
        with torch.inference_mode():
            return head(torch.from_numpy(embeddings[:1]), torch.from_numpy(data.metadata[:1]), present)

    answer = without_an_image()
    with torch.no_grad():
        head.null_image.zero_()
    assert (without_an_image() - answer).abs().max() > 1e-3
