"""Photographs by what they are, in a browser: behind a cell of a confusion matrix, by a choice, and like another."""

import re

import pytest

from conftest import BUNDLED, SCREENSHOTS, expect, pick
from lesion.data.diagnoses import CODES
from lesion.inference.predictor import load_predictor
from lesion.teaching.cases import Cell, Choice, behind, fitting
from lesion.teaching.cohort import Cohort, Subgroup
from lesion.ui.html.cases import PAGE


@pytest.fixture(scope="module")
def cohort() -> Cohort:
    return Cohort(load_predictor(BUNDLED), rounds=10)


@pytest.fixture
def page(bundled_app, browser):
    """A page that must see no error."""
    page, errors = browser.new_page(viewport={"width": 1280, "height": 800}), []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(bundled_app.url)
    expect(page.locator("#examples button").first).to_be_visible()
    yield page
    assert not errors
    page.close()


def open_tab(page, name: str) -> None:
    page.get_by_role("tab", name=name, exact=True).click()


def cell_of(page, tables: str, table: int, confirmed: str, answer: str):
    selector = f"button[data-confirmed={confirmed}][data-answer={answer}]"
    return page.locator(f"{tables} table[data-counted]").nth(table).locator(selector)


def shown_ids(page, place: str) -> list[str]:
    return [button.get_attribute("data-image") for button in page.locator(f"{place} li button").all()]


def test_cells_open_their_photographs_by_mouse_and_by_keyboard(page, cohort):
    open_tab(page, "Cohort")
    cell = cell_of(page, "#confusions", 1, "mel", "nv")
    expect(cell).to_be_visible()
    expected = behind(cohort, Cell("chosen", "mel", "nv", ["image"]))
    assert cell.inner_text() == str(len(expected)) and len(expected) > 2 * PAGE
    cell.click()
    heading = page.locator("#cohort-cell h3")
    expect(heading).to_have_text(re.compile(f"Melanoma called Melanocytic nevus: {len(expected)} photographs"))
    expect(heading).to_be_focused()
    seen = shown_ids(page, "#cohort-cell")
    pages = -(-len(expected) // PAGE)
    for number in range(2, pages + 1):  # as many as the cell says
        page.locator("#cohort-cell").get_by_role("button", name="Next").click()
        expect(page.locator("#cohort-cell nav")).to_contain_text(f"Page {number} of {pages}")
        seen += shown_ids(page, "#cohort-cell")
    assert seen == list(expected.image_id)
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / "confusion-cell.png")

    page.locator("#cohort-cell").get_by_role("button", name="Back to the matrix").press("Enter")
    expect(cell).to_be_focused()
    page.keyboard.press("ArrowRight")
    expect(cell_of(page, "#confusions", 1, "mel", "bcc")).to_be_focused()
    page.keyboard.press("ArrowDown")
    expect(cell_of(page, "#confusions", 1, "nv", "bcc")).to_be_focused()
    page.keyboard.press("Enter")
    others = behind(cohort, Cell("chosen", "nv", "bcc", ["image"]))
    expect(heading).to_have_text(re.compile(f"Melanocytic nevus called Basal cell carcinoma: {len(others)} photograph"))
    assert shown_ids(page, "#cohort-cell") == list(others.image_id[:PAGE])
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("#photo img")).to_have_attribute("src", re.compile(others.image_id[0]))
    expect(page.locator("#answer h2")).to_be_visible()

    open_tab(page, "Cohort")
    pick(page, "only-sex", "female")
    expect(page.locator("#cohort-cell h3")).to_have_count(0)
    women = behind(cohort, Cell("full", "mel", "nv", subgroup=Subgroup(sex="female")))
    cell_of(page, "#confusions", 0, "mel", "nv").click()
    expect(heading).to_have_text(re.compile(f": {len(women)} photographs"))
    expect(page.locator("#cohort-cell")).to_contain_text("Full model: image, age, sex and site; sex female")


def test_cells_of_the_report_open_photographs_of_the_test_part(page, cohort):
    """A cell whose number this machine counts differently is none that opens."""
    open_tab(page, "Model report")
    page.locator("#report-diagnoses summary").first.click()
    expect(page.locator("#report-diagnoses table[data-counted]")).to_have_count(2)
    for table, rule in enumerate(("dataset", "uniform")):
        counted = {
            (confirmed, answer): behind(
                cohort, Cell("full", confirmed, answer, subgroup=Subgroup(part="test"), rule=rule)
            )
            for confirmed in CODES
            for answer in CODES
        }
        cells = page.locator("#report-diagnoses table[data-counted]").nth(table).locator("button")
        found = cells.evaluate_all("all => all.map(b => [b.dataset.confirmed, b.dataset.answer, Number(b.innerText)])")
        assert len(found) > 30
        assert all(number == len(counted[confirmed, answer]) > 0 for confirmed, answer, number in found)
        confirmed, answer, number = found[2]
        cells.nth(2).click()
        expect(page.locator("#report-cell h3")).to_have_text(re.compile(f": {number:,} photograph"))
        expect(page.locator("#report-cell .behind")).to_have_attribute("data-cell", re.compile(f'"rule": "{rule}"'))
        shown = list(counted[confirmed, answer].image_id[:PAGE])
        assert shown_ids(page, "#report-cell") == shown
    page.locator("#report-cell li button").first.click()
    expect(page.locator("#photo img")).to_have_attribute("src", re.compile(shown[0]))


def test_the_chooser_says_how_many_fit_and_opens_one(page, cohort):
    expect(page.locator("#choose-diagnosis")).to_have_count(0)
    page.get_by_role("button", name="Choose a held-out photograph").press("Enter")
    expect(page.locator("#fitting")).to_contain_text(f"{len(cohort.table):,} photographs")
    pick(page, "choose-diagnosis", "Melanoma")
    pick(page, "choose-outcome", "wrong")
    pick(page, "choose-certainty", "80 % or more")
    rows = fitting(cohort, set(cohort.table.image_id), Choice(Subgroup(diagnosis="mel"), "wrong", "80 % or more"))
    expect(page.locator("#fitting")).to_contain_text(f"{len(rows)} photographs of")
    page.locator("#open-random").press("Enter")
    expect(page.locator("#answer li")).to_have_count(7)
    source = page.locator("#photo img").get_attribute("src")
    assert re.search(r"ISIC_\d+", source)[0] in set(cohort.table.image_id.iloc[rows])
    expect(page.locator("#answer .truth")).to_contain_text("Melanoma")
    expect(page.locator("#answer h2")).not_to_contain_text("Melanoma")
    pick(page, "choose-site", "ear")
    pick(page, "choose-age", "under 30")
    expect(page.locator("#fitting")).to_contain_text("No held-out photograph fits")
    page.click("#open-random")
    expect(page.get_by_text("Set one of the choices to any.").last).to_be_visible()
    assert page.locator("#photo img").get_attribute("src") == source, "the photograph in view stays"


def test_similar_cases_open_and_can_have_another_diagnosis(page):
    page.locator("#examples button").first.click()
    cases = page.locator("#similar li")
    expect(cases).to_have_count(6)
    expect(page.locator("#similar")).to_contain_text("what the model finds similar, not what a doctor would")
    answer = page.locator("#answer h2").inner_text().split("\n")[0]
    pick(page, "among", "another diagnosis than the answer")
    expect(page.locator("#similar p")).not_to_contain_text(answer)
    expect(cases).to_have_count(6)
    chosen = page.locator("#similar button").nth(2)
    image_id = chosen.get_attribute("data-image")
    chosen.click()
    expect(page.locator("#photo img")).to_have_attribute("src", re.compile(image_id))
    expect(page.locator(f"#similar [data-image={image_id}]")).to_have_count(0)
    assert page.evaluate("document.documentElement.scrollWidth") <= 1280
