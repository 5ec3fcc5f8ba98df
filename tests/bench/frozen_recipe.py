"""What the frozen recipe costs beside one pass of the backbone: `python tests/bench/frozen_recipe.py --data
PATH_TO_HAM10000 [--image-size 224]`.

Embeds all images with a ConvNeXt-Small once, without augmentation, then trains the head for 20 epochs on what was
cached, and prints both times, their ratio, and what 20 epochs with the backbone in the loop would take: a pass an
epoch, and the head.
"""

import argparse
import sys
import time
from pathlib import Path

import torch
from accelerate import Accelerator

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from lesion.data.ham10000 import Ham10000, read_table
from lesion.data.transforms import ImageTransform
from lesion.training.data import prepare_data
from lesion.training.examples import map_examples
from lesion.training.head import fit_head
from lesion.training.start import create_model
from train import parse_arguments

EPOCHS = 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--image-size", type=int, default=224)
    args = parser.parse_args()
    options = f"--recipe frozen --init scratch --epochs {EPOCHS} --patience {EPOCHS}".split()
    _, config = parse_arguments(["--data", str(args.data), *options])
    table = read_table(args.data, verify=False)
    data = prepare_data(table, config.split, config.split_seed, config.class_weighting)
    accelerator = Accelerator()
    model = create_model(config).to(accelerator.device, memory_format=torch.channels_last).eval()
    images = Ham10000(table, transform=ImageTransform(args.image_size, 200, (0.485,) * 3, (0.229,) * 3))
    started = time.perf_counter()
    embeddings = map_examples(accelerator, model.embed, images, 64, 2)
    one_pass = time.perf_counter() - started
    history = fit_head(model.head, embeddings, data, config)
    cached = time.perf_counter() - started
    in_loop = EPOCHS * one_pass + cached - one_pass
    print(f"{len(table)} images at {args.image_size} px, {len(history)} epochs, {accelerator.device}")
    print(f"  one embedding pass                {one_pass:8.1f} s")
    print(f"  frozen recipe, embeddings cached  {cached:8.1f} s, {cached / one_pass:.3f} of the pass")
    print(f"  frozen recipe, backbone in loop   {in_loop:8.1f} s, {in_loop / cached:.1f} times that")


if __name__ == "__main__":
    main()
