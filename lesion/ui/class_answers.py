"""What the phones and the projector of a class are told, over HTTP, in front of Gradio.

Every question is a POST to class/NAME with a small JSON object, which holds the code and a token: addresses never hold
one. What is to be seen changes only when the teacher goes on, so it is drawn once for the whole class.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from weakref import WeakKeyDictionary

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from lesion.data.diagnoses import BY_CODE, CODES
from lesion.errors import UserError, shown
from lesion.teaching.class_files import class_csv, class_page
from lesion.teaching.class_result import class_result, right_by_stage
from lesion.teaching.class_session import TRUTH, ClassRound, Place, Results, Seen
from lesion.teaching.classes import Classes, NoClass, NotYours, as_code
from lesion.teaching.paper import render
from lesion.teaching.round_result import Guess
from lesion.ui.html import class_phone, class_results, class_views, pieces, round_steps
from lesion.ui.round_views import Views
from lesion.ui.server.addresses import Address
from lesion.ui.server.direct_answers import PRIVATE, answering

FORMS = {"csv": "text/csv", "pdf": "application/pdf"}
"""Media types of a result."""
NEXT_STAGE = {
    "metadata": "Show age, sex and site",
    "model": "Show the model's answer",
    TRUTH: "Show the confirmed diagnosis",
}


def status(error: UserError) -> int:
    """The HTTP status of a refusal."""
    return 404 if isinstance(error, NoClass) else 403 if isinstance(error, NotYours) else 422


def told_of(seen: Seen) -> dict:
    """What both phones and projector are told."""
    return {"turn": seen.turn, "case": seen.place.case, "stage": seen.place.stage, "open": seen.open}


def draw(about: ClassRound, seen: Seen, phone: bool) -> str:
    """What a phone or the projector shows until the end.

    Args:
        about, seen: of the class.
        phone: whether there is something to choose, where votes are taken.
    """
    (number, stage), rounds, settings = seen.place, about.rounds, about.settings
    if "model" in settings.stages:  # a heat map is made before it is needed
        for ahead in about.cases[max(0, number - 1) : number + 1]:
            rounds.prepare(ahead, settings)
    if not stage:
        return class_views.lobby(settings, Views(rounds).collection(settings))
    case = about.cases[number - 1]
    reached = settings.stages if stage == TRUTH else settings.stages[: settings.stages.index(stage) + 1]
    heat = rounds.heat(case, settings) if "model" in reached else None
    drawn = round_steps.seen(reached, rounds.photograph(case.row), rounds.record(case, settings), case, heat)
    truth = CODES[case.label] if stage == TRUTH else None
    beside = ""
    if seen.guesses:
        beside = class_views.guesses(seen.guesses, settings.diagnoses, truth)
    elif seen.open and phone:
        title = round_steps.FIRST_GUESS if stage == settings.stages[0] else round_steps.LATER_GUESS
        chosen = round_steps.choices(settings.diagnoses, title, None if heat is None else case.shown)
        beside = f'<div class="say" hidden>{chosen}</div>'
    heading = f"Confirmed: {pieces.marked(truth)}" if truth else round_steps.HEADINGS[stage]
    return class_views.case(heading, number, settings.count, drawn, beside)


def make_file(results: Results, form: str) -> bytes:
    """A class's result in one of FORMS."""
    found, about = class_result(results), results.round
    return class_csv(found) if form == "csv" else render(class_page(found, about), form)


def next_step(about: ClassRound, place: Place) -> str:
    """What the teacher's button says; empty at the end."""
    (number, stage), settings = place, about.settings
    if number > settings.count:
        return ""
    if stage == "":
        return "Begin with the first case"
    if stage == TRUTH:
        return f"Go on to case {number + 1}" if number < settings.count else "Show the result"
    return NEXT_STAGE[(*settings.stages, TRUTH)[settings.stages.index(stage) + 1]]


@dataclass
class ClassAnswers:
    """The answers, each a function of the question.

    Attributes:
        classes: the open ones.
        address_of: the address of the teacher's page to the one that phones use.
        phone_page: the document that phones open.

    What is drawn is forgotten with the class.
    """

    classes: Classes
    address_of: Callable[[object], Address]
    phone_page: str
    _drawn: WeakKeyDictionary[ClassRound, dict] = field(default_factory=WeakKeyDictionary)

    def routes(self) -> list[Route]:
        """For the page's own routes."""
        questions = (self.join, self.look, self.vote, self.watch, self.move, self.close, self.result)
        return [
            *(Route(f"/class/{one.__name__}", answering(one, status), methods=["POST"]) for one in questions),
            Route("/class/{code}", self.open_phone, methods=["GET"]),
            Route("/class/", self.open_phone, methods=["GET"]),
        ]

    async def open_phone(self, request: Request) -> Response:
        """The same for every code: whether there is such a class is asked by the page itself."""
        return HTMLResponse(self.phone_page, headers={"Referrer-Policy": "no-referrer"})

    def join(self, question: dict) -> dict:
        """A phone's token, from the class's "code"."""
        return {"token": self.classes.join(question.get("code"))}

    async def vote(self, question: dict) -> dict:
        """Counts a vote ("code", "token", "case", "stage", "diagnosis", "confidence"), and answers as `look`."""
        guess = Guess(question.get("diagnosis"), question.get("confidence"))
        self.classes.vote(*(question.get(name) for name in ("code", "token", "case", "stage")), guess)
        return await self.look(question)

    async def look(self, question: dict) -> dict:
        """What a phone ("code", "token") sees: drawn anew only where the "turn" that it gives is another."""
        code, token = question.get("code"), question.get("token")
        seen, votes, about = self.classes.look(code, token)
        case, stage = seen.place
        stages = about.settings.stages
        mine = votes[case - 1] if stage else [None] * len(stages)
        own = {name: guess and [guess.diagnosis, guess.confidence] for name, guess in zip(stages, mine, strict=True)}
        told = told_of(seen) | {"votes": own}
        if question.get("turn") != seen.turn:
            told["names"] = {code: BY_CODE[code].name for code in about.settings.diagnoses}
            if case > len(about.cases):
                numbers = right_by_stage([one.label for one in about.cases], votes)
                told["html"] = class_phone.own_result(dict(zip(stages, numbers.tolist(), strict=True)))
            else:
                told["html"] = await self._once(about, (seen.turn, "phone"), partial(draw, about, seen, True))
        return told

    async def watch(self, question: dict) -> dict:
        """What the projector ("code", "teacher", "turn") shows; with "address", that of the teacher's page, also how to
        join."""
        code, teacher = as_code(question.get("code")), question.get("teacher")
        watched, about = self.classes.watch(code, teacher)
        seen = watched.seen
        told = told_of(seen) | {"phones": watched.phones, "voted": watched.votes}
        if question.get("address") is not None:
            told["join"] = class_views.join(code, *self.address_of(question["address"]))
        if question.get("turn") != seen.turn:
            over = seen.place.case > len(about.cases)
            view = partial(self._draw_result, code, teacher) if over else partial(draw, about, seen, False)
            told["html"] = await self._once(about, (seen.turn, "board"), view)
            told["next"] = next_step(about, seen.place)
        return told

    async def move(self, question: dict) -> dict:
        """Goes on, or shows the guesses ("code", "teacher", "turn", "move"), and answers as `watch`."""
        self.classes.move(*(question.get(name) for name in ("code", "teacher", "turn", "move")))
        return await self.watch(question)

    async def close(self, question: dict) -> dict:
        """Ends the class ("code", "teacher"). Nothing of it is kept."""
        self.classes.close(question.get("code"), question.get("teacher"))
        return {"closed": True}

    async def result(self, question: dict) -> Response:
        """The result ("code", "teacher") as a file of the "form" asked for."""
        results = self.classes.results(question.get("code"), question.get("teacher"))
        form = question.get("form")
        if form not in FORMS:
            raise UserError(f"Form {shown(form)} is not known; choose {' or '.join(FORMS)}.")
        return Response(await asyncio.to_thread(make_file, results, form), media_type=FORMS[form], headers=PRIVATE)

    def _draw_result(self, code: str, teacher: str) -> str:
        results = self.classes.results(code, teacher)
        return class_results.result(class_result(results), results.round)

    async def _once(self, about: ClassRound, key: tuple[int, str], draw: Callable[[], str]) -> str:
        """What `draw` gives, drawn in a thread by the first who asks, while the others wait for it.

        Args:
            about: of the class.
            key: its turn, and for whom it is drawn. Only the drawings of one turn are kept.
            draw: called without arguments.
        """
        drawn = self._drawn.setdefault(about, {})
        task = drawn.get(key)
        if task is None or (task.done() and task.exception()):
            for old in [old for old in drawn if old[0] != key[0]]:
                del drawn[old]
            task = drawn[key] = asyncio.create_task(asyncio.to_thread(draw))
        return await asyncio.shield(task)  # whoever hangs up does not end it for the others
