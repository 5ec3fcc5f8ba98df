"""Supervised pretraining of a timm backbone on any folders of class folders.

Where ImageNet weights can be downloaded, `train.py --init imagenet` needs none of this. Where they cannot, this makes
a start from whatever classified photographs there are:

    python -m lesion.pretrain --data WORLD.zip --lesions SKIN.zip --backbone convnext_small --output start.safetensors

or, from ImageNet weights that another package holds under other names than timm's, proved on ImageNet classes:

    python -m lesion.pretrain --convert WEIGHTS.pth --backbone tf_efficientnet_lite2 --data WORLD.zip --output START

Each source is a folder or zip file of folders named by class, and has a label space of its own. `--depths 2,2,4,2`
makes a shallow ConvNeXt; `--grow-from FILE` goes on with a deeper one, whose function is the same at first.
"""

import argparse
import os
import sys
from pathlib import Path

from lesion.errors import UserError
from lesion.training.class_folders import ClassFolders
from lesion.training.conversion import convert
from lesion.training.loop import LoopConfig
from lesion.training.pretraining import PretrainingConfig, Source, pretrain


def depths(text: str) -> tuple[int, ...]:
    """Parses "2,2,4,2"."""
    parsed = tuple(int(part) for part in text.split(","))
    if min(parsed) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} has a stage without blocks; give one number a stage: 2,2,4,2")
    return parsed


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m lesion.pretrain", description=__doc__.split("\n\n")[0])
    add = parser.add_argument
    add("--data", type=Path, nargs="+", default=[], help="folders or zip files of class folders")
    add("--lesions", type=Path, nargs="+", default=[], help="the same, of photographs that have no up: turned freely")
    add("--lesion-repeats", type=int, default=1, help="times each of those is seen in an epoch (default 1)")
    add("--backbone", default="convnext_small", help="a timm model name (default %(default)s)")
    add("--depths", type=depths, help="blocks of each stage of a ConvNeXt, as 2,2,4,2 (default: the architecture's)")
    add("--output", type=Path, required=True, help="the .safetensors file to write")
    start = parser.add_mutually_exclusive_group()
    start.add_argument(
        "--init", type=Path, help="start from an earlier run's file, or a checkpoint (default: random weights)"
    )
    start.add_argument("--grow-from", type=Path, help="the same, from a ConvNeXt with fewer blocks")
    start.add_argument("--convert", type=Path, help="do not train: take over a PyTorch file's ImageNet weights")
    add("--teacher", help="learn from its features too: a timm model name (from the Hub), or a file of an earlier run")
    add("--image-size", type=int, default=64, help="pixels (default %(default)s)")
    add("--epochs", type=int, default=40, help="default %(default)s")
    add("--batch-size", type=int, default=128, help="default %(default)s")
    add("--learning-rate", type=float, default=1e-3, help="default %(default)s")
    add("--seed", type=int, default=0, help="default %(default)s")
    add("--workers", type=int, default=min(4, os.cpu_count() or 1), help="processes that read frames")
    add("--mixed-precision", choices=("no", "bf16", "fp16"), help="default: as accelerate launch says")
    add("--resume", action="store_true", help="go on from the state beside --output")
    args = parser.parse_args(arguments)
    if not args.data + args.lesions:
        parser.error("give photographs to learn from, with --data or --lesions")
    if args.convert and args.teacher:
        parser.error("--convert does not train, so --teacher has nobody to teach")
    if args.convert and len(args.data) != 1:
        parser.error("--convert needs one --data with ImageNet classes, to see whether the weights are in order")
    return args


def main() -> None:
    args = parse_arguments()
    loop = LoopConfig(
        epochs=args.epochs, batch_size=args.batch_size, learning_rate=args.learning_rate, seed=args.seed,
        workers=args.workers,
    )  # fmt: skip
    config = PretrainingConfig(
        args.backbone, args.depths, args.image_size, args.mixed_precision, args.init or args.grow_from,
        args.grow_from is not None, args.teacher,
    )  # fmt: skip
    try:
        if args.convert:
            convert(args.convert, args.backbone, ClassFolders(args.data[0]), args.output)
            return
        sources = [Source(ClassFolders(path), False, 1) for path in args.data]
        sources += [Source(ClassFolders(path), True, args.lesion_repeats) for path in args.lesions]
        pretrain(sources, config, loop, args.output, args.resume)
    except UserError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
