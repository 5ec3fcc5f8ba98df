"""Answers from the stored embeddings, which the report and the classroom share."""

import numpy as np
import pytest

from conftest import make_ham10000
from lesion.data.diagnoses import CODES
from lesion.errors import UserError
from lesion.model.calibration import EVERYTHING, IMAGE_ALONE
from lesion.report.answers import photographs_of
from lesion.teaching.cohort import Cohort


def test_answers_are_the_classrooms(answers):
    """Not only close to them: the counts of the report and of the tab Cohort are then equal."""
    cohort = Cohort(answers.predictor, rounds=2)
    for subset, rows in ((EVERYTHING, cohort.full), (IMAGE_ALONE, cohort.image_alone)):
        np.testing.assert_allclose(answers.probabilities[subset], rows[cohort.table.test], atol=1e-6)


def test_a_data_set_without_the_test_images_is_refused(answers, tmp_path):
    other = make_ham10000(tmp_path / "other", {code: 1 for code in CODES})
    with pytest.raises(UserError, match=r"lacks \d+ of the checkpoint's \d+ test images"):
        photographs_of(answers, other)
