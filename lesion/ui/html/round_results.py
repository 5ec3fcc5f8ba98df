"""The end of a reader round: what the reader and the model got right, what was changed, and the cases."""

import html
from collections.abc import Sequence

from lesion.data.diagnoses import CODES
from lesion.teaching.round_result import PUBLISHED, Changes, Followed, Guess, RoundResult
from lesion.teaching.rounds import RoundCase, RoundSettings
from lesion.ui.html.charts.tracks import whisker
from lesion.ui.html.round_steps import OF_STAGE, verdict
from lesion.ui.html.svg import Axis
from lesion.ui.html.wording import between, data_uri, name_of, percentage

AXIS = Axis(0, 1, 3, 97)
"""Of a share, in percent of a track's width."""
STYLE = """
.round h3 { margin: 1.2rem 0 .3rem; font-size: var(--text-md); font-weight: 700; }
.round .figures thead td { width: 32%; }
.round .figures thead th:nth-child(2) { width: 12%; }
.round .cases { list-style: none; margin: 0; padding: 0; display: grid; gap: .5rem;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 19rem), 1fr)); }
.round .cases li { margin: 0; padding: 0; }
.round .cases button { display: flex; gap: .6rem; width: 100%; height: 100%; text-align: left; padding: .4rem;
  border-color: var(--border-color-primary); font-weight: 400; font-size: var(--text-sm); line-height: 1.4; }
.round .cases button:hover { border-color: var(--color-accent); }
.round .cases img { width: 88px; height: 66px; object-fit: cover; border-radius: 6px; margin: 0; flex: none; }
.round .cases .changed { display: block; font-weight: 600; }
@media (max-width: 500px) {
  .round .figures thead { display: none; }
  .round .figures tr { display: grid; grid-template-columns: 1fr auto; }
  .round .figures tbody th { width: auto; font-weight: 600; }
  .round .figures td:nth-child(n+3) { grid-column: 1 / -1; padding-top: 0; }
  .round .figures td[data-name]::before { content: attr(data-name) ": "; }
}
"""


def result(
    settings: RoundSettings,
    text: str,
    scored: RoundResult,
    confidence: dict[str, tuple[int, int]],
    cases: Sequence[RoundCase],
    guesses: Sequence[Sequence[Guess]],
    pictures: Sequence[tuple[str, bytes]],
) -> str:
    """The whole view.

    Args:
        settings, text: of the round.
        scored: the figures.
        confidence: of `by_confidence`, at the last stage.
        cases, guesses: of the round, one a case.
        pictures: of the cases: image id and JPEG.
    """
    parts = [
        f'<div class="round" data-round="{html.escape(text)}" data-view="result" data-count="{settings.count}">',
        '<h2 tabindex="-1">The result of the round</h2>',
        figures(scored, settings),
        published(),
    ]
    if scored.changes:
        parts.append(changes(scored.changes, f"What you changed, of {settings.count} cases"))
    if scored.followed:
        parts.append(followed(scored.followed))
    parts += [by_how_sure(confidence), list_of_cases(settings, cases, guesses, pictures)]
    parts.append(
        '<div class="buttons"><button type="button" class="go" data-do="another">Another round</button>'
        '<button type="button" data-do="again">The same round again</button></div></div>'
    )
    return "".join(parts)


def figures(scored: RoundResult, settings: RoundSettings, who: str = "You", judged: int | None = None) -> str:
    """Accuracy and balanced accuracy of the readers at each stage and of the model, with their intervals.

    Args:
        scored: the figures.
        settings: of the round.
        who: has judged.
        judged: how many cases, where a case counts for each of several readers; by default those of the round.
    """
    total = judged or settings.count
    rows = {f"{who}: {OF_STAGE[stage].lower()}": found for stage, found in scored.readers.items()}
    reads = "photograph, age, sex and site" if "metadata" in settings.stages else "photograph alone"
    rows[f"The model by itself ({reads})"] = scored.model
    if settings.misleading_count:
        rows["The model as shown, with the answers that were made wrong"] = scored.as_shown
    body = "".join(
        f'<tr><th scope="row">{html.escape(name)}</th>'
        f'<td class="value">{round(found["accuracy"]["value"] * total)} of {total}</td>'
        f"{share('accuracy', found['accuracy'])}{share('balanced accuracy', found['balanced accuracy'])}</tr>"
        for name, found in rows.items()
    )
    return (
        '<div class="chart figures"><table><thead><tr><td></td><th scope="col">right</th><th scope="col">accuracy '
        '(95 % interval)</th><th scope="col">balanced accuracy (95 % interval)</th></tr></thead>'
        f"<tbody>{body}</tbody></table><p>Balanced accuracy is the mean of the recalls of the diagnoses that occur. "
        "The intervals come from drawing the cases of this round again and again. They are wide: the difference of a "
        "case or two may be chance. Where all cases were right, or all wrong, an interval has no width; that is no "
        "certainty.</p></div>"
    )


def share(name: str, found: dict) -> str:
    """A cell with a share, its interval, and both on a track."""
    dot = f'<span class="dot" style="left:{AXIS.at(found["value"])}%"></span>'
    return (
        f'<td data-name="{name}"><span class="value">{between(found["value"], found["interval"])}</span>'
        f'<span class="track" aria-hidden="true">{whisker(AXIS, *found["interval"])}{dot}</span></td>'
    )


def published() -> str:
    """Human figures from the literature."""
    items = "".join(
        f"<li>{html.escape(what[0].upper() + what[1:])} ({html.escape(where)}).</li>" for what, where in PUBLISHED
    )
    return (
        f"<h3>For comparison, as published</h3><ul>{items}</ul><p>These are of other photographs, with another mix of "
        "diagnoses: they are no yardstick for this round.</p>"
    )


def changes(found: dict[str, Changes], title: str) -> str:
    """How often readers changed to right and to wrong at each stage."""
    rows = "".join(
        f'<tr><th scope="row">{OF_STAGE[stage]}</th><td class="value">{c.kept}</td>'
        f'<td class="value">{c.wrong_to_right}</td><td class="value">{c.right_to_wrong}</td>'
        f'<td class="value">{c.wrong_to_wrong}</td></tr>'
        for stage, c in found.items()
    )
    return (
        f'<h3>{title}</h3><div class="chart"><table><thead><tr><td></td>'
        '<th scope="col">kept</th><th scope="col">wrong to right</th><th scope="col">right to wrong</th>'
        f'<th scope="col">wrong to wrong</th></tr></thead><tbody>{rows}</tbody></table></div>'
    )


def followed(found: dict[str, Followed], who: str = "you") -> str:
    """How often a right and a wrong answer of the model was followed, and by whom."""
    names = {"right": "right", "wrong": "wrong", "misleading": "of these, wrong on purpose"}
    rows = "".join(
        f'<tr><th scope="row">{names[name]}</th><td class="value">{f.cases}</td><td class="value">{f.agreed}</td>'
        f'<td class="value">{of(f.followed, f.disagreed)}</td></tr>'
        for name, f in found.items()
        if name != "misleading" or f.cases
    )
    return (
        f'<h3>Whom {who} followed</h3><div class="chart"><table><thead><tr><th scope="col">the model, as shown, was'
        f'</th><th scope="col">cases</th><th scope="col">{who} had said the same before</th><th scope="col">{who} had '
        f"said something else, and followed</th></tr></thead><tbody>{rows}</tbody></table></div>"
    )


def by_how_sure(found: dict[str, tuple[int, int]]) -> str:
    """How often the last guesses were right, by how sure the reader was."""
    rows = "".join(
        f'<tr><th scope="row">{confidence}</th><td class="value">{of(right, total)}</td></tr>'
        for confidence, (right, total) in found.items()
    )
    return (
        '<h3>How sure you were</h3><div class="chart"><table><thead><tr><th scope="col">last guess</th>'
        f'<th scope="col">right</th></tr></thead><tbody>{rows}</tbody></table></div>'
    )


def of(part: int, whole: int) -> str:
    """A count and its share, as far as there is one."""
    return f"{part} of {whole} ({percentage(part / whole)})" if whole else "none"


def answer_of(case: RoundCase) -> str:
    """What the model was shown to say, whether that is right, and whether it was made wrong on purpose."""
    said = f"Model: {verdict(case.explained, CODES[case.label])} {name_of(case.explained)}"
    if not case.misleading:
        return said
    own = name_of(CODES[case.own.argmax()])
    return f'{said}<span class="changed">Wrong on purpose. By itself: {own}.</span>'


def list_of_cases(
    settings: RoundSettings,
    cases: Sequence[RoundCase],
    guesses: Sequence[Sequence[Guess]],
    pictures: Sequence[tuple[str, bytes]],
) -> str:
    """The cases; a click on one opens it in the tab "Answer"."""
    items = []
    for number, (case, of_case, (image_id, jpeg)) in enumerate(zip(cases, guesses, pictures, strict=True), 1):
        truth = CODES[case.label]
        said = " → ".join(f"{verdict(guess.diagnosis, truth)} {name_of(guess.diagnosis)}" for guess in of_case)
        machine = ""
        if "model" in settings.stages:
            machine = f"<br>{answer_of(case)}"
        items.append(
            f'<li><button type="button" data-image="{image_id}"><img src="{data_uri(jpeg, "jpeg")}" alt="">'
            f"<span><b>{number}. {name_of(truth)}</b><br>You: {said}{machine}</span></button></li>"
        )
    return (
        f'<h3>The cases</h3><p>Touch a case to open it in the tab "Answer".</p><ul class="cases">{"".join(items)}</ul>'
    )
