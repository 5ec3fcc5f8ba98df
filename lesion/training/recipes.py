"""The two recipes that make a checkpoint.

`frozen`, the reference recipe: the backbone never changes, so its embeddings are computed once and only the metadata
branch and the head are trained, with Adam, balanced class weights and early stopping on the validation loss.

`finetune`: the whole network, AdamW with layer-wise decay of the learning rate where the start is pretrained (Bao et
al., "BEiT", 2021), warm-up and cosine, stochastic depth, mixup (Zhang et al., 2018) and cutmix (Yun et al., 2019), all
timm's; the best epoch by validation balanced accuracy is kept, and its head trained on as in `frozen`.

Both train every subset of the inputs: the complete one and random others, on the same embeddings.
"""

import copy
import hashlib
import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import timm
import torch
from accelerate import Accelerator
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
from PIL import Image
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from timm.data import resolve_model_data_config
from timm.data.mixup import Mixup, mixup_target
from timm.optim import param_groups_layer_decay, param_groups_weight_decay
from torch import nn
from tqdm.auto import tqdm

from lesion.data.diagnoses import DIAGNOSES
from lesion.data.ham10000 import Ham10000, Split, records_of, split_table
from lesion.data.metadata import MetadataEncoder
from lesion.data.reading import ImageTransform, training_transform
from lesion.errors import UserError
from lesion.metrics.metrics import decide, decision_metrics, per_class_table, probability_metrics, summarise
from lesion.model.calibration import (
    EVERYTHING,
    IMAGE_ALONE,
    SUBSETS,
    VIEWS,
    Calibration,
    class_weights,
    effective,
    fit_calibration,
    subset_index,
)
from lesion.model.checkpoint import (
    CheckpointConfig,
    HeldOut,
    prepare_folder,
    save_checkpoint,
    write_atomically,
    write_together,
)
from lesion.model.conformal import ConformalSets, fit_conformal
from lesion.model.fusion import FusionHead, FusionModel, create_backbone, head_logits, head_on_subsets, one_an_image
from lesion.model.out_of_distribution import FamiliarityCheck, fit_familiarity
from lesion.report.figures import draw_learning
from lesion.training.embeddings import embed_table
from lesion.training.loop import AugmentedDataset, LoopConfig, NotFinite, first_line, fit, map_examples, not_finite

RANDOM_SUBSETS = 4
"""Random subsets of the inputs that the head is trained on beside the complete one, for every image of a batch."""


@dataclass(frozen=True)
class TrainingConfig:
    """What a training is made of; stored in the checkpoint.

    Attributes:
        backbone: timm model name.
        init: "imagenet", "scratch" or a path to a file of `lesion.pretrain`.
        recipe: "frozen" or "finetune".
        fusion: how image and metadata are joined, one of `lesion.model.fusion.FUSIONS`.
        split, split_seed: see `lesion.data.ham10000.split_table`.
        image_sizes: (pixels, epochs) of each stage; one stage, or growing ones.
        evaluation_size: input side of the finished checkpoint, pixels.
        batch_size, learning_rate, seed, workers: as in `LoopConfig`.
        class_weighting: see `lesion.model.calibration.class_weights`.
        layer_decay: ratio of the learning rates of neighbouring layers; 1 for none.
        drop_path_rate: stochastic depth of the backbone.
        mixup_probability: share of the batches that are mixed.
        patience: epochs without improvement after which the frozen recipe stops.
        mixed_precision: "no", "bf16" or "fp16"; None for what `accelerate launch` was told.
    """

    backbone: str
    init: str
    recipe: str
    fusion: str
    split: str
    split_seed: int
    image_sizes: tuple[tuple[int, int], ...]
    evaluation_size: int
    batch_size: int
    learning_rate: float
    seed: int
    workers: int
    class_weighting: str
    layer_decay: float
    drop_path_rate: float
    mixup_probability: float
    patience: int
    mixed_precision: str | None

    @property
    def epochs(self) -> int:
        """Of all stages together."""
        return sum(epochs for _, epochs in self.image_sizes)

    def size_at(self, epoch: int) -> int:
        """Input side in an epoch, counted from 0."""
        for size, epochs in self.image_sizes:
            if epoch < epochs:
                return size
            epoch -= epochs
        return self.image_sizes[-1][0]


@dataclass(frozen=True)
class TrainingData:
    """A table with its split and everything that is fitted on the training part."""

    table: pd.DataFrame
    split: Split
    encoder: MetadataEncoder
    metadata: np.ndarray
    known: np.ndarray
    weights: np.ndarray
    prevalence: np.ndarray

    @property
    def labels(self) -> np.ndarray:
        """int64 (N,)."""
        return self.table.label.to_numpy()


def prepare_data(table: pd.DataFrame, split: str, split_seed: int, class_weighting: str) -> TrainingData:
    """Splits the table, fits the encoder, the class weights and the prevalence on the training part.

    Args:
        table: of `lesion.data.ham10000.read_table`.
        split, split_seed, class_weighting: see `TrainingConfig`.
    """
    split = split_table(table, split, split_seed)
    training = table.iloc[split.training]
    encoder = MetadataEncoder.fit(training.age.to_numpy())
    metadata, known = encoder.encode(records_of(table))
    labels = training.label.to_numpy()
    prevalence = np.bincount(labels, minlength=len(DIAGNOSES)) / len(labels)
    return TrainingData(table, split, encoder, metadata, known, class_weights(labels, class_weighting), prevalence)


def create_model(config: TrainingConfig) -> FusionModel:
    """The model at its start.

    Raises:
        UserError: the Hub cannot be reached, or the weights file does not fit.
    """
    torch.manual_seed(config.seed)
    drop_path_rate = config.drop_path_rate if config.recipe == "finetune" else 0.0
    if config.init == "imagenet":
        try:
            backbone = create_backbone(config.backbone, pretrained=True, drop_path_rate=drop_path_rate)
        except (HfHubHTTPError, LocalEntryNotFoundError, OSError, RuntimeError) as error:
            raise UserError(
                f"The ImageNet weights of {config.backbone} cannot be loaded from the Hugging Face Hub "
                f"({type(error).__name__}); connect to the network, or give --init scratch, or --init PATH with a "
                "file made by `python -m lesion.pretrain`."
            ) from None
    else:
        backbone = create_backbone(config.backbone, drop_path_rate=drop_path_rate)
        if config.init != "scratch":
            load_backbone(backbone, Path(config.init))
    return FusionModel(backbone, config.fusion)


def load_backbone(backbone: nn.Module, path: Path) -> None:
    """Loads a weights file of `lesion.pretrain`.

    Raises:
        UserError: missing, damaged, or of another architecture.
    """
    try:
        backbone.load_state_dict(load_file(path))
    except FileNotFoundError:
        raise UserError(f"--init {path} is no file; give imagenet, scratch, or a .safetensors file.") from None
    except (SafetensorError, OSError, RuntimeError) as error:
        raise UserError(
            f"--init {path} does not hold the weights of this backbone ({str(error).splitlines()[0]}); make it with "
            "`python -m lesion.pretrain --backbone` and the same name."
        ) from None


def describe_start(init: str) -> str | dict[str, str]:
    """`--init` as the checkpoint records it: a file by its name and what `lesion.pretrain` wrote into it."""
    if init in ("imagenet", "scratch"):
        return init
    with safe_open(init, "pt") as file:
        return {"file": Path(init).name, **(file.metadata() or {})}


def random_subsets(count: int, generator: torch.Generator | None = None) -> torch.Tensor:
    """For each of `count` images the complete input and RANDOM_SUBSETS others, bool (count, 1 + RANDOM_SUBSETS, 4)."""
    drawn = torch.rand(count, RANDOM_SUBSETS, 4, generator=generator) < 0.5
    return torch.cat([torch.ones(count, 1, 4, dtype=torch.bool), drawn], dim=1)


def subset_losses(logits: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Weighted cross-entropy, half for the complete input and half for the mean of the other subsets.

    Args:
        logits: float (B, K, 7); the first of K is the complete input.
        targets: float (B, 7), probabilities.
        weights: float (7,), of the classes.

    Returns:
        float (B,).
    """
    losses = -(weights * targets)[:, None].mul(logits.float().log_softmax(-1)).sum(-1)
    return 0.5 * losses[:, 0] + 0.5 * losses[:, 1:].mean(1)


class MultimodalMixup(Mixup):
    """timm's mixup and cutmix, with the encoded metadata mixed by the same weight as the images."""

    def __call__(self, images: torch.Tensor, metadata: torch.Tensor, labels: torch.Tensor) -> tuple:
        """Mixes a batch, the images in place.

        Args:
            images: float (B, 3, H, W).
            metadata: float (B, WIDTH).
            labels: int (B,).

        Returns:
            images, metadata, and the targets float (B, 7).
        """
        share = self._mix_batch(images)
        metadata = share * metadata + (1 - share) * metadata.flip(0)
        return images, metadata, mixup_target(labels, self.num_classes, share, self.label_smoothing)


def calibrate(logits: np.ndarray, data: TrainingData) -> Calibration:
    """Fits a temperature and a strength for each subset of the inputs on the validation part.

    Args:
        logits: float (16, N, 7), of the N validation rows with each of SUBSETS.
        data: gives class weights, prevalence, labels and what is known.
    """
    temperatures, strengths = np.ones((2, len(SUBSETS)))
    labels, known = data.labels[data.split.validation], data.known[data.split.validation]
    for index, present in enumerate(SUBSETS):
        of_subset = subset_index(effective(present, known)) == index
        if of_subset.any():
            fitted = fit_calibration(logits[index, of_subset].astype(np.float64), labels[of_subset], data.weights)
            temperatures[index], strengths[index] = fitted
    return Calibration(data.weights, data.prevalence, temperatures, strengths)


@dataclass(frozen=True)
class Fitted:
    """What is fitted to a trained model.

    Attributes:
        calibration, conformal: on the validation part.
        familiarity: on the training part, its threshold on the validation part.
        validation: the metrics of the validation part for each of VIEWS (the image alone, without metadata).
    """

    calibration: Calibration
    conformal: ConformalSets
    familiarity: FamiliarityCheck
    validation: dict[str, dict]


def fit_after_training(
    head: FusionHead, training: np.ndarray, validation: np.ndarray, data: TrainingData, metadata: bool
) -> Fitted:
    """Fits what turns a trained model's output into answers.

    Args:
        head: in its final state.
        training, validation: embeddings of `FusionModel.pool` of the rows of the two parts.
        data: the table, its split and what was fitted before training.
        metadata: whether the model reads metadata.
    """
    views = VIEWS if metadata else {"image alone": IMAGE_ALONE}
    rows = data.split.validation
    labels, known = data.labels[rows], data.known[rows]
    logits = np.stack([head_logits(head, validation, data.metadata[rows], present) for present in SUBSETS])
    calibration = calibrate(logits, data)
    present = np.stack([effective(subset, known) for subset in SUBSETS])
    probabilities = calibration.probabilities(logits, present)
    return Fitted(
        calibration,
        fit_conformal(probabilities, known, labels, data.table.lesion_id.to_numpy()[rows]),
        fit_familiarity(one_an_image(training), one_an_image(validation)),
        {name: summarise(labels, probabilities[index], data.prevalence) for name, index in views.items()},
    )


def train(table: pd.DataFrame, config: TrainingConfig, output: Path, resume: bool = False) -> Path:
    """Trains, calibrates and writes a checkpoint folder.

    Args:
        table: of `lesion.data.ham10000.read_table`.
        config: everything else.
        output: the checkpoint folder. The resumable state and the running history.csv and curves.png are kept in its
            folder state/; a checkpoint that the folder already holds is replaced, with both, when the training is done.
        resume: go on from an interrupted run in `output`.

    Returns:
        `output`.

    Raises:
        UserError: the data, the start or the state cannot be used, or a file cannot be written.
    """
    accelerator = Accelerator(mixed_precision=config.mixed_precision)
    data = prepare_data(table, config.split, config.split_seed, config.class_weighting)
    model = create_model(config)
    backbone_data = resolve_model_data_config(model.backbone)
    working_size = working_size_of(table, config.evaluation_size)
    transform = ImageTransform(config.evaluation_size, working_size, backbone_data["mean"], backbone_data["std"])
    parts = ", ".join(f"{n} {len(getattr(data.split, n))}" for n in ("training", "validation", "test"))
    accelerator.print("\n".join(f"  {k}: {v}" for k, v in {**asdict(config), "images": parts, **settings()}.items()))
    prepare_folder(output)
    prepare_folder(output / "state")
    held_out_rows = np.union1d(data.split.validation, data.split.test)
    if config.recipe == "frozen":
        history, embeddings = train_frozen(accelerator, model, data, transform, config, output)
    else:
        history = finetune(accelerator, model, data, transform, config, output, resume)
        # Mixup and random crops leave the head behind the backbone: it is trained on, on the finished embeddings.
        _, embeddings = train_frozen(accelerator, model, data, transform, config, output)
    training, validation = embeddings[data.split.training], embeddings[data.split.validation]
    fitted = fit_after_training(model.head, training, validation, data, config.fusion != "none")
    if accelerator.is_main_process:
        provenance = {
            **asdict(config),
            "init": describe_start(config.init),
            "images": {n: len(getattr(data.split, n)) for n in ("training", "validation", "test")},
            "minutes": round(history[-1]["minutes"], 1),
            "mixed_precision": accelerator.mixed_precision,
            "versions": settings(),
            "validation": fitted.validation,
        }
        checkpoint = CheckpointConfig(
            config.backbone, config.fusion, transform, data.encoder, fitted.calibration, fitted.conformal, provenance
        )
        held_out = table.iloc[held_out_rows].assign(test=np.isin(held_out_rows, data.split.test))
        held_out = HeldOut(held_out.drop(columns="path"), embeddings[held_out_rows])
        save_checkpoint(output, model, checkpoint, held_out, fitted.familiarity, history_files(history))
        print_validation(fitted.validation)
        print(f"Wrote {output}. The test part is opened by `python -m lesion.evaluate --checkpoint {output}`.")
    accelerator.wait_for_everyone()
    return output


def settings() -> dict[str, str]:
    """Versions that a result may depend on."""
    return {"torch": torch.__version__, "timm": timm.__version__, "threads": str(torch.get_num_threads())}


def working_size_of(table: pd.DataFrame, evaluation_size: int) -> int:
    """The size every photograph is first shrunk to, pixels on its longer side.

    It is the median size of the training images, so that a larger copy of one is read like it, and at most three
    times the input, beyond which no detail survives.
    """
    longest = []
    for path in table.path.iloc[:: max(1, len(table) // 50)]:
        with Image.open(path) as image:
            longest.append(max(image.size))
    return int(min(np.median(longest), 3 * evaluation_size))


def print_validation(metrics: dict) -> None:
    """Prints the validation metrics of every view, with the decision rule named."""
    for name, values in metrics.items():
        print(f"\nValidation, {name}: log-loss {values['log_loss']:.3f}, macro AUROC {values['macro_auroc']:.3f}")
        for rule in ("dataset", "uniform"):
            numbers = ", ".join(
                f"{k.replace('_', ' ')} {values[rule][k]:.3f}"
                for k in ("accuracy", "balanced_accuracy", "weighted_f1", "macro_f1")
            )
            print(f"  decided under {rule} prevalence: {numbers}")
    shown = "fused" if "fused" in metrics else "image alone"
    rule = metrics[shown]["dataset"]
    print(f"\n{shown}, data-set prevalence\n{per_class_table(rule['per_class'], rule['confusion_matrix'])}")


def history_files(history: list[dict]) -> dict[str, Callable[[Path], None]]:
    """What writes history.csv and curves.png, by name."""
    frame = pd.DataFrame(history)
    return {
        "history.csv": lambda path: frame.to_csv(path, index=False),
        "curves.png": lambda path: draw_learning({"curves": {"learning": frame.to_dict("list")}}, path),
    }


def epoch_metrics(head: FusionHead, embeddings: np.ndarray, data: TrainingData, views: dict[str, int]) -> dict:
    """Validation metrics of an epoch, calibrated: the first view's, and the others' balanced accuracy.

    Raises:
        NotFinite: the head's answers are not.
    """
    rows = data.split.validation
    out = {}
    for name, index in views.items():
        present = effective(SUBSETS[index], data.known[rows])
        logits = head_logits(head, embeddings, data.metadata[rows], SUBSETS[index])
        if not np.isfinite(logits).all():
            raise NotFinite
        fitted = fit_calibration(logits, data.labels[rows], data.weights)
        calibration = Calibration(data.weights, data.prevalence, *np.outer(fitted, np.ones(len(SUBSETS))))
        probabilities = calibration.probabilities(logits, present)
        balanced = decision_metrics(data.labels[rows], decide(probabilities, data.prevalence, "uniform"))
        if not out:
            common = decision_metrics(data.labels[rows], decide(probabilities, data.prevalence, "dataset"))
            out["validation_loss"] = probability_metrics(data.labels[rows], probabilities)["log_loss"]
            out["accuracy"] = common["accuracy"]
            out["balanced_accuracy"] = balanced["balanced_accuracy"]
        else:
            out[f"{name.replace(' ', '_')}_balanced_accuracy"] = balanced["balanced_accuracy"]
    return out


def views_of(config: TrainingConfig) -> dict[str, int]:
    """The subsets to watch while training."""
    if config.fusion == "none":
        return {"image alone": IMAGE_ALONE}
    return {"fused": EVERYTHING, "image alone": IMAGE_ALONE}


def finetune(
    accelerator: Accelerator,
    model: FusionModel,
    data: TrainingData,
    transform: ImageTransform,
    config: TrainingConfig,
    output: Path,
    resume: bool,
) -> list[dict]:
    """Trains the whole network; the best epoch's averaged weights are left in `model`.

    Returns:
        The history, one dictionary an epoch.
    """
    rows = data.split.training
    augmentations = [training_transform(transform, config.size_at(epoch)) for epoch in range(config.epochs)]
    images = Ham10000(data.table.iloc[rows], data.metadata[rows], data.labels[rows])
    mixup = MultimodalMixup(
        mixup_alpha=0.4, cutmix_alpha=1.0, prob=config.mixup_probability, switch_prob=0.3, label_smoothing=0.0,
        num_classes=len(DIAGNOSES),
    )  # fmt: skip
    weights = torch.tensor(data.weights, dtype=torch.float32, device=accelerator.device)

    def loss(model: nn.Module, batch: list) -> torch.Tensor:
        images, metadata, targets = mixup(*batch)
        present = random_subsets(len(images)).to(images.device)
        return subset_losses(model(images, metadata, present), targets, weights)

    if config.init == "scratch" or config.layer_decay == 1:
        groups = param_groups_weight_decay(model, LoopConfig.weight_decay)
    else:
        groups = param_groups_layer_decay(
            model.backbone, LoopConfig.weight_decay, layer_decay=config.layer_decay
        ) + param_groups_weight_decay(model.head, LoopConfig.weight_decay)
    state_folder = output / "state"
    best_path = state_folder / "best.safetensors"
    validation = data.table.iloc[data.split.validation]

    def on_epoch_end(history: list[dict], averaged: FusionModel) -> None:
        row = history[-1]
        row["size"] = config.size_at(row["epoch"] - 1)
        images = Ham10000(validation, transform=replace(transform, size=row["size"]))
        embeddings = map_examples(accelerator, averaged.eval().embed, images, config.batch_size, config.workers)
        row |= epoch_metrics(averaged.head, embeddings, data, views_of(config))
        if accelerator.is_main_process:
            # Earlier stages made models for smaller images: the choice is among the last stage's epochs.
            last_stage = [h["balanced_accuracy"] for h in history if h["size"] == config.image_sizes[-1][0]]
            if row["balanced_accuracy"] >= max(last_stage, default=math.inf):
                state = {k: v.cpu().contiguous() for k, v in averaged.state_dict().items()}
                content = save(state, {"epoch": str(row["epoch"])})
                write_atomically(best_path, lambda path: path.write_bytes(content))
            write_together({state_folder / name: write for name, write in history_files(history).items()})

    loop = LoopConfig(
        epochs=config.epochs, batch_size=config.batch_size, learning_rate=config.learning_rate, seed=config.seed,
        workers=config.workers,
    )  # fmt: skip
    # JSON turns the tuples of the configuration into the lists that the state file gives back.
    fingerprint = json.loads(json.dumps(asdict(config)))
    for name in ("workers", "evaluation_size", "patience"):
        del fingerprint[name]
    # Without the paths: the data set may lie elsewhere when the training goes on.
    content = data.table.drop(columns="path").to_csv(index=False)
    fingerprint["data set"] = hashlib.sha256(content.encode()).hexdigest()[:12]
    _, history = fit(
        accelerator, model, groups, AugmentedDataset(images, augmentations, config.seed), loss, loop,
        state_folder / "last.pt", fingerprint, on_epoch_end, resume,
    )  # fmt: skip
    accelerator.wait_for_everyone()
    try:
        model.load_state_dict(load_file(best_path))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise UserError(
            f"{best_path} cannot be read ({first_line(error)}); remove {state_folder} to start anew."
        ) from None
    return history


def train_frozen(
    accelerator: Accelerator,
    model: FusionModel,
    data: TrainingData,
    transform: ImageTransform,
    config: TrainingConfig,
    output: Path,
) -> tuple[list[dict], np.ndarray]:
    """Trains the head on embeddings of the frozen backbone; the best epoch by validation loss is left in `model`.

    The embedding pass is what takes time, and its cache is what a resumed run goes on from; the head trains in
    seconds, identically in every process.

    Returns:
        The history, one dictionary an epoch, and the embeddings of every row, float32, of
        `FusionModel.pool`.
    """
    started = time.monotonic()
    embeddings = embed_table(
        accelerator, model, data.table, transform, output / "state", config.batch_size, config.workers
    )
    head = model.head.to(accelerator.device)
    history = fit_head(head, embeddings, data, config, accelerator.is_main_process)
    history[-1]["minutes"] = (time.monotonic() - started) / 60
    return history, embeddings


def fit_head(
    head: FusionHead, embeddings: np.ndarray, data: TrainingData, config: TrainingConfig, show_progress: bool = False
) -> list[dict]:
    """Adam on cached embeddings with early stopping on the validation loss; the best epoch is left in `head`.

    Args:
        head: trained in place, on its device.
        embeddings: float32, of `FusionModel.pool`, of every row of the table.
        data: see `TrainingData`.
        config: gives epochs, batch_size, learning_rate, patience and seed.
        show_progress: show a progress bar.

    Returns:
        The history, one dictionary an epoch.

    Raises:
        UserError: the loss or the answers stopped being finite.
    """
    device = next(head.parameters()).device
    rows = torch.from_numpy(data.split.training)
    inputs = torch.from_numpy(embeddings), torch.from_numpy(data.metadata), torch.tensor(data.labels)
    weights = torch.tensor(data.weights, dtype=torch.float32, device=device)
    optimizer = torch.optim.Adam(head.parameters(), lr=config.learning_rate)
    generator = torch.Generator().manual_seed(config.seed)
    torch.manual_seed(config.seed)
    validation = embeddings[data.split.validation]
    best, best_state, history, step = float("inf"), None, [], 0
    kept = "nothing of it was written"
    for epoch in (bar := tqdm(range(config.epochs), desc="Training the head", unit="epoch", disable=not show_progress)):
        head.train()
        total = 0.0
        for batch in rows[torch.randperm(len(rows), generator=generator)].split(config.batch_size):
            embedding, metadata, labels = (x[batch].to(device) for x in inputs)
            present = random_subsets(len(batch), generator).to(device)
            logits = head_on_subsets(head, embedding, metadata, present)
            targets = nn.functional.one_hot(labels, len(DIAGNOSES)).float()
            loss = subset_losses(logits, targets, weights).mean()
            value = loss.item()
            if not math.isfinite(value):
                raise not_finite(f"The head's loss is {value} at step {step}", config.learning_rate, kept)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            step += 1
            total += value * len(batch)
        row = {"epoch": epoch + 1, "train_loss": total / len(rows)}
        try:
            row |= epoch_metrics(head, validation, data, views_of(config))
        except NotFinite:
            what = f"The head's answers are not finite after step {step - 1}"
            raise not_finite(what, config.learning_rate, kept) from None
        history.append(row)
        bar.set_postfix(validation_loss=f"{row['validation_loss']:.3f}", refresh=False)
        if row["validation_loss"] < best:
            best, best_state = row["validation_loss"], copy.deepcopy(head.state_dict())
        elif epoch + 1 - min(history, key=lambda h: h["validation_loss"])["epoch"] >= config.patience:
            break
    head.load_state_dict(best_state)
    return history
