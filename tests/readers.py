"""People who play a reader round in a browser, by touch or by keyboard."""

import numpy as np

from conftest import Page, expect
from lesion.data.diagnoses import CODES
from lesion.teaching.round_result import CONFIDENCES
from lesion.teaching.rounds import STAGES

PHONE = {"width": 390, "height": 844}


def some_guesses(count: int, seed: int = 1) -> list[list[list[str]]]:
    """What a reader says in a round with all stages: something else at most of them."""
    generator = np.random.default_rng(seed)
    return [[[CODES[generator.integers(7)], CONFIDENCES[generator.integers(3)]] for _ in STAGES] for _ in range(count)]


class Touch:
    """A person with a phone; counts the touches."""

    def __init__(self, page: Page):
        self.page, self.touches = page, 0

    def press(self, selector: str) -> None:
        self.touches += 1
        self.page.locator(selector).tap()

    def guess(self, diagnosis: str, confidence: str) -> None:
        if not self.page.locator(f"#round input[value={diagnosis}]").is_checked():
            self.press(f"#round .choices label:has(input[value={diagnosis}])")
        self.press(f'#round [data-sure="{confidence}"]')


class Keyboard(Touch):
    """A person without a mouse: Tab, arrows, Space and Enter."""

    def reach(self, selector: str) -> None:
        for _ in range(60):
            if self.page.evaluate("selector => document.activeElement.matches(selector)", selector):
                return
            self.page.keyboard.press("Tab")
        raise AssertionError(f"Tab never reaches {selector}")

    def press(self, selector: str) -> None:
        self.reach(selector)
        self.page.keyboard.press("Enter")

    def guess(self, diagnosis: str, confidence: str) -> None:
        self.reach("#round input[name=diagnosis]")
        if self.page.locator("#round input[name=diagnosis]:checked").count() == 0:
            self.page.keyboard.press("Space")
        for _ in CODES:
            if self.page.locator(f"#round input[value={diagnosis}]").is_checked():
                break
            self.page.keyboard.press("ArrowDown")
        self.press(f'#round [data-sure="{confidence}"]')


def at(case: int, given: int) -> str:
    return f'#round [data-case="{case}"][data-given="{given}"]:not(.waiting)'


def play(person: Touch, guesses: list, first: int = 0, finish: bool = True) -> None:
    """Plays a round from a case on to the last of the guesses, with which it ends where it is to finish."""
    for case, of_case in enumerate(guesses[first:], first):
        for stage, (diagnosis, confidence) in enumerate(of_case):
            expect(person.page.locator(at(case, stage))).to_be_visible()
            before = person.touches
            person.guess(diagnosis, confidence)
            assert person.touches - before <= 2
        expect(person.page.locator(at(case, len(of_case)))).to_be_visible()
        person.press("#round [data-do=next]")
    if finish:
        expect(person.page.locator("#round [data-view=result]")).to_be_visible()
    else:
        expect(person.page.locator(at(len(guesses), 0))).to_be_visible()
