"""train.py and lesion.pretrain, run as a person runs them, on small data."""

import json
import pickle
import zipfile
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pandas as pd
import pytest
import torch
from accelerate import Accelerator
from safetensors.torch import load_file

from conftest import TINY, run_command
from lesion.data.ham10000 import Ham10000, read_table, split_table
from lesion.data.metadata import WIDTH
from lesion.data.transforms import ImageTransform
from lesion.hardware import versions
from lesion.model.calibration import SUBSETS
from lesion.model.checkpoint import load_checkpoint
from lesion.model.fusion import ConcatenationHead, FusionModel, create_backbone, head_logits, head_on_subsets
from lesion.training.class_folders import ClassFolders
from lesion.training.embeddings import embed_table
from lesion.training.frames import make_frames
from lesion.training.start import SEEN_IDS
from lesion.training.subsets import MultimodalMixup, random_subsets, subset_losses
from train import parse_arguments


def train(data, output, *arguments) -> CompletedProcess:
    """Runs train.py on a tiny backbone."""
    given = ("--data", data, "--output", output, "--backbone", TINY, "--init", "scratch", "--workers", 0)
    return run_command("train", *given, *arguments)


def weights_of(folder) -> dict[str, torch.Tensor]:
    return load_checkpoint(folder).model.state_dict()


def test_finetune_leaves_what_it_promises(checkpoint):
    history = pd.read_csv(checkpoint / "history.csv")
    assert list(history.epoch) == [1, 2] and history.train_loss.notna().all()
    assert (checkpoint / "curves.png").stat().st_size > 1000
    assert (checkpoint / "state" / "last.pt").exists()
    document = json.loads((checkpoint / "config.json").read_text())
    assert document["training"]["split"] == "lesion" and document["training"]["seed"] == 0
    for view in ("fused", "image alone", "metadata alone"):
        metrics = document["training"]["validation"][view]
        assert set(metrics) >= {"log_loss", "macro_auroc", "dataset", "uniform"}
        assert np.sum(metrics["dataset"]["confusion_matrix"]) == document["training"]["images"]["validation"]


def test_held_out_ids_are_stored(checkpoint, ham10000):
    table = read_table(ham10000, verify=False)
    split = split_table(table)
    held_out = load_checkpoint(checkpoint).held_out()
    assert set(held_out.table.image_id[held_out.table.test]) == set(table.image_id.iloc[split.test])
    assert set(held_out.table.image_id[~held_out.table.test]) == set(table.image_id.iloc[split.validation])
    assert held_out.embeddings.shape == (len(held_out.table), 64)


def test_frozen_embeds_once_and_reuses_the_cache(ham10000, tmp_path):
    arguments = ("--recipe", "frozen", "--image-size", 64, "--epochs", 4)
    first = train(ham10000, tmp_path, *arguments)
    assert first.returncode == 0, first.stderr
    assert "Read the embeddings" not in first.stdout and "Embedding images" in first.stderr
    caches = list((tmp_path / "state").glob("embeddings-*"))
    assert len(caches) == 1
    before = weights_of(tmp_path)
    second = train(ham10000, tmp_path, *arguments)
    assert "Read the embeddings" in second.stdout and "Embedding images" not in second.stderr
    assert all(torch.equal(before[name], tensor) for name, tensor in weights_of(tmp_path).items())
    start = create_backbone(TINY).state_dict().keys()
    assert set(start) == {n.removeprefix("backbone.") for n in before if n.startswith("backbone.")}


def test_cache_depends_on_what_it_should(ham10000, tmp_path, monkeypatch):
    torch.manual_seed(0)
    table = read_table(ham10000, verify=False).iloc[:8]
    model = FusionModel(create_backbone(TINY))
    transform = ImageTransform(32, 100, (0.5,) * 3, (0.5,) * 3)

    def count() -> int:
        embed_table(Accelerator(cpu=True), model, table, transform, tmp_path, workers=0)
        return len(list(tmp_path.iterdir()))

    assert count() == 1 and count() == 1
    transform = ImageTransform(64, 100, (0.5,) * 3, (0.5,) * 3)
    assert count() == 2
    table = table.iloc[:7]
    assert count() == 3
    with torch.no_grad():
        next(model.backbone.parameters()).add_(0.1)
    assert count() == 4
    with torch.no_grad():
        next(model.head.parameters()).add_(0.1)
    assert count() == 4, "the head does not matter"
    transform = ImageTransform(64, 100, (0.5,) * 3, (0.5,) * 3, "squash")
    assert count() == 5, "a photograph cropped otherwise is another input"
    others = {**versions(), "timm": "0"}
    monkeypatch.setattr("lesion.training.embeddings.versions", lambda: others)
    assert count() == 6, "another version of a library may compute otherwise"


def test_a_damaged_cache_is_said_and_made_anew(ham10000, tmp_path, capsys):
    torch.manual_seed(0)
    table = read_table(ham10000, verify=False).iloc[:4]
    model, transform = FusionModel(create_backbone(TINY)), ImageTransform(32, 100, (0.5,) * 3, (0.5,) * 3)
    arguments = (Accelerator(cpu=True), model, table, transform, tmp_path, 64, 0)
    expected = embed_table(*arguments)
    path = next(tmp_path.iterdir())
    path.write_bytes(path.read_bytes()[:50])
    assert np.array_equal(embed_table(*arguments), expected)
    assert "cannot be used" in capsys.readouterr().out


def test_resume_after_the_last_epoch_gives_the_same(ham10000, checkpoint, tmp_path):
    whole = train(ham10000, tmp_path, "--image-size", "64:2")
    assert whole.returncode == 0, whole.stderr
    again = train(ham10000, tmp_path, "--image-size", "64:2", "--resume")
    assert "Resuming at step 4 of 4" in again.stdout
    expected = weights_of(checkpoint)
    assert all(torch.equal(expected[name], tensor) for name, tensor in weights_of(tmp_path).items())


def test_growing_sizes_and_image_only_baseline(ham10000, tmp_path):
    done = train(ham10000, tmp_path, "--image-size", "32:1,64:1", "--no-metadata", "--split", "image")
    assert done.returncode == 0, done.stderr
    assert list(pd.read_csv(tmp_path / "history.csv")["size"]) == [32, 64]
    checkpoint = load_checkpoint(tmp_path)
    assert checkpoint.model.head.metadata_branch is None and checkpoint.config.transform.size == 64
    held_out = checkpoint.held_out().table
    assert held_out.test.all(), "the image-level protocol is scored on what it stops on"


def test_unreachable_hub_is_one_sentence(ham10000, tmp_path):
    done = run_command("train", "--data", ham10000, "--output", tmp_path, "--backbone", "resnet18.a1_in1k")
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("error:") and "--init scratch" in last and "lesion.pretrain" in last
    assert "Traceback" not in done.stderr


def test_wrong_start_is_one_sentence(ham10000, tmp_path):
    for start in (tmp_path / "none.safetensors", Path(__file__)):
        done = run_command("train", "--data", ham10000, "--output", tmp_path, "--backbone", TINY, "--init", start)
        assert done.returncode == 1 and "error: --init" in done.stderr and "Traceback" not in done.stderr


def test_pretraining_makes_a_start(ham10000, tmp_path):
    """From a folder and a zip file, resumed, and used by train.py."""
    table = read_table(ham10000, verify=False)
    with zipfile.ZipFile(tmp_path / "half.zip", "w") as archive:
        for row in table.iloc[::2].itertuples():
            archive.write(row.path, f"class{row.label}/{row.image_id}.jpg")
    for row in table.iloc[1::2].itertuples():
        target = tmp_path / "folder" / f"class{row.label}"
        target.mkdir(parents=True, exist_ok=True)
        (target / f"{row.image_id}.jpg").symlink_to(row.path)
    start = tmp_path / "start.safetensors"
    command = ("lesion.pretrain", "--data", tmp_path / "half.zip", tmp_path / "folder", "--backbone", TINY)
    options = ("--output", start, "--epochs", 1, "--image-size", 32, "--workers", 0)
    done = run_command(*command, *options)
    assert done.returncode == 0, done.stderr
    assert "photographs an epoch" in done.stdout and start.exists()
    assert list(pd.read_csv(tmp_path / "start.csv").images_seen) == [len(table) - 2], "one of each source is held out"
    resumed = run_command(*command, *options, "--resume")
    assert "Resuming at step" in resumed.stdout
    further = tmp_path / "further.safetensors"
    longer = run_command(*command, "--output", further, *options[2:], "--init", start, "--learning-rate", 1e-9)
    assert longer.returncode == 0, longer.stderr
    before = load_file(start)
    assert len([name for name in before if name.startswith("classifiers.")]) == 4, "one for each source"
    for name, tensor in before.items():
        np.testing.assert_allclose(load_file(further)[name], tensor, atol=1e-4, err_msg="classifiers go on too")
    trained = run_command(
        "train", "--data", ham10000, "--output", tmp_path / "out", "--backbone", TINY, "--init", start, "--recipe",
        "frozen", "--image-size", 32, "--epochs", 1, "--workers", 0,
    )  # fmt: skip
    assert trained.returncode == 0, trained.stderr
    trained_backbone = weights_of(tmp_path / "out")
    for name, tensor in before.items():
        if not name.startswith(("classifiers.", SEEN_IDS)):
            np.testing.assert_allclose(trained_backbone[f"backbone.{name}"], tensor, atol=2e-3)
    described = json.loads((tmp_path / "out" / "config.json").read_text())["training"]["init"]
    assert described["file"] == "start.safetensors" and described["backbone"] == TINY
    assert described["stages"][0]["images_seen"] == len(table) - 2 and len(described["sha256"]) == 64


def test_pretraining_needs_classes(tmp_path):
    done = run_command("lesion.pretrain", "--data", tmp_path, "--output", tmp_path / "x.safetensors")
    assert done.returncode == 1 and "two folders" in done.stderr


def test_datasets_travel_to_spawned_workers(ham10000, tmp_path):
    """macOS and Windows start data-loading processes anew and pickle the dataset for them."""
    table = read_table(ham10000, verify=False)
    evaluation = ImageTransform(64, 100, (0.5,) * 3, (0.5,) * 3)
    folders = ClassFolders(ham10000)
    frames = make_frames(Accelerator(cpu=True), tmp_path, folders.read, folders.identities, 32)
    for dataset in (frames, Ham10000(table, transform=evaluation)):
        whole, copy = dataset[3], pickle.loads(pickle.dumps(dataset))[3]
        assert torch.equal(*(x if isinstance(x, torch.Tensor) else x[0] for x in (whole, copy)))


def test_mixup_mixes_metadata_with_the_images_weight():
    np.random.seed(0)
    mixup = MultimodalMixup(mixup_alpha=1.0, prob=1.0, num_classes=7, label_smoothing=0.0)
    labels = torch.arange(6)
    images = labels.float().view(6, 1, 1, 1).expand(6, 3, 4, 4).clone()
    metadata = labels.float().view(6, 1).expand(6, WIDTH).clone()
    mixed, mixed_metadata, targets = mixup(images, metadata, labels)
    expected = (targets * torch.arange(7)).sum(1)
    torch.testing.assert_close(mixed[:, 0, 0, 0], expected)
    torch.testing.assert_close(mixed_metadata[:, 0], expected)
    assert not torch.equal(expected, labels.float())


def test_loss_is_half_complete_half_random_subsets():
    torch.manual_seed(0)
    logits, weights = torch.randn(4, 5, 7), torch.rand(7)
    labels = torch.tensor([0, 3, 3, 6])
    targets = torch.nn.functional.one_hot(labels, 7).float()
    plain = torch.stack(
        [torch.nn.functional.cross_entropy(logits[:, k], labels, weight=weights, reduction="none") for k in range(5)], 1
    )
    expected = (plain[:, 0] + plain[:, 1:].mean(1)) / 2
    torch.testing.assert_close(subset_losses(logits, targets, weights), expected)


def test_random_subsets_cover_all():
    drawn = random_subsets(400)
    assert drawn[:, 0].all() and len(torch.unique(drawn[:, 1:].flatten(0, 1), dim=0)) == 16


def test_head_learns_every_subset():
    """Where the label is in the sex alone, subsets with the sex know it and the others do not."""
    torch.manual_seed(0)
    metadata = torch.zeros(256, WIDTH)
    labels = torch.arange(256) % 2
    metadata[torch.arange(256), 2 + labels] = 1
    embeddings = torch.randn(256, 8)
    head = ConcatenationHead(8)
    optimizer = torch.optim.Adam(head.parameters(), 1e-2)
    for _ in range(100):
        present = random_subsets(256)
        logits = head_on_subsets(head, embeddings, metadata, present)
        loss = subset_losses(logits, torch.nn.functional.one_hot(labels, 7).float(), torch.ones(7)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    for present in SUBSETS:
        right = head_logits(head, embeddings.numpy(), metadata.numpy(), present).argmax(1) == labels.numpy()
        if present[2]:
            assert right.mean() > 0.95
        if not present.any():
            assert right.mean() == 0.5


@pytest.mark.parametrize(
    "arguments, words",
    [
        ("--image-size 64:2,128", "SIZE:EPOCHS"),
        ("--image-size 64:2 --epochs 3", "either"),
        ("--image-size 16", "at least 32"),
        ("--learning-rate 0", "not above 0"),
        ("--recipe frozen --image-size 64:1,96:1", "one --image-size"),
    ],
)
def test_command_line_refuses(arguments, words, capsys):
    with pytest.raises(SystemExit):
        parse_arguments(["--data", "x", *arguments.split()])
    assert words in capsys.readouterr().err


def test_defaults_follow_recipe_and_start():
    _, config = parse_arguments(["--data", "x"])
    assert config.backbone == "convnext_small.fb_in22k_ft_in1k" and config.init == "imagenet"
    assert config.layer_decay < 1 and config.image_sizes == ((224, 20),)
    _, config = parse_arguments(["--data", "x", "--recipe", "frozen"])
    assert config.class_weighting == "balanced" and config.batch_size == 128
    _, config = parse_arguments(["--data", "x", "--image-size", "64:8,128:4"])
    assert config.epochs == 12 and [config.size_at(e) for e in (0, 7, 8, 11)] == [64, 64, 128, 128]
    assert config.evaluation_size == 128
