"""The curves of a report."""

import numpy as np

from lesion.report.curves import learning_curves, thinned
from lesion.report.figures import FIGURES, figures_of


def test_curves_start_and_end_in_their_corners(report):
    for points in report["curves"]["roc"].values():
        assert points[0] == [0, 0] and points[-1] == [1, 1] and len(points) <= 60
    for points in report["curves"]["precision_recall"].values():
        assert points[0][0] == 1 and points[-1] == [0, 1] and len(points) <= 60


def test_learning_curves_are_the_histories(report, checkpoint):
    rows = (checkpoint / "history.csv").read_text().split()
    assert ",".join(report["curves"]["learning"]) == rows[0]
    assert report["curves"]["learning"]["epoch"] == [1, 2]


def test_without_a_history_there_are_no_learning_curves(report, tmp_path):
    assert learning_curves(tmp_path) == {}
    bare = {**report, "curves": {k: v for k, v in report["curves"].items() if k != "learning"}}
    assert figures_of(bare).keys() == FIGURES.keys() - {"curves.png"}


def test_thinning_keeps_the_shape():
    angles = np.linspace(0, np.pi / 2, 5000)
    circle = np.column_stack([np.cos(angles), np.sin(angles)])
    points = np.array(thinned(circle))
    assert 50 < len(points) <= 60
    assert np.abs(np.hypot(*points.T) - 1).max() < 1e-4
    assert np.hypot(*np.diff(points, axis=0).T).max() < 0.05
    assert thinned(np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 1.0]])) == [[0, 0], [0, 1], [1, 1]]
