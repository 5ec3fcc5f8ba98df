"""The tab "Model report": a made-up report through to its markup, and the tab in a browser."""

import copy
import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError
from PIL import Image

from conftest import SCREENSHOTS, expect, running_app
from lesion.data.diagnoses import BY_CODE, CODES
from lesion.data.transforms import ImageTransform
from lesion.errors import UserError
from lesion.files import sha256
from lesion.metrics.metrics import DEFINITIONS, RULES
from lesion.model.checkpoint import CONFIG, REPORT
from lesion.model.checkpoint_config import CheckpointConfig
from lesion.report import reading
from lesion.report.external import FIGURES
from lesion.ui.html.charts import comparison
from lesion.ui.html.report import comparisons, document, metric_tables, performance

COUNTS = dict(zip(CODES, (111, 671, 52, 33, 109, 12, 14), strict=True))
OPTIONAL = {
    "calibration": "calibration",
    "similar cases": "similar",
    "decision": "decision",
    "subgroups": "subgroups",
    "conformal": "sets",
    "near-duplicates": "near-duplicates",
    "recognition": "recognition",
    "novelty": "out-of-distribution",
    "elsewhere": "elsewhere",
    "explanations": "explanations",
    "systems": "systems",
    "against": "against",
    "curves": "learning",
}
"""A key of the report, and its section's."""


CHECKPOINT = CheckpointConfig(
    "convnext_small",
    "concat",
    ImageTransform(192, 256, (0.5,) * 3, (0.5,) * 3),
    encoder=None,
    calibration=None,
    prediction_sets=None,
    embedding_precision="float32",
    training={"images": {"training": 7010}, "init": "imagenet"},
)
"""As far as the tab reads it."""


def about(value: float, width: float = 0.02) -> dict:
    return {"value": value, "interval": [value - width, value + width]}


def metrics(shift: float = 0.0) -> dict:
    values = {name: about(0.6 + shift) for name in (*metric_tables.HEADLINE, *metric_tables.OTHER_RULE)}
    return {**values, "dataset.accuracy": {"value": 0.772 + shift, "interval": [0.748 + shift, 0.794 + shift]}}


def per_class() -> dict:
    names = (*metric_tables.PER_CLASS, *metric_tables.RANKING)
    return {code: {"images": images, **{name: about(0.5) for name in names}} for code, images in COUNTS.items()}


def neighbours(images: int, lesions: int) -> dict:
    figures = {"share": about(0.641), "by chance": about(0.476, 0.001), "minus chance": about(0.165)}
    return {"images": images, "lesions": lesions, **figures}


def subgroup(lesions: int, **others: object) -> dict:
    return {"images": lesions + 10, "lesions": lesions, "melanomas": 31, "diagnoses": 6, **others}


def system(name: str, split: str, **others: object) -> dict:
    figures = {m: {**about(0.7), "seeds": [0.695, 0.705]} for m in comparisons.SYSTEM_METRICS}
    times = {"start": "ImageNet weights", "parameters": 49_600_000, "latency_ms": 23.4, "training_ms": 11.2}
    return {"name": name, "split": split, "images": 1002, "lesions": 747, **times, "metrics": figures, **others}


def complete_report() -> dict:
    """Every section that a report can have."""
    coverage = {
        "confident": True,
        **{name: about(0.9) for name in ("coverage", "sets of one diagnosis")},
        "mean set size": about(1.93),
        "per class": {
            code: {**about(0.88), "images": n, "promised": 0.8 if code == "df" else 0.9} for code, n in COUNTS.items()
        },
    }
    enough = {m: about(0.7) for m in performance.BY_SUBGROUP}
    few = {m: about(0.7) for m in performance.BY_SUBGROUP[:3]}
    curve = {"deletion": about(0.3), "insertion": about(0.8)}
    heat = {
        "offered": True,
        **{name: about(0.62) for name in ("energy", "pointing")},
        **{f"{name} minus centred Gaussian": about(0.04) for name in ("energy", "pointing")},
    }
    mcnemar = {"first only": 30, "second only": 12, "p_value": 0.0004}
    return {
        "part": "test",
        "split": "lesion",
        "images": 1002,
        "lesions": 747,
        "bootstrap": {"unit": "lesion", "rounds": 1000, "seed": 0},
        "definitions": dict(DEFINITIONS),
        "note": "The data name no patients.",
        "metrics": {"fused": metrics(), "image alone": metrics(-0.05), "metadata alone": metrics(-0.1)},
        "fused minus image alone": {name: about(0.042, 0.01) for name in metrics()},
        "nothing known": {code: {"probability": 0.1, "training prevalence": 0.102} for code in CODES},
        **{f"per class, {rule}": per_class() for rule in RULES.values()},
        **{f"confusion matrix, {rule}": [[5] * 7] * 7 for rule in RULES.values()},
        "calibration": {
            name: {when: {"ece": about(0.02), "log_loss": about(0.6)} for when in ("before", "after")}
            for name in ("all metadata", "no metadata")
        },
        "calibration per class": {
            "all metadata": {code: {**about(0.013), "images": COUNTS[code]} for code in ("mel", "bcc", "akiec")}
        },
        "near-duplicates": {
            "training": 7010,
            "perceptual hash": {"threshold": 16, "pairs": 40, "images": 30, "lesions": 25},
            "embedding": {"threshold": 0.998, "pairs": 20, "images": 12, "lesions": 1},
            "either": {"images": 41, "lesions": 26},
            "metrics": metrics(-0.01),
        },
        "recognition": {
            "threshold": 10,
            "originals": {
                "as they are": {
                    "training": {"images": 41, "recognised": 40},
                    "validation": {"images": 8, "recognised": 8},
                    "test": {"images": 13, "recognised": 13},
                }
            },
            "others": {"images": 200, "recognised": 2},
        },
        "subgroups": {
            "sex": {
                "female": subgroup(355, **enough),
                "male": subgroup(386, **few, **{"too few melanomas": "Only 28 melanomas: too few to judge."}),
                "unknown": subgroup(6, **{"too few": "Only 6 lesions: too few to judge."}),
            },
            "dx_type": {"histo": subgroup(300, **enough)},
        },
        "similar cases": {
            "nearest": 6,
            "candidates": 3005,
            "chance": "what it is",
            "all": neighbours(1002, 747),
            "per class": {
                code: neighbours(n, n) if n > 12 else {"images": 0, "lesions": 0} for code, n in COUNTS.items()
            },
        },
        "curves": {"learning": {"epoch": [1, 2]}},
        "decision": {
            "melanoma share": 0.111,
            "thresholds": [{"threshold": 0.2, "alarm": about(0.053, 0.01), "everyone": -0.111}],
        },
        "conformal": {"all metadata": coverage, "no metadata": coverage},
        "novelty": {
            "method": "The distance to the nearest training embeddings.",
            "false-alarm rate on validation": 0.05,
            "false alarms on test": about(0.052, 0.01),
            "families": {
                "noise": {"far": True, "images": 48, "caught": 1.0},
                "plain skin": {"far": False, "images": 48, "caught": 0.625},
            },
        },
        "elsewhere": {
            "PH2": {
                "images": 200,
                "lesions": 198,
                "diagnoses": {"mel": 40, "nv": 160},
                "left out": {},
                "known": {"age": 0.0, "sex": 0.0, "site": 0.0},
                "differs": "Another hospital.",
                "seen": 0,
                "unlisted": [],
                "views": {
                    "no metadata": {
                        name: {"elsewhere": about(0.7), "here": about(0.8), "difference": about(-0.1)}
                        for name in FIGURES
                    }
                },
            }
        },
        "explanations": {
            "images": 1002,
            "lesions": 747,
            "explained": "the decided diagnosis",
            "area share": about(0.3),
            "methods": {"Grad-CAM": heat},
            "deletion and insertion": {"images": 100, "orders": {"Grad-CAM": curve, "random order": curve}},
        },
        "systems": {
            "budget": {"image_size": 64, "epochs": 6, "seeds": [0, 1]},
            "systems": [
                system("ConvNeXt-Small and metadata", "lesion"),
                system(
                    "DenseNet121",
                    "lesion",
                    **{"first minus this": {m: about(0.031) for m in comparisons.SYSTEM_METRICS}},
                ),
                system("ConvNeXt-Small and metadata", "image"),
            ],
            "published": [{"name": "reference work", "accuracy": 0.7179}],
        },
        "against": {
            "checkpoint": "weights-before",
            "backbone": "convnext_small",
            "first": metrics(),
            "second": metrics(-0.02),
            "first minus second": {name: about(0.02) for name in metrics()},
            "mcnemar": {"data-set prevalence": {"images": mcnemar, "first image of each lesion": mcnemar}},
        },
    }


@pytest.fixture
def folder(tmp_path) -> Path:
    """A checkpoint folder as far as the tab reads it, with learning curves and without a report."""
    (tmp_path / CONFIG).write_text("{}")
    Image.new("RGB", (8, 8)).save(tmp_path / "curves.png")
    return tmp_path


def shown(folder: Path, report: dict, own: bool = True) -> ElementTree.Element:
    """The tab of a report written into the folder; its markup is well formed."""
    checkpoint = {"checkpoint": sha256(folder / CONFIG)} if own else {}
    (folder / REPORT).write_text(json.dumps({**report, **checkpoint}))
    return ElementTree.fromstring(document.render(folder, CHECKPOINT))


def text(element: ElementTree.Element) -> str:
    return " ".join(" ".join(element.itertext()).split())


def section(root: ElementTree.Element, key: str) -> str:
    return text(root.find(f"section[@id='report-{key}']"))


def test_a_complete_report_in_words(folder):
    root = shown(folder, complete_report())
    everything = text(root)
    assert not re.search(r"(?i:\bnan\b|cannot read this part)|None", everything)
    titles = [text(summary) for summary in root.iterfind("section/details[@class='part']/summary")]
    assert titles == [s.title for s in document.SECTIONS]
    assert not list(root.iterfind("section/details[@open]")), "all are folded"
    overview = section(root, "overview")
    assert "1,002 photographs of 747 skin lesions" in overview and "split by lesion" in overview
    assert "77 (75 to 79) with photograph and metadata, 72 (70 to 74) with the photograph alone" in overview
    assert "melanocytic nevus, the most common one, would be right for 67" in overview
    assert "0.772 (0.748 to 0.794)" in overview and "+0.042 (0.032 to 0.052)" in overview
    assert "Balanced accuracy decided under equal prevalence" in overview
    assert DEFINITIONS["balanced_accuracy"] in overview
    diagnoses = section(root, "diagnoses")
    assert "Melanoma malignant 111 photographs" in diagnoses and "Average precision" in diagnoses
    assert section(root, "calibration").count("0.020 (0.000 to 0.040)") == 4
    assert "Melanoma malignant 111 photographs" in section(root, "calibration")
    assert "0.013 (−0.007 to 0.033)" in section(root, "calibration")
    assert "The largest of the seven gaps is 0.20 percentage points" in section(root, "calibration")
    subgroups = section(root, "subgroups")
    assert "female 365 photographs of 355 lesions, 31 melanomas; 6 of 7 diagnoses" in subgroups
    assert "Only 28 melanomas: too few to judge." in subgroups and "Only 6 lesions" in subgroups
    assert "histopathology" in subgroups and "histo 3" not in subgroups
    similar = section(root, "similar")
    assert "All photographs 1,002 photographs of 747 lesions" in similar and "with the 3,005 held-out" in similar
    assert "64.1 % (62.1 % to 66.1 %)" in similar and "47.6 %" in similar and "+16.5 (14.5 to 18.5)" in similar
    assert "Chance is what it is." in similar and "0 photographs of 0 lesions no such photograph" in similar
    sets = section(root, "sets")
    assert sets.count("promised: 90 %") == 12 and sets.count("promised: 80 %") == 2 and "1.93 (1.91 to 1.95)" in sets
    assert "90.0\u00a0% (88.0\u00a0% to 92.0\u00a0%)".replace("\u00a0", " ") in sets
    assert sets.count("80 of 100 validation parts") == 2
    others = section(root, "out-of-distribution")
    assert "noise" in others and "62.5 %" in others and "5.2 % (4.2 % to 6.2 %)" in others
    assert "+4.0 (2.0 to 6.0)" in section(root, "explanations")
    assert "20 % the alarm net benefit of 0.053 (0.043 to 0.063)" in section(root, "decision")
    elsewhere = section(root, "elsewhere")
    assert ": 200 photographs of 198 lesions (mel 40, nv 160)." in elsewhere and "Another hospital." in elsewhere
    row = "PH2 0.700 (0.680 to 0.720) Test part 0.800 (0.780 to 0.820) Difference −0.100 (−0.120 to −0.080)"
    assert f"melanoma AUROC {row}" in elsewhere
    systems = section(root, "systems")
    assert "first − this: +0.031 (0.011 to 0.051)" in systems and "trainings: 0.695, 0.705" in systems
    assert "start: ImageNet weights" in systems
    assert "64 × 64 pixels, 6 epochs" in systems and "2 trainings each" in systems
    assert "As published: split by image" in systems and "0.718" in systems
    near = section(root, "near-duplicates")
    assert "By perceptual hash at most 16 of 121 bits" in near and "30 photographs of 25 lesions" in near
    assert "at least 0.998 cosine similarity" in near and "12 photographs of 1 lesion " in near
    assert "0.762 (0.738 to 0.784)" in near
    recognised = section(root, "recognition")
    assert "Full-size photographs, as they are all 61 of 62 training 40 of 41 validation 8 of 8" in recognised
    assert "Of 200 photographs of another collection, 2 were taken for one" in recognised
    against = section(root, "against")
    assert "only this one was right for 30, only the other for 12; p < 0.001" in against
    assert "weights-before (" in against


def test_a_report_of_the_image_alone(folder):
    report = complete_report()
    del report["fused minus image alone"], report["nothing known"]
    report["metrics"] = {"image alone": metrics()}
    overview = section(shown(folder, report), "overview")
    assert "metadata alone" not in overview and "fused" not in overview


def test_the_label_begins_the_report(folder):
    report = complete_report()
    root = shown(folder, report)
    label = root[0]
    assert label.get("id") == "report-facts" and text(label).startswith(
        "Model facts Reads A dermoscopic photograph, age"
    )
    words = text(label)
    assert "The centre square of 192 × 192 pixels" in words and "7,010 photographs of HAM10000" in words
    assert "1,002 photographs of 747 lesions" in words and "by sex: female 47 %, male 51 %, unknown 2 %" in words
    assert "0.772 (0.748 to 0.794)" in words and "0.722 (0.698 to 0.744)" in words
    assert "Not a medical device" in words and "dermatofibroma (12), vascular lesion (14)" in words
    ids = {element.get("id") for element in root.iter("section")}
    links = [a.get("href") for a in label.iter("a")]
    assert links and all(link[1:] in ids for link in links)
    report["split"] = "image"
    del report["novelty"], report["subgroups"], report["elsewhere"]
    root = shown(folder, report)
    assert [a.get("href") for a in root[0].iter("a")] == ["#report-diagnoses"]
    assert "looks better than it is" in text(root[0]) and "by sex" not in text(root[0])


def test_a_label_that_cannot_be_made_spares_the_sections(folder):
    report = complete_report()
    report["images"] = {}
    root = shown(folder, report)
    assert "This app cannot read this part" in text(root[0])
    assert "0.02" in section(root, "calibration")


def test_cells_open_photographs_only_where_the_app_counts_as_many(folder):
    report = complete_report()
    counted = {rule: report[f"confusion matrix, {words}"] for rule, words in RULES.items()}

    def opened(own: bool, counted: dict) -> tuple[int, str]:
        shown(folder, report, own)
        root = ElementTree.fromstring(document.render(folder, CHECKPOINT, counted))
        return len(root.findall(".//table//button")), section(root, "diagnoses")

    buttons, words = opened(True, counted)
    assert buttons == 2 * 49 and comparison.HOW in words and performance.CLOSED not in words
    other = [[5] * 7] * 5 + [[5] * 6 + [4]] * 2
    for differing in (counted | {"uniform": other}, counted | {"dataset": other}):
        buttons, words = opened(True, differing)
        assert buttons == 2 * 49 - 2 and performance.CLOSED in words
    assert opened(False, counted)[0] == 0, "it is about another checkpoint"
    assert comparison.HOW not in section(shown(folder, report), "diagnoses")


def test_what_could_not_be_measured_is_said(folder):
    report = complete_report()
    nothing = {"value": float("nan"), "interval": [float("nan")] * 2}
    for rule in RULES.values():
        report[f"per class, {rule}"]["df"] = {"images": 0, "auroc": nothing}
    for entry in report["conformal"].values():
        entry["per class"]["vasc"] = {**nothing, "images": 0, "promised": 0.8}
    report["metrics"]["fused"]["malignant_auroc"] = nothing
    root = shown(folder, report)
    assert "nan" not in text(root).lower().split() and "None" not in text(root)
    assert "Dermatofibroma 0 photographs no such photograph" in section(root, "diagnoses")
    assert section(root, "sets").count("no such photograph") == 2
    assert "– image alone 0.550 (0.530 to 0.570)" in section(root, "overview")


def test_a_strangers_report_cannot_write_markup(folder):
    report = complete_report()
    bad = '<script>alert("1")</script>'
    report["note"] = report["novelty"]["method"] = report["systems"]["systems"][0]["name"] = bad
    report["novelty"]["families"][bad] = {"far": True, "images": 1, "caught": None}
    report["subgroups"]["sex"]["unknown"]["too few"] = report["definitions"]["recall"] = bad
    report["calibration"][bad] = report["calibration"].pop("no metadata")
    report["explanations"]["methods"][bad] = report["explanations"]["methods"]["Grad-CAM"]
    root = shown(folder, report)
    assert not list(root.iter("script"))
    assert text(root).count(bad) > 5


@pytest.mark.parametrize("key", OPTIONAL)
def test_missing_sections_are_left_out(folder, key):
    report = complete_report()
    del report[key]
    root = shown(folder, report)
    keys = [element.get("id").removeprefix("report-") for element in root.iter("section") if element.get("id")]
    assert keys == ["facts", *(s.key for s in document.SECTIONS if s.key != OPTIONAL[key])]
    assert f"#report-{OPTIONAL[key]}" not in [a.get("href") for a in root.iter("a")]


@pytest.mark.parametrize("key", OPTIONAL)
def test_a_section_in_another_form_spares_the_others(folder, key):
    report = copy.deepcopy(complete_report())
    report[key] = {"learning": "here" in key} if key == "curves" else {"first": "not", "families": [1]}
    root = shown(folder, report)
    if key != "curves":
        assert "This app cannot read this part of the report" in section(root, OPTIONAL[key])
    assert "0.772 (0.748 to 0.794)" in section(root, "overview")


def test_another_checkpoints_report_is_shown_with_a_warning(folder):
    root = shown(folder, complete_report(), own=False)
    assert "belongs to another checkpoint" in text(root.find("div[@role='alert']"))
    assert "0.772 (0.748 to 0.794)" in section(root, "overview")
    assert shown(folder, complete_report()).find("div[@role='alert']") is None


def test_figures_lie_in_the_page_where_there_are_any(folder):
    root = shown(folder, complete_report())
    assert [image.get("src")[:22] for image in root.iter("img")] == ["data:image/png;base64,"]
    (folder / "curves.png").unlink()
    root = shown(folder, complete_report())
    assert not list(root.iter("img")) and root.find("section[@id='report-learning']") is None


def test_no_report_and_a_damaged_one(folder):
    assert reading.EVALUATE in text(ElementTree.fromstring(document.render(folder, CHECKPOINT)))
    for content in (b"{", b"[]", b"\xff"):
        (folder / REPORT).write_bytes(content)
        with pytest.raises(UserError, match="damaged"):
            reading.read_report(folder)
        assert "damaged" in document.render(folder, CHECKPOINT)


def test_descriptions_are_those_of_the_diagnoses(folder):
    heads = {head.get("title") for head in shown(folder, complete_report()).iter("th")}
    assert {BY_CODE[code].description for code in CODES} <= heads


def check_folding(page, server: str) -> None:
    """Sections are folded; mouse, keyboard, the label's links and the page's address open them."""
    sets, subgroups = page.locator("#report-sets table"), page.locator("#report-subgroups table")
    expect(page.locator("#report-facts")).to_contain_text("0.772 (0.748 to 0.794)")
    expect(sets).to_be_hidden()
    page.locator("#report-sets summary h2").click()
    expect(sets).to_be_visible()
    page.locator("#report-sets > details > summary").focus()
    page.keyboard.press("Enter")
    expect(sets).to_be_hidden()
    page.locator("#report-facts a", has_text="subgroups").click()
    expect(subgroups).to_be_visible()
    expect(subgroups).to_be_in_viewport()
    page.get_by_role("button", name=document.OPEN_ALL).click()
    assert page.locator(".part:not([open])").count() == 0
    page.get_by_role("button", name=document.FOLD_ALL).click()
    assert page.locator(".part[open]").count() == 0
    page.goto(f"{server}/?tab=report#report-sets")
    expect(page.locator("#report-sets table")).to_be_visible(timeout=20_000)


@pytest.mark.process
def test_in_the_browser_from_no_report_to_one(checkpoint, browser, tmp_path):
    copied = tmp_path / "checkpoint"
    copied.mkdir()
    for path in checkpoint.iterdir():
        if path.name != REPORT:
            (copied / path.name).symlink_to(path)
    apps = running_app(copied, tmp_path / "log")
    server = next(apps)
    client = Client(server, verbose=False)
    with pytest.raises(AppError, match=re.escape(reading.EVALUATE)):
        client.predict(api_name="/model_report")
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(server)
    page.get_by_role("tab", name="Model report", exact=True).click()
    expect(page.locator("#model-report .placeholder")).to_contain_text(reading.EVALUATE, timeout=20_000)
    expect(page.locator("#inputs")).not_to_be_visible()

    report = {**complete_report(), "checkpoint": sha256(copied / CONFIG)}
    (copied / REPORT).write_text(json.dumps(report))
    assert client.predict(api_name="/model_report") == report
    page.get_by_role("tab", name="Cohort", exact=True).click()
    page.get_by_role("tab", name="Model report", exact=True).click()
    expect(page.locator("#report-overview")).to_contain_text("0.772 (0.748 to 0.794)", timeout=20_000)
    with page.expect_download() as download:
        page.get_by_text(f"Download {REPORT}").click()
    assert json.loads(download.value.path().read_text()) == report
    check_folding(page, server)
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    for width in (1280, 390):
        page.set_viewport_size({"width": width, "height": 844})
        assert page.evaluate("document.documentElement.scrollWidth") <= width, "nothing hangs over the edge"
        page.screenshot(path=SCREENSHOTS / f"report-{width}.png", full_page=True)
    assert not errors
    page.close()
    next(apps, None)
