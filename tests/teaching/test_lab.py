"""The training lab, on small synthetic embeddings and on the bundled ones."""

import threading

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import accuracy_score, balanced_accuracy_score, confusion_matrix, recall_score

import lesion.teaching.lab
from conftest import BUNDLED
from lesion.data.diagnoses import CODES
from lesion.data.metadata import SEXES, SITES, MetadataEncoder
from lesion.errors import UserError
from lesion.metrics.bootstrap import bootstrap_weights
from lesion.model.checkpoint import load_checkpoint
from lesion.model.held_out import HeldOut
from lesion.teaching.lab import FOLDS, Lab, LabSettings

ENCODER = MetadataEncoder(50.0, 20.0)
QUICK = LabSettings(epochs=2)


def make_held_out(lesions=(30,) * 7, separation=0.5, seed=0) -> HeldOut:
    """Embeddings around their class's centre, two images of every other lesion, age and site that tell something."""
    generator = np.random.default_rng(seed)
    of_lesion = np.repeat(np.arange(7), lesions)
    images = np.repeat(np.arange(len(of_lesion)), 1 + np.arange(len(of_lesion)) % 2)
    labels = of_lesion[images]
    centres = generator.normal(size=(7, 16)) * separation
    embeddings = centres[labels] + generator.normal(size=(len(of_lesion), 16))[images]
    embeddings += 0.1 * generator.normal(size=embeddings.shape)
    table = pd.DataFrame(
        {
            "image_id": [f"ISIC_{i:07}" for i in range(len(images))],
            "lesion_id": [f"HAM_{i:07}" for i in images],
            "label": labels,
            "age": np.where(images % 9, 20.0 + 10 * labels, np.nan),
            "sex": [SEXES[i % 2] if i % 11 else None for i in images],
            "site": [SITES[(label if i % 3 else i) % len(SITES)] for i, label in zip(images, labels, strict=True)],
        }
    )
    return HeldOut(table, embeddings.astype(np.float32))


@pytest.fixture(scope="module")
def lab() -> Lab:
    return Lab(make_held_out(), ENCODER, rounds=200)


def test_a_run_is_watched_and_kept(lab):
    settings = LabSettings(epochs=10, learning_rate=3e-3)
    history = tuple(lab.train(settings))
    run = lab.stored(settings)
    assert lab.result(settings) is run and run.history == history and run.settings == settings
    assert [result.epoch for result in history] == list(range(1, 11)) and {r.epochs for r in history} == {10}
    assert history[-1].training_loss < history[0].training_loss
    assert history[-1].held_out_loss < history[0].held_out_loss
    assert np.all(np.diff([result.seconds for result in history]) > 0)
    labels = lab.labels
    assert np.array_equal(run.confusion, confusion_matrix(labels, run.decisions, labels=range(7)))
    assert history[-1].balanced_accuracy == pytest.approx(balanced_accuracy_score(labels, run.decisions))
    assert history[-1].accuracy == pytest.approx(accuracy_score(labels, run.decisions))
    assert history[-1].balanced_accuracy > 0.7


def test_lesions_are_never_on_both_sides(lab):
    held_out_rows = []
    for training, held_out in lab.folds(3):
        assert not set(lab.lesions[training]) & set(lab.lesions[held_out])
        assert set(lab.labels[training]) == set(lab.labels[held_out]) == set(range(7))
        held_out_rows.extend(held_out)
    assert sorted(held_out_rows) == list(range(len(lab.labels)))
    assert not all(np.array_equal(a[1], b[1]) for a, b in zip(lab.folds(3), lab.folds(4), strict=True))


def test_a_fingerprint_of_the_lesion_teaches_nothing():
    """Embeddings that say which lesion it is and nothing of its class; read as lesions of their own, images leak."""
    held_out = make_held_out((40,) * 7, separation=0)
    settings = LabSettings(inputs=("image",), epochs=25, learning_rate=1e-2)
    chance = 1 / 7
    honest = Lab(held_out, ENCODER).result(settings)
    assert honest.history[-1].training_loss < 1, "it is learned by heart"
    assert abs(honest.history[-1].balanced_accuracy - chance) < 0.08
    leaking = HeldOut(held_out.table.assign(lesion_id=held_out.table.image_id), held_out.embeddings)
    assert Lab(leaking, ENCODER).result(settings).history[-1].balanced_accuracy > 2 * chance


def test_class_weights_raise_the_recall_of_rare_classes():
    imbalanced = Lab(make_held_out((12, 150, 12, 12, 12, 12, 12)), ENCODER, rounds=200)
    none, balanced = (LabSettings(("image",), weighting) for weighting in ("none", "balanced"))
    comparison = imbalanced.compare(none, balanced)
    rare = [comparison[f"recall.{code}"].difference for code in CODES if code != "nv"]
    assert np.mean(rare) > 0.1 and min(rare) >= 0
    assert comparison["recall.nv"].difference < 0
    assert comparison["balanced_accuracy"].interval[0] > 0


def test_only_chosen_inputs_are_seen():
    held_out = make_held_out()
    others = HeldOut(held_out.table.assign(sex=None, site=SITES[0]), np.flip(held_out.embeddings, axis=0).copy())
    for inputs, seen in ((("age",), True), (("image", "age"), False), (("age", "site"), False)):
        settings = LabSettings(inputs, epochs=3)
        runs = [Lab(h, ENCODER).result(settings) for h in (held_out, others)]
        assert (runs[0].history == runs[1].history) == seen
        assert np.array_equal(runs[0].decisions, runs[1].decisions) == seen


def test_cancelling_stops_and_stores_nothing(lab):
    settings = LabSettings(epochs=60, seed=99)
    training = lab.train(settings)
    assert next(training).epoch == 1 and next(training).epoch == 2
    training.close()
    assert next(training, None) is None and lab.stored(settings) is None


def test_the_store_forgets_the_least_recently_used(monkeypatch):
    monkeypatch.setattr(lesion.teaching.lab, "STORED_RUNS", 2)
    lab = Lab(make_held_out((6,) * 7), ENCODER)
    first, second, third = (LabSettings(epochs=1, seed=seed) for seed in range(3))
    kept = lab.result(first)
    lab.result(second)
    assert lab.result(first) is kept
    lab.result(third)
    assert lab.stored(second) is None and lab.stored(first) is kept and lab.stored(third) is not None


def test_a_run_equals_itself(lab):
    for difference in lab.compare(QUICK, QUICK).values():
        assert difference.first == difference.second and difference.difference == 0 and difference.interval == (0, 0)


def test_comparison_is_scikit_learns_and_paired(lab):
    other = LabSettings(("image",), "none", epochs=2, seed=1)
    comparison = lab.compare(QUICK, other)
    labels, a, b = lab.labels, lab.result(QUICK).decisions, lab.result(other).decisions
    scores = {"accuracy": accuracy_score, "balanced_accuracy": balanced_accuracy_score}
    for label, code in enumerate(CODES):
        scores[f"recall.{code}"] = lambda true, decided, label=label, **options: recall_score(
            true, decided, labels=[label], average="macro", **options
        )
    assert comparison.keys() == scores.keys()
    weights = bootstrap_weights(lab.lesions, rounds=200)
    for name, score in scores.items():
        difference = comparison[name]
        assert difference.first == pytest.approx(score(labels, a)) and difference.second == pytest.approx(
            score(labels, b)
        )
        assert difference.difference == pytest.approx(difference.second - difference.first)
        if name in ("accuracy", "recall.mel"):
            draws = [score(labels, b, sample_weight=w) - score(labels, a, sample_weight=w) for w in weights]
            assert difference.interval == pytest.approx(tuple(np.percentile(draws, [2.5, 97.5])))
    opposite = lab.compare(other, QUICK)["accuracy"]
    assert opposite.interval == pytest.approx(tuple(-x for x in reversed(comparison["accuracy"].interval)))


def test_threads_do_not_disturb_each_other():
    lab = Lab(make_held_out(), ENCODER)
    same, other = LabSettings(epochs=6, seed=5), LabSettings(("image", "site"), "sqrt", epochs=6, seed=6)
    alone = [Lab(make_held_out(), ENCODER).result(settings) for settings in (same, same, other)]
    together = [None] * 3

    def train(index: int) -> None:
        history = tuple(lab.train(alone[index].settings))
        together[index] = history, lab.stored(alone[index].settings).decisions

    threads = [threading.Thread(target=train, args=(index,)) for index in range(3)]
    for thread in threads:
        thread.start()
    torch.manual_seed(0)
    while any(thread.is_alive() for thread in threads):
        torch.rand(1000)  # somebody else uses the shared generator
    for expected, (history, decisions) in zip(alone, together, strict=True):
        assert history == expected.history
        assert np.array_equal(decisions, expected.decisions)


@pytest.mark.parametrize("inputs", [("image", "age"), ("age",)])
def test_the_callers_modes_do_not_matter_and_stay(lab, inputs):
    settings = LabSettings(inputs, epochs=2)
    threads = torch.get_num_threads()
    expected = lab.result(settings).history
    with torch.inference_mode():
        inside = Lab(make_held_out(), ENCODER)
        history = []
        for result in inside.train(settings):
            history.append(result)
            assert torch.is_inference_mode_enabled()
    assert tuple(history) == expected
    with torch.no_grad():
        assert tuple(lab.train(settings)) == expected
        assert not torch.is_grad_enabled()
    assert torch.is_grad_enabled() and torch.get_num_threads() == threads


def test_too_few_lesions_is_one_sentence():
    lab = Lab(make_held_out((6, 6, 6, 6, 6, FOLDS - 1, 6)), ENCODER)
    with pytest.raises(UserError, match=r"needs 5 lesions .* holds out 4 of Dermatofibroma; use"):
        next(lab.train(QUICK))


@pytest.mark.parametrize(
    "name, value, words",
    [
        ("inputs", [], "Inputs are none; give a list of at least one of"),
        ("inputs", "age", "Inputs 'age' is not accepted"),
        ("inputs", None, "Inputs None is not accepted"),
        ("inputs", ["age", "colour"], "image, age, sex, site"),
        ("inputs", ["age", ["sex"]], "give a list of"),
        ("inputs", [10**5000], "of thousands of digits"),
        ("inputs", {"age": True}, "give a list"),
        ("weighting", "inverse", "Class weighting 'inverse' is not accepted; choose one of none, sqrt, balanced"),
        ("weighting", None, "choose one of"),
        ("weighting", ["none"], "choose one of"),
        ("epochs", 0, "Number of epochs 0 is not accepted; give a number from 1 to 60"),
        ("epochs", 61, "from 1 to 60"),
        ("epochs", 2.5, "2.5 is not accepted; give a whole number from 1 to 60"),
        ("epochs", True, "True"),
        ("epochs", "many", "'many'"),
        ("epochs", None, "None"),
        ("epochs", float("nan"), "nan"),
        ("epochs", float("inf"), "inf"),
        ("epochs", 10**400, "1000"),
        pytest.param("epochs", 10**5000, "of thousands of digits", id="huge"),  # pytest cannot spell it out either
        ("epochs", [20], "[20]"),
        ("learning_rate", 0, "Learning rate 0 is not accepted; give a number from 1e-05 to 0.1"),
        ("learning_rate", 0.2, "from 1e-05 to 0.1"),
        ("learning_rate", -1e-3, "from 1e-05 to 0.1"),
        ("learning_rate", float("nan"), "nan"),
        ("learning_rate", 1e-3j, "from 1e-05 to 0.1"),
        ("learning_rate", "slow", "'slow'"),
        ("seed", -1, "Seed -1 is not accepted; give a number from 0 to 2147483647"),
        ("seed", 2**31, "from 0 to 2147483647"),
        ("seed", 0.5, "whole number"),
        ("seed", False, "False"),
    ],
)
def test_settings_are_refused(name, value, words):
    with pytest.raises(UserError) as error:
        LabSettings(**{name: value})
    assert words in str(error.value) and str(error.value).endswith(".")


def test_settings_that_mean_the_same_are_the_same():
    settings = LabSettings({"site", "image"}, "none", 20.0, np.float32(0.0625), np.int64(7))
    assert settings == LabSettings(["image", "site", "site"], "none", 20, 0.0625, 7.0)
    assert settings.inputs == ("image", "site") and type(settings.epochs) is type(settings.seed) is int
    assert len({settings, LabSettings(("site", "image"), "none", 20, 0.0625, 7)}) == 1
    assert LabSettings(epochs=60, learning_rate=1e-1, seed=2**31 - 1) and LabSettings(epochs=1, learning_rate=1e-5)


def test_bundled_checkpoint():
    checkpoint = load_checkpoint(BUNDLED)
    lab = Lab(checkpoint.held_out(), checkpoint.config.encoder)
    fused, metadata = LabSettings(epochs=3), LabSettings(("age", "sex", "site"), epochs=3)
    assert lab.result(fused).confusion.sum() == len(lab.labels)
    comparison = lab.compare(metadata, fused)
    assert comparison["balanced_accuracy"].second > 0.4
    assert comparison["balanced_accuracy"].interval[0] > 0, "the image tells more"
