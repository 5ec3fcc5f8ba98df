"""What a training is made of."""

from dataclasses import dataclass

from lesion.model.calibration import (
    EVERYTHING,
    IMAGE_ALONE,
)


@dataclass(frozen=True)
class External:
    """Photographs of another collection.

    Attributes:
        table: a CSV file of their diagnoses and records.
        images: folders or zip files; of a photograph in several, the first one's copy is taken.
        epochs: the first epochs of the training that read them.
    """

    table: str
    images: tuple[str, ...]
    epochs: int


@dataclass(frozen=True)
class TrainingConfig:
    """What a training is made of; stored in the checkpoint.

    Attributes:
        backbone: timm model name.
        init: "imagenet", "scratch", or a path to a file of `lesion.pretrain` or to a checkpoint's folder.
        teacher: a fused checkpoint's folder, see `lesion.training.distillation`, or None.
        external: photographs of another collection in the first epochs, see `lesion.training.external`, or None.
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
    teacher: str | None
    external: External | None
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


def views_of(config: TrainingConfig) -> dict[str, int]:
    """The subsets to watch while training."""
    if config.fusion == "none":
        return {"image alone": IMAGE_ALONE}
    return {"fused": EVERYTHING, "image alone": IMAGE_ALONE}
