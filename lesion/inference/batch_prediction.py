"""A folder of photographs to a table of predictions: decoded in processes of their own, predicted in batches.

Several processes (Accelerate) share the parts of the table. Which photographs are predicted together goes by a
photograph's place in the list alone: what a row comes to may depend in its last bits on the others in its batch, so the
table does not depend on how many processes take part, nor on what was interrupted.

The photographs go from process to process as bytes, by shared memory, and are normalised on the device.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path

import numpy as np
import torch
from accelerate import PartialState
from torch.utils.data import DataLoader, Dataset
from tqdm.auto import tqdm

from lesion.data.metadata import Metadata
from lesion.data.reading import read_image
from lesion.data.transforms import ImageTransform
from lesion.errors import UserError
from lesion.files import sha256
from lesion.hardware import find_device, prefers_bfloat16
from lesion.inference.image_folder import ImagePaths
from lesion.inference.prediction_parts import PredictionParts
from lesion.inference.predictor import Predictor
from lesion.model.calibration import UNIFORM
from lesion.model.checkpoint import CONFIG, load_checkpoint

BATCHES_IN_A_PART = 8
"""As much is lost at most when a process is killed."""


@dataclass(frozen=True)
class BatchSettings:
    """How a folder is predicted.

    Attributes:
        prior: one of PRIORS.
        batch_size: photographs in a pass.
        workers: processes that read photographs, for each that predicts (0: itself).
        device: one of DEVICES.
    """

    prior: str = "dataset"
    batch_size: int = 32
    workers: int = 1
    device: str = "auto"


class Photographs(Dataset):
    """Photographs as the network's input, or why one cannot be read.

    Args:
        paths: of the files.
        transform: of the checkpoint.
    """

    def __init__(self, paths: Sequence[Path], transform: ImageTransform):
        self.paths, self.transform = paths, transform

    def __getitem__(self, index: int) -> torch.Tensor | str:
        """uint8 (3, S, S), or a message."""
        try:
            return self.transform.pixels(read_image(self.paths[index]))
        except UserError as error:
            return str(error)

    def collate(self, items: Sequence[torch.Tensor | str]) -> tuple[torch.Tensor, list[str | None]]:
        """A batch, uint8 (B, 3, S, S), and its messages. What cannot be read is black in it, so that the answers for
        the others do not depend on it."""
        size = self.transform.size
        batch = torch.zeros(len(items), 3, size, size, dtype=torch.uint8)
        for pixels, item in zip(batch, items, strict=True):
            if not isinstance(item, str):
                pixels.copy_(item)
        return batch, [item if isinstance(item, str) else None for item in items]


def batches_of(part: int, batch_size: int, count: int) -> list[range]:
    """The batches of a part, as places in the list of `count` photographs."""
    first = part * BATCHES_IN_A_PART * batch_size
    starts = range(first, min(first + BATCHES_IN_A_PART * batch_size, count), batch_size)
    return [range(start, min(start + batch_size, count)) for start in starts]


@torch.inference_mode()
def predict_batch(
    predictor: Predictor, pixels: torch.Tensor, records: Sequence[Metadata], prior: str = "dataset"
) -> np.ndarray:
    """The probabilities of several photographs, in one pass in the thread that calls.

    Args:
        predictor: of a checkpoint.
        pixels: uint8 (B, 3, S, S), of `ImageTransform.pixels`.
        records: B records.
        prior: one of PRIORS.

    Returns:
        float64 (B, 7).
    """
    model, config = predictor.model, predictor.config
    inputs = config.transform.normalise(pixels.to(model.device, memory_format=torch.channels_last))
    with model.autocast():
        feature_maps = model.forward_features(inputs).float()
    embeddings = model.pool(feature_maps).cpu().numpy()
    metadata, known = config.encoder.encode(records)
    return predictor.answers(embeddings, metadata, known, prevalence=UNIFORM if prior == "uniform" else None)


@contextmanager
def naming_a_killed_worker() -> Iterator[None]:
    """Says what happened where PyTorch says that a process of its DataLoader is gone.

    Raises:
        UserError: such a process was killed.
    """
    try:
        yield
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise UserError(
            "The system ended a process that reads photographs, probably for want of memory or of shared memory. Run "
            "the command again with --resume and fewer --workers."
        ) from None


def predict_parts(
    predictor: Predictor,
    images: ImagePaths,
    records: dict[str, Metadata],
    settings: BatchSettings,
    numbers: Sequence[int],
    bar: tqdm,
) -> Iterator[tuple[int, list[str], np.ndarray, list[str | None]]]:
    """Predicts some parts of the table.

    Args:
        predictor: of the checkpoint.
        images, records, settings: see `predict_images`.
        numbers: of the parts.
        bar: told of each batch.

    Yields:
        Number, names, probabilities and problems of each part, as `PredictionParts.write` takes them.
    """
    photographs = Photographs(images, predictor.config.transform)
    sampler = (batch for number in numbers for batch in batches_of(number, settings.batch_size, len(images)))
    loader = DataLoader(
        photographs,
        batch_sampler=sampler,  # type: ignore[arg-type]
        num_workers=settings.workers,
        collate_fn=photographs.collate,
        pin_memory=predictor.model.device.type == "cuda",
    )
    loaded = iter(loader)
    for number in numbers:
        names, rows, problems = [], [], []
        for batch in batches_of(number, settings.batch_size, len(images)):
            pixels, of_batch = next(loaded)
            of_names = [images[index].stem for index in batch]
            of_records = [records.get(name, Metadata()) for name in of_names]
            rows.append(predict_batch(predictor, pixels, of_records, settings.prior))
            names += of_names
            problems += of_batch
            bar.update(len(batch))
        yield number, names, np.concatenate(rows), problems


def predict_images(
    state: PartialState,
    source: str | Path,
    images: ImagePaths,
    records: dict[str, Metadata],
    output: Path,
    settings: BatchSettings,
    resume: bool = False,
    name_problem: Callable[[str], object] = print,
) -> tuple[int, int]:
    """Predicts images and writes the table.

    Args:
        state: Accelerate's, which carries the processes; all must see the same files.
        source: of the checkpoint, see `load_checkpoint`.
        images: of `find_images`.
        records: of `read_metadata`; other images are predicted with everything unknown.
        output: file to write, in Parquet's format if its name ends in .parquet, else CSV.
        settings: how.
        resume: go on with an earlier prediction of the same, if one was interrupted.
        name_problem: called in the main process with the message about each file that was left out.

    Returns:
        How many images were predicted, and how many left out; in the main process (zeros in others).

    Raises:
        UserError: checkpoint, device or output cannot be used, or an earlier prediction in the same place is not to be
            resumed, or was of something else.
    """
    device = find_device(settings.device)
    if state.device.type == device.type:
        device = state.device  # of several GPUs, this process's own
    checkpoint = load_checkpoint(source)
    parts = PredictionParts(
        output,
        {
            "images": images.fingerprint(),
            "metadata": hashlib.sha256(repr(sorted(records.items(), key=itemgetter(0))).encode()).hexdigest()[:16],
            "checkpoint": sha256(checkpoint.folder / CONFIG)[:16],
            "prior": settings.prior,
            "batch size": str(settings.batch_size),
            "device": device.type,
        },
        resume,
    )
    if state.is_main_process:
        parts.begin(lambda: "bfloat16" if prefers_bfloat16(device) else "float32")
    state.wait_for_everyone()
    predictor = Predictor(checkpoint, parts.precision() == "bfloat16", device)
    count = -(-len(images) // (BATCHES_IN_A_PART * settings.batch_size))
    ours = range(state.process_index, count, state.num_processes)
    missing = [number for number in ours if not parts.path(number).exists()]
    sizes = (sum(map(len, batches_of(number, settings.batch_size, len(images)))) for number in missing)
    with (
        tqdm(desc="Predicting", unit="image", total=sum(sizes), disable=not state.is_main_process) as bar,
        naming_a_killed_worker(),
    ):
        for part in predict_parts(predictor, images, records, settings, missing, bar):
            parts.write(*part)
    state.wait_for_everyone()
    return parts.finish(count, name_problem) if state.is_main_process else (0, 0)
