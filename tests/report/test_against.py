"""Two checkpoints on the same test images."""

from dataclasses import replace

import numpy as np
import pytest

from lesion.errors import UserError
from lesion.report.against import check_same_test_part, compare_checkpoints
from lesion.report.answers import Answers


def test_checkpoints_with_other_test_images_are_refused(answers):
    check_same_test_part(answers, answers)
    count = len(answers.rows)
    with pytest.raises(UserError, match=f"{count - 1} of .* {count} are among its {count - 1}"):
        check_same_test_part(answers, replace(answers, rows=answers.rows[:-1]))


def test_comparison_pairs_images_by_id(answers):
    order = np.arange(len(answers.rows))[::-1]
    turned = Answers(
        answers.predictor,
        answers.held_out,
        answers.rows[order],
        answers.known[order],
        {s: v[order] for s, v in answers.logits.items()},
        {s: v[order] for s, v in answers.probabilities.items()},
    )
    found = compare_checkpoints(answers, turned)
    assert all(entry["value"] == 0 for entry in found["first minus second"].values())
