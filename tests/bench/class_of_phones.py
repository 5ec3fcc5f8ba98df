"""A class of phones beside people who use Answer, and a hostile client.

    python tests/bench/class_of_phones.py [--phones 60] [--people 10] [--seconds 60] [--checkpoint weights]

Starts app.py and prints a Markdown table. First the people change age, sex and site alone; then they do so beside a
class: a teacher goes on every five seconds, each phone looks at the new stage and votes, one vote in ten is sent twice
and one in twenty gives up waiting and is sent again, and a projector asks every second. In the end the table of all
votes is compared with what was sent. Last, a hostile client asks as fast as it can while the server's memory is
watched. Clients and server share the machine, so only the ratio within one run says something.
"""

import argparse
import asyncio
import io
import random
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import httpx
import numpy as np
import pandas as pd

from conftest import EXAMPLES, start_app
from lesion.data.diagnoses import CODES
from lesion.teaching.round_result import CONFIDENCES
from load import Observed, Visitor, resident, stop

TURN = 5.0
"""Seconds that a stage lasts."""
LAST = 1.0
"""Seconds before the end of a stage in which nobody votes any more: a vote on its way when the teacher goes on is
refused, as it should be."""
TWICE, GIVEN_UP = 0.1, 0.05
"""Shares of votes that are sent twice, and whose first answer is not waited for."""
PATIENCE = 0.005
"""Seconds after which those are given up."""


@dataclass
class Seen:
    """What happened in the class.

    Attributes:
        sent: the votes, (case, stage, diagnosis, confidence), once each.
        arrived: by turn, when each vote was sent whose answer came.
        shown: by turn, what the projector said and when: (time, votes).
        answers: seconds of each question by its name.
        errors: what went wrong.
    """

    sent: list[tuple] = field(default_factory=list)
    arrived: dict[int, list[float]] = field(default_factory=dict)
    shown: dict[int, list[tuple[float, int]]] = field(default_factory=dict)
    answers: dict[str, list[float]] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)


@dataclass
class Class:
    """A class under way: `now` is as the teacher last heard, and `moved` is set when the teacher goes on next."""

    client: httpx.AsyncClient
    code: str
    teacher: str
    seen: Seen
    now: dict = field(default_factory=lambda: {"turn": 0, "open": False})
    moved: asyncio.Event = field(default_factory=asyncio.Event)

    async def ask(self, what: str, **question: object) -> dict:
        """An answer; what is refused is an error."""
        started = time.perf_counter()
        answer = await self.client.post(f"/class/{what}", json={"code": self.code, **question})
        self.seen.answers.setdefault(what, []).append(time.perf_counter() - started)
        if answer.is_error:
            raise RuntimeError(f"{what}: {answer.status_code} {answer.text}")
        return answer.json()

    async def teach(self, end: float) -> None:
        """Goes on every five seconds, at once after a truth."""
        while time.time() < end:
            self.now = await self.ask("move", teacher=self.teacher, turn=self.now["turn"], move="next")
            self.moved.set()
            self.moved = asyncio.Event()
            await asyncio.sleep(TURN if self.now["open"] else 0)

    async def project(self, end: float) -> None:
        """Asks every second."""
        turn = None
        while time.time() < end + 1:
            told = await self.ask("watch", teacher=self.teacher, turn=turn)
            turn = told["turn"]
            self.seen.shown.setdefault(turn, []).append((time.time(), told["voted"]))
            await asyncio.sleep(1)

    async def attend(self, end: float, generator: random.Random) -> None:
        """A phone: looks at each stage, and votes once."""
        token = (await self.ask("join"))["token"]
        done = 0
        while time.time() < end:
            if not self.now["open"] or self.now["turn"] == done:
                with suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(self.moved.wait(), max(0, end - time.time()))
                continue
            now, started = self.now, time.time()
            done = now["turn"]
            await asyncio.sleep(generator.uniform(0, TURN - LAST - 0.5))
            await self.ask("look", token=token, turn=done - 1)
            if time.time() > min(started + TURN - LAST, end):
                continue
            vote = {"case": now["case"], "stage": now["stage"], "diagnosis": generator.choice(CODES)}
            vote["confidence"] = generator.choice(CONFIDENCES)
            self.seen.sent.append(tuple(vote.values()))
            began, kind = time.time(), generator.random()
            if kind < GIVEN_UP:
                with suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(self.ask("vote", token=token, turn=done, **vote), PATIENCE)
            for _ in range(2 if kind > 1 - TWICE else 1):
                await self.ask("vote", token=token, turn=done, **vote)
            self.seen.arrived.setdefault(done, []).append(began)

    async def watched(self, action) -> None:
        """Notes what goes wrong."""
        try:
            await action
        except Exception as error:
            self.seen.errors.append(repr(error))


async def use_answer(visitor: Visitor, end: float, generator: random.Random) -> None:
    """A person who changes age, sex or site every second or two."""
    while time.time() < end:
        await visitor.timed("change", lambda: visitor.change(generator, "answer"))
        await asyncio.sleep(generator.uniform(1, 2))


async def people_for(url: str, config: dict, people: int, seconds: float) -> Observed:
    """People at Answer, each with a photograph."""
    observed, photographs = Observed(), {path.name: path.read_bytes() for path in sorted(EXAMPLES.glob("*.jpg"))}
    visitors = [Visitor(url, config, photographs, observed) for _ in range(people)]
    for number, visitor in enumerate(visitors):
        await visitor.upload(list(photographs)[number % len(photographs)], random.Random(number))
    end = time.time() + seconds
    await asyncio.gather(*(use_answer(visitor, end, random.Random(k)) for k, visitor in enumerate(visitors)))
    for visitor in visitors:
        await visitor.client.aclose()
    return observed


async def run(url: str, pid: int, args: argparse.Namespace) -> list[tuple[str, str, str]]:
    """All three parts; rows of the table."""
    config = httpx.get(f"{url}/config", timeout=60).json()
    await people_for(url, config, args.people, min(5, args.seconds))  # whatever is slow the first time
    alone = await people_for(url, config, args.people, args.seconds)
    limits = httpx.Limits(max_connections=args.phones + 2, max_keepalive_connections=args.phones + 2)
    async with httpx.AsyncClient(base_url=url, timeout=60, limits=limits) as client:
        opener = Visitor(url, config, {}, Observed())
        [opened] = await opener.call(opener.named["open_class"], 30, "balanced", False, ["metadata", "model"], 0.2)
        await opener.client.aclose()
        ours = Class(client, opened["code"], opened["teacher"], Seen())
        end = time.time() + args.seconds
        phones = [ours.attend(end, random.Random(number)) for number in range(args.phones)]
        beside, *_ = await asyncio.gather(
            people_for(url, config, args.people, args.seconds),
            *(ours.watched(action) for action in (ours.teach(end), ours.project(end), *phones)),
        )
        rows = rows_of_class(ours.seen, alone, beside, await table_of(ours))
    return [*rows, *await attack(url, config, pid, min(15, args.seconds))]


async def table_of(ours: Class) -> list[tuple]:
    """The votes as the server counted them."""
    while ours.now.get("next", "more"):
        ours.now |= await ours.ask("move", teacher=ours.teacher, turn=ours.now["turn"], move="next")
    question = {"code": ours.code, "teacher": ours.teacher, "form": "csv"}
    table = pd.read_csv(io.BytesIO((await ours.client.post("/class/result", json=question)).content))
    await ours.ask("close", teacher=ours.teacher)
    return list(table[["case", "stage", "guess", "confidence"]].itertuples(index=False, name=None))


def rows_of_class(seen: Seen, alone: Observed, beside: Observed, counted: list[tuple]) -> list[tuple[str, str, str]]:
    """What the class showed."""
    waits = []
    for turn, sent in seen.arrived.items():
        for number, began in enumerate(sorted(sent), start=1):
            later = [at for at, votes in seen.shown.get(turn, []) if votes >= number]
            waits.append(min(later) - began if later else np.inf)
    lost = len(set_difference(seen.sent, counted))
    twice = len(set_difference(counted, seen.sent))
    without, with_class = (np.percentile([s for _, s in o.times["change"]], 95) for o in (alone, beside))
    errors = seen.errors + alone.errors + beside.errors
    small = np.percentile([s for name in ("look", "vote") for s in seen.answers[name]], 95)
    return [
        ("errors", "0", f"{len(errors)}{': ' + errors[0] if errors else ''}"),
        ("votes sent; lost; counted twice", "–; 0; 0", f"{len(seen.sent)}; {lost}; {twice}"),
        ("a vote is on the projector after, 95th percentile", "1.5 s", f"{np.percentile(waits, 95):.2f} s"),
        ("an answer to a phone, 95th percentile", "150 ms", f"{1000 * small:.0f} ms"),
        (
            f"Answer, 95th percentile, without → with the class ({len(alone.times['change'])} and "
            f"{len(beside.times['change'])} answers)",
            "1.3 times",
            f"{without:.2f} → {with_class:.2f} s, {with_class / without:.2f} times",
        ),
    ]


def set_difference(some: list[tuple], others: list[tuple]) -> list[tuple]:
    """What is in `some` more often than in `others`."""
    left = list(others)
    return [vote for vote in some if vote not in left or left.remove(vote)]


async def attack(url: str, config: dict, pid: int, seconds: float) -> list[tuple[str, str, str]]:
    """A client that guesses codes and tokens, votes for others, asks for the truth early, and sends too much."""
    opener = Visitor(url, config, {}, Observed())
    [opened] = await opener.call(opener.named["open_class"], 10, "balanced", False, ["metadata", "model"], 0.2)
    await opener.client.aclose()
    code, tries, answered = opened["code"], 0, []
    async with httpx.AsyncClient(base_url=url, timeout=60) as client:
        token = (await client.post("/class/join", json={"code": code})).json()["token"]
        mine = {"code": code, "token": token, "teacher": token, "turn": 0}
        vote = {"case": 1, "stage": "photograph", "diagnosis": "mel", "confidence": "sure"}
        before, end = resident(pid), time.time() + seconds
        while time.time() < end:
            tries += 1
            for what, question in (
                ("join", {"code": f"K{tries}"}),
                ("vote", mine | vote | {"token": f"{tries}"}),
                ("vote", mine | vote),
                ("move", mine | {"move": "show"}),
                ("result", mine | {"form": "csv"}),
                ("watch", mine),
                ("close", mine),
                ("look", mine | {"token": "x" * 100_000}),
            ):
                answer = await client.post(f"/class/{what}", json=question)
                if not (answer.is_client_error and answer.json()["detail"].endswith(".")):
                    answered.append(f"{what}: {answer.status_code}")
        grown = resident(pid) - before
        await client.post("/class/close", json={"code": code, "teacher": opened["teacher"]})
    return [
        (f"hostile questions refused with a sentence, of {8 * tries}", "all", str(8 * tries - len(answered))),
        ("memory after them", "+20 MB at most", f"{grown:+.1f} MB"),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--checkpoint", default=str(ROOT / "weights"))
    parser.add_argument("--phones", type=int, default=60)
    parser.add_argument("--people", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=60, help="of each part (default %(default)s)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        server, url = start_app(args.checkpoint, Path(folder) / "log")
        try:
            rows = asyncio.run(run(url, server.pid, args))
        finally:
            stop(server)
        faults = (Path(folder) / "log").read_text().count("Traceback")
    print(f"{args.phones} phones, {args.people} people, {args.seconds:g} s\n")
    print("| what | asked | measured |\n| --- | --- | --- |")
    for row in [*rows, ("faults in the server's log", "0", str(faults))]:
        print(f"| {' | '.join(row)} |")


if __name__ == "__main__":
    main()
