"""Takes the README's pictures of the running app and writes them to tests/pictures: `python tests/pictures.py`.

The photographs in them are from HAM10000 and licensed under CC BY-NC 4.0.
"""

import io
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, expect, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from conftest import BUNDLED, CHROMIUM, CHROMIUM_OPTIONS, start_app

FOLDER = ROOT / "tests" / "pictures"
CASE = "example=ISIC_0024329&age=75&sex=female&site=face"
LAPTOP, PHONE = {"width": 1366, "height": 768}, {"width": 390, "height": 844}


def save(page: Page, name: str) -> None:
    """Writes what is in view as a WebP file."""
    page.wait_for_timeout(700)  # until bars have grown and pictures have faded in
    with Image.open(io.BytesIO(page.screenshot())) as picture:
        picture.convert("RGB").save(FOLDER / f"{name}.webp", quality=82, method=6)


def take(page: Page, url: str) -> None:
    """Takes every tab on a laptop, and the tab Answer also in the dark theme and on a phone."""
    take_answer(page, url)
    take_influence(page, url)
    take_class(page, url)


def take_answer(page: Page, url: str) -> None:
    """Takes the tab Answer: light, dark, and on a phone."""
    page.goto(f"{url}/?{CASE}")
    expect(page.locator("#answer li")).to_have_count(7)
    expect(page.locator("#heat .layer")).to_be_visible()
    save(page, "answer")
    page.emulate_media(color_scheme="dark")
    page.goto(f"{url}/?{CASE}&__theme=dark")
    expect(page.locator("#answer li")).to_have_count(7)
    save(page, "answer-dark")
    page.emulate_media(color_scheme="light")
    page.set_viewport_size(PHONE)
    page.goto(f"{url}/?{CASE}")
    expect(page.locator("#answer li")).to_have_count(7)
    save(page, "answer-phone")
    page.set_viewport_size(LAPTOP)


def take_influence(page: Page, url: str) -> None:
    """Takes two parts of the tab Metadata influence."""
    page.goto(f"{url}/?{CASE}&diagnosis=akiec&tab=influence")
    expect(page.locator("#waterfall svg")).to_be_visible()
    page.locator("#three-answers").evaluate("block => block.scrollIntoView()")
    save(page, "influence")
    page.locator("#body-map").evaluate("block => block.scrollIntoView()")
    save(page, "influence-body")


def take_class(page: Page, url: str) -> None:
    """Takes the tabs Lessons, Cohort, Training lab and Model report."""
    page.goto(f"{url}/?lesson=rescued")
    page.click("#to-guess")
    page.locator("#guess label").first.click()
    page.click("#to-see")
    expect(page.locator("#reveal")).not_to_be_empty()
    save(page, "lesson")

    page.goto(f"{url}/?tab=cohort")
    expect(page.locator(".cases li").first).to_be_visible()
    save(page, "cohort")

    page.goto(f"{url}/?tab=lab")
    page.click("#train-a")
    expect(page.locator("#lab-results")).to_contain_text("Run A")
    page.locator("#lab-weighting label").first.click()
    page.click("#train-b")
    expect(page.locator("#lab-results")).to_contain_text("Run B")
    page.locator("#train-a").evaluate("button => button.scrollIntoView()")
    save(page, "lab")

    page.goto(f"{url}/?tab=report")
    expect(page.locator("#model-report table").first).to_be_visible()
    save(page, "report")


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as logs, sync_playwright() as playwright:
        server, url = start_app(BUNDLED, Path(logs) / "log")
        try:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_OPTIONS)
            take(browser.new_page(viewport=LAPTOP, color_scheme="light"), url)
        finally:
            server.terminate()
            server.wait(20)
    for path in sorted(FOLDER.glob("*.webp")):
        print(f"{path.relative_to(ROOT)}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
