"""A checkpoint on photographs from elsewhere."""

import json
import shutil

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from conftest import run_command
from lesion.data.diagnoses import CODES
from lesion.data.external_table import MAPPINGS, read_external_table
from lesion.errors import UserError
from lesion.metrics.metrics import ALARM_THRESHOLD, MELANOMA
from lesion.model.calibration import EVERYTHING, IMAGE_ALONE
from lesion.model.checkpoint import load_checkpoint
from lesion.model.seen import SeenPhotographs, hashed_ids
from lesion.report.external import FIGURES, count_seen, score_external
from lesion.report.external_words import elsewhere_in_markdown, in_words
from lesion.report.markdown import value_in_words
from lesion.report.reading import BEGIN, END, kept_elsewhere
from lesion.report.writing import write_report
from lesion.ui.html.report.document import render

MELANOMAS_AND_NEVI = ["mel", "nv"]


@pytest.fixture(scope="module")
def collection(answers, ham10000, tmp_path_factory):
    """The melanomas and nevi of the test part as if they came from elsewhere: a table in HAM10000's form."""
    table = answers.table.assign(dx=[CODES[k] for k in answers.labels])
    table = table[table.dx.isin(MELANOMAS_AND_NEVI)].rename(columns={"site": "localization"})
    path = tmp_path_factory.mktemp("elsewhere") / "table.csv"
    table[["image_id", "lesion_id", "dx", "age", "sex", "localization"]].to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def entry(answers, collection, ham10000):
    table, _ = read_external_table(collection, ham10000, MAPPINGS["ham10000"])
    return {**score_external(answers.predictor, table, answers, MAPPINGS["ham10000"]), "left out": {}, "seen": 0,
            "unlisted": [], "name": "Twin"}  # fmt: skip


def test_the_test_part_from_elsewhere_has_the_test_parts_figures(entry):
    """The photographs are read anew, so all that could differ is rounding."""
    assert entry["images"] == entry["internal"]["images"] and entry["lesions"] == entry["internal"]["lesions"]
    for figures in entry["views"].values():
        assert tuple(figures) == FIGURES
        for name, places in figures.items():
            assert places["elsewhere"]["value"] == pytest.approx(places["here"]["value"], abs=0.02), name
            low, high = places["difference"]["interval"]
            assert low <= 0.001 and high >= -0.001, name


def test_figures_equal_independent_ones(entry, answers):
    rows = np.isin(answers.labels, [CODES.index(code) for code in MELANOMAS_AND_NEVI])
    labels = answers.labels[rows]
    for view, subset in (("all metadata", EVERYTHING), ("no metadata", IMAGE_ALONE)):
        probabilities = answers.probabilities[subset][rows]
        found = {name: places["here"]["value"] for name, places in entry["views"][view].items()}
        melanoma, decided = labels == MELANOMA, probabilities.argmax(1)
        rings = probabilities[:, MELANOMA] >= ALARM_THRESHOLD
        assert found["accuracy"] == pytest.approx((decided == labels).mean(), abs=1e-9)
        assert found["melanoma AUROC"] == pytest.approx(roc_auc_score(melanoma, probabilities[:, MELANOMA]), abs=1e-9)
        assert found["melanomas found by the alarm"] == pytest.approx(rings[melanoma].mean(), abs=1e-9)
        assert found["others not flagged"] == pytest.approx((~rings)[~melanoma].mean(), abs=1e-9)


def test_photographs_that_the_checkpoint_has_seen_are_refused():
    seen = SeenPhotographs(hashed_ids(["a", "ISIC_7_downsampled"]))
    with pytest.raises(UserError, match=r"saw 2 of the 3 photographs of PH2 \(x/a, ISIC_7\).*--allow-seen"):
        count_seen(seen, ["x/a", "ISIC_7", "b"], "PH2", allowed=False)
    assert count_seen(seen, ["x/a", "ISIC_7", "b"], "PH2", allowed=True) == 2
    assert count_seen(seen, ["b"], "PH2", allowed=False) == 0
    assert count_seen(SeenPhotographs(), ["a"], "PH2", allowed=False) is None


def test_words_say_what_is_lost_and_why(entry):
    assert not any("look unlike" in sentence for sentence in in_words(entry))
    figures = json.loads(json.dumps(entry["views"]))
    for name, width in (("melanoma AUROC", 0.05), ("out-of-distribution alarms", -0.05)):
        value = -2 * width
        figures["all metadata"][name]["difference"] = {"value": value, "interval": sorted([-width, -3 * width])}
    figures["all metadata"]["out-of-distribution alarms"]["elsewhere"]["value"] = 0.25
    words = " ".join(in_words({**entry, "views": figures, "known": {"age": 0, "sex": 0, "site": 0}, "seen": 3,
                               "differs": "Another camera.", "unlisted": ["somewhere"]}))  # fmt: skip
    assert "The melanoma AUROC is 0.10 lower there (95 % interval 0.05 to 0.15)." in words
    assert "Another camera." in words and "25 of 100 of its photographs look unlike" in words
    assert "no age, sex or body site" in words and "has seen 3 of these photographs" in words and "somewhere" in words
    assert "does not list the photographs" in " ".join(in_words({**entry, "seen": None}))


def test_a_collection_without_melanomas_has_no_such_figures(answers, collection, ham10000):
    table, _ = read_external_table(collection, ham10000, MAPPINGS["ham10000"])
    table = table[table.label == CODES.index("nv")].assign(age=np.nan, sex=None, site=None)
    found = score_external(answers.predictor, table, answers, MAPPINGS["ham10000"])
    assert list(found["views"]) == ["no metadata"], "where nothing is known there is nothing to add"
    figures = found["views"]["no metadata"]
    assert np.isnan(figures["melanomas found by the alarm"]["elsewhere"]["value"])
    assert np.isnan(figures["melanoma AUROC"]["elsewhere"]["value"])
    entry = {**found, "left out": {"scc": 4}, "seen": 0, "unlisted": []}
    lines = "\n".join(elsewhere_in_markdown({"Nevi": entry}))
    assert "| – | – | – |" in next(line for line in lines.splitlines() if line.startswith("| Nevi, no metadata |"))
    assert "none of the seven diagnoses: 4" in lines
    assert "melanomas there" not in " ".join(in_words(entry))


def test_the_command_adds_rows_to_report_card_readme_and_tab(checkpoint, ham10000, collection, report, tmp_path):
    """Without --data; a later report on the same checkpoint keeps them."""
    folder, readme = shutil.copytree(checkpoint, tmp_path / "checkpoint"), tmp_path / "page.md"
    readme.write_text(f"{BEGIN}\n{END}\n")
    loaded = load_checkpoint(folder)
    write_report(report, loaded.config, folder)
    before = json.loads((folder / "report.json").read_text())
    arguments = ["--images", ham10000, "--name", "Twin", "--checkpoint", folder, "--readme", readme]
    done = run_command("lesion.evaluate", "--external", collection, *arguments)
    assert done.returncode == 0 and "Added Twin" in done.stdout, done.stderr
    after = json.loads((folder / "report.json").read_text())
    assert kept_elsewhere(folder, loaded) == {"elsewhere": after["elsewhere"]}
    entry = after.pop("elsewhere")["Twin"]
    assert after == before
    row = f"| Twin, no metadata | {value_in_words(entry['views']['no metadata']['accuracy']['elsewhere'])} |"
    assert row in readme.read_text() and row in (folder / "README.md").read_text()
    assert 'id="report-elsewhere"' in render(folder, loaded.config)
    (folder / "config.json").write_text("{}")
    assert kept_elsewhere(folder, loaded) == {}, "of another checkpoint"
    (folder / "report.json").write_text("damaged")
    assert kept_elsewhere(folder, loaded) == {}


def test_without_a_report_the_figures_are_printed(checkpoint, ham10000, collection, tmp_path):
    done = run_command(
        "lesion.evaluate",
        "--external",
        collection,
        "--images",
        ham10000,
        "--checkpoint",
        checkpoint,
        "--output",
        tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert "melanoma AUROC" in done.stdout and "Nothing was written" in done.stdout
    assert not (tmp_path / "report.json").exists()
