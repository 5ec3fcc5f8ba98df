"""A finished reader round as a table, and as one page to print."""

import io
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from PIL import Image

from lesion.data.diagnoses import CODES, DIAGNOSES
from lesion.teaching.paper import (
    LINE,
    MARGIN,
    SMALL,
    axes_at,
    bare,
    heading,
    sheet,
    wrapped,
    write,
)
from lesion.teaching.round_cases import Rounds
from lesion.teaching.round_result import PUBLISHED, Guess, RoundResult, decisions_of, round_result
from lesion.teaching.rounds import RoundCase, RoundSettings
from lesion.words import percent

TITLE = "Skin lesions: the result of a reader round"
OF_STAGE = {"photograph": "photograph alone", "metadata": "with age, sex and site", "model": "with the model's answer"}
COLUMNS, CASE_WIDTH, CASE_HEIGHT = 6, 1.22, 1.2
"""How the cases stand on the page, and how much room each has, inches."""
TINY = 6
"""Size of the text below a case, points."""


def round_csv(rounds: Rounds, settings: RoundSettings, guesses: Sequence[Sequence[Guess]]) -> str:
    """The cases of a finished round as CSV.

    Returns:
        A row a case: case, image_id, age, sex, localization, dx and dx_type as HAM10000 names them; wrong_on_purpose,
        whether the model's answer was made misleading; MEL to VASC, the probabilities as shown; and for every stage
        the guess and how sure the reader was.
    """
    cases = rounds.cases(settings)
    rows = rounds.cohort.table.iloc[[case.row for case in cases]].reset_index(drop=True)
    table = pd.DataFrame({"case": range(1, len(cases) + 1)})
    table[["image_id", "age", "sex", "localization"]] = rows[["image_id", "age", "sex", "site"]]
    table["dx"] = [CODES[case.label] for case in cases]
    table["dx_type"] = rows.dx_type
    table["wrong_on_purpose"] = [int(case.misleading) for case in cases]
    table[[code.upper() for code in CODES]] = np.array([case.shown for case in cases])
    for k, stage in enumerate(settings.stages):
        table[f"guess_{stage}"] = [case[k].diagnosis for case in guesses]
        table[f"confidence_{stage}"] = [case[k].confidence for case in guesses]
    return table.to_csv(index=False, float_format="%.6g", lineterminator="\n", na_rep="unknown")


def round_page(rounds: Rounds, settings: RoundSettings, guesses: Sequence[Sequence[Guess]]) -> Figure:
    """A finished round as a page, A4 upright; may be called from several threads."""
    cases = rounds.cases(settings)
    result = round_result(cases, decisions_of(guesses), settings)
    with sheet(TITLE) as page:
        write(page, MARGIN, 0.75, wrapped(in_words(settings, rounds.identity)))
        write_figures(page, 1.2, result, settings)
        write_counts(page, 2.75, result, settings.count)
        said = [
            "  ".join(signed(guess.diagnosis, CODES[case.label]) for guess in of_case)
            for case, of_case in zip(cases, guesses, strict=True)
        ]
        write_cases(page, 4.1, rounds, cases, "the reader's guesses", said)
    return page


def in_words(settings: RoundSettings, identity: str) -> str:
    """What a round was, in a sentence or two."""
    stages = ", ".join(OF_STAGE[stage] for stage in settings.stages)
    confirmed = ", all confirmed by histopathology" if settings.confirmed_only else ""
    wrong = (
        f" In {settings.misleading_count} the model's answer was wrong on purpose."
        if "model" in settings.stages
        else ""
    )
    return (
        f"{settings.count} held-out photographs{confirmed}; mix: {settings.mix}; seed {settings.seed}; checkpoint "
        f"{identity}. Stages: {stages}.{wrong}"
    )  # fmt: skip


def write_figures(page: Figure, top: float, result: RoundResult, settings: RoundSettings, who: str = "reader") -> None:
    """Accuracy and balanced accuracy with their intervals."""
    rows = {f"{who}, {OF_STAGE[stage]}": found for stage, found in result.readers.items()}
    rows["model by itself"] = result.model
    if settings.misleading_count:
        rows["model as shown"] = result.as_shown
    heading(page, MARGIN, top, "How often the diagnosis was right (line: 95 % interval, cases drawn again and again)")
    for column, metric in enumerate(("accuracy", "balanced accuracy")):
        axes = axes_at(page, 2.45 + 2.7 * column, top + 0.38, 1.35, 0.16 * len(rows) + 0.1)
        for at, found in enumerate(rows.values()):
            value, (low, high) = found[metric]["value"], found[metric]["interval"]
            axes.plot([low, high], [at, at], color="0.35", lw=1.4)
            axes.plot(value, at, "o", color="k", ms=4)
            axes.annotate(
                f"{percent(value)} ({percent(low)} to {percent(high)})", (1, at), (6, 0), textcoords="offset points",
                va="center", fontsize=TINY + 0.5, annotation_clip=False,
            )  # fmt: skip
        axes.set(xlim=(-0.03, 1.03), ylim=(len(rows) - 0.5, -0.5))
        axes.set_title(metric, fontsize=SMALL, loc="left", pad=3)
        bare(axes, list(rows) if column == 0 else [""] * len(rows))


def write_counts(page: Figure, top: float, result: RoundResult, judged: int, who: str = "the reader") -> None:
    """What was changed and followed, and the published figures, in words.

    Args:
        page, top: where.
        result: of the round.
        judged: how many cases; of several readers a case counts for each.
        who: has judged.
    """
    lines = [
        f"{OF_STAGE[stage].capitalize()}: {c.kept} of {judged} guesses kept, {c.wrong_to_right} changed from "
        f"wrong to right, {c.right_to_wrong} from right to wrong, {c.wrong_to_wrong} from wrong to wrong."
        for stage, c in result.changes.items()
    ]
    lines += [
        f"Where the model as shown was {name}, in {f.cases} cases, {who} had said the same in {f.agreed}, and "
        f"followed it in {f.followed} of the other {f.disagreed}."
        for name, f in result.followed.items()
        if name != "misleading"
    ]
    heading(page, MARGIN, top, f"What was changed, and whom {who} followed")
    write(page, MARGIN, top + 0.2, "\n".join(lines) or "The round had one stage.", size=SMALL)
    below = top + 0.28 + LINE * max(1, len(lines))
    published = "Published, of other photographs: " + "; ".join(f"{what} ({where})" for what, where in PUBLISHED) + "."
    write(page, MARGIN, below, wrapped(published, 125), size=TINY + 0.5)


def write_cases(
    page: Figure, top: float, rounds: Rounds, cases: Sequence[RoundCase], what: str, said: Sequence[str]
) -> None:
    """The photographs with what is true and what was said.

    Args:
        page, top: where.
        rounds, cases: of the round.
        what: was said, in words.
        said: it, a few letters a case.
    """
    codes = ", ".join(f"{diagnosis.code} {diagnosis.name}" for diagnosis in DIAGNOSES)
    below = f"Below each case: the confirmed diagnosis; {what}, stage by stage; the model's answer as shown."
    write(page, MARGIN, top, f"{below}\n{codes}.", TINY)
    for number, (case, words) in enumerate(zip(cases, said, strict=True)):
        row, column = divmod(number, COLUMNS)
        left, down = MARGIN + column * CASE_WIDTH, top + 0.28 + row * CASE_HEIGHT
        axes = axes_at(page, left, down, 1.0, 0.75)
        axes.imshow(Image.open(io.BytesIO(rounds.photograph(case.row))))
        axes.set_axis_off()
        truth = CODES[case.label]
        changed = " on purpose" if case.misleading else ""
        write(page, left, down + 0.78, f"{number + 1}  {truth}", TINY, "bold")
        write(page, left, down + 0.88, f"{words}\nmodel {signed(case.explained, truth)}{changed}", TINY)


def signed(guess: str, truth: str) -> str:
    """A guess with the sign that it is right or wrong."""
    return f"{guess}\N{NO-BREAK SPACE}{'✓' if guess == truth else '✗'}"
