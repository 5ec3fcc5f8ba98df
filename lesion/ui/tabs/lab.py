"""The tab "Training lab": train the head in front of the class."""

import json
from collections.abc import Iterator
from dataclasses import dataclass

import gradio as gr
from gradio.components import Component

from lesion.data.diagnoses import CODES
from lesion.data.metadata import INPUTS
from lesion.errors import UserError
from lesion.model.calibration import WEIGHTINGS
from lesion.teaching.lab import Lab, LabRun, LabSettings
from lesion.ui.api import as_given, endpoint
from lesion.ui.html import pieces
from lesion.ui.html.charts import comparison, learning_curve
from lesion.ui.material import Material
from lesion.ui.model_choice import ModelChoice
from lesion.ui.models import PerModel

WEIGHTING_CHOICES = list(zip(("none", "square root", "balanced"), WEIGHTINGS, strict=True))
LEARNING_RATES = [0.0001, 0.0003, 0.001, 0.003, 0.01]
RUNS = ("A", "B")
CHANCE = (
    "The intervals cover the choice of lesions, not the chance in a training. Train the same settings with two seeds "
    "first, to see how far apart two trainings come out."
)


@dataclass(frozen=True)
class Runs:
    """What the tab shows, and what its endpoints answer.

    Attributes:
        lab: trains and compares.
    """

    lab: Lab

    def train(self, name: str, kept: dict, *chosen: object) -> Iterator[tuple]:
        """Trains run `name`, and shows it growing beside the other one.

        Args:
            name: "A" or "B".
            kept: the settings of the complete runs by name, which the page keeps.
            chosen: of `LabSettings`.
        """
        try:
            settings = LabSettings(*chosen)
            others = {run: LabSettings(*values) for run, values in kept.items() if run != name}
            histories = {run: self.lab.result(other).history for run, other in others.items()}
            epochs = []
            for result in self.lab.train(settings):
                epochs.append(result)
                words = f"Run {name}: epoch {result.epoch} of {result.epochs}, {result.seconds:.1f} s."
                curves = learning_curve.learning_curves(ordered({**histories, name: epochs}))
                yield kept, pieces.change(words), curves, gr.skip()
        except UserError as error:
            yield kept, pieces.problem(str(error)), gr.skip(), gr.skip()
            return
        kept = ordered({**kept, name: list(chosen)})
        words = f"Run {name}, {in_words(settings)}: trained in {result.seconds:.1f} s."
        yield kept, pieces.change(words), gr.skip(), self.results(kept)

    def train_a(self, kept: dict, *chosen: object) -> Iterator[tuple]:
        yield from self.train("A", kept, *chosen)

    def train_b(self, kept: dict, *chosen: object) -> Iterator[tuple]:
        yield from self.train("B", kept, *chosen)

    def results(self, kept: dict) -> str:
        """Confusion matrices of the runs there are, and their difference where there are two."""
        runs = {name: self.lab.result(LabSettings(*values)) for name, values in kept.items()}
        titles = {name: f"Run {name}: {in_words(run.settings)}" for name, run in runs.items()}
        matrices = pieces.side_by_side(
            *(comparison.confusion(run.confusion, titles[name]) for name, run in runs.items())
        )
        if len(runs) < 2:
            return matrices
        found = self.lab.compare(*(run.settings for run in runs.values()))
        return comparison.differences(found, "run A", "run B", CHANCE) + matrices

    def train_numbers(self, inputs, weighting, epochs, learning_rate, seed) -> Iterator[dict]:
        settings, history = LabSettings(inputs, weighting, epochs, learning_rate, seed), []
        for result in self.lab.train(settings):
            history.append(vars(result))
            yield {"history": history}
        yield {"history": history, **final(self.lab.result(settings))}

    def compare_numbers(
        self, inputs, weighting, epochs, learning_rate, seed, inputs_b, weighting_b, epochs_b, learning_rate_b, seed_b
    ) -> dict:
        found = self.lab.compare(
            LabSettings(inputs, weighting, epochs, learning_rate, seed),
            LabSettings(inputs_b, weighting_b, epochs_b, learning_rate_b, seed_b),
        )
        return {name: {**vars(d), "difference": d.difference} for name, d in found.items()}


def about(material: Material) -> str:
    """What is trained here, on what."""
    return pieces.section(
        "Train the head in front of the class",
        "The head is the last part of the model: it weighs what the backbone sees in a photograph (the embedding) "
        f"against age, sex and site. Here it is trained again on {len(material.cohort.table):,} photographs kept out "
        f"of training, with the embeddings of {material.in_words}, in five-fold cross-validation by lesion: every "
        "photograph is judged by a head that was not trained on its lesion, by its largest output. The model behind "
        "the other tabs does not change.",
    )


def build(choice: ModelChoice) -> gr.Radio:
    """Builds the tab inside the current gr.Tab.

    Args:
        choice: of the model.

    Returns:
        The control of the class weights.
    """
    runs = choice.models.each(lambda m: Runs(m.lab))
    choice.text(about, elem_id="lab-about")
    with gr.Row():
        used = gr.CheckboxGroup(list(INPUTS), value=list(INPUTS), label="Inputs", elem_id="lab-inputs")
        weighting = gr.Radio(WEIGHTING_CHOICES, value="balanced", label="Class weights", elem_id="lab-weighting")
    with gr.Row():
        epochs = gr.Slider(1, 60, 20, step=1, label="Epochs", elem_id="lab-epochs", min_width=160)
        rate = gr.Dropdown(LEARNING_RATES, value=0.001, label="Learning rate", elem_id="lab-rate", min_width=120)
        seed = gr.Number(0, label="Seed", precision=0, elem_id="lab-seed", min_width=100)
    chosen = [used, weighting, epochs, rate, seed]
    for control in chosen:
        control.preprocess = as_given
    build_runs(choice, runs, chosen)
    add_endpoints(choice, runs, chosen)
    return weighting


def build_runs(choice: ModelChoice, runs: PerModel[Runs], chosen: list[Component]) -> None:
    """Buttons that train with the chosen settings, and what they fill."""
    with gr.Row():
        train_a = gr.Button("Train as run A", variant="primary", elem_id="train-a", min_width=120)
        train_b = gr.Button("Train as run B", variant="primary", elem_id="train-b", min_width=120)
        stop = gr.Button("Stop", variant="stop", elem_id="stop", min_width=80)
    # What was trained on the embeddings of another model does not stay.
    status = choice.text(
        lambda _: pieces.change("Choose settings and train run A. Then change one setting and train run B."),
        elem_id="lab-status",
    )
    curves = choice.text(lambda _: pieces.placeholder("The learning curves appear here."), elem_id="lab-curves")
    shown = choice.text(lambda _: "", elem_id="lab-results")
    # The page keeps a list of settings for each run; the runs themselves are in the lab's bounded store.
    kept = gr.State({})
    choice.follow(kept, lambda _: {})
    trainings = [
        button.click(
            runs.asked(train), [kept, *chosen, choice.control], [kept, status, curves, shown], api_visibility="private",
            show_progress="minimal", show_progress_on=status, concurrency_id="lab", concurrency_limit=1,
        )
        for button, train in ((train_a, Runs.train_a), (train_b, Runs.train_b))
    ]  # fmt: skip
    stopped = pieces.change("Stopped. Runs that were complete are kept.")
    stop.click(
        None, None, status, js=f"() => {json.dumps(stopped)}", cancels=trainings, api_visibility="private",
        show_progress="hidden",
    )  # fmt: skip


def add_endpoints(choice: ModelChoice, runs: PerModel[Runs], chosen: list[Component]) -> None:
    """The tab's endpoints."""
    answer = gr.JSON(label="Answer", visible=False)
    about = (
        f"inputs (a list of {', '.join(INPUTS)}), class weights ({', '.join(WEIGHTINGS)}), epochs (1 to 60), learning "
        "rate (0.00001 to 0.1) and seed"
    )
    endpoint(
        "train_head", runs.asked(Runs.train_numbers), [*chosen, choice.control], answer,
        f"Trains the head on the held-out embeddings in five-fold cross-validation by lesion. Give {about}. Returns "
        "the history after every epoch, and at the end accuracy, balanced accuracy and the confusion matrix of the "
        "out-of-fold answers.",
        concurrency_id="lab",
    )  # fmt: skip
    others = [
        gr.CheckboxGroup(list(INPUTS), value=list(INPUTS), label="Inputs of run B", visible=False),
        gr.Radio(WEIGHTING_CHOICES, value="none", label="Class weights of run B", visible=False),
        gr.Slider(1, 60, 20, step=1, label="Epochs of run B", visible=False),
        gr.Dropdown(LEARNING_RATES, value=0.001, label="Learning rate of run B", visible=False),
        gr.Number(0, label="Seed of run B", precision=0, visible=False),
    ]
    for control in others:
        control.preprocess = as_given
    endpoint(
        "compare_heads", runs.asked(Runs.compare_numbers), [*chosen, *others, choice.control], answer,
        f"Compares two such trainings, A and B. Give {about}, of A and then of B; runs that are no longer kept are "
        "trained. Returns accuracy, balanced accuracy and every recall of both, and the differences (B − A) with 95 % "
        "bootstrap intervals by lesion.",
        concurrency_id="lab",
    )  # fmt: skip


def ordered(runs: dict) -> dict:
    """The runs there are, A first."""
    return {name: runs[name] for name in RUNS if name in runs}


def in_words(settings: LabSettings) -> str:
    """Settings in a few words."""
    weighting = {value: words for words, value in WEIGHTING_CHOICES}[settings.weighting]
    return (
        f"{', '.join(settings.inputs)}; class weights {weighting}; {settings.epochs} epochs, learning rate "
        f"{settings.learning_rate:g}, seed {settings.seed}"
    )


def final(run: LabRun) -> dict:
    """What a complete run comes to."""
    last = run.history[-1]
    return {
        "accuracy": last.accuracy,
        "balanced_accuracy": last.balanced_accuracy,
        "confusion_matrix": run.confusion.tolist(),
        "diagnoses": CODES,
    }
