"""A class's round as a table, and as one page to print."""

import pandas as pd
from matplotlib.figure import Figure

from lesion.teaching.class_result import ClassResult
from lesion.teaching.class_session import ClassRound
from lesion.teaching.paper import MARGIN, sheet, wrapped, write
from lesion.teaching.round_files import OF_STAGE, in_words, write_cases, write_counts, write_figures

TITLE = "Skin lesions: the result of a class"


def class_csv(result: ClassResult) -> bytes:
    """All votes, one a row, as CSV: see `ClassResult.votes`."""
    return result.votes.to_csv(index=False, lineterminator="\n").encode()


def class_page(result: ClassResult, about: ClassRound) -> Figure:
    """A class's round as a page, A4 upright, for `lesion.teaching.paper.render`; may be called from several threads."""
    settings, rounds = about.settings, about.rounds
    with sheet(TITLE) as page:
        words = (
            f"{in_words(settings, rounds.identity)} {result.phones} phones voted. A case counts for each phone that "
            f"voted at every stage of it: {result.complete} in all. "
        )
        decided = ", ".join(f"{right:.4g} of {n} ({OF_STAGE[stage]})" for stage, (right, n) in result.majority.items())
        write(page, MARGIN, 0.75, wrapped(f"{words}The most frequent guess was right in {decided}."))
        if result.readers is not None:
            write_figures(page, 1.35, result.readers, settings, "phones")
            write_counts(page, 2.85, result.readers, result.complete, "the phones")
        said = [shares_right(result.votes, number, settings.stages) for number in range(1, settings.count + 1)]
        write_cases(page, 4.2, rounds, about.cases, "how many of the phones' guesses were right", said)
    return page


def shares_right(votes: pd.DataFrame, case: int, stages: tuple[str, ...]) -> str:
    """How many of the guesses about a case were right, stage by stage."""
    right = votes[votes.case == case].groupby("stage").right
    counts = {stage: f"{of_stage.sum()}/{len(of_stage)}" for stage, of_stage in right}
    return "  ".join(counts.get(stage, "–") for stage in stages)
