"""The checkpoint folder: model.safetensors (float16), config.json, held_out.safetensors and familiarity.safetensors.

config.json is written last and names the SHA-256 of the others, so a folder that mixes two trainings, or lost part
of a file, is refused. Nothing is ever unpickled.
"""

import hashlib
import json
import math
import os
import re
from dataclasses import asdict, dataclass
from pathlib import Path

import huggingface_hub
import numpy as np
import pandas as pd
import torch
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file as load_arrays
from safetensors.numpy import save_file as save_arrays
from safetensors.torch import load_file, save_file

from lesion.calibration import Calibration
from lesion.conformal import ConformalSets
from lesion.diagnoses import CODES
from lesion.errors import UserError
from lesion.images import ImageTransform
from lesion.metadata import SEXES, SITES, MetadataEncoder
from lesion.model import FUSIONS, FusionModel, create_backbone
from lesion.novelty import FamiliarityCheck

FORMAT = 2
MODEL, CONFIG, REPORT = "model.safetensors", "config.json", "report.json"
HELD_OUT, FAMILIARITY = "held_out.safetensors", "familiarity.safetensors"
GET_ONE = "Train one with `python train.py --data PATH_TO_HAM10000`, or restore weights/ from the repository."


@dataclass(frozen=True)
class CheckpointConfig:
    """Everything but the weights.

    Attributes:
        backbone: timm model name.
        fusion: how image and metadata are joined, one of `lesion.model.FUSIONS`.
        transform: of prediction.
        encoder: of the metadata.
        calibration: of the probabilities.
        conformal: thresholds of the sets of diagnoses.
        training: how the model was made, for people: start, data, recipe, seeds, minutes, licence.
    """

    backbone: str
    fusion: str
    transform: ImageTransform
    encoder: MetadataEncoder
    calibration: Calibration
    conformal: ConformalSets
    training: dict

    @property
    def metadata(self) -> bool:
        """Whether the model reads metadata."""
        return self.fusion != "none"


@dataclass(frozen=True)
class HeldOut:
    """The validation and test images, as far as the classroom and the evaluation need them.

    Attributes:
        table: one row an image: image_id, lesion_id, label, dx_type, age, sex, site, test (bool).
        embeddings: float32, of `FusionModel.pool`, N rows, by a backbone that never trained on them.
    """

    table: pd.DataFrame
    embeddings: np.ndarray


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint in memory; the model is in evaluation mode, float32; `familiarity` tells other pictures apart."""

    folder: Path
    config: CheckpointConfig
    model: FusionModel
    familiarity: FamiliarityCheck

    def held_out(self) -> HeldOut:
        """Reads held_out.safetensors.

        Raises:
            UserError: it is missing or damaged.
        """
        return read_held_out(self.folder / HELD_OUT)


def sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file."""
    digest = hashlib.sha256()  # Python 3.10 has no hashlib.file_digest
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def write_atomically(path: Path, write) -> None:
    """Calls write(temporary path) and renames the result to `path`."""
    partial = path.with_name(path.name + ".partial")
    write(partial)
    partial.chmod(0o644)  # safetensors writes files that nobody else may read
    os.replace(partial, path)


def half(tensor: torch.Tensor) -> torch.Tensor:
    """float16 where that keeps every value finite, else the tensor as it is."""
    if not tensor.is_floating_point():
        return tensor.cpu().contiguous()
    small = tensor.detach().cpu().contiguous().half()
    return small if bool(small.isfinite().all()) else tensor.cpu().contiguous()


def save_checkpoint(
    folder: Path, model: FusionModel, config: CheckpointConfig, held_out: HeldOut, familiarity: FamiliarityCheck
) -> None:
    """Writes a checkpoint folder; reports of an earlier checkpoint in it are removed.

    Args:
        folder: made if need be.
        model: its weights are stored as float16.
        config: everything else.
        held_out: the validation and test images.
        familiarity: fitted on the training part.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CONFIG).unlink(missing_ok=True)
    (folder / REPORT).unlink(missing_ok=True)
    weights = {name: half(tensor) for name, tensor in model.state_dict().items()}
    write_atomically(folder / MODEL, lambda path: save_file(weights, path))
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
    write_atomically(folder / HELD_OUT, lambda path: save_arrays(arrays, path, texts))
    write_atomically(folder / FAMILIARITY, lambda path: save_arrays(familiarity.arrays(), path))
    document = {
        "format": FORMAT,
        "backbone": config.backbone,
        "fusion": config.fusion,
        "diagnoses": CODES,
        "sexes": SEXES,
        "sites": SITES,
        "image": asdict(config.transform),
        "encoder": asdict(config.encoder),
        "calibration": {k: np.asarray(v).tolist() for k, v in vars(config.calibration).items()},
        "conformal": {k: np.asarray(v).tolist() for k, v in vars(config.conformal).items()},
        "training": config.training,
        "sha256": {name: sha256(folder / name) for name in (MODEL, HELD_OUT, FAMILIARITY)},
    }
    text = json.dumps(document, indent=2) + "\n"
    write_atomically(folder / CONFIG, lambda path: path.write_text(text, encoding="utf-8"))


def resolve(source: str | Path) -> Path:
    """The local folder of a checkpoint.

    Args:
        source: a folder, or a Hugging Face Hub repository "user/name", which is downloaded (and cached).

    Raises:
        UserError: neither.
    """
    folder = Path(source)
    if folder.is_dir():
        return folder
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", str(source)):
        raise UserError(f"There is no checkpoint folder {source}. {GET_ONE}")
    try:
        patterns = ["*.json", "*.safetensors", "*.png", "*.zip"]
        return Path(huggingface_hub.snapshot_download(str(source), allow_patterns=patterns))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).strip().split("\n")[0]
        raise UserError(
            f"{source} is no local folder and cannot be loaded from the Hugging Face Hub ({reason}). {GET_ONE}"
        ) from None


def load_config(folder: Path) -> CheckpointConfig:
    """Reads and checks config.json.

    Raises:
        UserError: missing, not JSON, of another format, or with values that cannot be.
    """
    path = folder / CONFIG
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{folder} is no checkpoint: it has no {CONFIG}. {GET_ONE}") from None
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read ({error}). {GET_ONE}") from None
    version = document.get("format") if isinstance(document, dict) else None
    if version != FORMAT:
        raise UserError(
            f"{path} has checkpoint format {version!r}; this version reads format {FORMAT}. Update the application, "
            "or use a checkpoint that it wrote."
        )
    try:
        for name, expected in (("diagnoses", CODES), ("sexes", SEXES), ("sites", SITES)):
            if tuple(document[name]) != expected:
                raise ValueError(f"{name} are {document[name]}, not {list(expected)}")
        conformal = ConformalSets(
            float(document["conformal"]["coverage"]),
            np.array(document["conformal"]["thresholds"], dtype=np.float64),
            np.array(document["conformal"]["pooled"], dtype=bool),
        )
        if not conformal.thresholds.shape == conformal.pooled.shape == (16, 7):
            raise ValueError("the thresholds of conformal sets must be of 16 subsets and 7 diagnoses")
        if not np.all((conformal.thresholds >= 0) & (conformal.thresholds <= 1)):
            raise ValueError("the thresholds of conformal sets must be from 0 to 1")
        image = document["image"]
        transform = ImageTransform(
            int(image["size"]), int(image["working_size"]), tuple(map(float, image["mean"])),
            tuple(map(float, image["std"])),
        )  # fmt: skip
        encoder = MetadataEncoder(**{k: float(v) for k, v in document["encoder"].items()})
        calibration = Calibration(**{k: np.array(v, dtype=np.float64) for k, v in document["calibration"].items()})
        shapes = [x.shape for x in vars(calibration).values()]
        if shapes != [(7,), (7,), (16,), (16,)]:
            raise ValueError(f"calibration has the shapes {shapes}, not 7, 7, 16 and 16")
        if not all(np.all(np.isfinite(x) & (x > 0)) for x in vars(calibration).values()):
            raise ValueError("calibration has values that are not positive numbers")
        if not (32 <= transform.size <= 2048 and 32 <= transform.working_size <= 100_000):
            raise ValueError(f"image sizes {transform.size} and {transform.working_size} cannot be")
        if not math.isfinite(encoder.age_mean) or not encoder.age_std > 0:
            raise ValueError("the encoder's age_mean and age_std must be a number and a positive number")
        if not all(math.isfinite(x) for x in (*transform.mean, *transform.std)) or 0 in transform.std:
            raise ValueError("the image's mean and std must be numbers, std not zero")
        if len(transform.mean) != 3 or len(transform.std) != 3:
            raise ValueError("the image's mean and std must have three values")
        if not isinstance(document["backbone"], str) or document["fusion"] not in FUSIONS:
            raise ValueError(f"backbone must be a name and fusion one of {', '.join(FUSIONS)}")
        hashes = {name: str(document["sha256"][name]) for name in (MODEL, HELD_OUT, FAMILIARITY)}
        training = dict(document["training"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        reason = f"it has no {error}" if isinstance(error, KeyError) else str(error)
        raise UserError(f"{path} cannot be used: {reason}. {GET_ONE}") from None
    for name, expected in hashes.items():
        if not (folder / name).is_file():
            raise UserError(f"{folder} has no {name}. {GET_ONE}")
        if sha256(folder / name) != expected:
            raise UserError(
                f"{folder / name} is not the file that {CONFIG} was written with (damaged, or from another training). "
                f"{GET_ONE}"
            )
    return CheckpointConfig(
        document["backbone"], document["fusion"], transform, encoder, calibration, conformal, training
    )


def load_checkpoint(source: str | Path) -> Checkpoint:
    """Reads a checkpoint.

    Args:
        source: see `resolve`.

    Raises:
        UserError: it is missing, damaged or inconsistent; the message says what to do.
    """
    folder = resolve(source)
    config = load_config(folder)
    with torch.device("meta"):  # the weights come from the file: nothing is initialised twice
        skeleton = FusionModel(create_backbone(config.backbone), config.fusion)
    expected = {name: tuple(tensor.shape) for name, tensor in skeleton.state_dict().items()}
    try:
        weights = load_file(folder / MODEL)
    except (OSError, SafetensorError) as error:
        raise UserError(f"{folder / MODEL} cannot be read ({error}). {GET_ONE}") from None
    found = {name: tuple(tensor.shape) for name, tensor in weights.items()}
    if found != expected:
        wrong = sorted(name for name in found.keys() | expected.keys() if found.get(name) != expected.get(name))
        raise UserError(
            f"{folder / MODEL} does not fit a {config.backbone}: {len(wrong)} tensor(s) missing, extra or of another "
            f"shape ({', '.join(wrong[:3])}). {GET_ONE}"
        )
    bad = [name for name, tensor in weights.items() if not bool(tensor.isfinite().all())]
    if bad:
        raise UserError(f"{folder / MODEL} has values that are not finite in {bad[0]}. {GET_ONE}")
    model = FusionModel(create_backbone(config.backbone), config.fusion)
    model.load_state_dict(weights)
    familiarity = read_familiarity(folder)
    if familiarity.mean.shape != model.head.null_image.shape:
        raise UserError(f"{folder / FAMILIARITY} is of another model. {GET_ONE}")
    return Checkpoint(folder, config, model.to(memory_format=torch.channels_last).eval(), familiarity)


def read_familiarity(folder: Path) -> FamiliarityCheck:
    """Reads familiarity.safetensors.

    Raises:
        UserError: missing or damaged.
    """
    try:
        return FamiliarityCheck.from_arrays(load_arrays(folder / FAMILIARITY))
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise UserError(f"{folder / FAMILIARITY} cannot be read ({error}). {GET_ONE}") from None


def read_held_out(path: Path) -> HeldOut:
    """Reads held_out.safetensors.

    Raises:
        UserError: missing or damaged.
    """
    try:
        with safe_open(path, "np") as file:
            arrays = {name: file.get_tensor(name) for name in sorted(file.keys())}
            texts = {name: json.loads(value) for name, value in file.metadata().items()}
        table = pd.DataFrame(
            {
                "image_id": texts["image_id"],
                "lesion_id": texts["lesion_id"],
                "label": arrays["label"].astype(int),
                "dx_type": texts["dx_type"],
                "age": arrays["age"].astype(float),
                "sex": pd.Series([SEXES[i] if i >= 0 else None for i in arrays["sex"]], dtype=object),
                "site": pd.Series([SITES[i] if i >= 0 else None for i in arrays["site"]], dtype=object),
                "test": arrays["test"].astype(bool),
            }
        )
        return HeldOut(table, arrays["embeddings"].astype(np.float32))
    except (OSError, SafetensorError, KeyError, ValueError, IndexError, AttributeError) as error:
        raise UserError(f"{path} cannot be read ({error}). {GET_ONE}") from None
