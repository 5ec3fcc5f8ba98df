"""Records and their encoding."""

import math

import numpy as np
import pytest

from lesion.data.metadata import ABSENT, FIELD_OF_COLUMN, SITES, WIDTH, Metadata, MetadataEncoder
from lesion.errors import UserError

ENCODER = MetadataEncoder.fit(np.array([20.0, 40.0, np.nan, 60.0]))


def test_unknown_in_every_spelling():
    assert Metadata("unknown", "", "Unknown") == Metadata(math.nan, None, "unknown") == Metadata()
    assert Metadata().known == () and Metadata().describe() == "nothing known"


def test_values_are_normalised():
    record = Metadata("55", " Female ", "Lower Extremity")
    assert record == Metadata(55.0, "female", "lower extremity")
    assert record.describe() == "age 55, female, lower extremity"
    assert Metadata("٥٥").age == 55, "digits of other scripts are digits"
    assert Metadata(0).age == 0, "the youngest age is not an absent one"


@pytest.mark.parametrize(
    "arguments, word",
    [
        ({"age": "old"}, "not a number"),
        ({"age": -1}, "outside"),
        ({"age": 121}, "outside"),
        ({"age": math.inf}, "outside"),
        ({"age": True}, "not a number"),
        ({"age": "½"}, "not a number"),
        ({"age": "fünfundfünfzig"}, "not a number"),
        ({"age": 10**400}, "not a number"),
        ({"age": "1e999"}, "outside"),
        ({"age": "x" * 1_000_000}, "…"),
        ({"sex": "<b>"}, "female, male"),
        ({"site": {"a": [1]}}, "abdomen"),
        ({"age": [5]}, "not a number"),
        ({"sex": "other"}, "female, male"),
        ({"sex": 3}, "female, male"),
        ({"site": "elbow"}, "abdomen"),
        ({"site": "x" * 1000}, "…"),
    ],
)
def test_other_values_are_refused_with_what_is_accepted(arguments, word):
    with pytest.raises(UserError, match=word) as error:
        Metadata(**arguments)
    assert len(str(error.value)) < 300


def test_encoder_is_fitted_on_known_ages():
    assert ENCODER.age_mean == 40
    assert ENCODER.age_std == pytest.approx(np.std([20, 40, 60]))
    with pytest.raises(UserError):
        MetadataEncoder.fit(np.array([np.nan]))


def test_encoding():
    encoded, known = ENCODER.encode([Metadata(60, "male", "back"), Metadata(site="ear"), Metadata()])
    assert encoded.shape == (3, WIDTH) and encoded.dtype == np.float32
    assert known.tolist() == [[True, True, True], [False, False, True], [False, False, False]]
    assert encoded[0, 0] == pytest.approx(20 / ENCODER.age_std) and encoded[0, 1] == 0
    assert encoded[1, 0] == 0 and encoded[1, 1] == 1, "a missing age is the mean, with a flag"
    assert (encoded[:, FIELD_OF_COLUMN == 1].sum(1) == 1).all() and (encoded[:, FIELD_OF_COLUMN == 2].sum(1) == 1).all()
    assert np.array_equal(encoded[2], ABSENT)


def test_every_site_has_its_own_column():
    encoded, _ = ENCODER.encode([Metadata(site=site) for site in SITES])
    assert len(np.unique(encoded, axis=0)) == len(SITES)
