"""Confirmed cases like a photograph."""

import numpy as np
import pytest
from sklearn.metrics.pairwise import cosine_similarity

from conftest import BUNDLED
from lesion.data.diagnoses import CODES
from lesion.errors import UserError
from lesion.inference.predictor import load_predictor
from lesion.teaching.cohort import Cohort, Subgroup
from lesion.teaching.similar import SimilarCases


@pytest.fixture(scope="module")
def similar() -> SimilarCases:
    return SimilarCases(Cohort(load_predictor(BUNDLED), rounds=10))


def expected(similar, row: int, candidates) -> list[tuple[str, float]]:
    """The six nearest of other lesions that are candidates, by scikit-learn."""
    table, embeddings = similar.cohort.table, similar.cohort.embeddings.astype(float)
    cosines = cosine_similarity(embeddings[[row]], embeddings)[0]
    allowed = np.flatnonzero((table.lesion_id != table.lesion_id[row]).to_numpy() & candidates)
    return [(table.image_id[r], cosines[r]) for r in allowed[np.argsort(-cosines[allowed])][:6]]


@pytest.mark.parametrize("row", [0, 7, 1500, 3004])
def test_cases_are_the_nearest_of_other_lesions_with_their_records(similar, row):
    table = similar.cohort.table
    answered = CODES[similar.cohort.full[row].argmax()]
    everything, others = np.ones(len(table), bool), (table.label != CODES.index(answered)).to_numpy()
    only = (table.label == CODES.index("mel")).to_numpy()
    for among, candidates in (("any", everything), ("another", others), ("mel", only)):
        found = similar.among(similar.cohort.embeddings[row], table.image_id[row], among, answered)
        nearest = expected(similar, row, candidates)
        assert list(found.image_id) == [image_id for image_id, _ in nearest]
        np.testing.assert_allclose(found.similarity, [cosine for _, cosine in nearest], atol=1e-6)
        for case in found.itertuples():
            record = table.iloc[similar.cohort.row_of[case.image_id]]
            assert case.diagnosis == CODES[record.label] and case.lesion_id == record.lesion_id != table.lesion_id[row]
            assert (case.site, case.sex, case.dx_type) == (record.site, record.sex, record.dx_type)


def test_a_photograph_that_is_not_held_out_may_find_every_lesion(similar):
    found = similar.find(similar.cohort.embeddings[0])
    assert found.image_id[0] == similar.cohort.table.image_id[0] and found.similarity[0] == pytest.approx(1, abs=1e-6)


def test_cases_of_a_subgroup(similar):
    found = similar.find(similar.cohort.embeddings[0], subgroup=Subgroup(sex="female", diagnosis="df"))
    assert len(found) == 6 and set(found.sex) == {"female"} and set(found.diagnosis) == {"df"}


def test_wrong_values_are_refused_in_a_sentence(similar):
    embedding = similar.cohort.embeddings[0]
    with pytest.raises(UserError, match="choose any, another, mel"):
        similar.among(embedding, None, "wart")
    with pytest.raises(UserError, match="choose any, another, mel"):
        similar.among(embedding, None, ["mel"])
    with pytest.raises(UserError, match="choose mel, nv"):
        similar.find(embedding, other_than="wart")
