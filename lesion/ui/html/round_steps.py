"""A reader round before its end: what it will be, a case at one of its stages, and the truth about a case.

A person sends a guess with two touches: of a diagnosis and of how sure they are. `SCRIPT` keeps the guesses in the
browser; the server draws what they lead to and keeps nothing.
"""

import html
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from lesion.data.diagnoses import BY_CODE, CODES
from lesion.data.metadata import Metadata
from lesion.teaching.round_cases import Heat
from lesion.teaching.round_result import CONFIDENCES, Progress
from lesion.teaching.rounds import CONFIDENT, NATURAL, STAGES, RoundCase, RoundSettings
from lesion.ui.html import heat_map, pieces
from lesion.ui.html.wording import CONFIRMATIONS, data_uri, name_of, unbroken
from lesion.words import percent

HEADINGS = {
    "photograph": "The photograph alone",
    "metadata": "Now with age, sex and site",
    "model": "Now with the model's answer",
}
FIRST_GUESS, LATER_GUESS = "Your diagnosis", "Keep your diagnosis, or change it"
OF_STAGE = {"photograph": "Photograph alone", "metadata": "With age, sex and site", "model": "With the model's answer"}
STYLE = """
.round { max-width: 62rem; }
.round h2 { margin: .1rem 0 .5rem; font-size: var(--text-xl); font-weight: 700; line-height: 1.25; outline: none; }
.round p { margin: 0 0 .5rem; line-height: 1.45; max-width: 48rem; }
.round b { color: inherit; }
.round .progress { font-size: var(--text-sm); color: var(--body-text-color-subdued); margin: 0 0 .3rem; }
.round .steps { display: flex; gap: 2px; margin: 0 0 .5rem; }
.round .steps span { flex: 1; height: 4px; border-radius: 2px; background: var(--border-color-primary); }
.round .steps .done { background: var(--color-accent); }
.round .case { display: grid; gap: .6rem 1.2rem; grid-template-columns: minmax(0, 5fr) minmax(0, 6fr); }
.round .photograph { width: 100%; aspect-ratio: 4 / 3; object-fit: contain; border-radius: 8px; margin: 0;
  display: block; background: color-mix(in srgb, currentColor 12%, transparent); }
.round .facts { display: flex; flex-wrap: wrap; align-items: center; justify-content: space-between; gap: 0 .8rem;
  padding: .3rem .6rem; border-radius: 6px; margin: .4rem 0 0;
  background: color-mix(in srgb, var(--color-accent) 14%, transparent); }
.round .facts:empty { display: none; }
.round .facts p { margin: 0; }
.round .hide { display: inline-flex; align-items: center; gap: .4rem; min-height: 1.8rem; cursor: pointer; }
.round .heat figcaption, .round .heat .scale { display: none; }
.round .see:has(.hide input:not(:checked)) .layer { display: none; }
.round fieldset { border: 0; margin: 0 0 .6rem; padding: 0; min-width: 0; }
.round legend { font-weight: 600; margin: 0 0 .3rem; padding: 0; }
.round .choices { display: grid; gap: .35rem; grid-template-columns: 1fr 1fr; }
.round .choices label { position: relative; display: flex; flex-direction: column; justify-content: center;
  min-height: 2.9rem; padding: .25rem .6rem; border: 1px solid var(--border-color-primary); border-radius: 8px;
  cursor: pointer; line-height: 1.2; }
.round .choices input { position: absolute; opacity: 0; inset: 0; width: 100%; height: 100%; margin: 0;
  cursor: pointer; }
.round .choices label:hover { border-color: var(--color-accent); }
.round .choices label:has(:checked) { border-color: var(--color-accent);
  box-shadow: inset 0 0 0 2px var(--color-accent);
  background: color-mix(in srgb, var(--color-accent) 14%, transparent); font-weight: 600; }
.round .choices label:has(:focus-visible) { outline: 3px solid var(--color-accent); outline-offset: 2px; }
.round .share { display: flex; align-items: center; gap: .4rem; font-size: var(--text-sm); font-weight: 400;
  margin-top: .15rem; }
.round .share i { flex: 1; height: .45rem; border-radius: 3px; overflow: hidden;
  background: color-mix(in srgb, currentColor 12%, transparent); }
.round .share i b { display: block; height: 100%; }
.round .sure { display: grid; grid-template-columns: repeat(3, 1fr); gap: .35rem; }
.round button { min-height: 2.9rem; padding: .3rem .6rem; border-radius: 8px; font: inherit; font-weight: 600;
  cursor: pointer; border: 1px solid var(--color-accent); background: none; color: inherit; margin: 0; }
.round button.go { background: var(--button-primary-background-fill); color: var(--button-primary-text-color);
  padding: .3rem 1.4rem; }
.round button.quiet { border-color: var(--border-color-primary); font-weight: 400; font-size: var(--text-sm);
  min-height: 2.2rem; }
.round details { margin-top: .7rem; }
.round .buttons { display: flex; flex-wrap: wrap; gap: .5rem; margin: .7rem 0 0; }
.round .late { display: flex; flex-wrap: wrap; align-items: center; gap: .5rem; margin: .3rem 0; }
.round .hint { min-height: 1.4em; margin: .2rem 0 0; font-size: var(--text-sm); }
.round.waiting .sure, .round.waiting .go { opacity: .5; }
.round .said { list-style: none; margin: 0 0 .6rem; padding: 0; }
.round .said li { margin: 0; padding: .25rem 0; border-bottom: 1px solid var(--border-color-primary); }
.round .said span { color: var(--body-text-color-subdued); }
#round-settings .section h2 { margin-top: .1rem; }
body[data-round=running] #round-settings, body[data-round=done] #round-settings { display: none; }
body:not([data-round=done]) #round-files { display: none; }
@media (max-width: 600px) {
  .round .case { grid-template-columns: minmax(0, 1fr); }
  .round h2 { margin-bottom: .3rem; }
  #round-settings { order: 1; }
}
"""


class Collection(NamedTuple):
    """What a round says of the photographs that it draws from.

    Attributes:
        images: how many there are; with diagnoses confirmed by histopathology alone where the round has only these.
        validation: the share of them that early stopping and calibration have seen.
        nevi: the share of nevi among them.
    """

    images: int
    validation: float
    nevi: float


def rules(settings: RoundSettings) -> list[str]:
    """What a reader should know before a round, in sentences."""
    seen = {
        ("photograph",): "You see each photograph once.",
        ("photograph", "metadata"): "You see each case twice: the photograph alone, then with age, sex and site.",
        ("photograph", "model"): "You see each case twice: the photograph alone, then with the model's answer and heat "
        "map. The model reads the photograph alone, too.",
        STAGES: "You see each case three times: the photograph alone, then with age, sex and site, then with the "
        "model's answer and heat map.",
    }[settings.stages]
    sentences = [
        f"{seen} Each time, choose a diagnosis and say how sure you are. Then the confirmed diagnosis appears."
    ]
    if settings.misleading_count:
        answers = "answer is" if settings.misleading_count == 1 else "answers are"
        sentences.append(
            f"{settings.misleading_count} of the model's {settings.count} {answers} wrong on purpose: the two most "
            "probable diagnoses have exchanged their probabilities, and the heat map is that of the diagnosis shown. "
            "The model may also be wrong by itself. The result tells you which answers were changed."
        )
    elif "model" in settings.stages:
        sentences.append("None of the model's answers is changed. It may still be wrong.")
    return sentences


def background(settings: RoundSettings, collection: Collection) -> list[str]:
    """How a round is made, in sentences."""
    confirmed = (
        "Every diagnosis was confirmed under the microscope (histopathology)."
        if settings.confirmed_only
        else "Some diagnoses were confirmed under the microscope, others by follow-up, by experts who agreed, or by "
        "confocal microscopy."
    )
    sentences = [
        f"The round is drawn from {collection.images:,} photographs that were kept out of training. Of these, "
        f"{percent(collection.validation)} were used to stop the training and to calibrate the model. You see small "
        f"copies of them, and no lesion twice. {confirmed}"
    ]
    if settings.misleading_count:
        sentences.append(
            "Answers are changed only where the model was right and gave its diagnosis more than "
            f"{percent(CONFIDENT)}, so that they look confident. This limit and the share of wrong answers were chosen "
            "by hand; they are not calibrated."
        )
    sentences.append("Your guesses stay in this browser. Whoever opens the link to this round gets the same cases.")
    return sentences


def mix_in_words(settings: RoundSettings, collection: Collection) -> str:
    """How common the diagnoses are in a round."""
    if settings.mix == NATURAL:
        told = ""
        if settings.confirmed_only:
            told = " The model does not know that: it takes them to be as common as in its training."
        return (
            "The diagnoses are as common as among the photographs that the round is drawn from: "
            f"{percent(collection.nevi)} of these show a nevus.{told}"
        )
    if len(settings.diagnoses) == len(CODES):
        return "The seven diagnoses are about equally common in this round. The model is told so as well."
    names = " or ".join(BY_CODE[code].name.lower() for code in settings.diagnoses)
    return f"Every photograph shows {names}, half of them each. The model is told so as well."


def intro(settings: RoundSettings, text: str, collection: Collection) -> str:
    """What a round will be, and the button that begins it.

    Args:
        settings: of the round.
        text: of the round, as links name it.
        collection: see `Collection`.
    """
    told = [*rules(settings), mix_in_words(settings, collection)]
    made = paragraphs(background(settings, collection))
    return (
        f'<div class="round" data-round="{html.escape(text)}" data-view="intro" data-count="{settings.count}">'
        f'<h2 tabindex="-1">A round of {settings.count} photographs</h2>{paragraphs(told)}'
        '<div class="buttons"><button type="button" class="go" data-do="begin">Begin</button>'
        '<button type="button" data-do="again" hidden>Begin again</button></div>'
        f"<details><summary>How the round is made</summary>{made}</details></div>"
    )


def paragraphs(sentences: Sequence[str]) -> str:
    """Sentences as paragraphs, no percentage broken."""
    return unbroken(pieces.paragraphs(sentences))


def bar(progress: Progress) -> str:
    """Where in the round a reader is, in words and as a bar."""
    count, number = progress.settings.count, progress.opened + 1
    steps = "".join(f'<span class="{"done" if k < number else ""}"></span>' for k in range(count))
    stages = progress.settings.stages
    at = "" if progress.stage is None else f", stage {len(progress.of_case) + 1} of {len(stages)}"
    return f'<p class="progress">Case {number} of {count}{at}</p><div class="steps" aria-hidden="true">{steps}</div>'


def opening(progress: Progress, text: str, view: str) -> str:
    """The beginning of a view's element, with what `SCRIPT` reads."""
    return (
        f'<div class="round" data-round="{html.escape(text)}" data-view="{view}" data-case="{progress.opened}" '
        f'data-given="{len(progress.of_case)}" data-stages="{len(progress.settings.stages)}" '
        f'data-count="{progress.settings.count}">'
    )


LEAVE = '<div class="buttons"><button type="button" class="quiet" data-do="leave">Leave the round</button></div>'


def reached(progress: Progress) -> tuple[str, ...]:
    """The stages that a reader has come to with a case."""
    return progress.settings.stages[: len(progress.of_case) + 1]


def seen(stages: Sequence[str], photograph: bytes, record: Metadata, case: RoundCase, heat: Heat | None) -> str:
    """What is visible of a case: the photograph, the record, the model's answer.

    Args:
        stages: those so far.
        photograph: JPEG.
        record: shown from the stage "metadata" on.
        case: whose answer is shown at the stage "model".
        heat: the heat map, at the stage "model" and after it.
    """
    if heat is None:
        picture = f'<img class="photograph" src="{data_uri(photograph, "jpeg")}" alt="The lesion">'
    else:
        picture = heat_map.heat(photograph, heat.layer, case.explained, 1.0, heat.method, heat.size, heat.box)
    known = f"<p>{html.escape(record.describe()).capitalize()}</p>" if "metadata" in stages else ""
    machine = ""
    if heat is not None:
        share = unbroken(percent(case.shown.max()))
        known += '<label class="hide"><input type="checkbox" checked> Heat map</label>'
        machine = f"<p>Model: <b>{name_of(case.explained)}</b>, {share}</p>"
    return f'<div class="see">{picture}<div class="facts">{known}{machine}</div></div>'


def choices(diagnoses: Sequence[str], title: str, shown: np.ndarray | None, before: str | None = None) -> str:
    """What a reader may say at a stage: a diagnosis, and how sure it is.

    Args:
        diagnoses: codes that the round offers.
        title: above them.
        shown: the model's probabilities as they are shown, float (7,), from the stage "model" on.
        before: the reader's diagnosis so far, a code.
    """
    labels = []
    for code in diagnoses:
        share, checked = "", " checked" if code == before else ""
        if shown is not None:
            p = shown[CODES.index(code)]
            share = (
                f'<span class="share"><i aria-hidden="true"><b style="width:{p:.1%};background:{BY_CODE[code].colour}">'
                f"</b></i>{unbroken(percent(p))}</span>"
            )
        labels.append(
            f'<label><input type="radio" name="diagnosis" value="{code}"{checked}>{name_of(code)}{share}</label>'
        )
    sure = "".join(
        f'<button type="button" data-sure="{confidence}">{confidence.capitalize()}</button>'
        for confidence in CONFIDENCES
    )
    return (
        f'<fieldset><legend>{title}</legend><div class="choices">{"".join(labels)}</div></fieldset>'
        f'<fieldset><legend>How sure are you? (Sends your guess)</legend><div class="sure">{sure}</div></fieldset>'
    )


def stage(
    progress: Progress, text: str, photograph: bytes, record: Metadata, case: RoundCase, heat: Heat | None
) -> str:
    """A case at a stage, and what the reader may say about it.

    Args:
        progress: of the reader.
        text: of the round.
        photograph, record, case, heat: see `seen`.
    """
    before = progress.of_case[-1].diagnosis if progress.of_case else None
    title = FIRST_GUESS if before is None else LATER_GUESS
    offered = choices(progress.settings.diagnoses, title, None if heat is None else case.shown, before)
    return (
        f'{opening(progress, text, "stage")}{bar(progress)}<h2 tabindex="-1">{HEADINGS[progress.stage]}</h2>'
        f'<div class="case">{seen(reached(progress), photograph, record, case, heat)}<div>{offered}'
        f'<p class="hint" role="status"></p></div></div>{LEAVE}</div>'
    )


def truth(
    progress: Progress,
    text: str,
    photograph: bytes,
    record: Metadata,
    case: RoundCase,
    heat: Heat | None,
    confirmed: str,
) -> str:
    """The truth about a case, beside what the reader said.

    Args:
        progress: of the reader.
        text: of the round.
        photograph, record, case, heat: see `seen`.
        confirmed: how, HAM10000's dx_type.
    """
    code = CODES[case.label]
    said = list(zip(map(OF_STAGE.get, progress.settings.stages), progress.of_case, strict=True))
    items = "".join(
        f"<li>{verdict(guess.diagnosis, code)} {name_of(guess.diagnosis)}<br><span>{html.escape(when)}, "
        f"{guess.confidence}</span></li>"
        for when, guess in said
    )
    machine = ""
    if heat is not None:
        answer = f"{verdict(case.explained, code)} {name_of(case.explained)}"
        machine = f"<li>{answer}<br><span>The model, as shown</span></li>"
    last = progress.opened + 1 == progress.settings.count
    return (
        f'{opening(progress, text, "truth")}{bar(progress)}<h2 tabindex="-1">Confirmed: {pieces.marked(code)}</h2>'
        f'<div class="case">{seen(reached(progress), photograph, record, case, heat)}<div>'
        f"<p>How it was confirmed: {CONFIRMATIONS[confirmed]}.</p>"
        f'<ul class="said">{items}{machine}</ul>'
        f'<div class="buttons"><button type="button" class="go" data-do="next">'
        f"{'See the result' if last else 'Next case'}</button></div></div></div>{LEAVE}</div>"
    )


def verdict(guess: str, truth: str) -> str:
    """Right or wrong, as a sign that is read aloud too."""
    return '<b aria-label="Right:">✓</b>' if guess == truth else '<b aria-label="Wrong:">✗</b>'
