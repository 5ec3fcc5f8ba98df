"""The printed page and the table of answers, from the bundled checkpoint."""

import hashlib
import io
import re
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox
from PIL import Image

from conftest import BUNDLED, EXAMPLES
from lesion.data.diagnoses import CODES, DIAGNOSES
from lesion.data.metadata import SITES, Metadata
from lesion.data.reading import read_image
from lesion.errors import UserError
from lesion.inference.predictor import Predictor, load_checkpoint
from lesion.model.calibration import UNIFORM
from lesion.teaching.handout import handout, sweep_csv
from lesion.teaching.influence import (
    Influence,
    SmallestChange,
    Switch,
    parse_prevalence,
    prevalence_in_words,
    smallest_change_in_words,
    smallest_changes_in_words,
    switches_in_words,
)
from lesion.teaching.paper import render

RECORDS = [Metadata(75, "female", "face"), Metadata(), Metadata(57.5, "male"), Metadata(110, "male", "lower extremity")]


@pytest.fixture(scope="module")
def predictor():
    return Predictor(load_checkpoint(BUNDLED), bfloat16=False)  # so that a percent is the same on every machine


@pytest.fixture(scope="module")
def photograph():
    return read_image(EXAMPLES / "ISIC_0024329.jpg")


@pytest.fixture(scope="module")
def features(predictor, photograph):
    return predictor.features(photograph)


@pytest.fixture(scope="module")
def page(predictor, photograph, features):
    """Makes the handout of a record."""

    def make(metadata=RECORDS[0], code="akiec", truth="akiec", prevalence=None, picture=photograph, heat=None):
        influence = Influence(predictor, features, metadata, prevalence)
        heat = predictor.heat_map(features, predictor.predict(features, metadata), code) if heat is None else heat
        return handout(influence, picture, heat, code, truth)

    return make


def words_of(figure) -> str:
    """All text on a page, white space made plain."""
    return " ".join(" ".join(text.get_text().split()) for text in figure.findobj(Text))


def boxes(figure) -> list[tuple[str, Bbox]]:
    """What is written, and where, as fractions of the page."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    whole = figure.transFigure.inverted()
    texts = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()]
    return [(text.get_text(), text.get_window_extent(canvas.get_renderer()).transformed(whole)) for text in texts]


def test_page_says_all_that_belongs_on_it(page):
    words = words_of(page())
    for diagnosis in DIAGNOSES:
        assert words.count(diagnosis.name) >= 2, "beside the bars and the curves"
    for expected in (
        "Skin lesion classifier: what the metadata did", "Not a medical device", "CC BY-NC 4.0", "HAM10000",
        "age 75, female, face", "Confirmed diagnosis: Actinic keratosis", "Most probable of the seven Basal cell",
        "Diagnoses as common as in the data set.", "Knowing age 75, female, face: Melanocytic nevus 58 % → 7 %",
        "With the site foot instead of face the answer would be Melanocytic nevus (64 %).", "17 % this record",
        "Between the ages of 40 and 45 the answer changes from Melanocytic nevus to Basal cell carcinoma.",
        "Age 75", "Sex female", "Site face", "age 75, this record", *SITES,
    ):  # fmt: skip
        assert expected in words, expected


def test_page_of_a_record_of_which_nothing_is_known(page):
    words = words_of(page(Metadata(), code="nv", truth=None, prevalence=UNIFORM))
    for expected in ("nothing known", "With nothing known", "Age unknown", "age unknown in this record", "equally"):
        assert expected in words, expected
    assert "Confirmed" not in words and "From the metadata alone" not in words


def test_waterfall_and_sites_show_the_influence(predictor, features, page):
    influence = Influence(predictor, features, RECORDS[0])
    figure = page()
    waterfall, sites = figure.axes[5:7]
    ends = [(bar.get_x(), bar.get_x() + bar.get_width()) for bar in waterfall.patches]
    shapley = influence.shapley("akiec")
    assert ends[0] == pytest.approx((0, shapley.start)) and ends[-1] == pytest.approx((0, shapley.end))
    widths = [high - low for low, high in ends[1:-1]]
    assert widths == pytest.approx([abs(value) for value in shapley.contributions.values()])
    names = [label.get_text() for label in sites.get_yticklabels()]
    shown = dict(zip(names, [bar.get_width() for bar in sites.patches], strict=True))
    expected = {site or "unknown": value for site, value in influence.by_site("akiec").items()}
    assert shown == pytest.approx(expected) and names[-1] == "unknown"


@pytest.mark.parametrize("metadata", RECORDS)
def test_nothing_leaves_the_page_or_overlaps(page, metadata):
    found = boxes(page(metadata))
    assert len(found) > 80
    for text, box in found:
        assert min(box.min) > 0.03 and max(box.max) < 0.97, text
    for (text, box), (other, other_box) in combinations(found, 2):
        shared = Bbox.intersection(box, other_box)
        assert shared is None or min(shared.width, shared.height) < 0.001, (text, other)


@pytest.mark.parametrize("size, heat", [((100, 450), np.zeros((7, 7))), ((4000, 16), np.full((7, 7), 0.2))])
def test_photographs_of_any_shape_and_maps_of_any_strength(page, size, heat):
    figure = page(picture=Image.new("RGB", size, "tan"), heat=heat)
    words = words_of(figure)
    assert ("no part of it speaks for" if heat.max() == 0 else "faint, little here speaks for") in words
    assert "half of the highest" not in words, "a flat map has no outline"
    assert render(figure, "png").startswith(b"\x89PNG")


def test_an_unknown_diagnosis_is_refused(page, photograph):
    with pytest.raises(UserError, match="choose mel, nv"):
        page(code="wart", heat=np.zeros((7, 7)))


def test_files_are_one_a4_page_and_equal_inputs_give_equal_bytes(page):
    pdf = render(page(), "pdf")
    assert pdf.startswith(b"%PDF") and re.findall(rb"/Count (\d+)", pdf) == [b"1"]
    assert b"/FontFile2" in pdf and b"/Type3" not in pdf and b"CreationDate" not in pdf
    width, height = map(float, re.search(rb"/MediaBox \[ ?0 0 ([\d.]+) ([\d.]+) ?\]", pdf).groups())
    assert (width, height) == pytest.approx((595.28, 841.89), abs=0.5), "A4 in points"
    figure = page()
    png = render(figure, "png")
    assert Image.open(io.BytesIO(png)).size == (1240, 1753)
    assert digest(figure, "pdf") == hashlib.sha256(pdf).hexdigest()


def digest(figure: Figure, kind: str) -> str:
    """Of a rendered page. Where bytes differ, pytest on a CI would spend hours on showing all of how they do."""
    return hashlib.sha256(render(figure, kind)).hexdigest()


def test_threads_give_the_same_bytes(page, predictor, features):
    jobs = [(RECORDS[0], "pdf"), (RECORDS[1], "png")]
    # Made beforehand: heat maps that are asked for at once share a pass, and round otherwise than alone.
    heats = [predictor.heat_map(features, predictor.predict(features, record), "akiec") for record, _ in jobs]

    def draw(job: tuple[Metadata, str], heat: np.ndarray) -> str:
        return digest(page(job[0], heat=heat), job[1])

    alone = list(map(draw, jobs, heats))
    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(draw, jobs, heats))
    assert together == alone


@pytest.mark.parametrize("metadata", RECORDS[:3])
def test_csv_is_the_sweep(predictor, features, metadata):
    influence = Influence(predictor, features, metadata)
    text = sweep_csv(influence)
    assert text.splitlines()[0] == "age,sex,localization,MEL,NV,BCC,AKIEC,BKL,DF,VASC"
    table = pd.read_csv(io.StringIO(text), dtype={"age": str})
    values = table[[code.upper() for code in CODES]].to_numpy()
    np.testing.assert_allclose(values, influence.sweep.reshape(-1, 7), rtol=5e-6)
    rows = table.loc[(table.age == "unknown") & (table.sex == "male") & (table.localization == "face")]
    assert len(rows) == 1
    expected = predictor.probabilities(features, [Metadata(None, "male", "face")])[0]
    np.testing.assert_allclose(rows.iloc[0, 3:].astype(float), expected, rtol=1e-4, atol=1e-7)
    assert table.age.nunique() == len(influence.ages)


@pytest.mark.parametrize(
    "change, metadata, words",
    [
        (
            SmallestChange(Metadata(60, "male", "face"), ("age",), 15.0, "bkl", 0.412),
            Metadata(75, "male", "face"),
            "With the age 60 instead of 75 the answer would be Benign keratosis (41 %).",
        ),
        (
            SmallestChange(Metadata(None, None, None), ("age", "site"), None, "nv", 0.5),
            Metadata(57.5, None, "face"),
            "With the age unknown instead of 57.5 and the site unknown instead of face the answer would be "
            "Melanocytic nevus (50 %).",
        ),
        (
            SmallestChange(Metadata(None, "male"), ("sex",), None, "mel", 0.3),
            Metadata(),
            "With the sex given as male instead of unknown the answer would be Melanoma (30 %).",
        ),
        (
            SmallestChange(Metadata(5, "male", "ear"), ("age", "sex", "site"), None, "df", 0.3),
            Metadata(None, "female", "back"),
            "With the age 5 instead of unknown, the sex given as male instead of female and the site ear instead of "
            "back the answer would be Dermatofibroma (30 %).",
        ),
        (None, Metadata(), "No other age, sex or site changes the most probable diagnosis."),
    ],
)
def test_smallest_change_in_words(change, metadata, words):
    assert smallest_change_in_words(change, metadata) == words


def test_smallest_changes_in_words():
    record = Metadata(75, "male", "face")
    older, elsewhere = (
        SmallestChange(Metadata(80, "male", "face"), ("age",), 5.0, "bkl", 0.412),
        SmallestChange(Metadata(75, "male", "back"), ("site",), None, "nv", 0.5),
    )
    assert smallest_changes_in_words([older, elsewhere], record) == [
        "With the age 80 instead of 75 the answer would be Benign keratosis (41 %).",
        "With the site back instead of face the answer would be Melanocytic nevus (50 %).",
    ]
    assert smallest_changes_in_words([], record, "sex") == ["No other sex changes the most probable diagnosis."]


def test_prevalence_in_words(predictor):
    training = predictor.config.calibration.prevalence
    assert prevalence_in_words(None) == "Diagnoses as common as in the data set."
    assert prevalence_in_words(UNIFORM) == "All seven diagnoses equally common."
    for share in ("2", "0.01", "12.5"):
        words = prevalence_in_words(parse_prevalence("own", share, training))
        assert words == f"Melanoma {share} %, the other diagnoses in the data set's proportions."


def test_switches_in_words():
    assert switches_in_words([]) == []
    assert switches_in_words([Switch(55, 57.5, "nv", "mel"), Switch(85, 110, "mel", "akiec")]) == [
        "Between the ages of 55 and 57.5 the answer changes from Melanocytic nevus to Melanoma.",
        "Between the ages of 85 and 110 the answer changes from Melanoma to Actinic keratosis / Bowen's disease.",
    ]
