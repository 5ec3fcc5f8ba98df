"""The report of the tiny checkpoint, made once."""

import pytest

from lesion.inference.predictor import load_predictor
from lesion.report.answers import answer_test_part, photographs_of
from lesion.report.build import build_report, photographs_report


@pytest.fixture(scope="session")
def answers(checkpoint):
    return answer_test_part(load_predictor(checkpoint))


@pytest.fixture(scope="session")
def photographs(answers, ham10000):
    return photographs_of(answers, ham10000)


@pytest.fixture(scope="session")
def report(answers, photographs):
    return build_report(answers) | photographs_report(answers, photographs)
