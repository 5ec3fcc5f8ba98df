"""A teacher and two phones in the browser: joining, voting, a reload, a lost answer, the reveal, the result."""

import re

import pytest

from conftest import SCREENSHOTS, Page, expect
from lesion.data.diagnoses import BY_CODE

LAPTOP = {"viewport": {"width": 1280, "height": 800}}
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}


@pytest.fixture(scope="module")
def server(bundled_app):
    return bundled_app.url


class Watched:
    """A browser of its own with one page, and what went wrong in it."""

    def __init__(self, browser, server: str, path: str, **options):
        self.context = browser.new_context(**options)
        self.page: Page = self.context.new_page()
        self.wrong: list[str] = []
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("console", lambda told: self.wrong.append(told.text) if told.type == "error" else None)
        inside = (server, "data:", "blob:")
        self.page.on("request", lambda r: None if r.url.startswith(inside) else self.wrong.append(r.url))
        self.page.goto(f"{server}{path}")


def serious(page: Page) -> list[str]:
    """What axe-core finds."""
    from axe_playwright_python.sync_playwright import Axe  # which imports Playwright

    page.add_style_tag(content=".html-container.pending { opacity: 1 !important; }")
    found = Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
    return [
        f"{finding['id']}: {node['target']} {node['failureSummary']}"
        for finding in found
        if finding["impact"] in ("serious", "critical")
        for node in finding["nodes"]
    ]


def no_overflow(page: Page) -> None:
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "something hangs over the edge"


def touch_vote(page: Page, code: str, sure: str) -> None:
    """Two touches."""
    page.tap(f"label:has([value={code}])")
    page.tap(f"[data-sure='{sure}']")
    expect(page.locator("#said")).to_have_text(f"Your vote: {BY_CODE[code].name}, {sure}. Wait for the next stage.")


def look(page: Page) -> None:
    """Touches where nothing is."""
    page.wait_for_timeout(1100)
    page.touchscreen.tap(385, 8)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_class_of_two_phones(server, browser, scheme):
    teacher = Watched(browser, server, f"/?tab=class&__theme={scheme}", color_scheme=scheme, **LAPTOP)
    board, found = teacher.page, []
    expect(board.locator("#class-open")).to_be_visible()
    found += serious(board)
    board.click("#class-open")
    expect(board.locator("#class-board")).to_contain_text("python app.py --host 0.0.0.0")
    code = board.locator("[data-class-code]").inner_text().replace(" ", "")
    assert code not in board.url and "token" not in board.url

    one = Watched(browser, server, f"/class/{code}", color_scheme=scheme, **PHONE)
    two = Watched(browser, server, "/class/", color_scheme=scheme, **PHONE)
    found += serious(two.page)
    two.page.fill("#code", code.lower())
    two.page.tap("#join button")
    for phone in (one, two):
        expect(phone.page.locator("#said")).to_have_text("You are in. Wait for your teacher to begin.")
        expect(phone.page.locator("#view")).to_contain_text("wrong on purpose")
    numbers, following = board.locator("[data-part=numbers]"), board.locator("[data-move=next]")
    expect(numbers).to_have_text("2 phones are in the class.")

    following.click()
    for phone in (one, two):
        look(phone.page)
        expect(phone.page.locator("h2")).to_have_text("The photograph alone")
    found += serious(one.page)
    no_overflow(one.page)
    touch_vote(one.page, "mel", "sure")
    expect(numbers).to_have_text("2 phones are in the class. 1 of 2 have voted.")
    assert "What the class guessed" not in board.content() + one.page.content() + two.page.content()
    one.page.screenshot(path=SCREENSHOTS / f"class-phone-{scheme}.png")

    # A vote whose answer is lost is sent again, also after a reload, and counts once.
    lost = []

    def lose(route) -> None:
        if len(lost) < 2:
            lost.append(route.fetch().status)
            route.abort()
        else:
            route.continue_()

    two.page.route(re.compile("/class/vote$"), lose)
    two.page.tap("label:has([value=nv])")
    two.page.tap("[data-sure=unsure]")
    expect(two.page.locator("#said")).to_have_text("Your vote has not arrived yet. It is sent again.")
    two.page.reload()
    expect(two.page.locator("#said")).to_have_text("Your vote: Melanocytic nevus, unsure. Wait for the next stage.")
    assert lost == [200, 200]
    two.wrong = [text for text in two.wrong if "ERR_FAILED" not in text]
    expect(numbers).to_have_text("2 phones are in the class. 2 of 2 have voted.")

    board.reload()  # the teacher's page finds its class again
    expect(numbers).to_have_text("2 phones are in the class. 2 of 2 have voted.")
    expect(board.locator("[data-class-code]")).to_be_hidden()
    board.click("[data-do=join]")
    expect(board.locator("[data-class-code]")).to_have_text(f"{code[:3]} {code[3:]}")
    board.click("[data-move=show]")
    expect(board.locator(".guesses .number").first).to_have_text("1 of 2")
    found += serious(board)
    look(one.page)
    expect(one.page.locator(".guesses .number").nth(1)).to_have_text("1 of 2")

    following.click()
    for phone in (one, two):
        look(phone.page)
        expect(phone.page.locator("h2")).to_have_text("Now with age, sex and site")
    one.page.tap("[data-sure='fairly sure']")  # one touch keeps a guess
    expect(one.page.locator("#said")).to_contain_text("Your vote: Melanoma, fairly sure.")
    for _ in range(30):  # the keyboard alone
        two.page.keyboard.press("Tab")
        if two.page.evaluate("document.activeElement.name === 'diagnosis'"):
            break
    two.page.keyboard.press("ArrowDown")
    two.page.keyboard.press("Tab")
    two.page.keyboard.press("Enter")
    expect(two.page.locator("#said")).to_contain_text("Your vote: Basal cell carcinoma, unsure.")

    following.click()
    expect(board.locator("#class-board .layer")).to_be_visible()
    for phone in (one, two):
        look(phone.page)
        expect(phone.page.locator("#view .layer")).to_be_visible()
        touch_vote(phone.page, "bcc", "sure")
    found += serious(one.page)
    no_overflow(one.page)
    following.click()
    expect(board.locator(".guesses")).to_contain_text("with the model")
    board.screenshot(path=SCREENSHOTS / f"class-projector-{scheme}.png")
    look(one.page)
    expect(one.page.locator("h2")).to_contain_text("Confirmed: ")
    no_overflow(one.page)
    found += serious(board) + serious(one.page)
    for _ in range(37):
        before = board.locator("[data-part=view]").inner_html()
        following.click()
        expect(board.locator("[data-part=view]")).not_to_have_js_property("innerHTML", before)
    expect(board.locator("[data-part=view]")).to_contain_text("The result of the class")
    expect(following).to_be_hidden()
    found += serious(board)
    no_overflow(board)
    board.screenshot(path=SCREENSHOTS / f"class-result-{scheme}.png", full_page=True)
    look(one.page)
    expect(one.page.locator("#view")).to_contain_text("The round is over")
    for form in ("csv", "pdf"):
        with board.expect_download() as download:
            board.click(f"[data-form={form}]")
        assert download.value.suggested_filename == f"class.{form}" and download.value.path().stat().st_size > 300
    board.locator("#class-board [data-image]").first.click()
    expect(board.locator("#answer li")).to_have_count(7)
    board.locator("#tabs > .tab-wrapper").get_by_role("tab", name="Class", exact=True).click()
    board.on("dialog", lambda dialog: dialog.accept())
    board.click("[data-do=close]")
    expect(board.locator("#class-open")).to_be_visible()
    assert not teacher.wrong + one.wrong + two.wrong
    look(one.page)
    expect(one.page.locator("#said")).to_contain_text("There is no class with the code")
    assert not found, "\n".join(found)
    for browser_page in (teacher, one, two):
        browser_page.context.close()
