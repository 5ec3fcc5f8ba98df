"""The figures of each subgroup, by sex, age, body site and how the diagnosis was confirmed.

Each subgroup is defined by one field. Where it has too few lesions, a sentence replaces the figures.
"""

import numpy as np
import pandas as pd

from lesion.data.metadata import SEXES, SITES, UNKNOWN
from lesion.metrics.bootstrap import confusion_metrics, interval, weighted_confusions
from lesion.metrics.metrics import MELANOMA, decide

AGE_BANDS = {
    "under 30": (0, 30),
    "30 to 44": (30, 45),
    "45 to 59": (45, 60),
    "60 to 74": (60, 75),
    "75 and over": (75, 999),
}
"""Ages from the first number up to, not including, the second, years."""
FEW_LESIONS = 30
"""Below this, an interval says more about the resampling than about the model."""
CONFIRMATIONS = ("histo", "follow_up", "consensus", "confocal")
"""HAM10000's dx_type: histopathology, follow-up without change, consensus of experts, confocal microscopy."""


def age_band(age: pd.Series) -> pd.Series:
    """The key of AGE_BANDS that each age, years, is in; "unknown" for NaN."""
    edges = [low for low, _ in AGE_BANDS.values()] + [np.inf]
    return pd.cut(age, edges, right=False, labels=list(AGE_BANDS)).astype(object).fillna(UNKNOWN)


def subgroups(
    table: pd.DataFrame, labels: np.ndarray, probabilities: np.ndarray, prevalence: np.ndarray, weights: np.ndarray
) -> dict[str, dict[str, dict]]:
    """Figures of every subgroup by sex, age band, site and way of confirmation.

    Args:
        table: one row an image: lesion_id, age, sex, site, dx_type.
        labels: int (N,).
        probabilities: float (N, 7), at the data set's prevalence.
        prevalence: float (7,), of the training part.
        weights: of `bootstrap_weights`, float (rounds, N).

    Returns:
        By "sex", "age", "site" and "dx_type", by value ("unknown" last, values without images left out): "images",
        "lesions", "melanomas" (lesions), "diagnoses" (how many of the seven occur), and either "too few", a sentence,
        or, each {"value": …, "interval": [low, high]} with lesions resampled, "dataset.accuracy",
        "uniform.balanced_accuracy" (the mean recall of the diagnoses that occur), "log_loss" (nats) and
        "uniform.melanoma_recall"; where lesions suffice but melanomas do not, "too few melanomas", a sentence, stands
        for the last.
    """
    fields = {
        "sex": (table.sex.fillna(UNKNOWN), SEXES),
        "age": (age_band(table.age), AGE_BANDS),
        "site": (table.site.fillna(UNKNOWN), SITES),
        "dx_type": (table.dx_type.where(table.dx_type.isin(CONFIRMATIONS), UNKNOWN), CONFIRMATIONS),
    }
    out = {}
    for name, (values, order) in fields.items():
        out[name] = {}
        for value in (*order, UNKNOWN):
            rows = np.flatnonzero(values == value)
            if len(rows):
                lesions = table.lesion_id.iloc[rows]
                out[name][value] = figures(lesions, labels[rows], probabilities[rows], prevalence, weights[:, rows])
    return out


def figures(
    lesions: pd.Series, labels: np.ndarray, probabilities: np.ndarray, prevalence: np.ndarray, weights: np.ndarray
) -> dict:
    """One subgroup of `subgroups`; every argument is of its n images."""
    melanomas = int(lesions[labels == MELANOMA].nunique())
    entry = {
        "images": len(labels),
        "lesions": int(lesions.nunique()),
        "melanomas": melanomas,
        "diagnoses": len(np.unique(labels)),
    }
    if entry["lesions"] < FEW_LESIONS:
        return {**entry, "too few": f"{count(entry['lesions'], 'lesion')}: too few to judge."}
    drawn = weights[weights.sum(1) > 0]
    losses = -np.log(np.maximum(probabilities[np.arange(len(labels)), labels], np.finfo(float).eps))
    decisions = {rule: decide(probabilities, prevalence, rule) for rule in ("dataset", "uniform")}

    def metrics(weights: np.ndarray) -> dict[str, np.ndarray]:
        confusions = {rule: weighted_confusions(labels, d, weights) for rule, d in decisions.items()}
        of_melanoma = confusions["uniform"][:, MELANOMA]
        with np.errstate(invalid="ignore"):
            return {
                "dataset.accuracy": confusion_metrics(confusions["dataset"])["accuracy"],
                "uniform.balanced_accuracy": confusion_metrics(confusions["uniform"])["balanced_accuracy"],
                "log_loss": weights @ losses / weights.sum(1),
                "uniform.melanoma_recall": of_melanoma[:, MELANOMA] / of_melanoma.sum(1),
            }

    values, draws = metrics(np.ones((1, len(labels)))), metrics(drawn)
    if melanomas < FEW_LESIONS:
        del values["uniform.melanoma_recall"]
        entry["too few melanomas"] = f"{count(melanomas, 'melanoma')}: too few to judge how many are found."
    return entry | {
        name: {"value": float(value[0]), "interval": interval(draws[name])} for name, value in values.items()
    }


def count(number: int, noun: str) -> str:
    """ "No lesion", "Only 1 lesion", "Only 12 lesions"."""
    return (f"Only {number} {noun}" + ("s" if number > 1 else "")) if number else f"No {noun}"
