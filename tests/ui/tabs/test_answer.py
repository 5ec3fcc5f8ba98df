"""The tab Answer: what it says about a photograph that the model has seen."""

import numpy as np
import pytest
from PIL import Image

from lesion.data.diagnoses import CODES
from lesion.data.ham10000 import read_table
from lesion.data.held_out_photographs import HeldOutPhotographs
from lesion.data.metadata import Metadata
from lesion.inference.photograph_store import PhotographStore
from lesion.inference.predictor import load_predictor
from lesion.model.seen import FILE
from lesion.teaching.cohort import ANY, Cohort
from lesion.teaching.recognition import Recognition
from lesion.teaching.similar import SimilarCases
from lesion.training.seen import write_seen
from lesion.ui import similar_cases
from lesion.ui.html.answers import TRAINED_ON
from lesion.ui.html.pieces import marked
from lesion.ui.tabs.answer import Answers


@pytest.fixture(scope="module")
def answers(checkpoint, ham10000, tmp_path_factory):
    """What the tab shows, with a checkpoint that has hashes."""
    folder = tmp_path_factory.mktemp("answer") / "checkpoint"
    folder.mkdir()
    for path in checkpoint.iterdir():
        if path.name != FILE:
            (folder / path.name).symlink_to(path)
    write_seen(ham10000, [folder], [])
    predictor = load_predictor(folder)
    store, cohort, photographs = PhotographStore(predictor), Cohort(predictor, rounds=10), HeldOutPhotographs(folder)
    recognition = Recognition(cohort, photographs, {})
    return Answers(store, recognition, similar_cases.Views(store, SimilarCases(cohort), photographs, recognition))


@pytest.fixture(scope="module")
def copies(answers, ham10000, tmp_path_factory):
    """Larger copies of a photograph of the training part, of a held-out one, and another picture, with the label of the
    second."""
    folder = tmp_path_factory.mktemp("copies")
    table, held_out = read_table(ham10000, verify=False), answers.store.predictor.checkpoint.held_out().table
    trained = table[~table.image_id.isin(held_out.image_id)].iloc[3]
    kept = table[table.image_id == held_out.image_id.iloc[3]].iloc[0]
    for name, row in {"trained": trained, "held out": kept}.items():
        with Image.open(row.path) as image:
            image.resize((300, 225), Image.Resampling.BICUBIC).save(folder / f"{name}.jpg", quality=70)
    pixels = np.random.default_rng(0).integers(0, 255, (90, 90, 3), np.uint8)
    Image.fromarray(pixels).save(folder / "another.jpg")
    return {path.stem: path for path in folder.iterdir()}, CODES[kept.label]


def shown(answers: Answers, path) -> str:
    method = answers.store.predictor.map_methods[0]
    return answers.show(answers.store.get(path), Metadata(), "most probable", method, ANY)[0]


def test_a_training_photograph_gets_a_notice_and_a_held_out_one_its_diagnosis(answers, copies):
    paths, code = copies
    trained, held_out, another = (shown(answers, paths[name]) for name in ("trained", "held out", "another"))
    assert TRAINED_ON in trained and "Confirmed diagnosis" not in trained
    assert TRAINED_ON not in held_out and f"Confirmed diagnosis</summary>{marked(code)}</details>" in held_out
    assert TRAINED_ON not in another and "Confirmed diagnosis" not in another


def test_the_endpoint_says_so_too(answers, copies):
    for name, path in copies[0].items():
        summary = answers.predict(str(path), "unknown", "unknown", "unknown", "most probable")[2]
        assert summary.endswith(TRAINED_ON) == (name == "trained"), name


def test_similar_cases_know_a_held_out_photograph_at_any_size(answers, copies):
    """So that no photograph of its own lesion is among them."""
    found = answers.similar.numbers(str(copies[0]["held out"]), "unknown", "unknown", "unknown", ANY)
    table = answers.store.predictor.checkpoint.held_out().table.set_index("image_id")
    own = found["held-out photograph"]
    assert table.lesion_id[own] not in set(table.lesion_id[[case["image_id"] for case in found["cases"]]])
