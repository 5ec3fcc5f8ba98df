"""The model on all held-out images: with some inputs hidden or shuffled, in a subgroup, and as a melanoma alarm.
Everything comes from the stored embeddings; the backbone does not run.

- Permutation importance: Breiman, "Random Forests" (2001); Fisher, Rudin and Dominici, "All Models are Wrong, but Many
  are Useful" (2019). Whole lesions are exchanged, so that photographs of one lesion stay together.
- Intervals: percentile bootstrap by lesion, paired where two answers are compared (`lesion.metrics.metrics`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from sklearn.metrics import confusion_matrix

from lesion.data.diagnoses import CODES
from lesion.data.ham10000 import records_of
from lesion.data.metadata import FIELD_OF_COLUMN, FIELDS, INPUTS, SEXES, SITES, UNKNOWN, parse_inputs
from lesion.errors import UserError, shown
from lesion.inference.predictor import Predictor
from lesion.metrics.bootstrap import bootstrap_weights, confusion_metrics, interval, weighted_confusions
from lesion.metrics.metrics import CLASSES, RULES, decide
from lesion.metrics.scores import Difference, compare_decisions
from lesion.model.calibration import EVERYTHING, IMAGE_ALONE, SUBSETS, UNIFORM, reweight
from lesion.report.subgroups import AGE_BANDS, FEW_LESIONS, age_band
from lesion.teaching.alarm import Alarm

ANY = "any"
PARTS = ("validation", "test")
REPEATS = 5
"""Shuffles of each input that a permutation importance is the mean of."""


@dataclass(frozen=True)
class Subgroup:
    """A selection of the held-out images; "any" accepts every value of a field.

    Args:
        sex: "female", "male", "unknown" or "any".
        age_band: a key of AGE_BANDS, "unknown" or "any".
        site: one of SITES, "unknown" or "any".
        diagnosis: the confirmed one, a code or "any".
        part: "validation", "test" or "any". Early stopping and calibration saw the validation part.

    Raises:
        UserError: a value is not accepted.
    """

    sex: str = ANY
    age_band: str = ANY
    site: str = ANY
    diagnosis: str = ANY
    part: str = ANY

    def __post_init__(self):
        accepted = {
            "sex": (*SEXES, UNKNOWN),
            "age_band": (*AGE_BANDS, UNKNOWN),
            "site": (*SITES, UNKNOWN),
            "diagnosis": CODES,
            "part": PARTS,
        }
        for field, choices in accepted.items():
            if getattr(self, field) not in (ANY, *choices):
                name = field.replace("_", " ").capitalize()
                raise UserError(
                    f"{name} {shown(getattr(self, field))} is not known; choose {ANY}, {', '.join(choices)}."
                )

    def contains(self, table: pd.DataFrame) -> np.ndarray:
        """Which images of a held-out table belong to the subgroup, bool (N,)."""
        chosen = np.ones(len(table), bool)
        for field in ("sex", "site"):
            value = getattr(self, field)
            if value != ANY:
                chosen &= (table[field].isna() if value == UNKNOWN else table[field] == value).to_numpy()
        if self.age_band != ANY:
            chosen &= (age_band(table.age) == self.age_band).to_numpy()
        if self.diagnosis != ANY:
            chosen &= (table.label == CODES.index(self.diagnosis)).to_numpy()
        if self.part != ANY:
            chosen &= (table.test == (self.part == "test")).to_numpy()
        return chosen

    def rows(self, table: pd.DataFrame) -> np.ndarray:
        """The images of a held-out table that belong to the subgroup, int (n,).

        Raises:
            UserError: none does.
        """
        chosen = self.contains(table)
        if not chosen.any():
            raise UserError("None of the held-out images is in this subgroup; set one of its fields to any.")
        return np.flatnonzero(chosen)


@dataclass(frozen=True)
class Decided:
    """What the full model and one with fewer, or shuffled, inputs answer for a subgroup.

    Attributes:
        rows: of the held-out table, int (n,).
        probabilities: under the rule, float64 (n, 7), of "full" and "chosen".
        decisions: indices in CODES, int (n,), of the same.
    """

    rows: np.ndarray
    probabilities: dict[str, np.ndarray]
    decisions: dict[str, np.ndarray]


@dataclass(frozen=True)
class Comparison:
    """The full model beside one with fewer, or shuffled, inputs.

    Attributes:
        images, lesions: how many were looked at.
        differences: chosen − full, by the names of `lesion.metrics.scores.compare_decisions`.
        confusions: int (7, 7), rows true and columns decided, of "full" and "chosen".
        rescued: images that the full model answers correctly and the chosen one does not; one row an image, one image
            a lesion, the clearest first: image_id, diagnosis, age, sex, site, full, full_probability, chosen,
            chosen_probability (the decisions as codes, with what each gave the confirmed diagnosis, under the rule).
        ruined: the other way round.
    """

    images: int
    lesions: int
    differences: dict[str, Difference]
    confusions: dict[str, np.ndarray]
    rescued: pd.DataFrame
    ruined: pd.DataFrame

    @property
    def too_few(self) -> bool:
        """Whether there are too few lesions to draw conclusions."""
        return self.lesions < FEW_LESIONS


def check_rule(rule: object) -> None:
    """Raises a UserError where `rule` is none of RULES."""
    if rule not in tuple(RULES):  # a client may give what cannot be a key
        raise UserError(f"Decision rule {shown(rule)} is not known; choose {' or '.join(RULES)}.")


def exchange(lesions: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Which image stands in for each when whole lesions are shuffled.

    Args:
        lesions: int (n,), the lesion of each image.
        generator: of the shuffle.

    Returns:
        int (n,): images of one lesion get images of one other; where that one has fewer, some twice.
    """
    _, of_image, sizes = np.unique(lesions, return_inverse=True, return_counts=True)
    order = np.argsort(of_image, kind="stable")
    starts = np.cumsum(sizes) - sizes
    rank = np.empty(len(lesions), int)
    rank[order] = np.arange(len(lesions)) - np.repeat(starts, sizes)
    donor = generator.permutation(len(sizes))[of_image]
    return order[starts[donor] + rank % sizes[donor]]


class Cohort:
    """The held-out images of a checkpoint.

    Args:
        predictor: of `load_predictor`.
        rounds: of the bootstrap.
        seed: of bootstrap and shuffles.

    Raises:
        UserError: held_out.safetensors is missing or damaged.
    """

    def __init__(self, predictor: Predictor, rounds: int = 1000, seed: int = 0):
        self.predictor, self.rounds, self.seed = predictor, rounds, seed
        self.held_out = predictor.checkpoint.held_out()
        self.table, self.embeddings = self.held_out.table, self.held_out.embeddings
        self.labels = self.table.label.to_numpy()
        self.lesions = pd.factorize(self.table.lesion_id)[0]
        self.records = records_of(self.table)
        self.metadata, self.known = predictor.config.encoder.encode(self.records)
        self.prevalence = predictor.config.calibration.prevalence

    @cached_property
    def row_of(self) -> dict[str, int]:
        """Row of each image by its id."""
        return {image_id: row for row, image_id in enumerate(self.table.image_id)}

    @cached_property
    def weights(self) -> np.ndarray:
        """Bootstrap weights, float32 (rounds, N)."""
        return bootstrap_weights(self.lesions, self.rounds, self.seed).astype(np.float32)

    @cached_property
    def full(self) -> np.ndarray:
        """Probabilities from everything, float64 (N, 7), at the data set's prevalence."""
        return self.answers(np.arange(len(self.table)))

    @cached_property
    def image_alone(self) -> np.ndarray:
        """Probabilities from the image alone, float64 (N, 7), at the data set's prevalence."""
        return self.answers(np.arange(len(self.table)), SUBSETS[IMAGE_ALONE])

    def answers(
        self,
        rows: np.ndarray,
        present: np.ndarray = SUBSETS[EVERYTHING],
        shuffled: Sequence[str] = (),
        generator: np.random.Generator | None = None,
    ) -> np.ndarray:
        """Probabilities for some of the images.

        Args:
            rows: int (n,).
            present: bool (4,), which of INPUTS the model may look at.
            shuffled: inputs exchanged among the lesions of `rows`, each by a shuffle of its own.
            generator: of the shuffles.

        Returns:
            float64 (n, 7), at the data set's prevalence.
        """
        images, metadata, known = rows, self.metadata[rows], self.known[rows]
        for name in shuffled:
            donors = rows[exchange(self.lesions[rows], generator)]
            if name == "image":
                images = donors
            else:
                field = FIELDS.index(name)
                columns = field == FIELD_OF_COLUMN
                metadata[:, columns] = self.metadata[donors][:, columns]
                known[:, field] = self.known[donors, field]
        return self.predictor.answers(self.embeddings[images], metadata, known, present)

    def compare(
        self,
        inputs: Sequence[str],
        shuffled: Sequence[str] = (),
        subgroup: Subgroup | None = None,
        rule: str = "dataset",
    ) -> Comparison:
        """The model with chosen inputs beside the full one.

        Args:
            inputs: the inputs it may use.
            shuffled: those of them that are exchanged among the subgroup's lesions.
            subgroup: by default all held-out images.
            rule: a key of `lesion.metrics.metrics.RULES`, how both decide.

        Raises:
            UserError: a value is not accepted, or the subgroup is empty.
        """
        found = self.decided(inputs, shuffled, subgroup, rule)
        rows, decisions, labels = found.rows, found.decisions, self.labels[found.rows]
        right = {name: d == labels for name, d in decisions.items()}
        return Comparison(
            len(rows),
            len(np.unique(self.lesions[rows])),
            compare_decisions(labels, decisions["full"], decisions["chosen"], self.weights[:, rows]),
            {name: confusion_matrix(labels, d, labels=CLASSES) for name, d in decisions.items()},
            self._cases(found, right["full"] & ~right["chosen"]),
            self._cases(found, right["chosen"] & ~right["full"]),
        )

    def decided(
        self,
        inputs: Sequence[str],
        shuffled: Sequence[str] = (),
        subgroup: Subgroup | None = None,
        rule: str = "dataset",
    ) -> Decided:
        """The answers that `compare` compares; arguments and errors are the same."""
        inputs, shuffled = parse_inputs("Inputs", inputs), parse_inputs("Shuffled", shuffled)
        check_rule(rule)
        rows = (subgroup or Subgroup()).rows(self.table)
        present = np.array([name in inputs for name in INPUTS])
        shuffled = [name for name in shuffled if name in inputs]
        chosen = self.answers(rows, present, shuffled, np.random.default_rng(self.seed))
        probabilities = {"full": self.full[rows], "chosen": chosen}
        decisions = {name: decide(p, self.prevalence, rule) for name, p in probabilities.items()}
        if rule == "uniform":
            probabilities = {name: reweight(p, self.prevalence, UNIFORM) for name, p in probabilities.items()}
        return Decided(rows, probabilities, decisions)

    def _cases(self, found: Decided, which: np.ndarray) -> pd.DataFrame:
        at = np.flatnonzero(which)
        own = self.labels[found.rows[at]]
        cases = self.table.iloc[found.rows[at]][["image_id", "lesion_id", "age", "sex", "site"]]
        cases = cases.assign(diagnosis=[CODES[k] for k in own])
        for name in ("full", "chosen"):
            cases[name] = [CODES[k] for k in found.decisions[name][at]]
            cases[f"{name}_probability"] = found.probabilities[name][at, own]
        order = (cases.full_probability - cases.chosen_probability).abs().sort_values(ascending=False).index
        return cases.loc[order].drop_duplicates("lesion_id").drop(columns="lesion_id").reset_index(drop=True)

    def importance(self, subgroup: Subgroup | None = None, rule: str = "dataset") -> dict[str, dict[str, dict]]:
        """Permutation importance: what shuffling an input among the lesions costs.

        Args:
            subgroup: by default all held-out images.
            rule: a key of RULES, for the two accuracies.

        Returns:
            For each of INPUTS, "accuracy" and "balanced accuracy" (what is lost) and "log-loss" (what is added,
            nats), each {"value": …, "interval": [low, high]}: the mean of REPEATS shuffles and its 95 % interval.

        Raises:
            UserError: a value is not accepted, or the subgroup is empty.
        """
        check_rule(rule)
        rows = (subgroup or Subgroup()).rows(self.table)
        labels, weights = self.labels[rows], self.weights[:, rows]
        own = (np.arange(len(rows)), labels)
        generator = np.random.default_rng(self.seed)

        def figures(answers: list[np.ndarray], weights: np.ndarray) -> dict[str, np.ndarray]:
            # Recalls are linear in the confusion matrix, so the mean matrix has the mean accuracies of the repeats.
            decided = np.array([decide(p, self.prevalence, rule) for p in answers])
            metrics = confusion_metrics(weighted_confusions(labels, decided, weights))
            losses = -np.mean([np.log(p[own]) for p in answers], axis=0).astype(weights.dtype)
            return {
                "accuracy": -metrics["accuracy"],
                "balanced accuracy": -metrics["balanced_accuracy"],
                "log-loss": weights @ losses / weights.sum(1),
            }

        ones = np.ones((1, len(rows)), np.float32)
        value, draws = (figures([self.full[rows]], w) for w in (ones, weights))
        out = {}
        for name in INPUTS:
            answers = [self.answers(rows, shuffled=[name], generator=generator) for _ in range(REPEATS)]
            shuffled_value, shuffled_draws = (figures(answers, w) for w in (ones, weights))
            out[name] = {
                metric: {
                    "value": float(shuffled_value[metric][0] - value[metric][0]),
                    "interval": interval(shuffled_draws[metric] - draws[metric]),
                }
                for metric in value
            }
        return out

    def alarm(self, threshold: float, prevalence: np.ndarray | None = None) -> Alarm:
        """The performance of an alarm that is raised where the probability of melanoma is at least the threshold.

        Args:
            threshold: of the probability, 0 to 1. The alarm is one device wherever it is used: it reads the
                probability at the data set's prevalence.
            prevalence: how common the diagnoses are where it is used, float (7,), for the predictive values; by default
                as in the data set.
        """
        index = CODES.index("mel")
        probabilities = self.full[:, index]
        positive, raised = self.labels == index, probabilities >= threshold
        with np.errstate(invalid="ignore"):
            sensitivities = self.weights @ (positive & raised) / (self.weights @ positive)
            specificities = self.weights @ (~positive & ~raised) / (self.weights @ ~positive)
        order = np.argsort(-probabilities)
        found = np.cumsum(positive[order]) / positive.sum()
        false = np.cumsum(~positive[order]) / (~positive).sum()
        return Alarm(
            float(raised[positive].mean()),
            tuple(interval(sensitivities)),
            float((~raised)[~positive].mean()),
            tuple(interval(specificities)),
            float((self.prevalence if prevalence is None else prevalence)[index]),
            np.column_stack([found, false]),
        )
