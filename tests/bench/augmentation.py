"""Augmenting a batch as tensors against the same changes by torchvision in PIL: `python tests/bench/augmentation.py`.

Both on one thread, in turn, on the app's example photographs; the figure to quote is the ratio.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import numpy as np
import torch
from torchvision.transforms import v2

from lesion.data.reading import read_image
from lesion.data.transforms import centre_square
from lesion.training.augmentation import augment, normalise
from lesion.training.frames import RESOLUTION

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def seconds(function: Callable[[], object]) -> float:
    """What a call takes."""
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--size", type=int, default=64, help="side of the crops, pixels (default %(default)s)")
    parser.add_argument("--batch-size", type=int, default=64, help="default %(default)s")
    parser.add_argument("--rounds", type=int, default=10, help="default %(default)s")
    args = parser.parse_args()
    torch.set_num_threads(1)
    paths = sorted((ROOT / "lesion" / "ui" / "examples").glob("*.jpg"))
    side = round(RESOLUTION * args.size)
    squares = [centre_square(read_image(path), side) for path in paths]
    squares = [squares[i % len(squares)] for i in range(args.batch_size)]
    frames = torch.stack([torch.from_numpy(np.array(image)).permute(2, 0, 1) for image in squares])
    rotated = torch.ones(len(frames), dtype=torch.bool)
    in_pil = v2.Compose(
        [
            v2.RandomRotation(180, interpolation=v2.InterpolationMode.BILINEAR),
            v2.RandomHorizontalFlip(),
            v2.RandomResizedCrop(args.size, scale=(0.4, 1.0)),
            v2.ColorJitter(brightness=0.2, contrast=0.2, saturation=0.2, hue=0.03),
            v2.PILToTensor(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(MEAN, STD),
        ]
    )

    def tensors() -> torch.Tensor:
        return normalise(augment(frames, args.size, rotated), MEAN, STD)

    def images() -> torch.Tensor:
        return torch.stack([in_pil(image) for image in squares])

    tensors(), images()
    pairs = [(seconds(tensors), seconds(images)) for _ in range(args.rounds)]
    each = [1000 * statistics.median(times) / args.batch_size for times in zip(*pairs, strict=True)]
    ratio = statistics.median(slow / fast for fast, slow in pairs)
    print(f"{args.size} px: {each[0]:.2f} ms an image as tensors, {each[1]:.2f} ms in PIL; ratio {ratio:.1f}")


if __name__ == "__main__":
    main()
