"""The claim of each lesson, on the bundled checkpoint, and its right option against figures of another making."""

import copy
import re

import numpy as np
import pytest
from sklearn.metrics import recall_score, roc_auc_score

from conftest import BUNDLED
from lesion.data.diagnoses import BY_CODE, CODES
from lesion.data.held_out_photographs import HeldOutPhotographs
from lesion.data.metadata import INPUTS
from lesion.data.reading import read_image
from lesion.errors import UserError
from lesion.inference.predictor import load_predictor
from lesion.model.calibration import SUBSETS
from lesion.teaching.alarm import ALARM_THRESHOLDS
from lesion.teaching.cohort import Cohort
from lesion.teaching.lab import Lab, LabSettings
from lesion.teaching.lessons import Lessons, rare_disease
from lesion.teaching.lessons.common import HeldOutCases, top

KEYS = (
    "no-photograph", "two-ages", "face-and-back", "rescued", "ruined", "weak-eye", "table-alone", "rare-disease",
    "class-weights", "same-lesion-twice", "drawn-on", "wrong-machine",
)  # fmt: skip


@pytest.fixture(scope="module")
def lessons() -> Lessons:
    predictor = load_predictor(BUNDLED)
    lab = Lab(predictor.checkpoint.held_out(), predictor.config.encoder, rounds=100)
    return Lessons(Cohort(predictor, rounds=100), HeldOutPhotographs(BUNDLED), lab)


@pytest.mark.parametrize("key", KEYS)
def test_the_lessons_claim_holds(lessons, key):
    lesson = lessons.get(key)
    reveal = lesson.reveal()
    assert reveal.holds
    assert 0 <= reveal.correct < len(lesson.options) >= 2
    assert re.search(r"\d", reveal.text), "it names figures"
    assert reveal.moral


def test_what_is_shown_is_what_the_app_answers(lessons):
    """The figures of each case, computed anew from its photograph and the buttons' records."""
    for key in ("two-ages", "face-and-back", "rescued", "ruined"):
        lesson = lessons.get(key)
        photograph = read_image(lessons.cases.photographs.read(lesson.setups[0].image_id))
        for setup, shown in zip(lesson.setups, lesson.reveal().answers.values(), strict=True):
            answer = lessons.cases.predictor.predict(photograph, setup.metadata).probabilities
            assert shown == pytest.approx(answer, abs=1e-5), (key, setup.label)


def test_the_right_option_follows_from_the_figures(lessons):
    names = {code: BY_CODE[code].name for code in CODES}
    chosen = {key: (lesson := lessons.get(key)).options[lesson.reveal().correct] for key in KEYS}
    for key in ("rescued", "ruined"):
        assert chosen[key] == names[top(list(lessons.get(key).reveal().answers.values())[1])]
    old, young = (top(a) for a in lessons.get("no-photograph").reveal().answers.values())
    assert old != young and chosen["no-photograph"].startswith("No")
    assert top(lessons.get("two-ages").reveal().answers["at 75"]) != "nv"
    assert chosen["two-ages"] == "Another diagnosis comes first"
    assert chosen["face-and-back"] == "Yes"

    positive, answers = lessons.cases.labels == 0, lessons.cases.cohort.full[:, 0]
    threshold = lessons.get("rare-disease").setups[0].controls["threshold"] / 100
    found, false = (answers[positive] >= threshold).mean(), (answers[~positive] >= threshold).mean()
    assert found >= 0.9 > (answers[positive] >= threshold + 0.01).mean()
    assert found * 0.001 / (found * 0.001 + false * 0.999) < 0.05 and chosen["rare-disease"] == "Fewer than 5"

    area = roc_auc_score(lessons.cases.labels == 1, lessons.cases.answers(SUBSETS[14])[:, 1])
    assert area > 0.7 and chosen["table-alone"].startswith("Well")
    recalls = [
        recall_score(lessons.cases.labels, lessons.cases.lab.result(LabSettings(INPUTS, w)).decisions, average=None)[
            [3, 5, 6]
        ]
        for w in ("balanced", "none")
    ]
    assert recalls[1].mean() < recalls[0].mean() - 0.02 and chosen["class-weights"].startswith("Fewer")


def with_melanomas_answered(lessons, scale) -> HeldOutCases:
    """The held-out cases, as if the model gave every melanoma `scale` times the probability of melanoma (at most 1)."""
    cohort = copy.copy(lessons.cases.cohort)
    cohort.full = cohort.full.copy()
    cohort.full[:, 0] = np.minimum(scale * cohort.full[:, 0], 1)
    return HeldOutCases(cohort, lessons.cases.photographs, lessons.cases.lab)


def test_the_alarm_has_a_threshold_that_the_page_offers(lessons):
    lowest, highest = ALARM_THRESHOLDS
    assert lowest <= rare_disease.make(lessons.cases).setups[0].controls["threshold"] <= highest
    assert rare_disease.make(with_melanomas_answered(lessons, 1e9)).setups[0].controls["threshold"] == highest
    assert rare_disease.make(with_melanomas_answered(lessons, 1e-3)) is None, "no threshold above 0 finds nine of ten"


def test_a_checkpoint_without_melanomas_has_no_lesson_about_them(lessons):
    without = Lessons(lessons.cases.cohort, lessons.cases.photographs, lessons.cases.lab)
    without.cases.labels = np.where(without.cases.labels == 0, 1, without.cases.labels)
    keys = [lesson.key for lesson in without.all]
    assert not {"rescued", "ruined", "rare-disease"} & set(keys) and "two-ages" in keys


def test_rescued_and_ruined_are_confirmed_melanomas_on_either_side(lessons):
    for key, right in (("rescued", 1), ("ruined", 0)):
        lesson = lessons.get(key)
        row = lessons.cases.table.index[lessons.cases.table.image_id == lesson.setups[0].image_id][0]
        assert CODES[lessons.cases.labels[row]] == "mel"
        answers = list(lesson.reveal().answers.values())
        assert top(answers[right]) == "mel" != top(answers[1 - right])
        assert lesson.setups[1].metadata == lessons.cases.cohort.records[row], "its own record"


def test_the_search_finds_the_best_case(lessons):
    """No other confirmed nevus with everything known loses more of its probability from 25 to 75."""
    chosen = lessons.get("two-ages").setups[0].image_id
    young, old = lessons.cases.answers(age=25.0), lessons.cases.answers(age=75.0)
    table = lessons.cases.table.assign(fall=young[:, 1] - old[:, 1], young=young.argmax(1), old=old.argmax(1))
    known = table.age.notna() & table.sex.notna() & table.site.notna()
    cases = table[known & (table.label == 1) & (table.young == 1) & (table.old != 1)]
    assert cases.loc[cases.fall.idxmax(), "image_id"] == chosen


def test_without_photographs_the_lessons_about_them_are_left_out(lessons, tmp_path):
    without = Lessons(lessons.cases.cohort, HeldOutPhotographs(tmp_path), lessons.cases.lab)
    kept = ["no-photograph", "weak-eye", "table-alone", "rare-disease", "class-weights", "same-lesion-twice"]
    assert [lesson.key for lesson in without.all] == kept


def test_an_unknown_lesson_is_refused_in_a_sentence(lessons):
    with pytest.raises(UserError, match="choose no-photograph, two-ages"):
        lessons.get("chemistry")


def test_photographs_are_the_held_out_ones_and_answer_like_their_embeddings(lessons):
    photographs, table = lessons.cases.photographs, lessons.cases.table
    assert photographs.names == {f"{image_id}.jpg" for image_id in table.image_id}
    for row in (5, 1500, 2900):
        features = lessons.cases.predictor.features(read_image(photographs.read(table.image_id[row])))
        answer = lessons.cases.predictor.probabilities(features, [lessons.cases.cohort.records[row]])[0]
        np.testing.assert_allclose(answer, lessons.cases.cohort.full[row], atol=0.03)
