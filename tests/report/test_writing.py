"""The files of a report."""

from lesion.report.writing import without_nan


def test_no_number_becomes_null():
    assert without_nan({"a": [1.0, float("nan")], "b": (float("nan"), "c")}) == {
        "a": [1.0, None],
        "b": [None, "c"],
    }
