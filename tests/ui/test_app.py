"""The app as people and programs use it: a running server, gradio_client, and a browser."""

import json
import subprocess
import sys
import urllib.request

import numpy as np
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

from conftest import EXAMPLES, ROOT, expect
from lesion.data.metadata import Metadata
from lesion.data.reading import read_image
from lesion.inference.photograph_store import PhotographStore
from lesion.inference.predictor import load_predictor

PHOTOGRAPH = EXAMPLES / "ISIC_0024329.jpg"


@pytest.fixture(scope="module")
def server(tiny_app):
    """The address of a running app on the tiny checkpoint."""
    return tiny_app.url


@pytest.fixture(scope="module")
def client(server):
    return Client(server, verbose=False)


@pytest.fixture(scope="module")
def predictor(checkpoint):
    return load_predictor(checkpoint)


def ask(client, path, age="unknown", sex="unknown", site="unknown", target="most probable"):
    return client.predict(handle_file(str(path)), age, sex, site, target, api_name="/predict")


def test_api_answers_like_python(client, predictor):
    probabilities, picture, summary = ask(client, PHOTOGRAPH, "75", "female", "lower extremity", "mel")
    expected = predictor.predict(read_image(PHOTOGRAPH), Metadata(75, "female", "lower extremity"))
    assert probabilities == pytest.approx(expected.probabilities, abs=1e-4)
    with Image.open(picture if isinstance(picture, str) else picture["path"]) as image:
        assert image.size == (600, 450)
    assert "age 75, female, lower extremity" in summary


def test_api_is_documented(client):
    endpoints = client.view_api(return_format="dict")["named_endpoints"]
    described = endpoints["/predict"]
    labels = ["Photograph", "Age (years)", "Sex", "Body site", "Diagnosis to explain", "Model"]
    assert [p["label"] for p in described["parameters"]] == labels
    assert "probabilities" in described["description"]


def test_values_outside_the_dropdowns_are_refused(client):
    refused = [
        (("200",), "outside 0 to 120"),
        (("old",), "not a number"),
        (("55", "other"), "choose female, male"),
        (("55", "male", "elbow"), "choose abdomen"),
        (("55", "male", "back", "wart"), "choose most probable, mel"),
        (("55", ["male"]), "choose female, male"),
        ((None, None, None, "MEL"), "choose most probable, mel"),
    ]
    for arguments, words in refused:
        with pytest.raises(AppError, match=words):
            ask(client, PHOTOGRAPH, *arguments)
    ask(client, PHOTOGRAPH)


def test_bad_files_get_a_sentence_and_the_app_goes_on(client, tmp_path):
    content = PHOTOGRAPH.read_bytes()
    bad = {
        "text.jpg": (b"no image at all", "not an image"),
        "cut.jpg": (content[: len(content) // 2], "damaged or incomplete"),
        "empty.png": (b"", "not an image"),
    }
    for name, (data, words) in bad.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(AppError, match=words):
            ask(client, tmp_path / name)
    Image.new("RGB", (1, 1)).save(tmp_path / "dot.png")
    with pytest.raises(AppError, match="at least 16"):
        ask(client, tmp_path / "dot.png")
    Image.new("1", (10_000, 6_000)).save(tmp_path / "large.png")
    with pytest.raises(AppError, match="60 megapixels"):
        ask(client, tmp_path / "large.png")
    with pytest.raises(AppError, match="photograph first"):
        client.predict(None, "unknown", "unknown", "unknown", "most probable", api_name="/predict")
    ask(client, PHOTOGRAPH)


def test_a_strip_is_no_memory_bomb(client, tmp_path):
    Image.new("RGB", (16, 30_000), "pink").save(tmp_path / "strip.png")
    assert sum(ask(client, tmp_path / "strip.png")[0].values()) == pytest.approx(1)


@pytest.mark.parametrize("mode, kind", [("CMYK", "jpg"), ("L", "png"), ("RGBA", "png"), ("P", "gif")])
def test_odd_files_are_read(client, predictor, tmp_path, mode, kind):
    path = tmp_path / f"odd.{kind}"
    with Image.open(PHOTOGRAPH) as image:
        image.resize((200, 150)).convert(mode).save(path)
    expected = predictor.predict(read_image(path)).probabilities
    assert ask(client, path)[0] == pytest.approx(expected, abs=1e-4)


def test_store_runs_the_backbone_once_a_photograph_and_is_bounded(predictor, tmp_path):
    store = PhotographStore(predictor, capacity=2)
    paths = [tmp_path / f"{i}.png" for i in range(3)]
    for i, path in enumerate(paths):
        Image.new("RGB", (40, 30), (50 * i, 100, 100)).save(path)
    first = store.get(paths[0])
    assert store.get(paths[0]) is first
    store.get(paths[1])
    store.get(paths[0])
    store.get(paths[2])
    assert store.get(paths[0]) is first, "the most recently used stay"
    assert len(store._photographs) == 2
    again = store.get(paths[1])
    assert not np.array_equal(again.features.embedding, first.features.embedding)


@pytest.mark.process
def test_missing_checkpoint_is_one_sentence(tmp_path):
    done = subprocess.run(
        [sys.executable, "app.py", "--checkpoint", str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert "is not a checkpoint" in done.stderr and "train.py --data" in done.stderr


def test_a_bad_upload_is_explained_where_the_answer_is(server, browser, tmp_path):
    (tmp_path / "cut.jpg").write_bytes(PHOTOGRAPH.read_bytes()[:9000])
    page = browser.new_page()
    page.goto(server)
    page.set_input_files("#photo input[type=file]", str(tmp_path / "cut.jpg"))
    expect(page.locator("#answer [role=alert]")).to_contain_text("damaged or incomplete", timeout=30_000)
    page.locator("#examples button").first.click()
    expect(page.locator("#answer li")).to_have_count(7, timeout=30_000)
    page.close()


def test_the_choices_of_the_api_are_the_data_sets(server):
    with urllib.request.urlopen(f"{server}/gradio_api/info") as answer:
        parameters = json.load(answer)["named_endpoints"]["/predict"]["parameters"]
    assert parameters[1]["type"]["enum"] == ["unknown", *(str(age) for age in range(0, 90, 5))]
    assert len(parameters[3]["type"]["enum"]) == 15
