"""The checkpoint folder: arrays in model (float16), held_out and out_of_distribution.safetensors, and config.json.

config.json is written last and holds the SHA-256 of the others. So a folder that mixes two trainings, or has a
truncated file, is refused. Nothing is ever unpickled.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file as load_arrays
from safetensors.numpy import save as save_arrays
from safetensors.torch import save as save_tensors

from lesion.data.metadata import SEXES, SITES
from lesion.errors import UserError, shown
from lesion.files import prepare_folder, sha256, write_together
from lesion.model.checkpoint_config import (
    DETECTOR,
    DETECTOR_OF_FORMAT_2,
    FORMAT,
    CheckpointConfig,
    from_document,
    from_format_2,
    from_format_3,
)
from lesion.model.fusion import FusionModel, create_backbone
from lesion.model.held_out import HeldOut, read_held_out, serialise
from lesion.model.hub import GET_ONE, resolve
from lesion.model.names import model_name
from lesion.model.out_of_distribution import MahalanobisDetector

MODEL, CONFIG, REPORT = "model.safetensors", "config.json", "report.json"
HELD_OUT = "held_out.safetensors"
FLOATS = ("F16", "BF16", "F32")
"""Types of weights, as safetensors names them."""


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint in memory. The model is in evaluation mode, float32; `detector` finds out-of-distribution images."""

    folder: Path
    config: CheckpointConfig
    model: FusionModel
    detector: MahalanobisDetector

    @cached_property
    def identity(self) -> str:
        """Twelve hexadecimal digits that another checkpoint does not share: of the hash of config.json, which holds
        the hashes of the other files."""
        return identity_of(self.folder)

    @property
    def in_words(self) -> str:
        """Which model it is: "ConvNeXt-Small (checkpoint 0123456789ab)"."""
        return f"{model_name(self.config.backbone)} (checkpoint {self.identity})"

    def held_out(self) -> HeldOut:
        """Reads held_out.safetensors.

        Raises:
            UserError: it is missing, damaged or of another model.
        """
        held_out = read_held_out(self.folder / HELD_OUT)
        if held_out.embeddings.ndim not in (2, 3) or held_out.embeddings.shape[-1:] != self.model.head.null_image.shape:
            raise UserError(f"{self.folder / HELD_OUT} is of another model. {GET_ONE}")
        return held_out


def identity_of(folder: Path) -> str:
    """The identity of the checkpoint in a folder, see `Checkpoint.identity`."""
    return sha256(folder / CONFIG)[:12]


def half(tensor: torch.Tensor) -> torch.Tensor:
    """float16 where that keeps every value finite, else the tensor as it is."""
    if not tensor.is_floating_point():
        return tensor.cpu().contiguous()
    small = tensor.detach().cpu().contiguous().half()
    return small if bool(small.isfinite().all()) else tensor.cpu().contiguous()


def save_checkpoint(
    folder: Path,
    model: FusionModel,
    config: CheckpointConfig,
    held_out: HeldOut,
    detector: MahalanobisDetector,
    beside: dict[str, Callable[[Path], object]] | None = None,
) -> None:
    """Writes a checkpoint folder, whole or not at all; the report of an earlier checkpoint in it is removed.

    Args:
        folder: made if need be.
        model: its weights are stored as float16.
        config: everything else.
        held_out: the validation and test images.
        detector: fitted on the training part.
        beside: what writes further files, by name, that are replaced together with the checkpoint.

    Raises:
        UserError: the folder cannot be written; an earlier checkpoint in it is as it was.
    """
    prepare_folder(folder)
    weights = {name: half(tensor) for name, tensor in model.state_dict().items()}
    table = held_out.table
    arrays = {
        "embeddings": held_out.embeddings.astype(np.float16),
        "label": table.label.to_numpy(np.uint8),
        "age": table.age.to_numpy(np.float32),
        "sex": np.array([SEXES.index(s) if s else -1 for s in table.sex], np.int8),
        "site": np.array([SITES.index(s) if s else -1 for s in table.site], np.int8),
        "test": table.test.to_numpy(np.uint8),
    }
    texts = {name: json.dumps(list(table[name])) for name in ("image_id", "lesion_id", "dx_type")}
    # Serialised here: safetensors' own writing to a file leaves another temporary file where it is killed.
    contents = {
        MODEL: save_tensors(weights),
        HELD_OUT: serialise(arrays, texts),
        DETECTOR: save_arrays(detector.arrays()),
    }
    document = config.to_document({name: hashlib.sha256(content).hexdigest() for name, content in contents.items()})
    contents[CONFIG] = (json.dumps(document, indent=2) + "\n").encode()
    writers: dict[str, Callable[[Path], object]] = dict(beside or {})
    for name, content in contents.items():  # CONFIG, the last, makes the folder a checkpoint
        writers[name] = partial(Path.write_bytes, data=content)
    write_together({folder / name: write for name, write in writers.items()})
    for stale in (REPORT, DETECTOR_OF_FORMAT_2):
        (folder / stale).unlink(missing_ok=True)


def load_config(folder: Path) -> CheckpointConfig:
    """Reads and checks config.json.

    Raises:
        UserError: missing, not JSON, of another format, or with values out of range.
    """
    path = folder / CONFIG
    if not path.is_file():
        raise UserError(f"{folder} is not a checkpoint: it has no {CONFIG}. {GET_ONE}")
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path} cannot be read ({error}). {GET_ONE}") from None
    version = document.get("format") if isinstance(document, dict) else None
    if version not in (2, 3, FORMAT):
        raise UserError(
            f"{path} has checkpoint format {shown(version)}; this version reads formats 2 to {FORMAT}. Update the "
            "application, or use a checkpoint that it wrote."
        )
    try:
        document = from_format_2(document) if version == 2 else document
        document = from_format_3(document) if version in (2, 3) else document
        config = from_document(document)
        hashes = {name: str(document["sha256"][name]) for name in (MODEL, HELD_OUT, DETECTOR)}
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        reason = f"it has no {error}" if isinstance(error, KeyError) else str(error)
        raise UserError(f"{path} cannot be used: {reason}. {GET_ONE}") from None
    if version == 2:
        hashes[DETECTOR_OF_FORMAT_2] = hashes.pop(DETECTOR)
    for name, expected in hashes.items():
        if not (folder / name).is_file():
            raise UserError(f"{folder} has no {name}. {GET_ONE}")
        if sha256(folder / name) != expected:
            raise UserError(
                f"{folder / name} is not the file that {CONFIG} was written with (damaged, or from another training). "
                f"{GET_ONE}"
            )
    return config


def load_checkpoint(source: str | Path) -> Checkpoint:
    """Reads a checkpoint.

    Args:
        source: see `resolve`.

    Raises:
        UserError: it is missing, damaged or inconsistent; the message says what to do.
    """
    folder = resolve(source)
    config = load_config(folder)
    try:
        with torch.device("meta"):  # no memory is spent before the file is known to fit
            skeleton = FusionModel(create_backbone(config.backbone), config.fusion)
    except UserError:
        raise
    except Exception as error:  # timm's constructors raise many things where a tag or the rest of a name is wrong
        raise UserError(f"{config.backbone} cannot be built for {folder} ({error}). {GET_ONE}") from None
    weights = read_weights(folder / MODEL, config.backbone, skeleton.state_dict())
    model = skeleton
    model.load_state_dict(weights, assign=True)  # nothing is initialised only to be overwritten: a second of the start
    if any(buffer.is_meta for buffer in model.buffers()):  # timm computes some of them, and the file has none of those
        model = FusionModel(create_backbone(config.backbone), config.fusion)
        model.load_state_dict(weights)
    detector = read_detector(folder)
    if detector.mean.shape != model.head.null_image.shape:
        raise UserError(f"{folder / DETECTOR} is of another model. {GET_ONE}")
    return Checkpoint(folder, config, model.to(memory_format=torch.channels_last).eval(), detector)


def read_weights(path: Path, backbone: str, expected: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Reads model.safetensors.

    Args:
        path: of the file.
        backbone: name, for the message.
        expected: what the weights must be like.

    Raises:
        UserError: damaged, not finite, or other tensors than expected.
    """
    try:
        with safe_open(path, "pt") as file:
            parts = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 - it is not a dict
            found = {name: (tuple(part.get_shape()), part.get_dtype() in FLOATS) for name, part in parts.items()}
            fitting = {name: (tuple(tensor.shape), tensor.is_floating_point()) for name, tensor in expected.items()}
            if found != fitting:
                wrong = sorted(name for name in found.keys() | fitting.keys() if found.get(name) != fitting.get(name))
                raise UserError(
                    f"{path} does not fit a {backbone}: {len(wrong)} tensor(s) missing, extra or of another shape or "
                    f"type ({', '.join(map(shown, wrong[:3]))}). {GET_ONE}"
                )
            weights = {name: file.get_tensor(name).to(expected[name].dtype) for name in parts}
    except (OSError, SafetensorError) as error:
        raise UserError(f"{path} cannot be read ({error}). {GET_ONE}") from None
    bad = [name for name, tensor in weights.items() if not bool(tensor.isfinite().all())]
    if bad:
        raise UserError(f"{path} has values that are not finite in {bad[0]}. {GET_ONE}")
    return weights


def read_detector(folder: Path) -> MahalanobisDetector:
    """Reads out_of_distribution.safetensors, or familiarity.safetensors in a folder of format 2.

    Raises:
        UserError: missing or damaged.
    """
    path = folder / DETECTOR
    if not path.exists():
        path = folder / DETECTOR_OF_FORMAT_2
    try:
        return MahalanobisDetector.from_arrays(load_arrays(path))
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path} cannot be read ({error}). {GET_ONE}") from None
