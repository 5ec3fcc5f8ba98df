"""The checkpoints that the page can answer by. The first is there from the start, another when it is first chosen.

Handlers and endpoints get the chosen model's name as their last value:

    views = models.each(lambda material: Views(material.cohort, material.photographs))
    endpoint("cohort", views.asked(Views.numbers), [*controls, model], ...)

Nothing here imports Gradio.
"""

import inspect
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import wraps
from pathlib import Path
from typing import Any, Generic, TypeVar

from lesion.data.held_out_photographs import HeldOutPhotographs, find_file
from lesion.errors import UserError, shown
from lesion.inference.predictor import Predictor
from lesion.model.checkpoint import Checkpoint, identity_of, load_checkpoint, load_config
from lesion.model.hub import resolve
from lesion.model.names import model_name
from lesion.ui.material import Material, built_once

T = TypeVar("T")


class Model:
    """A checkpoint that can be chosen.

    Args:
        folder: of the checkpoint.
        identity: of the checkpoint, see `Checkpoint.identity`.
        name: as people read it.
        make: its material.
    """

    def __init__(self, folder: Path, identity: str, name: str, make: Callable[["Model"], Material]):
        self.folder, self.identity, self.name, self._make = folder, identity, name, make
        self.lock = threading.RLock()

    @built_once
    def material(self) -> Material:
        """What the page shows of it. The weights are read by who asks first; others who ask wait for it."""
        return self._make(self)


class Models:
    """The models to choose from.

    Args:
        first: the checkpoint that answers until another one is chosen.
        others: folders or Hub ids of more; their config.json is read and the files are compared with it, no more.
        device: see `find_device`.

    Raises:
        UserError: one of the others is missing, damaged or inconsistent, or a checkpoint is given twice.
    """

    def __init__(self, first: Checkpoint, others: Sequence[str | Path] = (), device: str = "auto"):
        self.device, self._lock = device, threading.Lock()
        self._photographs: dict[Path, HeldOutPhotographs] = {}
        folders = [first.folder, *map(resolve, others)]
        configs = [first.config, *map(load_config, folders[1:])]
        identities = [identity_of(folder) for folder in folders]
        for identity, times in Counter(identities).items():
            if times > 1:
                raise UserError(f"Checkpoint {identity} ({folders[identities.index(identity)]}) is given twice.")
        plain = [model_name(config.backbone) for config in configs]
        names = [
            f"{name} ({identity})" if plain.count(name) > 1 else name
            for name, identity in zip(plain, identities, strict=True)
        ]
        self.all = [
            Model(folder, identity, name, self._make)
            for folder, identity, name in zip(folders, identities, names, strict=True)
        ]
        self._first = first

    def _make(self, model: Model) -> Material:
        checkpoint = self._first if model is self.all[0] else load_checkpoint(model.folder)
        predictor = Predictor(checkpoint, device=self.device)
        return Material(predictor, model.name, lambda: self.photographs_of(model.folder))

    @property
    def names(self) -> list[str]:
        """The models' names, the first one's first."""
        return [model.name for model in self.all]

    @property
    def first(self) -> Material:
        """That of the model that answers until another one is chosen."""
        return self.all[0].material

    def get(self, name: object = None) -> Material:
        """The material of a model.

        Args:
            name: of the model, or nothing for the first.

        Raises:
            UserError: there is no such model, or its checkpoint was damaged after the start.
        """
        if name in (None, ""):
            return self.first
        for model in self.all:
            if model.name == name:
                return model.material
        raise UserError(f"Model {shown(name)} is not known; choose {', '.join(self.names)}.")

    def named_by(self, identity: object) -> str | None:
        """The name of the model whose checkpoint has this identity, as links carry it; None where it is not here."""
        return next((model.name for model in self.all if model.identity == identity), None)

    def identity_of(self, name: object) -> str:
        """The identity of a model's checkpoint; the first one's where there is no such model."""
        return next((model.identity for model in self.all if model.name == name), self.all[0].identity)

    def photographs_of(self, folder: Path) -> HeldOutPhotographs:
        """The held-out photographs of a checkpoint's folder; checkpoints with one file share them."""
        path = find_file(folder)
        with self._lock:
            if path not in self._photographs:
                self._photographs[path] = HeldOutPhotographs(folder)
            return self._photographs[path]

    def each(self, make: Callable[[Material], T]) -> "PerModel[T]":
        """Something of each model, made once and when it is first asked for."""
        return PerModel(self, make)


class PerModel(Generic[T]):
    """Something of each model: see `Models.each`."""

    def __init__(self, models: Models, make: Callable[[Material], T]):
        self.models, self._make = models, make

    def of(self, name: object = None) -> T:
        """That of one model.

        Raises:
            UserError: there is no such model.
        """
        material = self.models.get(name)
        if self not in material.made:
            with material.lock:
                if self not in material.made:
                    material.made[self] = self._make(material)
        return material.made[self]

    def asked(self, method: Callable) -> Callable:
        """A handler or endpoint whose last value is the name of a model: `method`, called with that model's T and the
        other values. Its signature, which names an endpoint's parameters, is the method's with `model` at the end."""
        given = list(inspect.signature(method).parameters.values())[1:]
        model = inspect.Parameter("model", inspect.Parameter.POSITIONAL_OR_KEYWORD)
        if inspect.isgeneratorfunction(method):

            @wraps(method)
            def ask(*values: Any) -> Iterator:
                yield from method(self.of(values[-1]), *values[:-1])

        else:

            @wraps(method)
            def ask(*values: Any) -> Any:
                return method(self.of(values[-1]), *values[:-1])

        takes_any = any(parameter.kind is inspect.Parameter.VAR_POSITIONAL for parameter in given)
        ask.__signature__ = inspect.Signature(given if takes_any else [*given, model])
        return ask
