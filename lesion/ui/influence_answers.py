"""What the tab "Metadata influence" shows, and what its endpoints answer."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from lesion.data.diagnoses import CODES
from lesion.data.metadata import UNKNOWN, Metadata
from lesion.data.reading import read_image
from lesion.errors import UserError, parse_number
from lesion.inference.photograph_store import Photograph, PhotographStore
from lesion.inference.predictor import Predictor
from lesion.teaching.cohort import Cohort
from lesion.teaching.decision import decide, decision_in_words
from lesion.teaching.handout import handout, sweep_csv
from lesion.teaching.influence import (
    PREVALENCES,
    Influence,
    change_in_words,
    parse_prevalence,
    prevalence_in_words,
    smallest_changes_in_words,
    switches_in_words,
)
from lesion.teaching.paper import check_kind, render
from lesion.teaching.recognition import Recognition
from lesion.ui.html import alarms, body_map, pieces
from lesion.ui.html.charts import contributions, decision_curve, roc_curve
from lesion.ui.inputs import NEEDS_IMAGE, explained

PREVALENCE_CHOICES = list(
    zip(("as in the data set", "all equal", "my own share of melanomas"), PREVALENCES, strict=True)
)


def parse_threshold(percentage: object) -> float:
    """The alarm's threshold, 0 to 1.

    Raises:
        UserError: not a percentage.
    """
    return parse_number("Threshold", percentage, 0, 100, "%") / 100


@dataclass(frozen=True)
class Views:
    """What the tab shows.

    Attributes:
        predictor: answers.
        cohort: the held-out images, for the alarm.
    """

    predictor: Predictor
    cohort: Cohort

    @property
    def training(self) -> np.ndarray:
        """How common each diagnosis was in training, float (7,)."""
        return self.predictor.config.calibration.prevalence

    def explain(
        self, photograph: Photograph, metadata: Metadata, target: str | None, choice: str, share: float
    ) -> tuple[Influence, str]:
        """The influence, and the code of the diagnosis to explain."""
        prevalence = parse_prevalence(choice, share, self.training)
        influence = Influence(self.predictor, photograph.features, metadata, prevalence)
        return influence, explained(target, influence.three_answers["both"])

    def of_photograph(
        self, photograph: Photograph, metadata: Metadata, target: str, choice: str, share: float, scale: str,
        threshold: float, changing: str,
    ) -> tuple[str, ...]:  # fmt: skip
        """All views about one photograph."""
        influence, code = self.explain(photograph, metadata, target, choice, share)
        answers = influence.three_answers
        prevalences = {}
        for c in PREVALENCES:
            with suppress(UserError):  # a share still being typed is no reason to hide an answer that does not use it
                prevalences[c] = parse_prevalence(c, share, self.training)
        found = influence.at_prevalences(prevalences, "mel")
        rows = [
            (words, (self.training if prevalences[c] is None else prevalences[c])[CODES.index("mel")], found[c])
            for words, c in PREVALENCE_CHOICES
            if c in prevalences
        ]
        site, sex = metadata.site or UNKNOWN, metadata.sex or UNKNOWN
        return (
            pieces.change(change_in_words(answers["image alone"], answers["both"], metadata)),
            contributions.side_by_side(answers),
            contributions.waterfall(influence.shapley(code, scale), code, scale),
            contributions.age_curve(influence.ages[1:], influence.age_curve, metadata.age, influence.switches),
            body_map.body_map(influence.by_site(code), code, metadata.site),
            contributions.site_table(influence.by_site_and_sex(code), code, site, sex),
            pieces.changes(smallest_changes_in_words(influence.smallest_changes(changing), metadata, changing)),
            alarms.alarm_here(found["dataset"], parse_threshold(threshold)) + alarms.by_prevalence(rows),
        )

    def of_alarm(self, choice: str, share: float, threshold: float) -> tuple[str, str, str]:
        """The alarm on the held-out photographs, in numbers, as an ROC curve and as a decision curve."""
        try:
            prevalence, at = parse_prevalence(choice, share, self.training), parse_threshold(threshold)
        except UserError as error:
            return pieces.problem(str(error)), "", ""
        alarm = self.cohort.alarm(at, prevalence)
        return (
            alarms.alarm(alarm, prevalence_in_words(prevalence)),
            roc_curve.roc(alarm, at),
            decision_curve.decision_curve(decide(self.cohort, at, prevalence)),
        )


@dataclass(frozen=True)
class Answers:
    """What the tab's endpoints answer. The parameters' names are those of the API.

    Attributes:
        views: of the tab.
        store: of the photographs.
        recognition: of the photographs that the model was trained on or that are held out.
        serve: content and name to the path of a file that the server hands out.
    """

    views: Views
    store: PhotographStore
    recognition: Recognition
    serve: Callable[[bytes, str], str]

    def case(self, image: str | None, age: str, sex: str, site: str) -> tuple[Photograph, Metadata]:
        """The photograph and its record."""
        if image is None:
            raise UserError(NEEDS_IMAGE)
        return self.store.get(image), Metadata(age, sex, site)

    def three_answers(self, image, age, sex, site, prevalence, melanoma_share) -> dict:
        photograph, metadata = self.case(image, age, sex, site)
        answers = self.views.explain(photograph, metadata, None, prevalence, melanoma_share)[0].three_answers
        return {**answers, "in words": change_in_words(answers["image alone"], answers["both"], metadata)}

    def shapley(self, image, age, sex, site, diagnosis, prevalence, melanoma_share, scale) -> dict:
        case = self.case(image, age, sex, site)
        influence, code = self.views.explain(*case, diagnosis, prevalence, melanoma_share)
        return {"diagnosis": code, "scale": scale, **vars(influence.shapley(code, scale))}

    def age_curve(self, image, age, sex, site, prevalence, melanoma_share) -> dict:
        influence, _ = self.views.explain(*self.case(image, age, sex, site), None, prevalence, melanoma_share)
        return {
            "ages": influence.ages[1:],
            "probabilities": dict(zip(CODES, influence.age_curve.T.tolist(), strict=True)),
            "switches": [vars(s) for s in influence.switches],
            "in words": switches_in_words(influence.switches),
        }

    def body_map(self, image, age, sex, site, diagnosis, prevalence, melanoma_share) -> dict:
        case = self.case(image, age, sex, site)
        influence, code = self.views.explain(*case, diagnosis, prevalence, melanoma_share)
        return {"diagnosis": code, "probabilities": influence.by_site_and_sex(code).to_dict("index")}

    def smallest_change(self, image, age, sex, site, prevalence, melanoma_share, changing) -> dict:
        photograph, metadata = self.case(image, age, sex, site)
        influence, _ = self.views.explain(photograph, metadata, None, prevalence, melanoma_share)
        found = influence.smallest_changes(changing)
        words = smallest_changes_in_words(found, metadata, changing)
        changes = [
            {
                **vars(change.metadata), "changed": change.changed, "years": change.years,
                "diagnosis": change.diagnosis, "probability": change.probability, "in words": sentence,
            }
            for change, sentence in zip(found, words, strict=False)  # without a change there is a sentence on that
        ]  # fmt: skip
        return {**(changes[0] if changes else {"in words": words[0]}), "changes": changes}

    def alarm(self, prevalence, melanoma_share, threshold) -> dict:
        known = parse_prevalence(prevalence, melanoma_share, self.views.training)
        at = parse_threshold(threshold)
        found, decision = self.views.cohort.alarm(at, known), decide(self.views.cohort, at, known)
        among_alarms, among_others = found.positive_predictive_value, found.missed
        return {
            "sensitivity": found.sensitivity, "sensitivity interval": found.sensitivity_interval,
            "specificity": found.specificity, "specificity interval": found.specificity_interval,
            "melanoma share": found.melanoma_share,
            "melanomas among the alarms": None if np.isnan(among_alarms) else among_alarms,
            "melanomas among the others": None if np.isnan(among_others) else among_others,
            "net benefit": None if np.isnan(decision.alarm) else decision.alarm,
            "net benefit interval": None if np.isnan(decision.alarm) else decision.interval,
            "net benefit of removing every lesion": decision.everyone, "in words": decision_in_words(decision),
        }  # fmt: skip

    def table_file(self, image, age, sex, site, prevalence, melanoma_share) -> str:
        influence, _ = self.views.explain(*self.case(image, age, sex, site), None, prevalence, melanoma_share)
        return self.serve(sweep_csv(influence).encode(), "sweep.csv")

    def handout_file(self, image, age, sex, site, diagnosis, prevalence, melanoma_share, kind) -> str:
        check_kind(kind)
        photograph, metadata = self.case(image, age, sex, site)
        influence, code = self.views.explain(photograph, metadata, diagnosis, prevalence, melanoma_share)
        predictor = self.views.predictor
        heat = predictor.heat_map(photograph.features, predictor.predict(photograph.features, metadata), code)
        figure = handout(influence, read_image(image), heat, code, self.recognition.of(photograph).truth)
        return self.serve(render(figure, kind), f"handout.{kind}")

    def handout_pdf(self, image, age, sex, site, diagnosis, prevalence, melanoma_share) -> str:
        return self.handout_file(image, age, sex, site, diagnosis, prevalence, melanoma_share, "pdf")

    def handout_png(self, image, age, sex, site, diagnosis, prevalence, melanoma_share) -> str:
        return self.handout_file(image, age, sex, site, diagnosis, prevalence, melanoma_share, "png")
