"""The training loop: every example once an epoch, and a resumed run equal to an uninterrupted one."""

import copy
import dataclasses
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from torch import nn
from torch.utils.data import Dataset

import lesion.training.loop
from lesion.errors import UserError
from lesion.model.fusion import create_backbone
from lesion.training.examples import map_examples
from lesion.training.loop import EpochBatches, LoopConfig, fit, keep_depthwise_in_float32
from lesion.training.state import read_state

CONFIG = LoopConfig(epochs=3, batch_size=5, seed=1, workers=0)


class Noise(Dataset):
    """23 noisy pictures of two classes."""

    def __len__(self):
        return 23

    def __getitem__(self, index):
        pixels = np.random.default_rng(index).integers(0, 256, (3, 8, 8), dtype=np.uint8)
        return torch.from_numpy(pixels), index % 2


class Pixels(Noise):
    """Pictures that hold their index."""

    def __getitem__(self, index):
        return (torch.full((3, 4, 4), float(index)),)


class Killed(Exception):
    pass


def run(path, config=CONFIG, resume=False, kill_at=None, poison_at=None, steepen_at=None, watch=None, scale=1):
    """Trains a small network; at the given steps, counted from 1, it is killed, the loss or its gradient not finite.

    Before each step `watch` is called with the network and the noise of the batch; the loss is `scale` times as steep.
    """
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Dropout(0.2), nn.Flatten(), nn.Linear(144, 2))
    steps = []

    def loss(model, batch, epoch):
        steps.append(1)
        if kill_at == len(steps):
            raise Killed
        noise = torch.rand(len(batch[0]), 3, 8, 8)  # as augmentation draws
        if watch:
            watch(model, noise)
        noisy = batch[0] / 255 + 0.3 * noise
        losses = nn.functional.cross_entropy(model(noisy), batch[1], reduction="none")
        if steepen_at == len(steps):
            losses = losses + (0 * next(model.parameters()).sum()).sqrt()
        return losses * (float("nan") if poison_at == len(steps) else scale)

    groups = [{"params": list(model.parameters())}]
    averaged, history = fit(
        Accelerator(cpu=True), model, groups, Noise(), loss, config, path, {"kind": "noise"},
        lambda history, averaged: None, resume,
    )  # fmt: skip
    return model, averaged, history


@pytest.mark.parametrize("world", [1, 2, 3])
def test_every_example_once_an_epoch(world):
    batches = [list(EpochBatches([23] * 3, CONFIG, rank=rank, world=world)) for rank in range(world)]
    steps = EpochBatches([23] * 3, CONFIG).steps[0]
    orders = []
    for epoch in range(CONFIG.epochs):
        seen = [i for of_rank in batches for batch in of_rank[epoch * steps : (epoch + 1) * steps] for i in batch]
        assert sorted(seen) == list(range(23))
        orders.append(tuple(seen))
    assert len(set(orders)) == CONFIG.epochs, "each epoch has an order of its own"


def test_an_epoch_may_have_fewer_examples():
    """The first ones of the dataset, in batches of their own, from any step on."""
    sampler = EpochBatches([23, 9, 9], CONFIG)
    assert sampler.steps == [5, 2, 2] and [sampler.epoch_of(step) for step in range(9)] == [0] * 5 + [1] * 2 + [2] * 2
    batches = list(sampler)
    assert len(batches) == len(sampler) == 9
    for first, last, size in ((0, 5, 23), (5, 7, 9), (7, 9, 9)):
        assert sorted(i for batch in batches[first:last] for i in batch) == list(range(size))
    for step in range(9):
        assert list(EpochBatches([23, 9, 9], CONFIG, start_step=step)) == batches[step:]


def test_processes_share_the_batches_of_one():
    alone = list(EpochBatches([23] * 3, CONFIG))
    shared = zip(*(EpochBatches([23] * 3, CONFIG, rank=r, world=2) for r in (0, 1)), strict=True)
    assert [set(b) for b in alone] == [set(a) | set(b) for a, b in shared]
    assert max(map(len, alone)) - min(map(len, alone)) <= 1


def test_starts_at_any_step():
    everything = list(EpochBatches([23] * 3, CONFIG))
    assert list(EpochBatches([23] * 3, CONFIG, start_step=7)) == everything[7:]


@pytest.mark.parametrize("kill_at, save_every", [(4, 0), (6, 0), (8, 0), (8, 1e9), (14, 1e9)])
def test_resumed_equals_uninterrupted(tmp_path, monkeypatch, kill_at, save_every):
    """Bit for bit, killed inside an epoch or at its end, saved every step or every epoch."""
    expected, expected_average, expected_history = run(tmp_path / "whole.pt")
    monkeypatch.setattr(lesion.training.loop, "SECONDS_BETWEEN_SAVES", save_every)
    with pytest.raises(Killed):
        run(tmp_path / "state.pt", kill_at=kill_at)
    torch.manual_seed(99)
    model, averaged, history = run(tmp_path / "state.pt", resume=True)
    for one, other in ((expected, model), (expected_average, averaged)):
        for name, tensor in one.state_dict().items():
            assert torch.equal(tensor, other.state_dict()[name]), name
    assert [h["train_loss"] for h in history] == [h["train_loss"] for h in expected_history]


def test_workers_do_not_change_the_result(tmp_path):
    expected, *_ = run(tmp_path / "a.pt")
    model, *_ = run(tmp_path / "b.pt", dataclasses.replace(CONFIG, workers=2))
    assert all(torch.equal(a, b) for a, b in zip(expected.parameters(), model.parameters(), strict=True))


def test_learning_rate_warms_up_and_ends_at_zero(tmp_path):
    *_, history = run(tmp_path / "state.pt", dataclasses.replace(CONFIG, epochs=20))
    rates = [h["learning_rate"] for h in history]
    assert max(rates) <= CONFIG.learning_rate and rates[0] < rates[2] and rates[-1] < 0.01 * CONFIG.learning_rate


def test_the_average_follows_the_weights_of_every_step(tmp_path):
    """Half of it is renewed at each of 15 steps."""
    seen = []

    def watch(model, _):
        seen.append([parameter.detach().clone() for parameter in model.parameters()])

    model, averaged, _ = run(tmp_path / "state.pt", watch=watch)
    expected, *others = [*seen, list(model.parameters())]
    for weights in others:
        expected = [0.5 * old + 0.5 * new.detach() for old, new in zip(expected, weights, strict=True)]
    for tensor, wanted in zip(averaged.parameters(), expected, strict=True):
        torch.testing.assert_close(tensor, wanted, rtol=0, atol=1e-6)
    assert not torch.allclose(next(averaged.parameters()), seen[0][0], atol=1e-4), "it leaves the start"


def test_a_steep_loss_moves_the_optimiser_no_further_than_the_largest_norm(tmp_path):
    """AdamW's mean of the gradients cannot be longer than the longest of them."""
    run(tmp_path / "state.pt", scale=1e6)
    means = [state["exp_avg"] for state in read_state(tmp_path / "state.pt")["optimizer"]["state"].values()]
    assert torch.cat([mean.flatten() for mean in means]).norm() <= CONFIG.clip_grad


def test_every_step_of_every_epoch_is_augmented_in_its_own_way(tmp_path):
    noises = []
    run(tmp_path / "state.pt", watch=lambda _, noise: noises.append(float(noise.flatten()[0])))
    assert len(noises) == 15 and len(set(noises)) == 15


def test_a_process_without_examples_is_refused(tmp_path):
    class Three:
        num_processes, process_index, device = 3, 0, torch.device("cpu")

    with pytest.raises(UserError, match="--batch-size 2 gives some of the 3 processes no example"):
        config = dataclasses.replace(CONFIG, batch_size=2)
        model = nn.Linear(1, 1)
        fit(Three(), model, [{"params": model.parameters()}], Noise(), None, config, tmp_path / "x", {}, None)


def test_another_runs_state_is_refused(tmp_path):
    run(tmp_path / "state.pt")
    with pytest.raises(UserError, match=r"batch_size=6 \(was 5\).*--resume"):
        run(tmp_path / "state.pt", dataclasses.replace(CONFIG, batch_size=6), resume=True)


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path):
    with pytest.raises(UserError, match=r"nan at step 6 \(learning rate .*--learning-rate"):
        run(tmp_path / "state.pt", poison_at=7)


def test_weights_that_are_not_finite_are_not_kept(tmp_path):
    """The last loss of an epoch is finite and its gradient is not: the state saved before stays."""
    with pytest.raises(UserError, match=r"weights are not finite after step 4 \(learning rate .*--learning-rate"):
        run(tmp_path / "state.pt", steepen_at=5)
    state = read_state(tmp_path / "state.pt")
    assert state["step"] == 0 and all(tensor.isfinite().all() for tensor in state["model"].values())


@pytest.mark.parametrize("content", [b"", b"nothing", pickle.dumps({"fingerprint": {}})])
def test_a_state_that_cannot_be_read_is_refused(tmp_path, content):
    (tmp_path / "state.pt").write_bytes(content)
    with pytest.raises(UserError, match=r"state.pt cannot be read \(.+\); remove it to start anew"):
        run(tmp_path / "state.pt", resume=True)


class Harmful:
    """Would make a file if it were unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_a_state_executes_nothing(tmp_path):
    torch.save({"fingerprint": Harmful(tmp_path / "executed")}, tmp_path / "state.pt")
    with pytest.raises(UserError, match="cannot be read"):
        run(tmp_path / "state.pt", resume=True)
    assert not (tmp_path / "executed").exists()


def test_a_state_of_another_version_is_refused(tmp_path):
    run(tmp_path / "state.pt")
    state = read_state(tmp_path / "state.pt")
    del state["ema"]
    torch.save(state, tmp_path / "state.pt")
    with pytest.raises(UserError, match=r"of another version of this program \('ema'\); remove it"):
        run(tmp_path / "state.pt", resume=True)


def test_a_new_run_replaces_an_earlier_runs_state_at_once(tmp_path):
    """Else one that is killed before it first saves would be resumed as the earlier one."""
    run(tmp_path / "state.pt")
    with pytest.raises(Killed):
        run(tmp_path / "state.pt", kill_at=1)
    assert read_state(tmp_path / "state.pt")["step"] == 0


def test_answers_that_are_not_finite_are_refused():
    with pytest.raises(UserError, match=r"not finite.*--learning-rate"):
        map_examples(Accelerator(cpu=True), lambda x: x.mean((2, 3)) / 0, Pixels(), 4, 0)


def test_map_examples_keeps_the_order():
    rows = map_examples(Accelerator(cpu=True), lambda x: x.mean((2, 3)), Pixels(), 4, 0)
    assert np.array_equal(rows, np.repeat(np.arange(23.0)[:, None], 3, axis=1))


@pytest.mark.parametrize("name", ["tf_efficientnet_lite0", "test_convnext"])
def test_depthwise_convolutions_keep_their_own_padding(name):
    """timm's tf_ models pad in a forward of their own, which the detour through float32 must not lose."""
    torch.manual_seed(0)
    backbone, images = create_backbone(name).eval(), torch.randn(2, 3, 64, 64)
    detoured = copy.deepcopy(backbone)
    keep_depthwise_in_float32(detoured)
    with torch.no_grad():
        torch.testing.assert_close(detoured.forward_features(images), backbone.forward_features(images))
        with torch.autocast("cpu", torch.bfloat16):
            found, expected = detoured.forward_features(images).float(), backbone.forward_features(images).float()
    assert (found - expected).norm() < 0.05 * expected.norm()
    seen = []
    depthwise = [m for m in detoured.modules() if isinstance(m, nn.Conv2d) and m.groups > 1]
    depthwise[0].register_forward_hook(lambda module, inputs, output: seen.append(output.dtype))
    with torch.autocast("cpu", torch.bfloat16):
        detoured.forward_features(images)
    assert seen == [torch.float32]


def test_the_average_follows_the_weights_and_is_what_is_kept(tmp_path):
    """A frozen average would be the start; one without memory would be the last weights."""
    torch.manual_seed(0)
    start = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Dropout(0.2), nn.Flatten(), nn.Linear(144, 2))
    model, averaged, _ = run(tmp_path / "state.pt", dataclasses.replace(CONFIG, epochs=10))
    weights = [dict(m.named_parameters())["3.weight"] for m in (start, averaged, model)]
    assert not torch.allclose(weights[1], weights[0], atol=1e-4) and not torch.equal(weights[1], weights[2])
    assert (weights[1] - weights[2]).norm() < (weights[1] - weights[0]).norm()


def test_the_gradient_is_clipped(tmp_path):
    """With a bound of nearly nothing, even AdamW's epsilon outweighs the gradient, and the weights stay."""
    torch.manual_seed(0)
    start = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Dropout(0.2), nn.Flatten(), nn.Linear(144, 2))
    config = dataclasses.replace(CONFIG, weight_decay=0.0, clip_grad=1e-12)
    model, *_ = run(tmp_path / "state.pt", config)
    for before, after in zip(start.parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(after, before, rtol=0, atol=1e-5)
    free, *_ = run(tmp_path / "free.pt", dataclasses.replace(config, clip_grad=5.0))
    assert any((a - b).abs().max() > 1e-3 for a, b in zip(start.parameters(), free.parameters(), strict=True))


def test_every_epoch_augments_in_its_own_way(tmp_path):
    """The generators are seeded for each step: an image is seen another way in another epoch, and the same after a
    restart."""
    drawn = {}

    def loss(model, batch, epoch):
        drawn.setdefault(epoch, []).append(torch.rand(()).item())
        return model(batch[0].flatten(1)[:, :1]).sum(1)

    for name in ("a.pt", "b.pt"):
        model = nn.Linear(1, 1)
        groups = [{"params": list(model.parameters())}]
        fit(
            Accelerator(cpu=True), model, groups, Pixels(), loss, CONFIG, tmp_path / name, {},
            lambda history, averaged: None,
        )  # fmt: skip
    steps = len(drawn[0]) // 2
    first, second = ([x for epoch in drawn.values() for x in part(epoch)] for part in (
        lambda x: x[:steps], lambda x: x[steps:]
    ))  # fmt: skip
    assert first == second and len(set(first)) == len(first) == CONFIG.epochs * steps
