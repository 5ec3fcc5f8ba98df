"""What the page is about for one model: its photographs, held-out images, lessons and lab, each made when asked for."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lesion.data.held_out_photographs import HeldOutPhotographs
from lesion.inference.photograph_store import PhotographStore
from lesion.inference.predictor import Predictor
from lesion.teaching.cohort import Cohort
from lesion.teaching.lab import Lab
from lesion.teaching.lessons import Lessons
from lesion.teaching.recognition import Recognition
from lesion.teaching.round_cases import Rounds
from lesion.teaching.similar import SimilarCases
from lesion.ui.example_photographs import load_examples


class built_once:
    """As functools.cached_property, but computed once where several threads ask at the same time. Its object has a
    `lock`, an RLock, for which only those wait who ask for what is not there yet.

    Python's own has no lock since 3.12, and before it one for all objects of a class, so that one model would wait for
    another.
    """

    def __init__(self, make: Callable[[Any], Any]):
        self._make, self.__doc__ = make, make.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        if instance is None:
            return self
        with instance.lock:
            if self._name not in vars(instance):  # where it is, Python looks no further
                vars(instance)[self._name] = self._make(instance)
        return vars(instance)[self._name]


class Material:
    """What the page shows of one model, apart from its components. Its parts may be asked for from several threads.

    Args:
        predictor: answers.
        name: of the model, as people read it.
        photographs: gives the small copies of the held-out images, as far as there are any.
    """

    def __init__(self, predictor: Predictor, name: str, photographs: Callable[[], HeldOutPhotographs]):
        self.predictor, self.name, self._photographs = predictor, name, photographs
        self.lock = threading.RLock()
        self.made: dict[object, object] = {}
        """What `PerModel` made of it."""

    @property
    def folder(self) -> Path:
        """Of the checkpoint."""
        return self.predictor.checkpoint.folder

    @property
    def identity(self) -> str:
        """Of the checkpoint."""
        return self.predictor.checkpoint.identity

    @property
    def in_words(self) -> str:
        """Which model it is: "ConvNeXt-Small (checkpoint 0123456789ab)"."""
        return self.predictor.checkpoint.in_words

    @built_once
    def store(self) -> PhotographStore:
        """Photographs in use, and the predictor."""
        return PhotographStore(self.predictor)

    @built_once
    def cohort(self) -> Cohort:
        """The held-out images."""
        return Cohort(self.predictor)

    @built_once
    def photographs(self) -> HeldOutPhotographs:
        """Small copies of the held-out images, as far as there are any."""
        return self._photographs()

    @built_once
    def lab(self) -> Lab:
        """Trains heads on the held-out embeddings."""
        return Lab(self.cohort.held_out, self.predictor.config.encoder)

    @built_once
    def lessons(self) -> Lessons:
        """The lessons."""
        return Lessons(self.cohort, self.photographs, self.lab)

    @built_once
    def rounds(self) -> Rounds:
        """The reader rounds."""
        return Rounds(self.cohort, self.photographs)

    @built_once
    def similar(self) -> SimilarCases:
        """Held-out photographs like another one."""
        return SimilarCases(self.cohort)

    @built_once
    def recognition(self) -> Recognition:
        """Of the photographs that the model was trained on or that are held out."""
        examples = {example.key: (example.image_id, example.diagnosis) for example in load_examples()}
        return Recognition(self.cohort, self.photographs, examples)
