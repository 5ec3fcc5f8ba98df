"""Supervised pretraining of a timm backbone on any folder of class folders.

Where ImageNet weights can be downloaded, `train.py --init imagenet` needs none of this. Where they cannot, this makes
a start from whatever classified photographs there are:

    python -m lesion.pretrain --data FOLDER_OR_ZIPS --backbone convnext_small --output pretrained.safetensors

The data are folders (or zip files of folders) named by class, with images inside; several are merged by class name.
The recipe is the plain one of timm's training script: random resized crops, flips, colour jitter, label smoothing,
AdamW with warm-up and cosine, averaged weights.
"""

import argparse
import os
import sys
from pathlib import Path

from lesion.errors import UserError
from lesion.training.loop import LoopConfig
from lesion.training.pretraining import pretrain


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m lesion.pretrain", description=__doc__.split("\n\n")[0])
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="folders or zip files of class folders")
    parser.add_argument("--backbone", default="convnext_small", help="a timm model name (default %(default)s)")
    parser.add_argument("--output", type=Path, required=True, help="the .safetensors file to write")
    parser.add_argument("--init", type=Path, help="start from the file of an earlier run (default: random weights)")
    parser.add_argument("--image-size", type=int, default=64, help="pixels (default %(default)s)")
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=min(4, os.cpu_count() or 1))
    parser.add_argument("--mixed-precision", choices=("no", "bf16", "fp16"), help="default: as accelerate launch says")
    parser.add_argument("--resume", action="store_true", help="go on from the state beside --output")
    args = parser.parse_args()
    config = LoopConfig(
        epochs=args.epochs, batch_size=args.batch_size, learning_rate=args.learning_rate, seed=args.seed,
        workers=args.workers,
    )  # fmt: skip
    try:
        pretrain(
            args.data, args.backbone, args.output, args.image_size, config, args.mixed_precision, args.resume, args.init
        )
    except UserError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
