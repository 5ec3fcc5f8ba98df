"""The checkpoint folder: model.safetensors (float16), config.json, held_out.safetensors and familiarity.safetensors.

config.json is written last and names the SHA-256 of the others, so a folder that mixes two trainings, or lost part
of a file, is refused. Nothing is ever unpickled.
"""

import contextlib
import hashlib
import json
import os
import re
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import huggingface_hub
import numpy as np
import pandas as pd
import torch
from huggingface_hub.errors import (
    GatedRepoError,
    HFValidationError,
    HTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file as load_arrays
from safetensors.numpy import save as save_arrays
from safetensors.torch import save as save_tensors

from lesion.data.diagnoses import CODES
from lesion.data.metadata import OLDEST, SEXES, SITES, MetadataEncoder
from lesion.data.reading import ImageTransform
from lesion.errors import UserError, shown
from lesion.model.calibration import Calibration
from lesion.model.conformal import ConformalSets
from lesion.model.fusion import FUSIONS, FusionModel, create_backbone
from lesion.model.out_of_distribution import FamiliarityCheck

FORMAT = 2
MODEL, CONFIG, REPORT = "model.safetensors", "config.json", "report.json"
HELD_OUT, FAMILIARITY = "held_out.safetensors", "familiarity.safetensors"
FLOATS = ("F16", "BF16", "F32")
"""Types of weights, as safetensors names them."""
UPLOADED = ("*.json", "*.safetensors", "*.png", "*.zip", "*.csv")
"""What of a checkpoint folder belongs on the Hub, beside the model card."""
HUB_ID = r"[\w.-]+/[\w.-]+"
CHECKPOINT_HELP = "folder, or Hub id user/name or user/name@revision"
GET_ONE = "Train one with `python train.py --data PATH_TO_HAM10000`, or restore weights/ from the repository."


@dataclass(frozen=True)
class CheckpointConfig:
    """Everything but the weights.

    Attributes:
        backbone: timm model name.
        fusion: how image and metadata are joined, one of `lesion.model.fusion.FUSIONS`.
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
            UserError: it is missing, damaged or of another model.
        """
        held_out = read_held_out(self.folder / HELD_OUT)
        if held_out.embeddings.ndim not in (2, 3) or held_out.embeddings.shape[-1:] != self.model.head.null_image.shape:
            raise UserError(f"{self.folder / HELD_OUT} is of another model. {GET_ONE}")
        return held_out


def sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file."""
    digest = hashlib.sha256()  # Python 3.10 has no hashlib.file_digest
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def not_writable(path: Path, error: OSError) -> UserError:
    """The sentence on a file or folder that could not be written."""
    return UserError(
        f"{path} cannot be written ({error.strerror or error}); make room there or choose another place and run the "
        "command again, a training with --resume: what was there before is unchanged."
    )


def prepare_folder(folder: Path) -> None:
    """Makes a folder and tries to write into it, so that one that cannot be written is noticed before the long part.

    Raises:
        UserError: it cannot be made, or not written into.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
            file.write(b"0")  # an empty file can be made on a full disk
    except OSError as error:
        raise not_writable(folder, error) from None


def write_together(writers: dict[Path, Callable[[Path], object]]) -> None:
    """Writes files that belong together: all of them, or none and everything stays as it was.

    Each is first written beside its place and brought to the disk, which is what fails where there is no room; then all
    are renamed in the order given. Whoever is killed between two renames leaves the last file the old one.

    Args:
        writers: what writes each file, called with a temporary path.

    Raises:
        UserError: a file cannot be written.
    """
    partials = {path: path.with_name(path.name + ".partial") for path in writers}
    try:
        for path, write in writers.items():
            write(partials[path])
            with open(partials[path], "rb+") as file:
                os.fsync(file.fileno())
        for path, partial in partials.items():
            os.replace(partial, path)
    except OSError as error:
        raise not_writable(path, error) from None
    finally:
        for partial in partials.values():
            with contextlib.suppress(OSError):
                partial.unlink()


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """`write_together` for one file."""
    write_together({path: write})


def half(tensor: torch.Tensor) -> torch.Tensor:
    """float16 where that keeps every value finite, else the tensor as it is."""
    if not tensor.is_floating_point():
        return tensor.cpu().contiguous()
    small = tensor.detach().cpu().contiguous().half()
    return small if bool(small.isfinite().all()) else tensor.cpu().contiguous()


def serialise(arrays: dict[str, np.ndarray], texts: dict[str, str]) -> bytes:
    """A safetensors file with its texts in alphabetical order: the library's own order is another in every process."""
    content = save_arrays(arrays, texts)
    start = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:start])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the format aligns what follows
    return len(text).to_bytes(8, "little") + text + content[start:]


def save_checkpoint(
    folder: Path,
    model: FusionModel,
    config: CheckpointConfig,
    held_out: HeldOut,
    familiarity: FamiliarityCheck,
    beside: dict[str, Callable[[Path], object]] | None = None,
) -> None:
    """Writes a checkpoint folder, whole or not at all; the report of an earlier checkpoint in it is removed.

    Args:
        folder: made if need be.
        model: its weights are stored as float16.
        config: everything else.
        held_out: the validation and test images.
        familiarity: fitted on the training part.
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
        FAMILIARITY: save_arrays(familiarity.arrays()),
    }
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
        "sha256": {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()},
    }
    contents[CONFIG] = (json.dumps(document, indent=2) + "\n").encode()
    writers = dict(beside or {})
    for name, content in contents.items():  # CONFIG, the last, makes the folder a checkpoint
        writers[name] = lambda path, content=content: path.write_bytes(content)
    write_together({folder / name: write for name, write in writers.items()})
    (folder / REPORT).unlink(missing_ok=True)


def resolve(source: str | Path) -> Path:
    """The local folder of a checkpoint.

    Args:
        source: a folder, or a repository on the Hugging Face Hub: "user/name", or "user/name@revision" for a branch,
            tag or commit of it. It is downloaded once; where the Hub cannot be reached, what was downloaded before
            serves.

    Raises:
        UserError: neither.
    """
    folder = Path(source)
    with contextlib.suppress(OSError):  # a name too long for a folder
        if folder.is_dir():
            return folder
    repository, _, revision = str(source).partition("@")
    if not re.fullmatch(HUB_ID, repository):
        raise UserError(f"There is no checkpoint folder {source}. {GET_ONE}")
    try:
        return Path(huggingface_hub.snapshot_download(repository, revision=revision or None, allow_patterns=UPLOADED))
    except (HTTPError, HFValidationError, OSError) as error:  # HTTPError: also a connection that breaks off
        reason = str(error).strip().split("\n")[0]
        if isinstance(error, GatedRepoError):
            reason = "access to it has to be asked for on its page"
        elif isinstance(error, RepositoryNotFoundError):
            reason = "there is no such repository, or it is private and `hf auth login` is needed"
        elif isinstance(error, RevisionNotFoundError):
            reason = f"it has no branch, tag or commit {revision}"
        raise UserError(
            f"{source} is no local folder and cannot be loaded from the Hugging Face Hub ({reason}). {GET_ONE}"
        ) from None


def load_config(folder: Path) -> CheckpointConfig:
    """Reads and checks config.json.

    Raises:
        UserError: missing, not JSON, of another format, or with values that cannot be.
    """
    path = folder / CONFIG
    if not path.is_file():
        raise UserError(f"{folder} is no checkpoint: it has no {CONFIG}. {GET_ONE}")
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path} cannot be read ({error}). {GET_ONE}") from None
    version = document.get("format") if isinstance(document, dict) else None
    if version != FORMAT:
        raise UserError(
            f"{path} has checkpoint format {shown(version)}; this version reads format {FORMAT}. Update the "
            "application, or use a checkpoint that it wrote."
        )
    try:
        for name, expected in (("diagnoses", CODES), ("sexes", SEXES), ("sites", SITES)):
            if tuple(document[name]) != expected:
                raise ValueError(f"{name} are {shown(document[name])}, not {list(expected)}")
        conformal = ConformalSets(
            float(document["conformal"]["coverage"]),
            np.array(document["conformal"]["thresholds"], dtype=np.float64),
            np.array(document["conformal"]["pooled"], dtype=bool),
        )
        if not conformal.thresholds.shape == conformal.pooled.shape == (16, 7):
            raise ValueError("the thresholds of conformal sets must be of 16 subsets and 7 diagnoses")
        if not np.all((conformal.thresholds >= 0) & (conformal.thresholds <= 1)) or not 0 < conformal.coverage < 1:
            raise ValueError("the thresholds and the coverage of conformal sets must be from 0 to 1")
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
        if not all(np.all((x > 1e-9) & (x < 1e9)) for x in vars(calibration).values()):
            raise ValueError("calibration has values that are not positive numbers, or cannot be")
        if not (32 <= transform.size <= 2048 and 32 <= transform.working_size <= 100_000):
            raise ValueError(f"image sizes {transform.size} and {transform.working_size} cannot be")
        if not 0 <= encoder.age_mean <= OLDEST or not 1e-3 < encoder.age_std <= OLDEST:
            raise ValueError("the encoder's age_mean and age_std must be years")
        if len(transform.mean) != 3 or len(transform.std) != 3:
            raise ValueError("the image's mean and std must have three values")
        if not all(abs(x) < 1e3 for x in transform.mean) or not all(1e-3 < x < 1e3 for x in transform.std):
            raise ValueError("the image's mean and std must be numbers, std positive")
        if not isinstance(document["backbone"], str) or document["fusion"] not in FUSIONS:
            raise ValueError(f"backbone must be a name and fusion one of {', '.join(FUSIONS)}")
        hashes = {name: str(document["sha256"][name]) for name in (MODEL, HELD_OUT, FAMILIARITY)}
        training = dict(document["training"])
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
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
    if any(buffer.is_meta for buffer in model.buffers()):  # timm computes some of them, and the file has none of these
        model = FusionModel(create_backbone(config.backbone), config.fusion)
        model.load_state_dict(weights)
    familiarity = read_familiarity(folder)
    if familiarity.mean.shape != model.head.null_image.shape:
        raise UserError(f"{folder / FAMILIARITY} is of another model. {GET_ONE}")
    return Checkpoint(folder, config, model.to(memory_format=torch.channels_last).eval(), familiarity)


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
            parts = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 - it is no dict
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


def read_familiarity(folder: Path) -> FamiliarityCheck:
    """Reads familiarity.safetensors.

    Raises:
        UserError: missing or damaged.
    """
    try:
        return FamiliarityCheck.from_arrays(load_arrays(folder / FAMILIARITY))
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
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
        rows = len(arrays["embeddings"])
        if not all(len(x) == rows for x in (*arrays.values(), *texts.values())):
            raise ValueError("its columns are not of one length")
        if not all(isinstance(column, list) and all(isinstance(x, str) for x in column) for column in texts.values()):
            raise ValueError("its ids are not lists of texts")
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
        embeddings = arrays["embeddings"].astype(np.float32)
        if rows == 0 or table.image_id.duplicated().any():
            raise ValueError("it has no images, or one of them twice")
        if not table.label.between(0, len(CODES) - 1).all() or not table.age.dropna().between(0, OLDEST).all():
            raise ValueError("it has labels or ages that cannot be")
        if not np.isfinite(embeddings).all():
            raise ValueError("it has embeddings that are not finite")
        return HeldOut(table, embeddings)
    except (
        OSError, SafetensorError, KeyError, TypeError, ValueError, IndexError, AttributeError, RecursionError,
    ) as error:  # fmt: skip
        raise UserError(f"{path} cannot be read ({error}). {GET_ONE}") from None
