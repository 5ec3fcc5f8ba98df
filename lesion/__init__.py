"""Skin-lesion diagnosis from a photograph, age, sex and body site: a teaching model, not a medical device."""

import importlib
from typing import TYPE_CHECKING

from lesion.hardware import limit_threads

limit_threads()  # for every command alike, before a module of ours loads a numerical library

if TYPE_CHECKING:
    from lesion.data.metadata import Metadata
    from lesion.data.reading import read_image
    from lesion.inference.predictor import load_predictor
    from lesion.teaching.cohort import Cohort
    from lesion.teaching.influence import Influence

__all__ = ["Cohort", "Influence", "Metadata", "load_predictor", "read_image"]
MODULES = {
    "Cohort": "lesion.teaching.cohort",
    "Influence": "lesion.teaching.influence",
    "Metadata": "lesion.data.metadata",
    "load_predictor": "lesion.inference.predictor",
    "read_image": "lesion.data.reading",
}


def __getattr__(name: str) -> object:
    """Imports on first use, so that the parts that need no torch start without it."""
    if name in MODULES:
        return getattr(importlib.import_module(MODULES[name]), name)
    raise AttributeError(f"module 'lesion' has no attribute {name!r}")
