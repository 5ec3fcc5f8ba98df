"""What the tab "Reader round" shows, and what its endpoints answer."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace

from lesion.data.diagnoses import CODES
from lesion.errors import UserError, parse_whole, shown
from lesion.teaching.paper import FORMATS, render
from lesion.teaching.round_cases import Rounds
from lesion.teaching.round_files import round_csv, round_page
from lesion.teaching.round_result import Progress, by_confidence, decisions_of, parse_case, parse_guesses, round_result
from lesion.teaching.rounds import CONFIRMED, RoundCase, RoundSettings, settings_of, text_of
from lesion.ui.html import heat_map, round_results, round_steps
from lesion.ui.html.wording import data_uri

KINDS = ("csv", *FORMATS)


def settings_from(
    number: object, cases: object, mix: object, confirmed_only: object, stages: object, misleading_share: object
) -> RoundSettings:
    """The settings from the values of the controls, which name the stages after the photograph.

    Raises:
        UserError: a value is not accepted.
    """
    all_stages = ["photograph", *stages] if isinstance(stages, list) else stages
    return RoundSettings(number, cases, mix, confirmed_only, all_stages, misleading_share)


def what_browser_says(said: object) -> dict:
    """What `lesion.ui.html.round_script` says, JSON of: "round", its text; "begun", whether the reader has begun it;
    "guesses" and "opened", see `Progress.of`; and "seed", of another round with the same settings that is wanted.

    Raises:
        UserError: it is something else.
    """
    try:
        found = json.loads(said)
    except (TypeError, ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise UserError(f"{shown(said)} is not what this page asks; please reload the page.")
    return found


@dataclass(frozen=True)
class Views:
    """What the tab shows.

    Attributes:
        rounds: of the checkpoint.
    """

    rounds: Rounds

    def collection(self, settings: RoundSettings) -> round_steps.Collection:
        """What the round is drawn from, in numbers."""
        table = self.rounds.cohort.table
        if settings.confirmed_only:
            table = table[table.dx_type == CONFIRMED]
        return round_steps.Collection(
            len(table), float((~table.test).mean()), float((table.label == CODES.index("nv")).mean())
        )

    def intro(self, settings: RoundSettings) -> str:
        """What the round will be. A round that cannot be drawn says why."""
        self.rounds.cases(settings)
        return round_steps.intro(settings, text_of(settings, self.rounds.identity), self.collection(settings))

    def at(self, progress: Progress) -> str:
        """The view of a reader who is so far."""
        settings, cases = progress.settings, self.rounds.cases(progress.settings)
        if progress.finished:
            return self.result(progress)
        case = cases[progress.opened]
        reached = settings.stages[: len(progress.of_case) + 1]
        if "model" in settings.stages:  # made while the reader looks at the photograph, and at the case before
            for near in cases[progress.opened : progress.opened + 2]:
                self.rounds.prepare(near, settings)
        heat = self.rounds.heat(case, settings) if "model" in reached else None
        text, photograph = text_of(settings, self.rounds.identity), self.rounds.photograph(case.row)
        record = self.rounds.record(case, settings)
        if progress.stage is not None:
            return round_steps.stage(progress, text, photograph, record, case, heat)
        confirmed = self.rounds.cohort.table.dx_type.iloc[case.row]
        return round_steps.truth(progress, text, photograph, record, case, heat, confirmed)

    def result(self, progress: Progress) -> str:
        """The end of the round."""
        settings, guesses = progress.settings, progress.guesses
        cases, ids = self.rounds.cases(settings), self.rounds.cohort.table.image_id
        return round_results.result(
            settings,
            text_of(settings, self.rounds.identity),
            round_result(cases, decisions_of(guesses), settings),
            by_confidence(cases, guesses, len(settings.stages) - 1),
            cases,
            guesses,
            [(ids.iloc[case.row], self.rounds.photograph(case.row)) for case in cases],
        )

    def opened(self, said: object) -> tuple[RoundSettings, str]:
        """The round and the view that a browser asks for.

        Args:
            said: see `what_browser_says`.

        Raises:
            UserError: there is no such round.
        """
        asked = what_browser_says(said)
        settings = settings_of(asked.get("round"), self.rounds.identity)
        if asked.get("seed") is not None:
            settings = replace(settings, seed=asked["seed"])
        if not asked.get("begun"):
            return settings, self.intro(settings)
        return settings, self.at(Progress.of(settings, asked.get("guesses"), asked.get("opened")))


@dataclass(frozen=True)
class Answers:
    """What the tab's endpoints answer. The parameters' names are those of the API.

    Attributes:
        rounds: of the checkpoint.
        serve: content and name to the path of a file that the server hands out.
    """

    rounds: Rounds
    serve: Callable[[bytes, str], str]

    def case(self, settings: RoundSettings, number: object) -> RoundCase:
        """The case with a number, from 1."""
        return self.rounds.cases(settings)[parse_whole("Case", number, 1, settings.count) - 1]

    def stage(self, number, cases, mix, confirmed_only, stages, misleading_share, case, stage) -> dict:
        settings = settings_from(number, cases, mix, confirmed_only, stages, misleading_share)
        if stage not in settings.stages:
            raise UserError(f"Stage {shown(stage)} is not one of the round's; choose {', '.join(settings.stages)}.")
        found = self.case(settings, case)
        seen = {"photograph": data_uri(self.rounds.photograph(found.row), "jpeg"), "diagnoses": settings.diagnoses}
        reached = settings.stages[: settings.stages.index(stage) + 1]
        if "metadata" in reached:
            seen |= vars(self.rounds.record(found, settings))
        if "model" in reached:
            heat = self.rounds.heat(found, settings)
            seen |= {
                "probabilities": dict(zip(CODES, found.shown.tolist(), strict=True)),
                "diagnosis": found.explained,
                "heat map": data_uri(heat_map.layer_png(heat.layer), "png"),
            }
        return seen

    def truth(self, number, cases, mix, confirmed_only, stages, misleading_share, case, guesses) -> dict:
        settings = settings_from(number, cases, mix, confirmed_only, stages, misleading_share)
        found, given = self.case(settings, case), parse_case(guesses, settings)
        if len(given) < len(settings.stages):
            raise UserError(f"The truth follows the last guess; give one for each of {', '.join(settings.stages)}.")
        truth = CODES[found.label]
        return {
            "diagnosis": truth,
            "confirmed by": self.rounds.cohort.table.dx_type.iloc[found.row],
            "right": [guess.diagnosis == truth for guess in given],
        }

    def result(self, number, cases, mix, confirmed_only, stages, misleading_share, guesses) -> dict:
        settings = settings_from(number, cases, mix, confirmed_only, stages, misleading_share)
        given, drawn = parse_guesses(guesses, settings), self.rounds.cases(settings)
        scored = round_result(drawn, decisions_of(given), settings)
        ids = self.rounds.cohort.table.image_id
        return {
            "reader": scored.readers,
            "model": scored.model,
            "as shown": scored.as_shown,
            "changes": {stage: vars(changes) for stage, changes in scored.changes.items()},
            "followed": {name: vars(followed) for name, followed in scored.followed.items()},
            "cases": [
                {"image_id": ids.iloc[case.row], "diagnosis": CODES[case.label], "wrong on purpose": case.misleading}
                for case in drawn
            ],
        }

    def file(self, number, cases, mix, confirmed_only, stages, misleading_share, guesses, kind) -> str:
        settings = settings_from(number, cases, mix, confirmed_only, stages, misleading_share)
        return self.file_of(settings, guesses, kind)

    def file_of_browser(self, said: object, kind: str) -> str:
        """As `file`, for what `what_browser_says`."""
        asked = what_browser_says(said)
        return self.file_of(settings_of(asked.get("round"), self.rounds.identity), asked.get("guesses"), kind)

    def file_of(self, settings: RoundSettings, guesses: object, kind: object) -> str:
        """A finished round as a table (csv) or as a page to print (pdf, png)."""
        given = parse_guesses(guesses, settings)
        if kind == "csv":
            return self.serve(round_csv(self.rounds, settings, given).encode(), "round.csv")
        if kind not in KINDS:
            raise UserError(f"Kind {shown(kind)} is not known; choose {', '.join(KINDS)}.")
        return self.serve(render(round_page(self.rounds, settings, given), kind), f"round.{kind}")
