"""A function applied to every example of a dataset, in order, shared among processes."""

from collections.abc import Callable

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch.utils.data import DataLoader, Dataset
from tqdm.auto import tqdm

from lesion.errors import UserError


class NotFinite(UserError):
    """A model's answers are not finite numbers."""

    def __init__(self):
        super().__init__(
            "The model answers with numbers that are not finite; train it with a lower --learning-rate, or without "
            "--mixed-precision."
        )


@torch.inference_mode()
def map_examples(
    accelerator: Accelerator,
    function: Callable[[torch.Tensor], torch.Tensor],
    dataset: Dataset,
    batch_size: int,
    workers: int,
    description: str | None = None,
) -> np.ndarray:
    """Applies `function` to the images of every example once, shared among processes, and gives the rows in order.

    Whole batches are shared, not examples: what a row comes to may depend in its last bit on the others in its batch,
    and so every number of processes gives exactly what one gives.

    Args:
        accelerator: carries device, mixed precision and processes.
        function: float (B, 3, H, W) to (B, ...).
        dataset: `dataset[index]` is a tuple whose first element is a float (3, H, W) image.
        batch_size: images in one call.
        workers: data-loading processes.
        description: the progress bar's label; no bar without one.

    Returns:
        float32 array (N, ...), the same on every process.

    Raises:
        NotFinite: values are not.
    """
    rank, world = accelerator.process_index, accelerator.num_processes
    batches = [batch.tolist() for batch in torch.arange(len(dataset)).split(batch_size)]
    loader = DataLoader(dataset, batch_sampler=batches[rank::world], num_workers=workers)
    parts = []
    show = description is not None and accelerator.is_main_process
    for batch in tqdm(loader, desc=description, unit="batch", disable=not show):
        images = batch[0].to(accelerator.device, memory_format=torch.channels_last)
        with accelerator.autocast():
            parts.append(function(images).float().cpu().numpy())
    if world > 1:
        parts = gather_object(parts)
    rows = np.concatenate(parts)
    if not np.isfinite(rows).all():
        raise NotFinite
    order = [index for first in range(world) for batch in batches[first::world] for index in batch]
    out = np.empty_like(rows)
    out[order] = rows
    return out
