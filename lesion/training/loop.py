"""The optimisation loop that pretraining and fine-tuning share.

One optimiser step depends on nothing but the weights, the optimiser's state and (seed, epoch, step): the order of the
examples, the augmentation of the batch and the dropout are seeded from those numbers. So a run that was killed
and resumed repeats the uninterrupted one bit for bit on a CPU, whatever the number of data-loading workers.

AdamW: Loshchilov and Hutter, "Decoupled Weight Decay Regularization" (2019). Cosine schedule: the same authors, "SGDR"
(2017). Averaged weights (EMA): Polyak and Juditsky (1992), as in timm. All three are timm's or PyTorch's
implementations; Hugging Face Accelerate carries device, precision and processes.
"""

import functools
import math
import time
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from timm.optim import create_optimizer_v2
from timm.scheduler import CosineLRScheduler
from timm.utils import ModelEmaV3
from torch import nn
from torch.utils.data import DataLoader, Dataset, Sampler
from tqdm.auto import tqdm

from lesion.errors import UserError
from lesion.training.examples import NotFinite
from lesion.training.state import first_line, read_state, write_state

SECONDS_BETWEEN_SAVES = 300
Loss = Callable[[nn.Module, list, int], torch.Tensor]


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


class EpochBatches(Sampler[list[int]]):
    """Batches of example indices over a whole training, from any step on.

    Every example stands in exactly one batch an epoch; the batches of an epoch differ in size by at most one, so none
    is a tiny remainder. With several processes each takes every `world`-th example of each batch.

    Args:
        sizes: number of examples of each epoch, the first ones of the dataset.
        config: gives batch_size and seed.
        start_step: optimiser steps already taken.
        rank, world: this process among all.
    """

    def __init__(self, sizes: Sequence[int], config: LoopConfig, start_step: int = 0, rank: int = 0, world: int = 1):
        self.sizes, self.config, self.start_step = sizes, config, start_step
        self.rank, self.world = rank, world
        self.steps = [math.ceil(size / config.batch_size) for size in sizes]
        """Optimiser steps of each epoch."""
        self.ends = np.cumsum(self.steps).tolist()
        """Steps taken when each epoch ends."""

    def epoch_of(self, step: int) -> int:
        """The epoch, counted from 0, of a step, counted from 0."""
        return bisect_right(self.ends, step)

    def batches(self, epoch: int) -> list[np.ndarray]:
        """The epoch's batches of example indices, over all processes."""
        order = np.random.default_rng(seed_from(self.config.seed, epoch)).permutation(self.sizes[epoch])
        return np.array_split(order, self.steps[epoch])

    def __iter__(self) -> Iterator[list[int]]:
        first = self.epoch_of(self.start_step)
        for epoch in range(first, len(self.sizes)):
            skip = max(0, self.start_step - (self.ends[epoch] - self.steps[epoch]))
            for batch in self.batches(epoch)[skip:]:
                yield batch[self.rank :: self.world].tolist()

    def __len__(self) -> int:
        return sum(self.steps) - self.start_step


def keep_depthwise_in_float32(model: nn.Module) -> None:
    """Takes depthwise convolutions out of CPU autocast, in place.

    PyTorch's bfloat16 backward of a depthwise 7×7 convolution took twice its float32 time on the CPUs we measured
    (PyTorch 2.15, AMD EPYC 9004: a third of a whole ConvNeXt-Small training step).
    """

    def forward(convolution: nn.Conv2d, x: torch.Tensor) -> torch.Tensor:
        with torch.autocast("cpu", enabled=False):
            return type(convolution).forward(convolution, x.float())  # timm's Conv2dSame pads in its own forward

    for module in model.modules():
        if isinstance(module, nn.Conv2d) and module.groups == module.in_channels > 1:
            module.forward = functools.partial(forward, module)


def not_finite(what: str, learning_rate: float, kept: str) -> UserError:
    """The sentence on a training that cannot go on."""
    return UserError(f"{what} (learning rate {learning_rate:.2e}); {kept}. Start again with a lower --learning-rate.")


def all_finite(module: nn.Module) -> bool:
    """Whether every weight and buffer is a finite number."""
    return all(bool(tensor.isfinite().all()) for tensor in module.state_dict().values())


class Run:
    """A training under way: the weights, their average, the optimiser, and how far it has come.

    Args:
        accelerator, model, parameters, config, state_path, fingerprint: see `fit`.
        sizes: number of examples of each epoch.

    Raises:
        UserError: a process would get no example.
    """

    def __init__(
        self,
        accelerator: Accelerator,
        model: nn.Module,
        parameters: list[dict],
        sizes: Sequence[int],
        config: LoopConfig,
        state_path: Path,
        fingerprint: dict,
    ):
        self.accelerator, self.model, self.config, self.state_path = accelerator, model, config, state_path
        self.fingerprint = {k: v for k, v in asdict(config).items() if k != "workers"} | fingerprint
        if accelerator.device.type == "cpu":
            keep_depthwise_in_float32(model)
        model.to(accelerator.device, memory_format=torch.channels_last)
        self.sampler = EpochBatches(sizes, config, rank=accelerator.process_index, world=accelerator.num_processes)
        self.total_steps = len(self.sampler)
        smallest = min(size // steps for size, steps in zip(sizes, self.sampler.steps, strict=True))
        if smallest < accelerator.num_processes:
            raise UserError(
                f"--batch-size {config.batch_size} gives some of the {accelerator.num_processes} processes no "
                "example; give a larger one."
            )
        optimizer = create_optimizer_v2(
            parameters, opt="adamw", lr=config.learning_rate, weight_decay=config.weight_decay
        )
        warmup = min(config.warmup_steps, self.total_steps // 10)
        self.scheduler = CosineLRScheduler(
            optimizer, t_initial=self.total_steps - warmup, warmup_t=warmup, warmup_prefix=True, t_in_epochs=False
        )
        # The average is over about the last tenth of the run.
        self.ema = ModelEmaV3(model, decay=1 - 1 / min(500, max(2, self.total_steps // 10)))
        self.prepared, self.optimizer = accelerator.prepare(model, optimizer)
        self.step, self.history, self.loss_sum, self.loss_count, self.earlier_seconds = 0, [], 0.0, 0, 0.0
        self.started = self.saved = time.monotonic()

    @property
    def kept(self) -> str:
        """Where what was trained is found after an error."""
        return f"the last saved state is kept in {self.state_path}"

    def seconds(self) -> float:
        """Spent on this training, in all its processes one after another."""
        return self.earlier_seconds + time.monotonic() - self.started

    def save(self) -> None:
        """Writes the state, by the main process alone."""
        self.saved = time.monotonic()
        if not self.accelerator.is_main_process:
            return
        scaler = self.accelerator.scaler
        state = {name: getattr(self, name) for name in ("fingerprint", "step", "history", "loss_sum", "loss_count")}
        state |= {"seconds": self.seconds(), "model": self.model.state_dict(), "ema": self.ema.module.state_dict()}
        state |= {"optimizer": self.optimizer.state_dict(), "scaler": scaler.state_dict() if scaler else None}
        write_state(state, self.state_path)

    def resume(self) -> None:
        """Goes on from the saved state.

        Raises:
            UserError: it is damaged, of a run with other settings, or of another version of this program.
        """
        state = read_state(self.state_path)
        earlier = state["fingerprint"]
        changed = [k for k in self.fingerprint if earlier.get(k) != self.fingerprint[k]]
        if changed:
            given = ", ".join(f"{k}={self.fingerprint[k]!r} (was {earlier.get(k)!r})" for k in changed)
            raise UserError(
                f"{self.state_path} belongs to a run with other settings: {given}. Give the same settings to resume "
                "it, or leave --resume away to start anew."
            )
        try:
            self.model.load_state_dict(state["model"])
            self.ema.module.load_state_dict(state["ema"])
            self.optimizer.load_state_dict(state["optimizer"])
            for name in ("step", "history", "loss_sum", "loss_count"):
                setattr(self, name, state[name])
            self.earlier_seconds = state["seconds"]
            if self.accelerator.scaler is not None and state["scaler"] is not None:
                self.accelerator.scaler.load_state_dict(state["scaler"])
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise UserError(
                f"{self.state_path} is of another version of this program ({first_line(error)}); remove it to start "
                "anew."
            ) from None
        self.accelerator.print(f"Resuming at step {self.step} of {self.total_steps}.")

    def train_step(self, batch: list[torch.Tensor], loss: Loss) -> float:
        """One step of the optimiser; gives the mean loss over the examples of all processes.

        Raises:
            UserError: the loss is not finite.
        """
        accelerator, device = self.accelerator, self.accelerator.device
        epoch = self.sampler.epoch_of(self.step)
        set_seed(seed_from(self.config.seed, epoch, self.step, accelerator.process_index))
        self.scheduler.step_update(self.step)
        losses = loss(self.prepared, [x.to(device, non_blocking=True) for x in batch], epoch)
        count = accelerator.reduce(torch.tensor(len(losses), device=device), "sum").item()
        # DDP averages gradients over processes: the factor makes that the mean over the examples of all of them.
        mean = losses.sum() * accelerator.num_processes / count
        value = accelerator.reduce(mean.detach(), "mean").item()
        if not math.isfinite(value):
            raise not_finite(f"The loss is {value} at step {self.step}", self.learning_rate, self.kept)
        accelerator.backward(mean)
        accelerator.clip_grad_norm_(self.prepared.parameters(), self.config.clip_grad)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.ema.update(self.model)
        self.step += 1
        self.loss_sum, self.loss_count = self.loss_sum + value * count, self.loss_count + count
        return value

    @property
    def learning_rate(self) -> float:
        """Of the last parameter group, the head's."""
        return self.optimizer.param_groups[-1]["lr"]

    def check_weights(self) -> None:
        """A finite loss may have a gradient that is not: nothing of it is kept.

        Raises:
            UserError: the weights are not finite.
        """
        if not all_finite(self.model):
            what = f"The weights are not finite after step {self.step - 1}"
            raise not_finite(what, self.learning_rate, self.kept)

    def end_epoch(self, on_epoch_end: Callable[[list[dict], nn.Module], None]) -> None:
        """Adds the epoch's row to the history, and what `on_epoch_end` has to say about it.

        Raises:
            UserError: the model's answers are not finite.
        """
        row = {"epoch": self.sampler.epoch_of(self.step), "train_loss": self.loss_sum / self.loss_count}
        self.history.append(row | {"learning_rate": self.learning_rate, "minutes": self.seconds() / 60})
        self.loss_sum, self.loss_count = 0.0, 0
        try:
            on_epoch_end(self.history, self.ema.module)
        except NotFinite:
            what = f"The model's answers are not finite after step {self.step - 1}"
            raise not_finite(what, self.history[-1]["learning_rate"], self.kept) from None
        self.prepared.train()


def fit(
    accelerator: Accelerator,
    model: nn.Module,
    parameters: list[dict],
    dataset: Dataset,
    loss: Loss,
    config: LoopConfig,
    state_path: Path,
    fingerprint: dict,
    on_epoch_end: Callable[[list[dict], nn.Module], None],
    resume: bool = False,
    sizes: Sequence[int] | None = None,
) -> tuple[nn.Module, list[dict]]:
    """Trains `model`, saving state_path every epoch and every few minutes.

    Args:
        accelerator: carries device, mixed precision and processes.
        model: trained in place.
        parameters: optimiser groups (timm's `param_groups_weight_decay` or `param_groups_layer_decay`).
        dataset: `dataset[index]` gives a tuple of tensors and numbers.
        loss: called as loss(model, batch, epoch) on a batch already on the device, with all generators seeded for the
            step: it augments, too; epochs count from 0; gives float (B,), one an example.
        config: the loop's settings.
        state_path: where the state is kept.
        fingerprint: what the run depends on, stored with the state; a resumed run must agree with it.
        on_epoch_end: called on every process as on_epoch_end(history, averaged model); history[-1] is this epoch's
            row (epoch, train_loss, learning_rate, minutes), to which it adds its own numbers.
        resume: go on from state_path where it exists.
        sizes: how many of the dataset's first examples each epoch has; by default all of them.

    Returns:
        The averaged (EMA) model and the history, one dictionary an epoch.

    Raises:
        UserError: the state belongs to another run, cannot be read or written, or the loss, the weights or the answers
            stopped being finite.
    """
    sizes = sizes or [len(dataset)] * config.epochs
    run = Run(accelerator, model, parameters, sizes, config, state_path, fingerprint)
    if resume and state_path.exists():
        run.resume()
    run.sampler.start_step = run.step
    loader = DataLoader(
        dataset,
        batch_sampler=run.sampler,
        num_workers=config.workers,
        persistent_workers=config.workers > 0,
        pin_memory=accelerator.device.type == "cuda",
    )
    if run.step == 0:  # so that --resume never takes an earlier run's state for this one's, and a full disk shows
        run.save()
    run.prepared.train()
    show = accelerator.is_main_process
    with tqdm(total=run.total_steps, initial=run.step, unit="step", disable=not show, mininterval=2) as bar:
        for batch in loader:
            value = run.train_step(batch, loss)
            bar.update()
            bar.set_postfix(epoch=len(run.history) + 1, loss=f"{value:.3f}", refresh=False)
            epoch_ends = run.step in run.sampler.ends
            saves = epoch_ends or time.monotonic() - run.saved > SECONDS_BETWEEN_SAVES
            if saves:
                run.check_weights()
            if epoch_ends:
                run.end_epoch(on_epoch_end)
                if show:
                    row = run.history[-1].items()
                    bar.write(", ".join(f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in row))
            if saves:
                run.save()
    return run.ema.module, run.history
