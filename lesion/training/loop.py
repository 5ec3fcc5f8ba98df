"""The optimisation loop that pretraining and fine-tuning share.

One optimiser step depends on nothing but the weights, the optimiser's state and (seed, epoch, step): the order of the
examples, the augmentation of each and the dropout of each step are seeded from those numbers. So a run that was killed
and resumed repeats the uninterrupted one bit for bit on a CPU, whatever the number of data-loading workers.

AdamW: Loshchilov and Hutter, "Decoupled Weight Decay Regularization" (2019). Cosine schedule: the same authors, "SGDR"
(2017). Averaged weights (EMA): Polyak and Juditsky (1992), as in timm. All three are timm's or PyTorch's
implementations; Hugging Face Accelerate carries device, precision and processes.
"""

import functools
import math
import random
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object, set_seed
from timm.optim import create_optimizer_v2
from timm.scheduler import CosineLRScheduler
from timm.utils import ModelEmaV3
from torch import nn
from torch.utils.data import DataLoader, Dataset, Sampler
from tqdm.auto import tqdm

from lesion.errors import UserError
from lesion.files import write_atomically

SECONDS_BETWEEN_SAVES = 300


@dataclass(frozen=True)
class LoopConfig:
    """Settings of the optimisation loop.

    Attributes:
        epochs: passes over the training examples.
        batch_size: examples in one optimiser step, over all processes.
        learning_rate: AdamW's learning rate at the end of the warm-up.
        weight_decay: AdamW's decoupled weight decay; biases and norms are exempt.
        warmup_steps: optimiser steps of linear warm-up, at most a tenth of all steps.
        clip_grad: largest norm of the gradient.
        seed: seeds the order of examples, augmentation, mixup and dropout.
        workers: processes that read images (0: none beside the main one).
    """

    epochs: int
    batch_size: int = 128
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    warmup_steps: int = 300
    clip_grad: float = 5.0
    seed: int = 0
    workers: int = 2


def seed_from(*numbers: int) -> int:
    """A 32-bit seed that depends on every one of the given non-negative numbers."""
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])


class EpochBatches(Sampler[list[tuple[int, int]]]):
    """Batches of (epoch, index) over a whole training, from any step on.

    Every example stands in exactly one batch an epoch; the batches of an epoch differ in size by at most one, so none
    is a tiny remainder. With several processes each takes every `world`-th example of each batch.

    Args:
        size: number of examples.
        config: gives batch_size, epochs and seed.
        start_step: optimiser steps already taken.
        rank, world: this process among all.
    """

    def __init__(self, size: int, config: LoopConfig, start_step: int = 0, rank: int = 0, world: int = 1):
        self.size, self.config, self.start_step = size, config, start_step
        self.rank, self.world = rank, world
        self.steps_per_epoch = math.ceil(size / config.batch_size)

    def batches(self, epoch: int) -> list[np.ndarray]:
        """The epoch's batches of example indices, over all processes."""
        order = np.random.default_rng(seed_from(self.config.seed, epoch)).permutation(self.size)
        return np.array_split(order, self.steps_per_epoch)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        first, skip = divmod(self.start_step, self.steps_per_epoch)
        for epoch in range(first, self.config.epochs):
            for batch in self.batches(epoch)[skip if epoch == first else 0 :]:
                yield [(epoch, int(index)) for index in batch[self.rank :: self.world]]

    def __len__(self) -> int:
        return self.config.epochs * self.steps_per_epoch - self.start_step


class AugmentedDataset(Dataset):
    """Wraps a dataset of (image, ...) so that (epoch, index) gives the example with the augmentation of that epoch.

    Args:
        dataset: `dataset[index]` gives a tuple whose first element is a PIL image.
        transforms: the image transform of each epoch.
        seed: with the epoch and the index it seeds Python's, NumPy's and PyTorch's generators for the transform.
    """

    def __init__(self, dataset: Dataset, transforms: Sequence[Callable], seed: int):
        self.dataset, self.transforms, self.seed = dataset, transforms, seed

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, key: tuple[int, int]):
        epoch, index = key
        image, *rest = self.dataset[index]
        seed = seed_from(self.seed, epoch, index)
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)
        return self.transforms[epoch](image), *rest


def keep_depthwise_in_float32(model: nn.Module) -> None:
    """Takes depthwise convolutions out of CPU autocast, in place.

    PyTorch's bfloat16 backward of a depthwise 7×7 convolution took twice its float32 time on the CPUs we measured
    (PyTorch 2.15, AMD EPYC 9004: a third of a whole ConvNeXt-Small training step).
    """

    def forward(convolution: nn.Conv2d, x: torch.Tensor) -> torch.Tensor:
        with torch.autocast("cpu", enabled=False):
            return nn.Conv2d.forward(convolution, x.float())

    for module in model.modules():
        if isinstance(module, nn.Conv2d) and module.groups == module.in_channels > 1:
            module.forward = functools.partial(forward, module)


class NotFinite(UserError):
    """A model's answers are not finite numbers."""

    def __init__(self):
        super().__init__(
            "The model answers with numbers that are not finite; train it with a lower --learning-rate, or without "
            "--mixed-precision."
        )


def first_line(error: Exception) -> str:
    """Of an exception's message; the rest of PyTorch's are hints for programmers."""
    return str(error).strip().split("\n")[0]


def write_state(state: dict, path: Path) -> None:
    """Writes a resumable state, so that a crash or a full disk leaves the old one or the new one, never half.

    Raises:
        UserError: it cannot be written.
    """

    def write(partial: Path) -> None:
        with open(partial, "wb") as file:
            try:
                torch.save(state, file)
            except RuntimeError as error:  # what torch's zip writer makes of an OSError of the file's
                raise error.__context__ if isinstance(error.__context__, OSError) else error from None

    write_atomically(path, write)


def read_state(path: Path) -> dict:
    """Reads what `write_state` wrote, without executing anything in it.

    Raises:
        UserError: it cannot be read, or is damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:  # torch.load takes flipped bits for weights: it checks no sums
            if damaged := archive.testzip():
                raise ValueError(f"{damaged} is damaged")
        state = torch.load(path, map_location="cpu", weights_only=True)
        if not isinstance(state, dict) or "fingerprint" not in state:
            raise ValueError("it is not of a training")
    except Exception as error:  # damaged files raise many kinds of exceptions
        raise UserError(f"{path} cannot be read ({first_line(error)}); remove it to start anew.") from None
    return state


def not_finite(what: str, learning_rate: float, kept: str) -> UserError:
    """The sentence on a training that cannot go on."""
    return UserError(f"{what} (learning rate {learning_rate:.2e}); {kept}. Start again with a lower --learning-rate.")


def all_finite(module: nn.Module) -> bool:
    """Whether every weight and buffer is a finite number."""
    return all(bool(tensor.isfinite().all()) for tensor in module.state_dict().values())


def fit(
    accelerator: Accelerator,
    model: nn.Module,
    parameters: list[dict],
    dataset: Dataset,
    loss: Callable[[nn.Module, list], torch.Tensor],
    config: LoopConfig,
    state_path: Path,
    fingerprint: dict,
    on_epoch_end: Callable[[list[dict], nn.Module], None],
    resume: bool = False,
) -> tuple[nn.Module, list[dict]]:
    """Trains `model`, saving state_path every epoch and every few minutes.

    Args:
        accelerator: carries device, mixed precision and processes.
        model: trained in place.
        parameters: optimiser groups (timm's `param_groups_weight_decay` or `param_groups_layer_decay`).
        dataset: an `AugmentedDataset`, or any dataset whose keys are (epoch, index).
        loss: called as loss(model, batch) on a batch already on the device; gives float (B,), one an example.
        config: the loop's settings.
        state_path: where the state is kept.
        fingerprint: what the run depends on, stored with the state; a resumed run must agree with it.
        on_epoch_end: called on every process as on_epoch_end(history, averaged model); history[-1] is this epoch's
            row (epoch, train_loss, learning_rate, minutes), to which it adds its own numbers.
        resume: go on from state_path where it exists.

    Returns:
        The averaged (EMA) model and the history, one dictionary an epoch.

    Raises:
        UserError: the state belongs to another run, cannot be read or written, or the loss, the weights or the answers
            stopped being finite.
    """
    device = accelerator.device
    if device.type == "cpu":
        keep_depthwise_in_float32(model)
    model.to(device, memory_format=torch.channels_last)
    optimizer = create_optimizer_v2(parameters, opt="adamw", lr=config.learning_rate, weight_decay=config.weight_decay)
    sampler = EpochBatches(len(dataset), config, rank=accelerator.process_index, world=accelerator.num_processes)
    total_steps = len(sampler)
    if len(dataset) // sampler.steps_per_epoch < accelerator.num_processes:
        raise UserError(
            f"--batch-size {config.batch_size} gives some of the {accelerator.num_processes} processes no example; "
            "give a larger one."
        )
    warmup_steps = min(config.warmup_steps, total_steps // 10)
    ema = ModelEmaV3(model, decay=1 - 1 / min(500, max(2, total_steps // 10)))  # about the last tenth of the run
    scheduler = CosineLRScheduler(
        optimizer, t_initial=total_steps - warmup_steps, warmup_t=warmup_steps, warmup_prefix=True, t_in_epochs=False
    )
    fingerprint = {**asdict(config), **fingerprint}
    del fingerprint["workers"]
    step, history, loss_sum, loss_count, earlier_seconds = 0, [], 0.0, 0, 0.0
    if resume and state_path.exists():
        state = read_state(state_path)
        changed = [k for k in fingerprint if state["fingerprint"].get(k) != fingerprint[k]]
        if changed:
            given = ", ".join(f"{k}={fingerprint[k]!r} (was {state['fingerprint'].get(k)!r})" for k in changed)
            raise UserError(
                f"{state_path} belongs to a run with other settings: {given}. Give the same settings to resume it, "
                "or leave --resume away to start anew."
            )
        try:
            model.load_state_dict(state["model"])
            ema.module.load_state_dict(state["ema"])
            optimizer.load_state_dict(state["optimizer"])
            step, history = state["step"], state["history"]
            loss_sum, loss_count = state["loss_sum"], state["loss_count"]
            earlier_seconds = state["seconds"]
            if accelerator.scaler is not None and state["scaler"] is not None:
                accelerator.scaler.load_state_dict(state["scaler"])
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise UserError(
                f"{state_path} is of another version of this program ({first_line(error)}); remove it to start anew."
            ) from None
        accelerator.print(f"Resuming at step {step} of {total_steps}.")
    prepared, optimizer = accelerator.prepare(model, optimizer)
    sampler.start_step = step
    loader = DataLoader(
        dataset,
        batch_sampler=sampler,
        num_workers=config.workers,
        persistent_workers=config.workers > 0,
        pin_memory=device.type == "cuda",
    )

    kept = f"the last saved state is kept in {state_path}"

    def seconds() -> float:
        return earlier_seconds + time.monotonic() - started

    def save() -> None:
        if accelerator.is_main_process:
            write_state(
                {
                    "fingerprint": fingerprint,
                    "step": step,
                    "history": history,
                    "loss_sum": loss_sum,
                    "loss_count": loss_count,
                    "seconds": seconds(),
                    "model": model.state_dict(),
                    "ema": ema.module.state_dict(),
                    "optimizer": optimizer.state_dict(),
                    "scaler": accelerator.scaler.state_dict() if accelerator.scaler is not None else None,
                },
                state_path,
            )

    started = saved = time.monotonic()
    if step == 0:  # so that --resume never takes an earlier run's state for this one's, and a full disk shows at once
        save()
    prepared.train()
    with tqdm(
        total=total_steps, initial=step, unit="step", disable=not accelerator.is_main_process, mininterval=2
    ) as bar:
        for batch in loader:
            epoch = step // sampler.steps_per_epoch
            set_seed(seed_from(config.seed, epoch, step, accelerator.process_index))
            scheduler.step_update(step)
            images = batch[0].to(device, memory_format=torch.channels_last, non_blocking=True)
            batch = [images, *(x.to(device, non_blocking=True) for x in batch[1:])]
            losses = loss(prepared, batch)
            count = accelerator.reduce(torch.tensor(len(losses), device=device), "sum").item()
            # DDP averages gradients over processes: the factor makes that the mean over the examples of all of them.
            mean = losses.sum() * accelerator.num_processes / count
            value = accelerator.reduce(mean.detach(), "mean").item()
            if not math.isfinite(value):
                raise not_finite(f"The loss is {value} at step {step}", optimizer.param_groups[-1]["lr"], kept)
            accelerator.backward(mean)
            accelerator.clip_grad_norm_(prepared.parameters(), config.clip_grad)
            optimizer.step()
            optimizer.zero_grad()
            ema.update(model)
            step += 1
            loss_sum, loss_count = loss_sum + value * count, loss_count + count
            bar.update()
            bar.set_postfix(epoch=epoch + 1, loss=f"{value:.3f}", refresh=False)
            epoch_ends = step % sampler.steps_per_epoch == 0
            saves = epoch_ends or time.monotonic() - saved > SECONDS_BETWEEN_SAVES
            if saves and not all_finite(model):  # a finite loss may have a gradient that is not: nothing of it is kept
                what = f"The weights are not finite after step {step - 1}"
                raise not_finite(what, optimizer.param_groups[-1]["lr"], kept)
            if epoch_ends:
                history.append(
                    {
                        "epoch": epoch + 1,
                        "train_loss": loss_sum / loss_count,
                        "learning_rate": optimizer.param_groups[-1]["lr"],
                        "minutes": seconds() / 60,
                    }
                )
                loss_sum, loss_count = 0.0, 0
                try:
                    on_epoch_end(history, ema.module)
                except NotFinite:
                    what = f"The model's answers are not finite after step {step - 1}"
                    raise not_finite(what, history[-1]["learning_rate"], kept) from None
                prepared.train()
                if accelerator.is_main_process:
                    row = history[-1].items()
                    bar.write(", ".join(f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in row))
            if saves:
                save()
                saved = time.monotonic()
    return ema.module, history


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
