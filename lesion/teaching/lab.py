"""The training lab: the fusion head trained in front of a class, on the held-out embeddings alone.

The backbone never trained on those images (a third of them served to choose its epoch). A run is scored by five-fold
cross-validation, since the rare diagnoses are too few for one split: each image is decided by the one head of five that
trained on no photograph of its lesion. The folds keep lesions whole and diagnoses in proportion (scikit-learn's
StratifiedGroupKFold). Two runs are compared on the same images, with intervals from resampling lesions, the clusters,
not images (Davison and Hinkley, "Bootstrap Methods and Their Application", 1997, section 3.8). The intervals show
how much the choice of lesions matters, not the luck of a training: for that, compare two seeds.

A run depends only on its settings, not on other trainings at the same time. Nothing is written to disk.
"""

import os
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from sklearn.metrics import confusion_matrix
from sklearn.model_selection import StratifiedGroupKFold
from threadpoolctl import threadpool_limits
from torch import nn

from lesion.data.diagnoses import DIAGNOSES
from lesion.data.ham10000 import records_of
from lesion.data.metadata import INPUTS, MetadataEncoder, parse_inputs
from lesion.errors import UserError, parse_number, parse_whole, shown
from lesion.metrics.bootstrap import bootstrap_weights, confusion_metrics
from lesion.metrics.metrics import CLASSES
from lesion.metrics.scores import Difference, compare_decisions
from lesion.model.calibration import WEIGHTINGS, class_weights
from lesion.model.fusion import ConcatenationHead, one_an_image
from lesion.model.held_out import HeldOut

FOLDS = 5
BATCH_SIZE = 256
STORED_RUNS = 64
EPOCHS = (1, 60)
LEARNING_RATES = (1e-5, 1e-1)
SEEDS = (0, 2**31 - 1)


@dataclass(frozen=True)
class LabSettings:
    """What a person chooses; equal settings give equal runs.

    Args:
        inputs: names from INPUTS (image, age, sex, site), at least one, in any order; kept in the order of INPUTS.
        weighting: of the classes in the loss, see `lesion.model.calibration.class_weights`.
        epochs: passes over the training images, 1 to 60.
        learning_rate: of Adam, 1e-5 to 1e-1.
        seed: of the folds, the initial weights and the order of the images, 0 to 2³¹ − 1.

    Raises:
        UserError: a value is not accepted.
    """

    inputs: tuple[str, ...] = INPUTS
    weighting: str = "balanced"
    epochs: int = 20
    learning_rate: float = 1e-3
    seed: int = 0

    def __post_init__(self):
        object.__setattr__(self, "inputs", parse_inputs("Inputs", self.inputs))
        if not self.inputs:
            raise UserError(f"Inputs are none; give a list of at least one of {', '.join(INPUTS)}.")
        if not (isinstance(self.weighting, str) and self.weighting in WEIGHTINGS):
            raise UserError(
                f"Class weighting {shown(self.weighting)} is not accepted; choose one of {', '.join(WEIGHTINGS)}."
            )
        object.__setattr__(self, "epochs", parse_whole("Number of epochs", self.epochs, *EPOCHS))
        object.__setattr__(self, "learning_rate", parse_number("Learning rate", self.learning_rate, *LEARNING_RATES))
        object.__setattr__(self, "seed", parse_whole("Seed", self.seed, *SEEDS))


@dataclass(frozen=True)
class EpochResult:
    """All five heads after an epoch.

    Attributes:
        epoch: counted from 1.
        epochs: how many there will be.
        training_loss: cross-entropy with the class weights it is trained with, nats; mean over the epoch's batches, as
            they were before each step, and over the folds.
        held_out_loss: the same loss on the images out of each fold's training, after the epoch.
        accuracy, balanced_accuracy: of those images' decisions, 0 to 1.
        seconds: worked on this training so far; no part of an equality.
    """

    epoch: int
    epochs: int
    training_loss: float
    held_out_loss: float
    accuracy: float
    balanced_accuracy: float
    seconds: float = field(compare=False)


@dataclass(frozen=True, eq=False)
class LabRun:
    """A complete training.

    Attributes:
        settings: what was chosen.
        history: one result an epoch.
        decisions: int (N,), after the last epoch: for each image the class with the largest output of the head that
            did not train on its lesion. The class weights are not undone, as the app's calibration would: what they do
            is what the lab shows.
        confusion: int (7, 7), rows true, columns decided.
    """

    settings: LabSettings
    history: tuple[EpochResult, ...]
    decisions: np.ndarray
    confusion: np.ndarray


class Fold:
    """One of the five heads, with the rows it trains on and those it is scored on.

    Args:
        examples: embeddings, float (N, D); encoded records, float (N, WIDTH); labels, int (N,).
        training, held_out: int (n,), row numbers.
        settings: see `LabSettings`.
        noise: standard deviation of the normal noise that is added to embeddings whenever they are read, over their
            own standard deviation.
    """

    def __init__(
        self,
        examples: tuple[torch.Tensor, ...],
        training: np.ndarray,
        held_out: np.ndarray,
        settings: LabSettings,
        noise: float = 0.0,
    ):
        self.embeddings, self.metadata, self.labels = examples
        self.training, self.held_out = torch.tensor(training), torch.tensor(held_out)
        weights = class_weights(self.labels[self.training].numpy(), settings.weighting)
        self.weights = torch.tensor(weights, dtype=torch.float32)
        self.present = torch.tensor([[name in settings.inputs for name in INPUTS]])
        self.generator = torch.Generator().manual_seed(settings.seed)
        self.spread = noise * self.embeddings.std(0) if noise else None
        self.head = create_head(self.embeddings.shape[1], self.generator)
        trained = [parameter for parameter in self.head.parameters() if parameter.requires_grad]
        self.optimizer = torch.optim.Adam(trained, lr=settings.learning_rate, fused=True)

    def forward(self, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits, float (n, 7), and weighted losses, float (n,), of rows of the examples, int (n,)."""
        # Where the image is absent its embedding is never looked at: one row stands for all, which halves the work.
        embeddings = self.embeddings[rows] if self.present[0, 0] else self.embeddings[:1]
        if self.spread is not None:
            embeddings = embeddings + self.spread * torch.randn(embeddings.shape, generator=self.generator)
        logits = self.head(embeddings, self.metadata[rows], self.present.expand(len(rows), -1))
        return logits, nn.functional.cross_entropy(logits, self.labels[rows], self.weights, reduction="none")

    def advance(self) -> tuple[float, float, np.ndarray]:
        """Trains for an epoch.

        Returns:
            The sum of the training losses, the sum of the held-out losses, and the held-out decisions, int (n,).
        """
        training_loss = 0.0
        for rows in self.training[torch.randperm(len(self.training), generator=self.generator)].split(BATCH_SIZE):
            _, losses = self.forward(rows)
            self.optimizer.zero_grad()
            losses.mean().backward()
            self.optimizer.step()
            training_loss += losses.sum().item()
        with torch.no_grad():
            logits, losses = self.forward(self.held_out)
        return training_loss, losses.sum().item(), logits.argmax(1).numpy()


def create_head(embedding_width: int, generator: torch.Generator) -> ConcatenationHead:
    """A fusion head whose initial weights come from `generator` alone, ready to train."""
    head = ConcatenationHead(embedding_width)
    with torch.no_grad():
        for layer in head.modules():
            if isinstance(layer, nn.Linear):  # the bounds of torch's own initialisation
                bound = layer.in_features**-0.5
                layer.weight.uniform_(-bound, bound, generator=generator)
                layer.bias.uniform_(-bound, bound, generator=generator)
    # The next layer can scale and shift just as well; without gradients of the embeddings, a third of the work goes.
    head.image_norm.requires_grad_(False)
    # Evaluation mode while training: it only switches dropout off, whose masks torch draws from the generator that all
    # threads share.
    return head.eval()


class Lab:
    """Trains heads on the held-out images and compares them. Its methods may be called from several threads.

    Args:
        held_out: of `Checkpoint.held_out`.
        encoder: of the same checkpoint.
        rounds: resamplings of a comparison's intervals.
    """

    def __init__(self, held_out: HeldOut, encoder: MetadataEncoder, rounds: int = 1000):
        self.labels = held_out.table.label.to_numpy()
        self.lesions = held_out.table.lesion_id.to_numpy()
        self.rounds = rounds
        metadata, _ = encoder.encode(records_of(held_out.table))
        self._examples = (
            torch.tensor(one_an_image(held_out.embeddings)),
            torch.tensor(metadata),
            torch.tensor(self.labels),
        )
        self._runs: OrderedDict[LabSettings, LabRun] = OrderedDict()
        self._lock, self._training = threading.Lock(), threading.Lock()
        # Folds are trained side by side, each on one core. Threads inside an operation would wait for one another at
        # each of the many small ones, and for long where other work keeps a core busy. The limit holds in these threads
        # alone, which are also outside any inference mode of the caller's.
        self._pool = ThreadPoolExecutor(min(FOLDS, torch.get_num_threads()), "lab", initializer=step_back)

    def check(self) -> None:
        """Checks that there are images enough.

        Raises:
            UserError: a class has fewer than five lesions.
        """
        for label, diagnosis in enumerate(DIAGNOSES):
            lesions = len(np.unique(self.lesions[self.labels == label]))
            if lesions < FOLDS:
                raise UserError(
                    f"The training lab needs {FOLDS} lesions of each diagnosis, one a fold, and the checkpoint holds "
                    f"out {lesions} of {diagnosis.name}; use a checkpoint that was trained on all of HAM10000."
                )

    def folds(self, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
        """Row numbers of each fold's training and held-out images, int (n,).

        Raises:
            UserError: see `check`.
        """
        self.check()
        splitter = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed)
        return list(splitter.split(self.labels, self.labels, self.lesions))

    def train(self, settings: LabSettings) -> Iterator[EpochResult]:
        """Trains the five heads, an epoch of each at a step; the complete run is stored.

        Closing the generator stops the training, and nothing is stored.

        Args:
            settings: see `LabSettings`.

        Yields:
            The result of each epoch. The run is in the store when the last one comes.

        Raises:
            UserError: a class has fewer than five lesions.
        """
        started = time.perf_counter()
        folds = list(self._pool.map(lambda rows: Fold(self._examples, *rows, settings), self.folds(settings.seed)))
        decisions = np.empty(len(self.labels), int)
        history, waited = [], 0.0
        for epoch in range(1, settings.epochs + 1):
            training_losses, held_out_losses, decided = zip(*self._pool.map(Fold.advance, folds), strict=True)
            for fold, of_fold in zip(folds, decided, strict=True):
                decisions[fold.held_out.numpy()] = of_fold
            confusion = confusion_matrix(self.labels, decisions, labels=CLASSES)
            values = confusion_metrics(confusion[None])
            history.append(
                EpochResult(
                    epoch,
                    settings.epochs,
                    sum(training_losses) / sum(len(fold.training) for fold in folds),
                    sum(held_out_losses) / len(self.labels),
                    float(values["accuracy"][0]),
                    float(values["balanced_accuracy"][0]),
                    time.perf_counter() - started - waited,
                )
            )
            if epoch == settings.epochs:
                self._store(LabRun(settings, tuple(history), decisions, confusion))
            yielded = time.perf_counter()
            yield history[-1]
            waited += time.perf_counter() - yielded

    def decisions_of(
        self, folds: list[tuple[np.ndarray, np.ndarray]], settings: LabSettings, noise: float = 0.0
    ) -> np.ndarray:
        """Trains one head on each of some folds, to the last epoch; nothing is stored.

        Args:
            folds: row numbers to train on and to decide, int (n,).
            settings: see `LabSettings`.
            noise: see `Fold`.

        Returns:
            int (N,): the decision of the fold that decides a row; −1 where none does.
        """
        heads = list(self._pool.map(lambda rows: Fold(self._examples, *rows, settings, noise), folds))
        decisions = np.full(len(self.labels), -1)
        for _ in range(settings.epochs):
            for fold, (_, _, decided) in zip(heads, self._pool.map(Fold.advance, heads), strict=True):
                decisions[fold.held_out.numpy()] = decided
        return decisions

    def _store(self, run: LabRun) -> None:
        """Keeps a run, and forgets the least recently used ones beyond STORED_RUNS."""
        run.decisions.setflags(write=False)
        run.confusion.setflags(write=False)
        with self._lock:
            self._runs[run.settings] = run
            self._runs.move_to_end(run.settings)
            while len(self._runs) > STORED_RUNS:
                self._runs.popitem(last=False)

    def stored(self, settings: LabSettings) -> LabRun | None:
        """The run with these settings, where it is in the store."""
        with self._lock:
            if settings in self._runs:
                self._runs.move_to_end(settings)
            return self._runs.get(settings)

    def result(self, settings: LabSettings) -> LabRun:
        """The run with these settings, from the store or by training.

        Raises:
            UserError: a class has fewer than five lesions.
        """
        with self._training:  # who waits for the same run finds it in the store
            while (run := self.stored(settings)) is None:
                for _ in self.train(settings):
                    pass
        return run

    @cached_property
    def _weights(self) -> np.ndarray:
        """The same resamplings for every comparison, float64 (rounds, N)."""
        return bootstrap_weights(self.lesions, self.rounds)

    def compare(self, a: LabSettings, b: LabSettings) -> dict[str, Difference]:
        """The paired comparison of two runs, B − A, each from the store or by training.

        Args:
            a, b: settings of the runs.

        Returns:
            By name: "accuracy", "balanced_accuracy", and each diagnosis's recall, "recall.mel" and so on.

        Raises:
            UserError: a class has fewer than five lesions.
        """
        decisions = (self.result(settings).decisions for settings in (a, b))
        return compare_decisions(self.labels, *decisions, self._weights)


def step_back() -> None:
    """Makes a thread of the lab work on one core, and after the threads that answer visitors."""
    threadpool_limits(1, "openmp")
    if sys.platform == "linux":  # elsewhere a priority is the whole process's
        nice = max(10, os.getpriority(os.PRIO_PROCESS, 0))  # only root may lower it again
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), nice)
