"""Several models to choose from: every endpoint and tab answers by the chosen one, and each is built once."""

import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

from conftest import BUNDLED, EXAMPLES, App, start_app
from lesion.data.diagnoses import CODES
from lesion.data.metadata import Metadata
from lesion.data.reading import read_image
from lesion.errors import UserError
from lesion.inference.predictor import Predictor, load_predictor
from lesion.metrics.metrics import decide
from lesion.model.checkpoint import load_checkpoint
from lesion.model.names import model_name
from lesion.teaching.cohort import Cohort
from lesion.teaching.influence import Influence
from lesion.teaching.similar import SimilarCases
from lesion.ui import models as models_module
from lesion.ui.models import Models

PHOTOGRAPH = EXAMPLES / "ISIC_0024329.jpg"
RECORD, PREVALENCE = ("75", "female", "lower extremity"), ("dataset", 2)
NAMES = ["Test-ConvNeXt", "Test-EfficientNet"]


@pytest.mark.parametrize(
    "backbone, name",
    [
        ("convnext_small.fb_in22k_ft_in1k", "ConvNeXt-Small"), ("convnext_small", "ConvNeXt-Small"),
        ("tf_efficientnet_lite2.in1k", "EfficientNet-Lite2"), ("efficientnet_b0", "EfficientNet-B0"),
        ("densenet121.ra_in1k", "DenseNet121"), ("timm/resnet50.a1_in1k", "ResNet50"),
    ],
)  # fmt: skip
def test_a_network_has_a_plain_name(backbone, name):
    assert model_name(backbone) == name


@pytest.fixture
def two(checkpoint, second_checkpoint):
    return Models(load_checkpoint(checkpoint), [second_checkpoint], "cpu")


def test_models_are_named_by_their_backbones_and_known_by_their_checkpoints(two, checkpoint, second_checkpoint):
    assert two.names == NAMES
    identities = [load_checkpoint(folder).identity for folder in (checkpoint, second_checkpoint)]
    assert [two.identity_of(name) for name in NAMES] == identities
    assert [two.named_by(identity) for identity in (*identities, "0" * 12, None)] == [*NAMES, None, None]
    assert [two.get(name).identity for name in (None, "", *NAMES)] == [identities[0]] * 2 + identities
    assert two.get(NAMES[1]).in_words == f"Test-EfficientNet (checkpoint {identities[1]})"
    for wrong in ("test-convnext", 5, [NAMES[0]], {"a": 1}, identities[0]):
        with pytest.raises(UserError, match="is not known; choose Test-ConvNeXt, Test-EfficientNet"):
            two.get(wrong)


def test_two_checkpoints_of_one_backbone_are_told_apart_and_one_is_not_taken_twice(checkpoint, tmp_path):
    first = load_checkpoint(checkpoint)
    with pytest.raises(UserError, match="given twice"):
        Models(first, [checkpoint])
    other = shutil.copytree(checkpoint, tmp_path / "other")
    (other / "config.json").write_text((other / "config.json").read_text() + " ")
    names = Models(first, [other]).names
    assert len(set(names)) == 2 and all(name.startswith("Test-ConvNeXt (") for name in names)
    (other / "model.safetensors").write_bytes(b"")
    with pytest.raises(UserError, match="is not the file"):
        Models(first, [other])


def test_a_model_is_read_when_first_chosen_and_once_by_visitors_at_once(two, monkeypatch):
    read, together = [], threading.Barrier(8)

    def load(folder):
        read.append(folder)
        return load_checkpoint(folder)

    monkeypatch.setattr(models_module, "load_checkpoint", load)
    assert two.first.name == NAMES[0] and not read

    def choose(_):
        together.wait()
        material = two.get(NAMES[1])
        return material, material.cohort, material.store, material.recognition

    with ThreadPoolExecutor(8) as visitors:
        found = list(visitors.map(choose, range(8)))
    assert len(read) == 1
    for parts in zip(*found, strict=True):
        assert all(part is parts[0] for part in parts)


def test_an_answer_of_the_first_model_does_not_wait_for_another_that_is_being_read(two, monkeypatch):
    reading, answered = threading.Event(), threading.Event()

    def load(folder):
        reading.set()
        assert answered.wait(60), "the first model's answer waits for the second model"
        return load_checkpoint(folder)

    monkeypatch.setattr(models_module, "load_checkpoint", load)
    with ThreadPoolExecutor(1) as other:
        chosen = other.submit(two.get, NAMES[1])
        assert reading.wait(60)
        material = two.get(NAMES[0])
        material.recognition.of(material.store.get(PHOTOGRAPH))
        answered.set()
        assert chosen.result().name == NAMES[1]


def test_what_is_made_of_each_model_is_made_once_and_names_the_model_last(two):
    made = []
    views = two.each(lambda material: made.append(material.name) or material.name)
    assert not made

    def method(views, first, second):
        return views, first, second

    assert views.asked(method)(1, 3, NAMES[1]) == (NAMES[1], 1, 3)
    assert [views.of(), views.of(NAMES[0]), views.of(NAMES[1])] == [NAMES[0], NAMES[0], NAMES[1]]
    assert made == [NAMES[1], NAMES[0]]


def test_checkpoints_that_share_a_file_of_photographs_read_it_once(two, checkpoint, second_checkpoint):
    assert two.get(NAMES[0]).photographs.path.parent == checkpoint
    assert two.get(NAMES[1]).photographs.path.parent == second_checkpoint
    inside = BUNDLED / "efficientnet_lite2"
    assert two.photographs_of(inside).path == BUNDLED / "held_out_photographs.zip"
    assert two.photographs_of(inside) is two.photographs_of(inside)


@pytest.fixture(scope="module")
def two_models_app(checkpoint, second_checkpoint, tmp_path_factory):
    log = tmp_path_factory.mktemp("two-models") / "log"
    app = App(*start_app((checkpoint, second_checkpoint), log), log)
    yield app
    try:
        app.check()
    finally:
        app.stop()


@pytest.fixture(scope="module")
def client(two_models_app):
    return Client(two_models_app.url, verbose=False)


@pytest.fixture(scope="module")
def predictors(checkpoint, second_checkpoint) -> dict[str, Predictor]:
    return dict(zip(NAMES, map(load_predictor, (checkpoint, second_checkpoint)), strict=True))


@pytest.fixture(scope="module")
def cohorts(predictors) -> dict[str, Cohort]:
    return {name: Cohort(predictor) for name, predictor in predictors.items()}


def influence_of(predictor: Predictor) -> Influence:
    return Influence(predictor, predictor.features(read_image(PHOTOGRAPH)), Metadata(*RECORD))


def test_the_last_parameter_of_every_endpoint_is_the_model_and_may_be_left_out(client):
    endpoints = client.view_api(return_format="dict")["named_endpoints"]
    assert len(endpoints) >= 16
    for name, about in endpoints.items():
        model = about["parameters"][-1]
        assert (model["parameter_name"], model["label"]) == ("model", "Model"), name
        assert model["parameter_has_default"] and model["parameter_default"] == NAMES[0], name
    with pytest.raises(AppError, match="Model 'ResNet50' is not known; choose Test-ConvNeXt, Test-EfficientNet"):
        client.predict(*PREVALENCE, 20, "ResNet50", api_name="/alarm")


@pytest.mark.parametrize("name", [None, *NAMES])
def test_every_view_of_a_photograph_is_the_chosen_models(client, predictors, cohorts, name):
    influence = influence_of(predictors[name or NAMES[0]])
    chosen, photograph = [] if name is None else [name], handle_file(str(PHOTOGRAPH))

    def ask(endpoint, *values):
        return client.predict(photograph, *RECORD, *values, *chosen, api_name=f"/{endpoint}")

    expected = influence.three_answers
    assert ask("predict", "mel")[0] == pytest.approx(expected["both"], abs=1e-6)
    three = ask("three_answers", *PREVALENCE)
    for inputs, answer in expected.items():
        assert three[inputs] == pytest.approx(answer, abs=1e-6)
    shapley = ask("shapley", "mel", *PREVALENCE, "probability")
    assert shapley["contributions"] == pytest.approx(influence.shapley("mel").contributions, abs=1e-6)
    curve = ask("age_curve", *PREVALENCE)["probabilities"]
    np.testing.assert_allclose(np.column_stack(list(curve.values())), influence.age_curve, atol=1e-6)
    places = ask("body_map", "mel", *PREVALENCE)["probabilities"]
    expected_places = influence.by_site_and_sex("mel").to_dict("index")
    assert places == {site: pytest.approx(row, abs=1e-6) for site, row in expected_places.items()}
    found = influence.smallest_changes("any field")
    changes = ask("smallest_change", *PREVALENCE, "any field")["changes"]
    assert [(c["diagnosis"], c["probability"]) for c in changes] == [
        (c.diagnosis, pytest.approx(c.probability, abs=1e-6)) for c in found
    ]
    table = pd.read_csv(ask("sweep", *PREVALENCE), keep_default_na=False)
    np.testing.assert_allclose(table.iloc[:, 3:], influence.sweep.reshape(-1, 7), rtol=2e-5, atol=1e-9)
    similar = SimilarCases(cohorts[name or NAMES[0]]).find(influence.features.embedding)
    cases = ask("similar_cases", "any")["cases"]
    assert [case["image_id"] for case in cases] == list(similar.image_id)
    assert [case["similarity"] for case in cases] == pytest.approx(list(similar.similarity), abs=1e-6)
    assert Path(ask("handout", "mel", *PREVALENCE, "png")).stat().st_size > 10_000


@pytest.mark.parametrize("name", [None, *NAMES])
def test_every_view_of_the_held_out_photographs_is_the_chosen_models(client, cohorts, name):
    cohort, chosen = cohorts[name or NAMES[0]], [] if name is None else [name]

    def ask(endpoint, *values):
        return client.predict(*values, *chosen, api_name=f"/{endpoint}")

    found = ask("cohort", ["image"], [], *["any"] * 5, "uniform")
    right = decide(cohort.image_alone, cohort.prevalence, "uniform") == cohort.labels
    assert found["differences"]["accuracy"]["chosen"] == pytest.approx(right.mean(), abs=1e-6)
    importance = ask("importance", *["any"] * 5, "dataset")
    expected = cohort.importance()
    assert importance["age"]["log-loss"]["value"] == pytest.approx(expected["age"]["log-loss"]["value"], abs=1e-6)
    alarm = ask("alarm", *PREVALENCE, 20)
    melanoma, rings = cohort.table.label == CODES.index("mel"), cohort.full[:, CODES.index("mel")] >= 0.2
    assert alarm["sensitivity"] == pytest.approx(rings[melanoma].mean(), abs=1e-6)
    assert alarm["specificity"] == pytest.approx((~rings)[~melanoma].mean(), abs=1e-6)
    with pytest.raises(AppError, match="needs 5 lesions of each diagnosis"):  # of either of these small checkpoints
        ask("train_head", ["image"], "none", 1, 0.001, 0)
    lesson = ask("lesson", "no-photograph")
    assert lesson["model"] == cohort.predictor.checkpoint.in_words
    with pytest.raises(AppError, match="no report"):
        ask("model_report")
