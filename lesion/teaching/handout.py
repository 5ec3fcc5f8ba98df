"""One printed page on what the metadata did to an answer, and the answers to every record as a table.

figure = handout(influence, photograph, heat, "mel")
Path("handout.pdf").write_bytes(render(figure, "pdf"))  # of lesion.teaching.paper
"""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import ConnectionPatch
from PIL import Image

from lesion.data.diagnoses import BY_CODE, CODES, DIAGNOSES, check_code
from lesion.data.metadata import FIELDS
from lesion.data.transforms import shrink
from lesion.inference.activation_maps import enlarge, overlay
from lesion.teaching.influence import (
    Influence,
    change_in_words,
    prevalence_in_words,
    smallest_change_in_words,
    switches_in_words,
    value_in_words,
)
from lesion.teaching.paper import LINE, MARGIN, RULE, SMALL, axes_at, bare, heading, sheet, wrapped, write
from lesion.words import percent

TITLE = "Skin lesion classifier: what the metadata did"
MOST_SWITCHES = 5
"""Lines at most about switches along the age curve."""
PHOTOGRAPH_SIZE = 700
"""Longer side of the printed photograph, pixels: 300 to the inch."""
MARKERS = "osD^vPX"
"""Of the seven diagnoses along the age curve, since grey lines look alike."""
OPACITY = 0.85
"""Of the warmest places of the overlay; more than on a screen, since paper shows less."""


def sweep_csv(influence: Influence) -> str:
    """The answers to every age, sex and site as CSV.

    Returns:
        Columns age, sex, localization (HAM10000's name of the site) and MEL to VASC (ISIC's of the diagnoses), with
        probabilities to six significant digits.
    """
    table = influence.sweep_table().rename(columns={"site": "localization", **{code: code.upper() for code in CODES}})
    return table.to_csv(index=False, float_format="%.6g", lineterminator="\n")


def handout(
    influence: Influence, photograph: Image.Image, heat: np.ndarray, code: str, truth: str | None = None
) -> Figure:
    """The page, A4 upright; may be called from several threads.

    Args:
        influence: of the photograph and its record.
        photograph: RGB, of any size.
        heat: of `Predictor.heat_map` for `code`, float32 (h, w) in [0, 1], of any size.
        code: the diagnosis explained.
        truth: the confirmed diagnosis, a code, where it is known.

    Raises:
        UserError: an unknown diagnosis.
    """
    check_code(code)
    with sheet(TITLE) as page:
        _photographs(page, 0.77, influence, photograph, heat, code, truth)
        _answers(page, 3.05, influence)
        _waterfall(page, 5.26, influence, code)
        _sites(page, 5.26, influence, code)
        _ages(page, 8.02, influence)
    return page


def _photographs(
    page: Figure,
    top: float,
    influence: Influence,
    photograph: Image.Image,
    heat: np.ndarray,
    code: str,
    truth: str | None,
) -> None:
    """The photograph, its overlay, and beside them what was asked and answered."""
    width, height = 2.25, 1.69
    photograph = shrink(photograph.convert("RGB"), PHOTOGRAPH_SIZE)
    heat = enlarge(np.asarray(heat, np.float32), photograph.size)
    outlined = heat.min() < heat.max() / 2
    name, strength = BY_CODE[code].name, heat.max()
    if strength == 0:
        says = "no part of it speaks for"
    else:
        says = "faint, little here speaks for" if strength < 0.25 else "bright areas spoke most for"
    caption = f"Heat map: {says}\n{name}" + ("\n(line: half of the highest value)" if outlined else "")
    confirmed = f"Confirmed diagnosis:\n{BY_CODE[truth].name}" if truth else "The photograph"
    pictures = {MARGIN: (photograph, confirmed), 3.0: (overlay(photograph, heat, OPACITY), caption)}
    for left, (picture, words) in pictures.items():
        axes = axes_at(page, left, top, width, height)
        axes.imshow(picture)
        axes.set_anchor("NW")
        axes.set_axis_off()
        write(page, left, top + height + 0.06, words, size=SMALL)
    if outlined:  # what is bright is lost in grey, a line is not
        for colour, line_width in (("w", 2.2), ("k", 0.9)):
            axes.contour(heat, [heat.max() / 2], colors=colour, linewidths=line_width)
    both = influence.three_answers["both"]
    answer = max(both, key=both.get)
    rows = {"Known of the patient": influence.metadata.describe()}
    rows["Most probable of the seven"] = f"{BY_CODE[answer].name}, {percent(both[answer])}"
    if code != answer:
        rows["Explained on this page"] = f"{name}, {percent(both[code])}"
    rows["Prevalence assumed"] = prevalence_in_words(influence.prevalence)
    down = top - 0.03
    for name, value in rows.items():
        write(page, 5.5, down, name, size=SMALL, weight="bold")
        words = wrapped(value, 34)
        write(page, 5.5, down + LINE, words)
        down += LINE * (words.count("\n") + 2) + 0.1


def _answers(page: Figure, top: float, influence: Influence) -> None:
    """Three bar charts that share their rows, the diagnoses, and the largest change in words."""
    height, width = 1.34, 1.6
    heading(page, MARGIN, top, "The answers (bold: the most probable)")
    answers = influence.three_answers
    highest = max(max(answer.values()) for answer in answers.values())
    metadata = "From the metadata alone" if influence.metadata.known else "With nothing known"
    titles = ("From the photograph alone", metadata, "From both")
    for column, (title, answer) in enumerate(zip(titles, answers.values(), strict=True)):
        axes = axes_at(page, 2.6 + column * 1.75, top + 0.35, width, height)
        bars = axes.barh(range(len(CODES)), list(answer.values()), 0.72, color=[d.colour for d in DIAGNOSES])
        labels = axes.bar_label(bars, [_short(p) for p in answer.values()], padding=2, fontsize=SMALL)
        labels[CODES.index(max(answer, key=answer.get))].set_weight("bold")
        axes.set(xlim=(0, 1.45 * highest), ylim=(len(CODES) - 0.5, -0.5))  # room for the longest bar's label
        axes.set_title(title, fontsize=SMALL, loc="left", pad=3)
        bare(axes, [d.name for d in DIAGNOSES] if column == 0 else [""] * len(CODES))
    sentence = change_in_words(answers["image alone"], answers["both"], influence.metadata)
    write(page, MARGIN, top + 0.35 + height + 0.05, wrapped(sentence))


def _waterfall(page: Figure, top: float, influence: Influence, code: str) -> None:
    """The exact Shapley values of a diagnosis, and under them the smallest change that flips the answer."""
    height, width, left = 1.26, 2.35, 1.74
    shapley = influence.shapley(code)
    heading(page, MARGIN, top, "What each input added")
    subtitle = f"To the probability of {BY_CODE[code].name}:\nexact Shapley values, in percentage points"
    write(page, MARGIN, top + 0.19, subtitle, size=SMALL)
    record = influence.metadata
    fields = [f"{field.capitalize()} {value_in_words(getattr(record, field))}" for field in FIELDS]
    steps = np.array(list(shapley.contributions.values()))
    after = shapley.start + np.cumsum(steps)
    ends = np.array([[0, shapley.start], *zip(after - steps, after, strict=True), [0, shapley.end]])
    axes = axes_at(page, left, top + 0.52, width, height)
    rows = np.arange(len(ends))
    axes.barh(rows, np.ptp(ends, axis=1), 0.66, ends.min(1))
    for bar, step in zip(axes.patches, [None, *steps, None], strict=True):
        if step is None:
            bar.set_facecolor(BY_CODE[code].colour)
        elif step > 0:
            bar.set_facecolor("0.35")
        else:  # hatched, so that a fall differs from a rise in grey too
            bar.set(facecolor="w", edgecolor="0.35", hatch="/////")
    axes.vlines(ends[:-1, 1], rows[:-1] - 0.33, rows[1:] + 0.33, color="k", lw=0.6)
    low, high = min(0, ends.min()), max(ends.max(), 0.01)
    axes.set(xlim=(low - 0.01 * (high - low), high + 0.33 * (high - low)), ylim=(len(ends) - 0.5, -0.5))
    values = [_short(shapley.start), *map(_points, steps), _short(shapley.end)]
    for row, value in enumerate(values):
        label = axes.annotate(value, (ends[row].max(), row), (3, 0), textcoords="offset points", va="center")
        label.set(fontsize=SMALL, bbox={"facecolor": "w", "edgecolor": "none", "pad": 0.5})  # over the zero line
    bare(axes, ["Nothing known", "Photograph", *fields, "All together"])
    below = top + 0.52 + height + 0.14
    heading(page, MARGIN, below, "The smallest change that flips the answer")
    words = smallest_change_in_words(influence.smallest_change, record)
    write(page, MARGIN, below + 0.2, wrapped(words, 54))


def _sites(page: Figure, top: float, influence: Influence, code: str) -> None:
    """The probability of a diagnosis by site, the sites in order of it and unknown last; the record's is marked."""
    left, width, height = 5.75, 2.02, 2.17
    heading(page, 4.5, top, "The lesion at every site")
    write(page, 4.5, top + 0.19, f"Probability of {BY_CODE[code].name}", size=SMALL)
    probabilities = influence.by_site(code)
    sites = sorted(probabilities, key=lambda site: (site is None, -probabilities[site]))
    values = [probabilities[site] for site in sites]
    own = sites.index(influence.metadata.site)
    axes = axes_at(page, left, top + 0.38, width, height)
    bars = axes.barh(range(len(sites)), values, 0.74, facecolor="0.8", edgecolor="0.35", lw=0.5)
    bars[own].set_facecolor(BY_CODE[code].colour)
    words = [_short(p) for p in values]
    words[own] += " this record"
    labels = axes.bar_label(bars, words, padding=2, fontsize=SMALL)
    axes.set(xlim=(0, max(*values, 0.01) * 2.15), ylim=(len(sites) - 0.5, -0.5))  # room for the longest label
    bare(axes, [value_in_words(site) for site in sites])
    for text in (labels[own], axes.get_yticklabels()[own]):
        text.set_weight("bold")


def _ages(page: Figure, top: float, influence: Influence) -> None:
    """The seven probabilities against age with sex and site as they are, and the switches in words."""
    switches = influence.switches
    words = switches_in_words(switches) or ["The most probable diagnosis is the same at every age."]
    if len(words) > MOST_SWITCHES:
        words[MOST_SWITCHES - 1 :] = [f"{len(words) - MOST_SWITCHES + 1} more changes are shaded."]
    record, ages, curve = influence.metadata, np.array(influence.ages[1:], float), influence.age_curve
    heading(
        page,
        MARGIN,
        top,
        f"The answer at every age, with sex {value_in_words(record.sex)}, site {value_in_words(record.site)}",
    )
    left, width, height = 0.95, 4.35, RULE - 0.43 - LINE * len(words) - (top + 0.38)
    axes = axes_at(page, left, top + 0.38, width, height)
    for values, diagnosis, marker in zip(curve.T, DIAGNOSES, MARKERS, strict=True):
        axes.plot(ages, values, color=diagnosis.colour, lw=1.4, marker=marker, ms=3.5, clip_on=False)
    for switch in switches:
        axes.axvspan(switch.younger, switch.older, facecolor="0.9", zorder=0)
    own = "age unknown in this record" if record.age is None else f"age {record.age:g}, this record"
    if record.age is None:
        axes.text(1, 1.03, own, transform=axes.transAxes, fontsize=SMALL, ha="right")
    else:
        axes.axvline(record.age, color="k", lw=1, ls="--")
        side = "left" if record.age < ages.mean() else "right"
        axes.text(record.age, 1.03, own, transform=axes.get_xaxis_transform(), fontsize=SMALL, ha=side)
    axes.set(xlim=(ages[0], ages[-1]), ylim=(0, 1), yticks=[0, 0.5, 1], yticklabels=["0 %", "50 %", "100 %"])
    axes.set_xticks(np.arange(0, ages[-1] + 1, 10))
    axes.set_xlabel("age, years", fontsize=SMALL, labelpad=1)
    axes.tick_params(labelsize=SMALL)
    axes.spines[["top", "right"]].set_visible(False)
    # Names at the right ends of the curves, moved apart where they would touch.
    places = _spread(curve[-1], 0.135 / height)
    for end, place, diagnosis, marker in zip(curve[-1], places, DIAGNOSES, MARKERS, strict=True):
        to_name = ConnectionPatch(
            (ages[-1], end), (1.06, place), axes.transData, axes.transAxes, color=diagnosis.colour, lw=0.8, shrinkA=3
        )
        page.add_artist(to_name)
        looks = {"color": diagnosis.colour, "ms": 4.5, "transform": axes.transAxes, "clip_on": False}
        axes.plot(1.06, place, marker, **looks)
        axes.text(1.08, place, diagnosis.name, transform=axes.transAxes, va="center_baseline", fontsize=SMALL)
    write(page, MARGIN, RULE - 0.06 - LINE * len(words), "\n".join(words))


def _spread(values: np.ndarray, gap: float) -> np.ndarray:
    """Places in [0, 1] near to `values`, in their order, at least `gap` apart."""
    order = np.argsort(values, kind="stable")
    offsets = gap * np.arange(len(values))
    pushed_up = np.maximum.accumulate(values[order] - offsets)
    places = np.minimum(pushed_up, 1 - offsets[-1]) + offsets
    return places[np.argsort(order)]


def _points(step: float) -> str:
    """A difference of probabilities: "+4.0", "−0.4", "0"."""
    return f"{100 * step:+.1f}".replace("-", "−") if abs(step) >= 0.0005 else "0"


def _short(probability: float) -> str:
    """A probability beside a bar: "47 %", "< 0.1 %"."""
    return percent(probability).replace("less than", "<").replace("more than", ">")
