"""A lesson's hour in the browser, on a laptop, in the dark and on a phone, each step against what Python computes.

Every step leaves a screenshot. No request may leave the app's origin, nothing may hang over the edge of the screen, and
neither the page nor its console may see an error.
"""

import re
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from conftest import BUNDLED, EXAMPLES, SCREENSHOTS, Page, expect, pick
from lesion.data.diagnoses import BY_CODE, CODES
from lesion.data.held_out_photographs import HeldOutPhotographs
from lesion.data.metadata import INPUTS, Metadata
from lesion.data.reading import read_image
from lesion.inference.predictor import load_predictor
from lesion.teaching.cohort import Cohort, Subgroup
from lesion.teaching.influence import Influence
from lesion.teaching.lab import Lab, LabSettings
from lesion.teaching.lessons import Lessons
from lesion.ui.inputs import values_of

PHOTOGRAPH = EXAMPLES / "ISIC_0024329.jpg"
SCREENS = {
    "desktop": {"viewport": {"width": 1366, "height": 768}, "color_scheme": "light"},
    "dark": {"viewport": {"width": 1366, "height": 768}, "color_scheme": "dark"},
    "phone": {"viewport": {"width": 390, "height": 844}, "color_scheme": "light", "has_touch": True, "is_mobile": True},
}


@pytest.fixture(scope="module")
def server(bundled_app):
    """The address of a running app on the bundled checkpoint."""
    return bundled_app.url


@pytest.fixture(scope="module")
def python():
    """What the app shows, without the app."""
    predictor = load_predictor(BUNDLED)
    cohort, photographs = Cohort(predictor), HeldOutPhotographs(BUNDLED)
    lab = Lab(cohort.held_out, predictor.config.encoder)
    return SimpleNamespace(
        predictor=predictor, cohort=cohort, lab=lab, photographs=photographs, lessons=Lessons(cohort, photographs, lab)
    )


def shares(page: Page, place: str) -> list[float]:
    """The lengths of the bars in a place, %."""
    lengths = page.locator(f"{place} .bar").evaluate_all("bars => bars.map(bar => bar.style.width)")
    return [float(length.rstrip("%")) for length in lengths]


def expect_shares(page: Page, place: str, expected: list[float]) -> None:
    """Waits until the bars show these probabilities, to a hundredth of a percent."""
    expected = pytest.approx(np.multiply(100, expected), abs=0.02)
    for _ in range(300):
        if shares(page, place) == expected:
            return
        page.wait_for_timeout(100)
    assert shares(page, place) == expected


def counts(page: Page, place: str, tables: int) -> list[int]:
    """The numbers of the last of so many confusion matrices."""
    expect(page.locator(f"{place} .confusion")).to_have_count(tables)
    return [int(text) for text in page.locator(f"{place} .confusion").last.locator("tbody td").all_inner_texts()]


@pytest.mark.parametrize("screen", SCREENS)
def test_a_lesson_from_upload_to_handout(server, browser, python, screen):
    context = browser.new_context(**SCREENS[screen])
    page = context.new_page()
    requests, errors = [], []
    page.on("request", lambda request: requests.append(request.url))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)

    def step(name: str) -> None:
        """Ends a step: nothing hangs over the edge, and a screenshot."""
        width = SCREENS[screen]["viewport"]["width"]
        assert page.evaluate("document.documentElement.scrollWidth") <= width, f"{name} hangs over the edge"
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=SCREENSHOTS / f"journey-{screen}-{name}.png", full_page=True)

    def open_tab(name: str) -> None:
        page.get_by_role("tab", name=name, exact=True).click()

    page.goto(server)
    expect(page.locator(".notice")).to_contain_text("Not a medical device")
    expect(page.locator(".attribution")).to_contain_text("HAM10000")
    expect(page.locator("#answer")).to_contain_text("Choose a photograph")
    assert page.locator("body").evaluate("body => body.classList.contains('dark')") == (screen == "dark")
    step("1-start")

    page.set_input_files("#photo input[type=file]", str(PHOTOGRAPH))
    features = python.predictor.features(read_image(PHOTOGRAPH))
    alone = python.predictor.predict(features)
    expect_shares(page, "#answer", sorted(alone.probabilities.values(), reverse=True))
    expect(page.locator("#answer h2")).to_contain_text(BY_CODE[alone.diagnosis].name)
    expect(page.locator("#change")).to_contain_text("photograph alone")
    heat = page.locator("#heat img").first
    assert heat.evaluate("image => [image.naturalWidth, image.naturalHeight]") == [600, 450]
    step("2-answer")

    pick(page, "age", "80")
    pick(page, "site", "face")
    known = Metadata(80, site="face")
    both = python.predictor.predict(features, known).probabilities
    assert both != alone.probabilities
    expect_shares(page, "#answer", sorted(both.values(), reverse=True))
    expect(page.locator("#change")).to_contain_text("Knowing age 80, face:")
    pick(page, "target", "Melanoma")
    expect(page.locator("#heat figcaption")).to_contain_text("Melanoma")
    page.locator("#opacity input[type=range]").fill("20")
    assert page.locator("#heat .layer").evaluate("image => getComputedStyle(image).opacity") == "0.2"
    step("3-metadata")

    open_tab("Metadata influence")
    answers = Influence(python.predictor, features, known).three_answers
    expect_shares(page, "#three-answers", [answers[view][code] for code in CODES for view in answers])
    expect(page.locator("#waterfall")).to_contain_text("Melanoma")
    step("4-influence")

    open_tab("Lessons")
    lesson = python.lessons.get("ruined")
    pick(page, "lesson", lesson.title)
    expect(page.locator("#story")).to_contain_text(lesson.story[0])
    page.click("#setup-0")
    setup = lesson.setups[0]
    expect(page.locator("#photo img")).to_have_attribute("src", re.compile(setup.image_id))
    for field, value in zip(("age", "sex", "site"), values_of(setup.metadata), strict=True):
        expect(page.locator(f"#{field} input")).to_have_value(value)
    expect(page.locator("#reveal")).to_have_count(0)  # nothing is told before the guess
    step("5-look")
    page.click("#to-guess")
    found = lesson.reveal()
    wrong = lesson.options[found.correct - 1]
    page.locator("#guess").get_by_label(wrong, exact=True).click()
    step("6-guess")
    page.click("#to-see")
    expect(page.locator("#reveal")).to_contain_text(f"You guessed: {wrong}. Not quite.")
    expect(page.locator("#reveal")).to_contain_text(found.text)
    expect_shares(page, "#reveal", [found.answers[view][code] for code in CODES for view in found.answers])
    step("7-see")

    open_tab("Cohort")
    compared = python.cohort.compare(["image"], [], Subgroup(), "dataset")
    expect(page.locator("#cohort-summary")).to_contain_text("Chosen model: image alone")
    expect(page.locator("#importances")).to_contain_text("log-loss")
    assert counts(page, "#confusions", 2) == compared.confusions["chosen"].flatten().tolist()
    expect(page.locator("#inputs")).not_to_be_visible()
    step("8-cohort")

    open_tab("Training lab")
    page.wait_for_timeout(500)  # Gradio gives a control its first value as its tab opens, over one typed at once
    page.locator("#lab-epochs input[type=number]").fill("1")
    page.locator("#lab-epochs input[type=number]").press("Enter")
    expect(page.locator("#lab-epochs input[type=range]")).to_have_value("1")
    page.click("#train-a")
    expect(page.locator("#lab-results")).to_contain_text("1 epochs")
    run = python.lab.result(LabSettings(INPUTS, "balanced", 1, 0.001, 0))
    assert counts(page, "#lab-results", 1) == run.confusion.flatten().tolist()
    step("9-lab")

    open_tab("Metadata influence")
    photograph = python.predictor.features(read_image(python.photographs.read(setup.image_id)))
    influence = Influence(python.predictor, photograph, setup.metadata)
    answers = influence.three_answers
    expect_shares(page, "#three-answers", [answers[view][code] for code in CODES for view in answers])
    with page.expect_download() as download:
        page.click("#get-csv")
    table = pd.read_csv(download.value.path())
    np.testing.assert_allclose(table[[code.upper() for code in CODES]], influence.sweep.reshape(-1, 7), atol=1e-5)
    for kind, start in (("pdf", b"%PDF"), ("png", b"\x89PNG")):
        with page.expect_download() as download:
            page.click(f"#get-{kind}")
        assert download.value.path().read_bytes().startswith(start)
    open_tab("Answer")
    page.locator("#answer .truth summary").click()
    truth = python.cohort.labels[list(python.cohort.table.image_id).index(setup.image_id)]
    expect(page.locator("#answer .truth")).to_contain_text(BY_CODE[CODES[truth]].name)
    step("10-truth")
    context.close()
    assert not [url for url in requests if not url.startswith((f"{server}/", "data:", f"blob:{server}/"))]
    assert not errors
