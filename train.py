"""Train the fused classifier on HAM10000: `python train.py --data PATH_TO_HAM10000`.

With several processes: `accelerate launch train.py --data …`.
"""

import argparse
import sys
from pathlib import Path

from lesion.data.ham10000 import DEFAULT_SPLIT_SEED, read_table
from lesion.errors import UserError
from lesion.model.calibration import WEIGHTINGS
from lesion.model.fusion import DEFAULT_BACKBONE
from lesion.training.config import External, TrainingConfig
from lesion.training.recipes import train


def image_sizes(text: str) -> tuple[tuple[int, int | None], ...]:
    """Parses "224" or "64:8,128:4" into (pixels, epochs) stages."""
    stages = [stage.split(":") for stage in text.split(",")]
    if any(len(stage) > 2 for stage in stages) or (len(stages) > 1 and any(len(stage) < 2 for stage in stages)):
        raise argparse.ArgumentTypeError(f"{text!r} is neither a size (224) nor stages SIZE:EPOCHS (64:8,128:4)")
    parsed = tuple((int(stage[0]), int(stage[1]) if len(stage) > 1 else None) for stage in stages)
    if any(size < 32 or (epochs is not None and epochs < 1) for size, epochs in parsed):
        raise argparse.ArgumentTypeError("sizes are at least 32 pixels and epochs at least 1")
    return parsed


def positive(kind: type):
    """A parser of positive numbers."""

    def parse(text: str):
        value = kind(text)
        if not value > 0:
            raise argparse.ArgumentTypeError(f"{text} is not above 0")
        return value

    parse.__name__ = f"positive {kind.__name__}"
    return parse


def parse_arguments(arguments: list[str] | None = None) -> tuple[argparse.Namespace, TrainingConfig]:
    """The command line, with the defaults of each recipe filled in."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    add = parser.add_argument
    add("--data", type=Path, required=True, help="folder with HAM10000_metadata.csv and the images")
    add("--output", type=Path, default=Path("runs/train"), help="checkpoint folder to write (default %(default)s)")
    add("--backbone", default=DEFAULT_BACKBONE, help="timm model name (default %(default)s)")
    add("--init", default="imagenet", help="imagenet (default), scratch, a file of lesion.pretrain, or a checkpoint")
    add("--teacher", help="folder of a fused checkpoint to learn from, besides the labels")
    add("--external", metavar="CSV", help="table of photographs of another collection, for the first epochs")
    add("--external-images", nargs="+", metavar="DIR_OR_ZIP", help="where they are; the first copy of each is taken")
    add("--external-epochs", type=positive(int), default=4, help="epochs that read them (default %(default)s)")
    add("--recipe", choices=("frozen", "finetune"), default="finetune", help="default %(default)s")
    add("--metadata", action=argparse.BooleanOptionalAction, default=True, help="read age, sex and site")
    add("--fusion", choices=("concat", "metablock"), default="concat", help="how they join the image (default concat)")
    add("--split", choices=("lesion", "image"), default="lesion", help="image: the reference work's leaky protocol")
    add("--split-seed", type=int, default=DEFAULT_SPLIT_SEED, help="default %(default)s, the bundled checkpoint's")
    add("--epochs", type=positive(int), help="default 20, frozen 200 at most")
    add("--image-size", type=image_sizes, default="224", help="pixels, or growing stages SIZE:EPOCHS,SIZE:EPOCHS")
    add("--evaluation-size", type=positive(int), help="pixels at prediction (default: the last training size)")
    add("--batch-size", type=positive(int), help="over all processes (default 64, frozen 128)")
    add("--learning-rate", type=positive(float), help="default 1e-4 from ImageNet, else 5e-4; frozen 1e-3")
    add("--class-weights", choices=WEIGHTINGS, help="default sqrt, frozen balanced")
    add("--layer-decay", type=positive(float), help="ratio of neighbouring layers' rates; default 0.95, from scratch 1")
    add("--drop-path", type=float, default=0.1, help="stochastic depth (default %(default)s)")
    add("--mixup", type=float, default=0.5, help="share of batches mixed (default %(default)s)")
    add("--patience", type=positive(int), default=10, help="epochs without progress before frozen stops")
    add("--mixed-precision", choices=("no", "bf16", "fp16"), help="default: what accelerate launch was told, else no")
    add("--seed", type=int, default=0)
    add("--workers", type=int, default=2, help="processes that read images (default %(default)s)")
    add("--allow-missing", action="store_true", help="go on without images that are not on disk")
    add("--resume", action="store_true", help="go on from an interrupted run in --output")
    args = parser.parse_args(arguments)
    frozen, imagenet = args.recipe == "frozen", args.init == "imagenet"
    if args.image_size[0][1] is None:
        args.image_size = ((args.image_size[0][0], args.epochs or (200 if frozen else 20)),)
    elif args.epochs:
        parser.error("give the epochs either with --epochs or in --image-size")
    if frozen and args.teacher:
        parser.error("a teacher needs the recipe finetune: the frozen recipe sees each image once")
    if frozen and args.external:
        parser.error("--external needs the recipe finetune")
    if bool(args.external) != bool(args.external_images):
        parser.error("give --external, a table, and --external-images, its photographs, together")
    if args.external and args.external_epochs > sum(epochs for _, epochs in args.image_size):
        parser.error(f"--external-epochs {args.external_epochs} is more than the epochs of the training")
    if frozen and len(args.image_size) > 1:
        parser.error("the frozen recipe embeds at one --image-size")
    config = TrainingConfig(
        backbone=args.backbone,
        init=args.init,
        teacher=args.teacher,
        external=External(args.external, tuple(args.external_images), args.external_epochs) if args.external else None,
        recipe=args.recipe,
        fusion=args.fusion if args.metadata else "none",
        split=args.split,
        split_seed=args.split_seed,
        image_sizes=args.image_size,
        evaluation_size=args.evaluation_size or args.image_size[-1][0],
        batch_size=args.batch_size or (128 if frozen else 64),
        learning_rate=args.learning_rate or (1e-3 if frozen else 1e-4 if imagenet else 5e-4),
        seed=args.seed,
        workers=args.workers,
        class_weighting=args.class_weights or ("balanced" if frozen else "sqrt"),
        layer_decay=args.layer_decay or (1.0 if args.init == "scratch" else 0.95),
        drop_path_rate=args.drop_path,
        mixup_probability=args.mixup,
        patience=args.patience,
        mixed_precision=args.mixed_precision,
    )
    return args, config


def main() -> None:
    args, config = parse_arguments()
    try:
        train(read_table(args.data, args.allow_missing), config, args.output, args.resume)
    except UserError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
