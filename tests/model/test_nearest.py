"""The nearest held-out photographs, against scikit-learn."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics.pairwise import cosine_similarity

from lesion.model.held_out import HeldOut
from lesion.model.nearest import NearestHeldOut


@pytest.fixture
def held_out():
    generator = np.random.default_rng(0)
    table = pd.DataFrame({"lesion_id": [f"L{i // 3}" for i in range(60)]})
    return HeldOut(table, generator.normal(size=(60, 16)).astype(np.float32))


def test_the_nearest_are_those_of_scikit_learn(held_out):
    queries = np.random.default_rng(1).normal(size=(5, 16)).astype(np.float32)
    rows, similarities = NearestHeldOut(held_out).find(queries, np.full(5, -1), 6)
    expected = cosine_similarity(queries.astype(float), held_out.embeddings.astype(float))
    np.testing.assert_array_equal(rows, np.argsort(-expected, axis=1)[:, :6])
    np.testing.assert_allclose(similarities, np.take_along_axis(expected, rows, 1), atol=1e-6)


def test_a_photograph_of_the_same_lesion_is_never_found(held_out):
    nearest = NearestHeldOut(held_out)
    rows, _ = nearest.find(held_out.embeddings, np.arange(60), 57)
    for query, found in enumerate(rows):
        assert set(found) == set(range(60)) - set(range(query // 3 * 3, query // 3 * 3 + 3))
    unknown, similarities = nearest.find(held_out.embeddings[:1], np.array([-1]), 1)
    assert unknown[0, 0] == 0 and similarities[0, 0] == pytest.approx(1, abs=1e-6), "nobody knows that it is this one"


def test_fewer_candidates_than_asked_for(held_out):
    candidates = np.isin(np.arange(60), (1, 7, 8))
    rows, similarities = NearestHeldOut(held_out).find(held_out.embeddings[:1], np.array([0]), 6, candidates)
    assert set(rows[0, :2]) == {7, 8} and (rows[0, 2:] == -1).all() and np.isneginf(similarities[0, 2:]).all()


def test_maps_of_every_position_are_averaged_and_nothing_divides_by_zero(held_out):
    positions = np.stack([held_out.embeddings - 1, held_out.embeddings + 1], axis=1)
    nearest = NearestHeldOut(HeldOut(held_out.table, positions))
    np.testing.assert_allclose(nearest.directions, NearestHeldOut(held_out).directions, atol=1e-6)
    rows, similarities = nearest.find(np.zeros((1, 16), np.float32), np.array([-1]), 2)
    assert (similarities == 0).all() and rows.tolist() == [[0, 1]], "the first in the table of equally near ones"
