"""The page for everybody: axe-core on every tab, the keyboard alone, and what is in sight without scrolling."""

import pytest
from readers import at

from conftest import Page, expect

NINE_CASES = """
() => {
  const kept = JSON.parse(localStorage.getItem('reader-rounds')), round = kept.rounds[kept.at];
  round.guesses = Array(10).fill(round.guesses[0]);
  round.opened = 9;
  localStorage.setItem('reader-rounds', JSON.stringify(kept));
}
"""
"""A reader round in which nine cases are behind the reader."""
LAPTOP, PHONE = {"width": 1366, "height": 768}, {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def server(bundled_app):
    """The address of an app on the bundled checkpoint: the lab, the cases and the report need one."""
    return bundled_app.url


def open_page(browser, server: str, viewport: dict, scheme: str = "light") -> Page:
    page = browser.new_page(viewport=viewport, color_scheme=scheme)
    page.goto(f"{server}/?__theme={scheme}")
    expect(page.locator("#examples button").first).to_be_visible()
    return page


def choose_example(page: Page) -> None:
    page.locator("#examples button").first.click()
    expect(page.locator("#answer li")).to_have_count(7)


def open_tab(page: Page, name: str) -> None:
    page.locator("#tabs > .tab-wrapper").get_by_role("tab", name=name, exact=True).click()


def findings(page: Page, options: dict) -> list[str]:
    """Serious and critical findings of axe-core, with the elements."""
    from axe_playwright_python.sync_playwright import Axe  # which imports Playwright

    expect(page.locator(".html-container.pending")).to_have_count(0)
    found = Axe().run(page, options={"resultTypes": ["violations"], **options}).response["violations"]
    return [
        f"{finding['id']} at {page.viewport_size['width']} px: {node['target']} {node['failureSummary']}"
        for finding in found
        if finding["impact"] in ("serious", "critical")
        for node in finding["nodes"]
    ]


@pytest.mark.parametrize("scheme, options", [("light", {}), ("dark", {"runOnly": ["color-contrast"]})])
def test_axe_finds_nothing_serious_on_any_tab(server, browser, scheme, options):
    """Of all rules, contrast alone depends on the colour scheme."""
    page = open_page(browser, server, LAPTOP, scheme)
    # What is being replaced is faded for a moment, and may be so at any moment: the colours are checked without it.
    page.add_style_tag(content=".html-container.pending { opacity: 1 !important; }")
    found = []

    def check() -> None:
        for viewport in (PHONE, LAPTOP):
            page.set_viewport_size(viewport)
            found.extend(findings(page, options))

    check()
    choose_example(page)
    expect(page.locator("#similar li")).to_have_count(6)
    page.get_by_role("button", name="Choose a held-out photograph").click()
    expect(page.locator("#fitting .change")).to_be_visible()
    check()
    page.get_by_role("button", name="Choose a held-out photograph").click()
    open_tab(page, "Metadata influence")
    expect(page.locator("#site-table td").first).to_be_visible()
    check()
    open_tab(page, "Lessons")
    check()
    page.click("#to-guess")
    check()
    page.locator("#guess input").first.click()
    page.click("#to-see")
    expect(page.locator("#reveal table")).to_be_visible()
    check()
    open_tab(page, "Reader round")
    expect(page.locator("#round [data-do=begin]")).to_be_visible()
    check()
    page.click("#round [data-do=begin]")
    for given in range(3):
        expect(page.locator(at(0, given))).to_be_visible()
        page.locator("#round .choices label").first.click()
        if given != 1:
            check()
        page.click("#round [data-sure=sure]")
    expect(page.locator(at(0, 3))).to_be_visible()
    check()
    page.evaluate(NINE_CASES)
    page.click("#round [data-do=next]")  # the view is older than the guesses
    expect(page.locator(at(9, 3))).to_be_visible()
    page.click("#round [data-do=next]")
    expect(page.locator("#round [data-view=result]")).to_be_visible()
    check()
    open_tab(page, "Cohort")
    expect(page.locator("#confusions table").first).to_be_visible()
    page.locator("#confusions button").nth(1).click()
    expect(page.locator("#cohort-cell li").first).to_be_visible()
    check()
    open_tab(page, "Training lab")
    page.locator("#lab-epochs input[type=number]").fill("1")
    page.locator("#lab-epochs input[type=number]").press("Enter")
    page.click("#train-a")
    expect(page.locator("#lab-results table")).to_have_count(1)
    check()
    open_tab(page, "Model report")
    expect(page.locator("#report-overview")).to_be_visible()
    page.locator("#model-report summary").first.click()
    check()
    page.close()
    assert not found, "\n".join(found)


def reach(page: Page, selector: str) -> None:
    """Presses Tab until an element has the focus, and looks whether that shows."""
    for _ in range(100):
        page.keyboard.press("Tab")
        if page.evaluate("selector => document.activeElement.matches(selector)", selector):
            break
    else:
        raise AssertionError(f"Tab never reaches {selector}")
    shows = """() => {
        const has = part => {
            const style = getComputedStyle(part);
            return (style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2) || style.boxShadow !== 'none';
        };
        const at = document.activeElement;
        return has(at) || has(at.closest('.wrap') ?? at)
            || [...at.querySelectorAll('.outline')].some(part => getComputedStyle(part).display !== 'none');
    }"""
    assert page.evaluate(shows), f"the focus on {selector} is not to be seen"


def test_an_invitation_does_not_fade_while_its_answer_comes(server, browser):
    page = open_page(browser, server, LAPTOP)
    expect(page.locator(".html-container.pending")).to_have_count(0)
    for block in ("#answer", "#heat"):
        container = page.locator(f"{block} .html-container:has(.placeholder)")
        container.evaluate("part => part.classList.add('pending')")
        page.wait_for_timeout(700)  # fading starts after 0.4 s and takes 0.2 s
        assert container.evaluate("part => getComputedStyle(part).opacity") == "1", block
    page.close()


def test_the_keyboard_is_enough(server, browser):
    page = open_page(browser, server, LAPTOP)
    reach(page, "#examples button")
    page.keyboard.press("Enter")
    expect(page.locator("#answer li")).to_have_count(7)
    expect(page.locator("#age input")).to_have_value("85")
    reach(page, "#age input")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    expect(page.locator("#age input")).to_have_value("80")
    expect(page.locator("#change")).to_contain_text("age 80")
    reach(page, "#site input")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.locator("#site input")).to_have_value("neck")
    expect(page.locator("#change")).to_contain_text("neck")
    reach(page, "#tabs [role=tab][data-tab-id=influence]")
    page.keyboard.press("Enter")
    expect(page.locator("#three-answers")).to_contain_text("metadata alone")
    reach(page, "#body-map g[data-site=scalp]")
    page.keyboard.press("Enter")
    expect(page.locator("#site input")).to_have_value("scalp")
    expect(page.locator("#largest-change")).to_contain_text("scalp")
    page.close()


def test_answer_and_heat_map_are_in_sight_and_nothing_jumps(server, browser, tmp_path):
    page = open_page(browser, server, LAPTOP)
    places = {name: page.locator(name).bounding_box()["y"] for name in ("#answer", "#heat", "#opacity", "#age")}

    def check_places() -> None:
        for name, place in places.items():
            assert page.locator(name).bounding_box()["y"] == pytest.approx(place, abs=2), name

    (tmp_path / "text.jpg").write_text("no photograph")
    page.set_input_files("#photo input[type=file]", str(tmp_path / "text.jpg"))
    expect(page.locator("#answer [role=alert]")).to_be_visible()
    expect(page.locator("#heat .placeholder")).to_be_visible()
    check_places()
    choose_example(page)
    expect(page.locator("#heat .layer")).to_be_visible()
    check_places()
    for name in ("#answer li:last-child", "#heat figcaption", "#change .change"):
        box = page.locator(name).bounding_box()
        assert box["y"] + box["height"] <= LAPTOP["height"], f"{name} is below the edge"
    page.set_viewport_size(PHONE)
    assert page.locator("#answer li").first.bounding_box()["y"] < PHONE["height"], "the answer follows the photograph"
    page.close()
