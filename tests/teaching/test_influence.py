"""What the metadata did, against independent and slower ways of computing it."""

from dataclasses import replace
from itertools import combinations, pairwise, permutations, product

import numpy as np
import pytest

from conftest import BUNDLED, EXAMPLES
from lesion.data.diagnoses import CODES
from lesion.data.metadata import AGES, INPUTS, SEXES, SITES, Metadata
from lesion.data.reading import read_image
from lesion.errors import UserError
from lesion.inference.predictor import load_predictor
from lesion.model.calibration import SUBSETS, UNIFORM
from lesion.teaching.influence import Influence, parse_prevalence

RECORDS = [Metadata(75, "female", "face"), Metadata(57.5, "male"), Metadata(site="back"), Metadata()]
PHOTOGRAPHS = ["ISIC_0024329", "ISIC_0024317"]


@pytest.fixture(scope="module")
def predictor():
    return load_predictor(BUNDLED)


@pytest.fixture(scope="module")
def photographs(predictor):
    return [predictor.features(read_image(EXAMPLES / f"{name}.jpg")) for name in PHOTOGRAPHS]


def answer(predictor, features, metadata, inputs=INPUTS, prevalence=None):
    """Probabilities from some of the inputs, by the plain way: a field that may not be seen is given as unknown."""
    seen = Metadata(**{f: getattr(metadata, f) for f in INPUTS[1:] if f in inputs})
    present = np.array(["image" in inputs, True, True, True])
    return predictor.probabilities(features, [seen], present, prevalence)[0]


@pytest.mark.parametrize("metadata", RECORDS)
@pytest.mark.parametrize("prevalence", [None, UNIFORM])
def test_subsets_are_the_answers_to_what_may_be_seen(predictor, photographs, metadata, prevalence):
    subsets = Influence(predictor, photographs[0], metadata, prevalence).subsets
    for present, row in zip(SUBSETS, subsets, strict=True):
        inputs = [name for name, p in zip(INPUTS, present, strict=True) if p]
        np.testing.assert_allclose(row, answer(predictor, photographs[0], metadata, inputs, prevalence), atol=1e-6)


@pytest.mark.parametrize("metadata", RECORDS)
@pytest.mark.parametrize("prevalence", [None, UNIFORM])
def test_shapley_values_equal_the_mean_over_all_orders(predictor, photographs, metadata, prevalence):
    """An enumeration of its own: walk every order in which the inputs may become known."""
    scales = {"probability": lambda p: p, "log-odds": lambda p: np.log(p / (1 - p))}
    for features, (scale, transform) in product(photographs, scales.items()):
        influence = Influence(predictor, features, metadata, prevalence)
        worth = {frozenset(np.array(INPUTS)[s]): transform(p) for s, p in zip(SUBSETS, influence.subsets, strict=True)}
        steps = {name: [] for name in INPUTS}
        for order in permutations(INPUTS):
            for i, name in enumerate(order):
                steps[name].append(worth[frozenset(order[: i + 1])] - worth[frozenset(order[:i])])
        for k, code in enumerate(CODES):
            values = influence.shapley(code, scale)
            for name in INPUTS:
                assert len(steps[name]) == 24
                assert values.contributions[name] == pytest.approx(np.mean(steps[name], axis=0)[k], abs=1e-6)
            assert values.start + sum(values.contributions.values()) == pytest.approx(values.end, abs=1e-6)
            assert (values.start, values.end) == pytest.approx((worth[frozenset()][k], worth[frozenset(INPUTS)][k]))
        for name in set(INPUTS[1:]) - set(metadata.known):
            assert influence.shapley("mel", scale).contributions[name] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("metadata", RECORDS)
def test_sweep_is_the_answer_to_every_record(predictor, photographs, metadata):
    influence = Influence(predictor, photographs[0], metadata)
    everything = predictor.probabilities(photographs[0], [metadata])[0]
    np.testing.assert_allclose(influence.sweep[influence.place], everything, atol=1e-6)
    table = influence.sweep_table()
    assert len(table) == len(influence.ages) * 3 * 15
    for row in table.sample(20, random_state=0).itertuples():
        expected = answer(predictor, photographs[0], Metadata(row.age, row.sex, row.site))
        np.testing.assert_allclose([getattr(row, code) for code in CODES], expected, atol=1e-6)


def test_an_age_between_the_data_sets_is_part_of_the_curve(predictor, photographs):
    influence = Influence(predictor, photographs[0], Metadata(57.5, "male", "back"))
    assert 57.5 in influence.ages and influence.age_curve.shape == (len(AGES) + 1, 7)
    at = influence.ages[1:].index(57.5)
    expected = answer(predictor, photographs[0], Metadata(57.5, "male", "back"))
    np.testing.assert_allclose(influence.age_curve[at], expected, atol=1e-6)


def test_switches_are_where_the_top_diagnosis_changes(predictor, photographs):
    found = 0
    for features, sex, site in product(photographs, (None, *SEXES), SITES):
        influence = Influence(predictor, features, Metadata(50, sex, site))
        tops = [CODES[row.argmax()] for row in influence.age_curve]
        assert len(influence.switches) == sum(a != b for a, b in pairwise(tops))
        for switch in influence.switches:
            assert answer(predictor, features, Metadata(switch.younger, sex, site)).argmax() == CODES.index(
                switch.before
            )
            assert answer(predictor, features, Metadata(switch.older, sex, site)).argmax() == CODES.index(switch.after)
            found += 1
    assert found > 5


def test_by_site_and_sex(predictor, photographs):
    influence = Influence(predictor, photographs[0], Metadata(60, "male", "face"))
    table = influence.by_site_and_sex("akiec")
    assert table.shape == (15, 3)
    expected = answer(predictor, photographs[0], Metadata(60, "female", None))[CODES.index("akiec")]
    assert table.loc["unknown", "female"] == pytest.approx(expected, abs=1e-6)
    sites = influence.by_site("akiec")
    assert set(sites) == {None, *SITES} and sites["face"] == pytest.approx(table.loc["face", "male"])


@pytest.mark.parametrize("metadata", RECORDS)
def test_smallest_change_is_the_nearest_of_all(predictor, photographs, metadata):
    """Against a search over every record, one at a time."""
    for features in photographs:
        influence = Influence(predictor, features, metadata)
        top = answer(predictor, features, metadata).argmax()
        nearest = None
        ages = {None, *AGES, metadata.age}
        records = [Metadata(*v) for v in product(ages, (None, *SEXES), (None, *SITES))]
        for record, row in zip(records, predictor.probabilities(features, records), strict=True):
            if row.argmax() == top:
                continue
            changed = sum(getattr(record, f) != getattr(metadata, f) for f in INPUTS[1:])
            if record.age == metadata.age:
                years = 0
            else:
                known = record.age is not None and metadata.age is not None
                years = abs(record.age - metadata.age) if known else float("inf")
            nearest = min(nearest or (9,), (changed, years, -row.max()))
        found = influence.smallest_change
        if nearest is None:
            assert found is None
            continue
        assert (len(found.changed), -found.probability) == pytest.approx((nearest[0], nearest[2]), abs=1e-6)
        assert (found.years or 0) == (nearest[1] if nearest[1] != float("inf") else 0)
        assert CODES.index(found.diagnosis) == answer(predictor, features, found.metadata).argmax() != top


def minimal_kinds(predictor, features, metadata, changing) -> list[tuple]:
    """What `smallest_changes` looks for, by a search over every record, one at a time."""
    top = answer(predictor, features, metadata).argmax()
    found = []
    for values in product({None, *AGES, metadata.age}, (None, *SEXES), (None, *SITES)):
        record = Metadata(*values)
        changed = tuple(f for f in INPUTS[1:] if getattr(record, f) != getattr(metadata, f))
        known = record.age is not None and metadata.age is not None
        years = 0 if "age" not in changed else abs(record.age - metadata.age) if known else float("inf")
        if changing in ("any field", *changed) and (changing == "any field" or len(changed) == 1):
            found.append((len(changed), years, changed, record))
    rows = predictor.probabilities(features, [entry[-1] for entry in found])
    tops = {entry[-1]: row.argmax() for entry, row in zip(found, rows, strict=True)}
    flips = sorted(
        ((n, years, -row.max(), changed, record) for (n, years, changed, record), row in zip(found, rows, strict=True)
         if row.argmax() != top),
        key=lambda entry: entry[:3],
    )  # fmt: skip
    kinds: dict[tuple, tuple] = {}
    for n, years, probability, changed, record in flips:
        parts = [p for size in range(1, n) for p in combinations(changed, size)]
        reduced = [replace(metadata, **{f: getattr(record, f) for f in part}) for part in parts]
        if all(tops[part] == top for part in reduced):
            kinds.setdefault((changed, tops[record]), (changed, years, CODES[tops[record]], -probability))
    return list(kinds.values())[:3]


@pytest.mark.parametrize("metadata", RECORDS)
@pytest.mark.parametrize("changing", ["any field", "age", "sex", "site"])
def test_smallest_changes_are_the_nearest_of_each_kind(predictor, photographs, metadata, changing):
    for features in photographs:
        found = Influence(predictor, features, metadata).smallest_changes(changing)
        expected = minimal_kinds(predictor, features, metadata, changing)
        assert len(found) == len(expected)
        for change, (changed, years, diagnosis, probability) in zip(found, expected, strict=True):
            assert (change.changed, change.diagnosis) == (changed, diagnosis)
            assert change.probability == pytest.approx(probability, abs=1e-6)
            assert change.years == (years if 0 < years < float("inf") else None)
            new = answer(predictor, features, change.metadata)
            assert CODES[new.argmax()] == diagnosis and new.max() == pytest.approx(probability, abs=1e-6)


def test_no_change_flips_an_answer_that_prevalence_has_settled(predictor, photographs):
    prevalence = np.full(7, 1e-9)
    prevalence[1] = 1 - 6e-9
    influence = Influence(predictor, photographs[0], RECORDS[0], prevalence)
    assert influence.smallest_change is None and influence.switches == []
    assert influence.smallest_changes("age") == []


def test_prevalence(predictor, photographs):
    training = predictor.config.calibration.prevalence
    assert parse_prevalence("dataset", 5, training) is None
    rare, common = (parse_prevalence("own", share, training) for share in ("0.1", 40))
    assert rare[0] == pytest.approx(0.001) and rare.sum() == pytest.approx(1)
    assert common[1] / common[2] == pytest.approx(training[1] / training[2])
    answers = [Influence(predictor, photographs[0], RECORDS[0], p) for p in (rare, common)]
    p_rare, p_common = (a.three_answers["both"]["mel"] for a in answers)
    odds = (rare[0] / (1 - rare[0])) / (common[0] / (1 - common[0]))
    assert (p_rare / (1 - p_rare)) / (p_common / (1 - p_common)) == pytest.approx(odds), "Bayes' rule"
    for prevalence in (None, UNIFORM, rare):
        nothing = Influence(predictor, photographs[0], Metadata(), prevalence).shapley("mel").start
        assert nothing == pytest.approx((training if prevalence is None else prevalence)[0], abs=0.02)


def test_at_prevalences_is_the_answer_at_each(predictor, photographs):
    training = predictor.config.calibration.prevalence
    prevalences = {"dataset": None, "equal": UNIFORM, "rare": parse_prevalence("own", 0.1, training)}
    influence = Influence(predictor, photographs[0], RECORDS[0])
    for name, value in influence.at_prevalences(prevalences, "mel").items():
        expected = answer(predictor, photographs[0], RECORDS[0], prevalence=prevalences[name])[0]
        assert value == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda i, t: i.shapley("wart"), "choose mel, nv"),
        (lambda i, t: i.shapley("mel", "odds"), "probability or log-odds"),
        (lambda i, t: i.by_site(["mel"]), "choose mel, nv"),
        (lambda i, t: i.smallest_changes("colour"), "choose any field, age, sex, site"),
        (lambda i, t: parse_prevalence("rare", 1, t), "choose dataset, uniform, own"),
        (lambda i, t: parse_prevalence("own", "many", t), "from 0.01 to 99 %"),
        (lambda i, t: parse_prevalence("own", float("nan"), t), "from 0.01 to 99 %"),
        (lambda i, t: parse_prevalence("own", True, t), "from 0.01 to 99 %"),
        (lambda i, t: parse_prevalence("own", 10**400, t), "from 0.01 to 99 %"),
    ],
)
def test_wrong_values_are_refused_in_a_sentence(predictor, photographs, call, words):
    with pytest.raises(UserError, match=words):
        call(Influence(predictor, photographs[0], RECORDS[0]), predictor.config.calibration.prevalence)
