"""The end of a class's round: what the class and the model got right, and the cases."""

from collections import Counter

import pandas as pd

from lesion.data.diagnoses import CODES
from lesion.teaching.class_result import ClassResult
from lesion.teaching.class_session import ClassRound
from lesion.ui.html.round_results import answer_of, changes, figures, followed, published
from lesion.ui.html.round_steps import OF_STAGE, verdict
from lesion.ui.html.wording import data_uri, name_of, number, percentage

NOBODY = "No phone voted at every stage of a case, so there is nothing to score."


def result(found: ClassResult, about: ClassRound) -> str:
    """The whole view."""
    settings = about.settings
    parts = ['<div class="round"><h2>The result of the class</h2>']
    if found.readers is None:
        parts.append(f"<p>{NOBODY}</p>")
    else:
        phones = "1 phone" if found.phones == 1 else f"{found.phones} phones"
        parts += [
            f"<p>{phones} voted. Below, a case counts for each phone that voted at every stage of it: {found.complete} "
            "in all. The model is scored on the same.</p>",
            figures(found.readers, settings, "The class", found.complete),
            majority(found.majority),
            published(),
        ]
        if found.readers.changes:
            parts.append(changes(found.readers.changes, f"What the phones changed, of {found.complete}"))
        if found.readers.followed:
            parts.append(followed(found.readers.followed, "the phones"))
    parts += [cases(found.votes, about), "</div>"]
    return "".join(parts)


def majority(found: dict[str, tuple[float, int]]) -> str:
    """How often the most frequent guess was right."""
    rows = "".join(
        f'<tr><th scope="row">{OF_STAGE[stage]}</th><td class="value">{number(round(right, 2))} of {total}</td></tr>'
        for stage, (right, total) in found.items()
    )
    return (
        "<h3>If the most frequent guess decided</h3><p>A tie between k guesses, one of them right, counts as 1/k of a "
        'case.</p><div class="chart"><table><thead><tr><td></td><th scope="col">right</th></tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def cases(votes: pd.DataFrame, about: ClassRound) -> str:
    """The cases; a click on one opens it in the tab "Answer"."""
    items, settings = [], about.settings
    for place, case in enumerate(about.cases, start=1):
        truth, ours = CODES[case.label], votes[votes.case == place]
        lines = []
        for stage in settings.stages:
            counts = Counter(ours.guess[ours.stage == stage])
            if counts:
                [(most, times)] = counts.most_common(1)
                right = percentage(counts[truth] / counts.total())
                lines.append(
                    f"{OF_STAGE[stage]}: {right} right, most often {verdict(most, truth)} {name_of(most)} "
                    f"({times} of {counts.total()})"
                )
        if "model" in settings.stages:
            lines.append(answer_of(case))
        image_id = about.rounds.cohort.table.image_id.iloc[case.row]
        picture = data_uri(about.rounds.photograph(case.row), "jpeg")
        items.append(
            f'<li><button type="button" data-image="{image_id}"><img src="{picture}" alt="">'
            f"<span><b>{place}. {name_of(truth)}</b><br>{'<br>'.join(lines)}</span></button></li>"
        )
    return (
        f'<h3>The cases</h3><p>Touch a case to open it in the tab "Answer".</p><ul class="cases">{"".join(items)}</ul>'
    )
