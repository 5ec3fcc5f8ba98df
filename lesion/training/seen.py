"""What a checkpoint will say of the photographs it has seen; see `lesion.model.seen`.

A training knows their ids. The perceptual hashes need every photograph to be read, which `lesion.photographs` does.
"""

import io
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from tqdm.auto import tqdm

from lesion.data.ham10000 import read_table
from lesion.data.perceptual_hash import distances, perceptual_hash, signs
from lesion.data.reading import read_image
from lesion.data.transforms import centre_square
from lesion.errors import UserError
from lesion.files import write_atomically
from lesion.model.checkpoint import HELD_OUT, load_config
from lesion.model.held_out import read_held_out
from lesion.model.seen import FILE, SeenPhotographs, digest_of, hashed_ids, read_seen, together
from lesion.training.class_folders import ClassFolders

ALTERED = ((96, 60), (128, 70), (192, 80), (256, 40), (450, 70))
"""The copies by which the threshold is chosen: side in pixels and JPEG quality."""
PHOTOGRAPHS = 500
"""Training photographs that are altered."""


def seen_in_folders(sources: Iterable[ClassFolders]) -> SeenPhotographs:
    """All photographs of some sources, whose files are named by their ids."""
    return SeenPhotographs(hashed_ids(Path(name).stem for source in sources for name in source.names))


def seen_by_recorded_start(init: str | dict) -> SeenPhotographs:
    """What a start that lists no ids says of what it read: the names of its sources of skin lesions.

    Args:
        init: as a checkpoint records its start.
    """
    if isinstance(init, str):  # ImageNet weights or random ones
        return SeenPhotographs()
    if not init.get("stages"):
        return SeenPhotographs(unlisted=(str(init.get("file", "the start")),))
    sources = [source for stage in init["stages"] for source in stage.get("sources", [])]
    return SeenPhotographs(unlisted=tuple(dict.fromkeys(s["name"] for s in sources if s.get("rotated"))))


def seen_by_recorded_training(training: dict, table: pd.DataFrame, tested: Sequence[str]) -> SeenPhotographs:
    """What a checkpoint without ids says of what it has seen: the ids of the data set, and names of everything else.

    Args:
        training: what it records of its training.
        table: of `read_table`.
        tested: ids of its test images, the only ones that played no role.
    """
    own = SeenPhotographs(hashed_ids(set(table.image_id) - set(tested)))
    others = list(training["external"]["images"]) if training.get("external") else []
    if teacher := training.get("teacher"):
        others.append(f"the start of the teacher {Path(teacher).name}")
    return together(own, seen_by_recorded_start(training["init"]), SeenPhotographs(unlisted=tuple(others)))


def hash_photographs(paths: Sequence[Path]) -> np.ndarray:
    """Perceptual hashes, uint8 (N, BYTES).

    Raises:
        UserError: a photograph cannot be read.
    """
    with ThreadPoolExecutor() as pool:
        each = pool.map(lambda path: perceptual_hash(read_image(path)), paths)
        return np.stack(list(tqdm(each, total=len(paths), desc="Hashing photographs", unit="image")))


def altered(image: Image.Image) -> list[Image.Image]:
    """Copies of a photograph as people have them: of other sizes, and saved as JPEG again."""
    square, copies = centre_square(image, min(image.size)), []
    for side, quality in ALTERED:
        file = io.BytesIO()
        square.resize((side, side), Image.Resampling.BICUBIC).save(file, "JPEG", quality=quality)
        copies.append(read_image(file.getvalue()))
    return copies


@dataclass(frozen=True)
class Threshold:
    """A threshold on the distance of hashes, and what it does to the photographs it was chosen by.

    Attributes:
        bits: see `SeenPhotographs.threshold`.
        missed: share of altered copies that lie farther from their photograph.
        mistaken: share of photographs that lie as near to one of another lesion.
    """

    bits: int
    missed: float
    mistaken: float


def choose_threshold(hashes: np.ndarray, lesions: np.ndarray, paths: Sequence[Path]) -> Threshold:
    """The threshold with the fewest mistakes of both kinds on the training part; the middle one where several have.

    Args:
        hashes: of the training photographs, uint8 (N, BYTES).
        lesions: their lesions' ids, (N,).
        paths: of the photographs, N.
    """
    bits = signs(hashes)
    chosen = np.unique(np.linspace(0, len(paths) - 1, PHOTOGRAPHS).round().astype(int))
    copies = np.concatenate(
        [
            distances(bits[row][None], signs(np.stack([perceptual_hash(c) for c in altered(read_image(paths[row]))])))
            for row in tqdm(chosen, desc="Choosing the threshold", unit="image")
        ]
    ).ravel()
    nearest = np.full(len(bits), bits.shape[1])
    for start in range(0, len(bits), 512):
        block = slice(start, start + 512)
        found = distances(bits[block], bits)
        found[lesions[block, None] == lesions[None]] = bits.shape[1]
        nearest[block] = found.min(1)
    candidates = np.arange(bits.shape[1] // 2)
    missed = (copies[None] > candidates[:, None]).mean(1)
    mistaken = (nearest[None] <= candidates[:, None]).mean(1)
    best = np.flatnonzero(np.isclose(missed + mistaken, (missed + mistaken).min()))
    middle = int(best[(len(best) - 1) // 2])
    return Threshold(middle, float(missed[middle]), float(mistaken[middle]))


def write_seen(data: Path, folders: Sequence[Path], sources: Sequence[Path]) -> Threshold:
    """Writes what each checkpoint has seen, with perceptual hashes of the whole data set.

    Args:
        data: the data set's folder.
        folders: of checkpoints that hold out the same images.
        sources: folders or zip files that their start or training read and does not list; those that a checkpoint
            names as unlisted are listed then.

    Raises:
        UserError: a checkpoint, a source or a photograph cannot be read, or the data set is another one.
    """
    table = read_table(data, verify=False).set_index("image_id", drop=False)
    held_out = read_held_out(folders[0] / HELD_OUT).table
    training = table[~table.image_id.isin(held_out.image_id)]
    counts = load_config(folders[0]).training["images"]
    if len(training) != counts["training"]:
        raise UserError(
            f"{data} has {len(training)} photographs beside the held-out ones, and {folders[0]} was trained on "
            f"{counts['training']}; give the data set that it was trained on."
        )
    given = {path.name: ClassFolders(path) for path in sources}
    missing = set(given)
    hashes = hash_photographs(list(training.path))
    chosen = choose_threshold(hashes, training.lesion_id.to_numpy(), list(training.path))
    described = {
        "training": hashes, "held_out": hash_photographs(list(table.path[held_out.image_id])),
        "held_out_ids": digest_of(held_out.image_id), "threshold": chosen.bits,
    }  # fmt: skip
    for folder in folders:
        seen = read_seen(folder)
        if not len(seen.ids):
            tested = held_out.image_id[held_out.test]
            seen = seen_by_recorded_training(load_config(folder).training, table, list(tested))
        named = [source for name, source in given.items() if name in seen.unlisted]
        missing -= set(seen.unlisted)
        still = tuple(name for name in seen.unlisted if name not in given)
        seen = replace(together(seen, seen_in_folders(named)), unlisted=still, **described)
        content = seen.content()
        write_atomically(folder / FILE, lambda path, content=content: path.write_bytes(content))
    if missing:
        raise UserError(
            f"{', '.join(sorted(missing))} is not among what a checkpoint leaves unlisted: it is listed already, or "
            f"nothing was trained on it. Unlisted now: {', '.join(read_seen(folders[0]).unlisted) or 'nothing'}."
        )
    return chosen
