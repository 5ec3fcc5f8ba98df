"""A reader round of thirty cases: finished in a browser by touch and by keyboard, and how soon its next stage is there.

    python tests/bench/reader_round.py [--checkpoint weights] [--readers 30]

Over HTTP, as the page speaks to the app: one reader who never pauses, and a class that plays one round at its own pace.
"""

import argparse
import asyncio
import json
import random
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import httpx
import numpy as np
from playwright.sync_api import sync_playwright
from readers import PHONE, Keyboard, Touch, play, some_guesses

from conftest import CHROMIUM, CHROMIUM_OPTIONS, start_app
from lesion.model.checkpoint import load_checkpoint
from lesion.teaching.rounds import STAGES, RoundSettings, text_of
from load import Observed, Visitor, stop

CASES = 30
PAUSE = 1, 4
"""Seconds that a reader of the class looks before each guess: from, to."""


class Reader(Visitor):
    """A browser that plays a round."""

    def __init__(self, url: str, config: dict, observed: Observed):
        super().__init__(url, config, {}, observed)
        view = next(c["id"] for c in config["components"] if c["props"].get("elem_id") == "round")
        self.next = next(d["id"] for d in config["dependencies"] if [view, "click"] in map(list, d["targets"]))

    async def ask(self, kind: str, text: str, guesses: list, opened: int, sign: str) -> None:
        """Asks for a view as the page does, and looks whether it is the right one."""

        async def answered() -> None:
            said = json.dumps({"round": text, "begun": True, "guesses": guesses, "opened": opened})
            seen = (await self.call(self.next, said))[0]
            if sign not in seen:
                raise RuntimeError(f"{sign} is not in the view of case {opened + 1}")

        await self.timed(kind, answered)

    async def play(self, text: str, guesses: list, generator: random.Random | None) -> None:
        """A whole round; without a generator of the pauses, without any."""
        for case, of_case in enumerate(guesses):
            for given in range(len(STAGES) + 1):
                if generator is not None:
                    await asyncio.sleep(generator.uniform(*PAUSE))
                kind = STAGES[given] if given < len(STAGES) else "truth"
                said = [*guesses[:case], of_case[:given]]
                await self.ask(kind, text, said, case, f'data-case="{case}" data-given="{given}"')
        await self.ask("result", text, guesses, len(guesses), 'data-view="result"')


async def over_http(url: str, config: dict, text: str, readers: int, pauses: bool) -> Observed:
    """Readers of one round at the same time."""
    observed = Observed()
    visitors = [Reader(url, config, observed) for _ in range(readers)]
    await asyncio.gather(
        *(
            visitor.play(text, some_guesses(CASES, number), random.Random(number) if pauses else None)
            for number, visitor in enumerate(visitors)
        )
    )
    for visitor in visitors:
        await visitor.client.aclose()
    return observed


def in_browser(url: str, text: str) -> None:
    """Thirty cases on a phone's screen, by touch with a reload after each tenth case, then by keyboard."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_OPTIONS)
        for kind, options in ((Touch, {"has_touch": True, "is_mobile": True}), (Keyboard, {})):
            page = browser.new_context(viewport=PHONE, **options).new_page()
            page.goto(f"{url}/?tab=round&round={text}")
            page.wait_for_selector("#round [data-do=begin]")
            person, started = kind(page), time.perf_counter()
            person.press("#round [data-do=begin]")
            guesses = some_guesses(CASES)
            for first in range(0, CASES, 10):
                play(person, guesses[: first + 10], first, finish=first + 10 == CASES)
                page.reload()
            page.wait_for_selector("#round [data-view=result]")
            print(f"{CASES} cases by {kind.__name__.lower()}: finished, in {time.perf_counter() - started:.0f} s")
        browser.close()


def describe(name: str, observed: Observed) -> str:
    """Lines about a run."""
    lines = [f"{name}: {len(observed.errors)} errors"]
    everything = [s for kind, times in observed.times.items() if kind != "result" for _, s in times]
    by_kind = {kind: [s for _, s in times] for kind, times in observed.times.items()}
    for kind, seconds in {**by_kind, "next stage": everything}.items():
        median, high = (1000 * np.percentile(seconds, part) for part in (50, 95))
        lines.append(f"  {kind:10} {len(seconds):5}: median {median:4.0f} ms, 95th percentile {high:4.0f} ms")
    return "\n".join([*lines, *sorted(set(observed.errors))[:5]])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--checkpoint", type=Path, default=ROOT / "weights")
    parser.add_argument("--readers", type=int, default=30, help="of the class (default %(default)s)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        server, url = start_app(args.checkpoint, Path(folder) / "log")
        try:
            config = httpx.get(f"{url}/config", timeout=60).json()
            identity = load_checkpoint(args.checkpoint).identity
            for name, readers, pauses in (("one reader without pauses", 1, False), ("a class", args.readers, True)):
                text = text_of(RoundSettings(100 + readers, CASES), identity)
                print(describe(name, asyncio.run(over_http(url, config, text, readers, pauses))))
            in_browser(url, text_of(RoundSettings(7, CASES), identity))
        finally:
            stop(server)


if __name__ == "__main__":
    main()
