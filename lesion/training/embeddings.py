"""One pass of a frozen backbone over the images of a table, kept on disk.

The file's name is a hash of all it depends on: the backbone's name and weights, the transform, the precision, the
versions of the libraries that compute it, and name, size and time of every image file. So a changed file or weight
makes a new cache and an unchanged one is read back. The hash stands in the file too, so that a renamed one is noticed.
"""

import hashlib
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
from accelerate import Accelerator
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from lesion.data.ham10000 import Ham10000
from lesion.data.transforms import ImageTransform
from lesion.errors import UserError
from lesion.files import write_atomically
from lesion.hardware import versions
from lesion.model.fusion import FusionModel
from lesion.training.examples import map_examples


def cache_key(model: FusionModel, table: pd.DataFrame, transform: ImageTransform, precision: str) -> str:
    """Hexadecimal hash of everything the embeddings depend on."""
    libraries = {name: versions()[name] for name in ("torch", "timm", "pillow")}
    about = (asdict(transform), precision, model.pooled, type(model.backbone).__name__, libraries)
    digest = hashlib.sha256(repr(about).encode())
    for name, tensor in model.backbone.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.cpu().contiguous().numpy())
    for image_id, path in zip(table.image_id, table.path, strict=True):
        stat = Path(path).stat()
        digest.update(f"{image_id} {stat.st_size} {stat.st_mtime_ns}".encode())
    return digest.hexdigest()[:32]


def read_cache(path: Path, key: str, shape: tuple[int, int]) -> np.ndarray:
    """Reads what `embed_table` keeps.

    Args:
        path: of the file.
        key: of `cache_key`.
        shape: rows and width that the embeddings must have.

    Raises:
        ValueError, OSError, SafetensorError: it is damaged, or of other images or another backbone.
    """
    with safe_open(path, "np") as file:
        if (file.metadata() or {}).get("key") != key:
            raise ValueError("it was made of other images or by another backbone")
        embeddings = file.get_tensor("embeddings")
    if (len(embeddings), embeddings.shape[-1]) != shape:
        raise ValueError(f"it has the shape {embeddings.shape}, not {shape[0]} rows of width {shape[1]}")
    return embeddings


def embed_table(
    accelerator: Accelerator,
    model: FusionModel,
    table: pd.DataFrame,
    transform: ImageTransform,
    cache: Path | None,
    batch_size: int = 64,
    workers: int = 2,
) -> np.ndarray:
    """Image embeddings of every row.

    Args:
        accelerator: carries device, precision and processes.
        model: its backbone is run in evaluation mode.
        table: of `read_table`.
        transform: of prediction.
        cache: folder to keep the result in, or None.
        batch_size, workers: of the pass.

    Returns:
        float32, of `FusionModel.pool`, N rows.
    """
    if cache:
        key = cache_key(model, table, transform, accelerator.mixed_precision)
        path = cache / f"embeddings-{key}.safetensors"
        try:
            embeddings = read_cache(path, key, (len(table), model.head.null_image.shape[-1]))
            accelerator.print(f"Read the embeddings of {len(table)} images from {path}.")
            return embeddings
        except FileNotFoundError:
            pass
        except (ValueError, OSError, SafetensorError) as error:
            accelerator.print(f"{path} cannot be used ({error}); computing the embeddings again.")
    model.to(accelerator.device).eval()
    images = Ham10000(table, transform=transform)
    embeddings = map_examples(accelerator, model.embed, images, batch_size, workers, "Embedding images")
    if cache and accelerator.is_main_process:
        content = save({"embeddings": embeddings}, {"key": key})
        try:
            write_atomically(path, lambda partial: partial.write_bytes(content))
        except UserError as error:  # what comes of the embeddings may still find room
            print(f"Going on without a cache: {error}")
    accelerator.wait_for_everyone()
    return embeddings
