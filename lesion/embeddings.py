"""One pass of a frozen backbone over the images of a table, kept on disk.

The file's name is a hash of all it depends on: the backbone's weights, the transform, the precision, and name, size
and time of every image file. So a changed file or weight makes a new cache and an unchanged one is read back.
"""

import hashlib
import os
from dataclasses import astuple
from pathlib import Path

import numpy as np
import pandas as pd
from accelerate import Accelerator
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from lesion.ham10000 import Ham10000
from lesion.images import ImageTransform
from lesion.loop import map_examples
from lesion.model import FusionModel


def cache_key(model: FusionModel, table: pd.DataFrame, transform: ImageTransform, precision: str) -> str:
    """Hexadecimal hash of everything the embeddings depend on."""
    digest = hashlib.sha256(f"2 {astuple(transform)} {precision} {model.pooled}".encode())
    for name, tensor in model.backbone.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.cpu().contiguous().numpy())
    for image_id, path in zip(table.image_id, table.path, strict=True):
        stat = Path(path).stat()
        digest.update(f"{image_id} {stat.st_size} {stat.st_mtime_ns}".encode())
    return digest.hexdigest()[:32]


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
    path = cache and cache / f"embeddings-{cache_key(model, table, transform, accelerator.mixed_precision)}.safetensors"
    if path and path.exists():
        try:
            embeddings = load_file(path)["embeddings"]
            accelerator.print(f"Read the embeddings of {len(table)} images from {path}.")
            return embeddings
        except (OSError, SafetensorError) as error:
            accelerator.print(f"{path} cannot be read ({error}); computing the embeddings again.")
    model.to(accelerator.device).eval()
    images = Ham10000(table, transform=transform)
    embeddings = map_examples(accelerator, model.embed, images, batch_size, workers, "Embedding images")
    if path and accelerator.is_main_process:
        cache.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(path.name + ".partial")
        save_file({"embeddings": embeddings}, partial)
        os.replace(partial, path)
    accelerator.wait_for_everyone()
    return embeddings
