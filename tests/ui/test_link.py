"""Links that restore the page: what they say, and what the page makes of them."""

import re
from urllib.parse import quote

import pytest

from conftest import BUNDLED, EXAMPLES, SCREENSHOTS, expect, pick
from lesion.data.held_out_photographs import HeldOutPhotographs
from lesion.data.metadata import Metadata
from lesion.data.reading import read_image
from lesion.inference.predictor import load_predictor
from lesion.model.checkpoint import identity_of
from lesion.ui.link import NOT_YOURS, Choices

MODEL = identity_of(BUNDLED)
ADDRESS = "https://example.org/skin/lesions/"
CHOICES = Choices(
    {
        "age": ["unknown", "0", "55"], "site": ["unknown", "back", "lower extremity"], "tab": ["answer", "lessons"],
        "lesson": ["first", "second"], "example": ["ISIC_1", "ISIC_2"],
    },
    {"ISIC_9"},
)  # fmt: skip


@pytest.mark.parametrize(
    "state, link",
    [
        ({}, ADDRESS),
        ({"age": "unknown", "tab": "answer", "lesson": "first", "example": None}, ADDRESS),
        ({"age": "0", "site": "lower extremity"}, f"{ADDRESS}?age=0&site=lower+extremity"),
        ({"tab": "lessons", "lesson": "second"}, f"{ADDRESS}?tab=lessons&lesson=second"),
        ({"age": "55", "example": "ISIC_1"}, f"{ADDRESS}?age=55&example=ISIC_1"),
        ({"example": "ISIC_9"}, f"{ADDRESS}?example=ISIC_9"),
    ],
)  # fmt: skip
def test_a_link_says_what_is_not_as_at_the_start(state, link):
    assert CHOICES.write(ADDRESS, state) == link
    restored, problems = CHOICES.read(link.removeprefix(ADDRESS))
    assert restored.items() <= state.items() and not problems
    assert all(name in restored or value in (None, CHOICES.lists[name][0]) for name, value in state.items())


def test_a_link_never_holds_what_it_could_not_restore():
    odd = {"age": "54", "site": ["back"], "tab": None, "lesson": {"a": 1}, "example": "/tmp/x/mole.jpg"}
    assert CHOICES.write(ADDRESS, odd) == ADDRESS


def test_unknown_values_are_named_and_the_rest_is_restored():
    state, problems = CHOICES.read("?age=54&site=back&example=mole&__theme=dark&utm_source=mail&lesson=")
    assert state == {"site": "back"}
    assert problems == [
        "The link's age '54' is not known and was ignored; choose unknown, 0, 55.",
        "The link's example 'mole' is not known and was ignored; choose ISIC_1, ISIC_2 or the id of a held-out "
        "photograph.",
        "The link's lesson '' is not known and was ignored; choose first, second.",
    ]
    assert CHOICES.read("?%ff&&=&age&=55;") == (
        {},
        ["The link's age '' is not known and was ignored; choose unknown, 0, 55."],
    )
    assert len(CHOICES.read("?" + "age=1&" * 10_000)[1]) == 1
    assert len(CHOICES.read("?age=" + "x" * 100_000)[1][0]) < 200


@pytest.fixture(scope="module")
def server(bundled_app):
    """The address of a running app on the bundled checkpoint."""
    return bundled_app.url


@pytest.fixture(scope="module")
def predictor():
    return load_predictor(BUNDLED)


@pytest.fixture
def page(browser):
    """A page that may copy; it must see no error."""
    context = browser.new_context(viewport={"width": 1366, "height": 768})
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    page, errors = context.new_page(), []
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    assert not errors
    context.close()


def expect_state(page, tab: str, age: str, sex: str, site: str, target: str) -> None:
    expect(page.get_by_role("tab", name=tab, exact=True)).to_have_attribute("aria-selected", "true")
    for field, value in (("age", age), ("sex", sex), ("site", site), ("target", target)):
        expect(page.locator(f"#{field} input")).to_have_value(value)


def expect_answer(page, predictor, name: str, metadata: Metadata) -> None:
    probabilities = predictor.predict(read_image(EXAMPLES / f"{name}.jpg"), metadata).probabilities
    for share in sorted(probabilities.values())[-2:]:
        expect(page.locator("#three-answers")).to_contain_text(f"{share:.0%}".replace("%", " %"))


def test_a_link_restores_photograph_record_diagnosis_and_tab(server, page, predictor):
    page.goto(f"{server}/?age=55&sex=female&site=lower%20extremity&diagnosis=mel&tab=influence&example=ISIC_0024329")
    expect_state(page, "Metadata influence", "55", "female", "lower extremity", "Melanoma")
    expect(page.locator("#photo img")).to_have_attribute("src", re.compile("ISIC_0024329"))
    expect_answer(page, predictor, "ISIC_0024329", Metadata(55, "female", "lower extremity"))
    expect(page.locator("#waterfall")).to_contain_text("Melanoma")
    expect(page.locator("#inputs")).to_be_visible()


def test_a_link_opens_a_lesson_and_a_held_out_photograph(server, page):
    held_out = min(HeldOutPhotographs(BUNDLED).names - {f"{path.stem}.jpg" for path in EXAMPLES.glob("*.jpg")})[:-4]
    page.goto(f"{server}/?lesson=ruined&example={held_out}")
    expect_state(page, "Lessons", "unknown", "unknown", "unknown", "most probable")
    expect(page.locator("#story h2")).to_have_text("A case that metadata ruins")
    expect(page.locator("#lesson input")).to_have_value("A case that metadata ruins")
    expect(page.locator("#photo img")).to_have_attribute("src", re.compile(held_out))
    page.get_by_role("tab", name="Answer", exact=True).click()
    expect(page.locator("#answer .truth")).to_have_count(1)
    page.goto(f"{server}/?lesson=ruined&tab=cohort")
    expect(page.locator("#cohort-summary")).to_contain_text("3,005 photographs")
    expect(page.locator("#inputs")).not_to_be_visible()


def test_unknown_values_in_a_link_are_told_on_the_page(server, page):
    page.goto(f"{server}/?age=57&sex={quote('<img src=x onerror=alert(1)>')}&site=back&utm_source=mail")
    expect(page.get_by_text("The link's age '57' is not known and was ignored; choose unknown, 0, 5,")).to_be_visible()
    expect(page.get_by_text("The link's sex '<img src=x onerror=alert(1)>' is not known")).to_be_visible()
    expect_state(page, "Answer", "unknown", "unknown", "back", "most probable")
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.wait_for_timeout(500)  # it fades in
    page.screenshot(path=SCREENSHOTS / "link-unknown.png")


def test_a_copied_link_opens_the_same_page_and_tells_nothing_of_an_upload(server, page, predictor, tmp_path):
    asked = []
    page.on("request", lambda request: asked.append(request.post_data or ""))
    page.goto(f"{server}/?utm_source=mail#top")
    expect(page.locator("#copy-link")).to_be_visible()
    page.wait_for_timeout(1000)
    assert not any("utm_source" in question for question in asked), "a page without a link restores nothing"
    own = tmp_path / "ISIC_0024329.jpg"
    own.write_bytes((EXAMPLES / "ISIC_0024317.jpg").read_bytes() + b"\0")
    page.set_input_files("#photo input[type=file]", str(own))
    expect(page.locator("#answer li")).to_have_count(7)
    pick(page, "sex", "male")
    page.click("#copy-link")
    expect(page.locator("#link textarea")).to_have_value(f"{server}/?sex=male&model={MODEL}")
    expect(page.locator("#link")).to_contain_text(NOT_YOURS)

    page.locator("#examples button").nth(7).click()
    expect(page.locator("#age input")).to_have_value("75")
    page.get_by_role("tab", name="Metadata influence").click()
    pick(page, "site", "face")
    pick(page, "target", "Melanoma")
    page.click("#copy-link")
    link = f"{server}/?age=75&sex=female&site=face&diagnosis=mel&tab=influence&example=ISIC_0024329&model={MODEL}"
    expect(page.locator("#link textarea")).to_have_value(link)
    expect(page.locator("#link")).to_contain_text("Link (copied)")
    expect(page.locator("#link textarea")).to_be_in_viewport()
    expect(page.locator("#link")).not_to_contain_text(NOT_YOURS)
    assert page.evaluate("navigator.clipboard.readText()") == link
    page.screenshot(path=SCREENSHOTS / "link-copied.png")
    page.goto(link)
    expect_state(page, "Metadata influence", "75", "female", "face", "Melanoma")
    expect_answer(page, predictor, "ISIC_0024329", Metadata(75, "female", "face"))

    page.get_by_role("tab", name="Lessons").click()
    pick(page, "lesson", "A case that metadata rescues")
    page.click("#copy-link")
    link = link.replace("tab=influence", "tab=lessons").replace("&model=", "&lesson=rescued&model=")
    expect(page.locator("#link textarea")).to_have_value(link)
    page.goto(link)
    expect_state(page, "Lessons", "75", "female", "face", "Melanoma")
    expect(page.locator("#story h2")).to_have_text("A case that metadata rescues")


def test_where_a_page_may_not_copy_the_link_is_shown(server, browser):
    page = browser.new_page()
    page.add_init_script("Object.defineProperty(navigator, 'clipboard', { value: undefined })")  # as over http
    page.goto(f"{server}/?age=5")
    expect(page.locator("#age input")).to_have_value("5")
    page.click("#copy-link")
    expect(page.locator("#link")).to_contain_text("Link (to copy)")
    expect(page.locator("#link textarea")).to_have_value(f"{server}/?age=5&model={MODEL}")
    page.close()
