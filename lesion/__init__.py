"""Skin-lesion diagnosis from a photograph, age, sex and body site: a teaching model, no medical device."""

from typing import TYPE_CHECKING

from lesion.hardware import limit_threads

limit_threads()  # for every command alike, before a module of ours loads a numerical library

if TYPE_CHECKING:
    from lesion.data.metadata import Metadata
    from lesion.inference.predictor import load_predictor

__all__ = ["Metadata", "load_predictor"]


def __getattr__(name: str):
    """Imports on first use, so that the parts that need no torch start without it."""
    if name == "Metadata":
        from lesion.data.metadata import Metadata

        return Metadata
    if name == "load_predictor":
        from lesion.inference.predictor import load_predictor

        return load_predictor
    raise AttributeError(f"module 'lesion' has no attribute {name!r}")
