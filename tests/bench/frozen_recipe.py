"""How much the cached embedding pass saves: `python tests/bench/frozen_recipe.py --data PATH_TO_HAM10000`.

Trains the head on a frozen ConvNeXt-Small for 20 epochs on 504 images without augmentation, once from embeddings
computed in one pass, once with the backbone in the loop, in the same run, and prints both times and their ratio. The
loop with the backbone is timed for two epochs and multiplied by ten: an epoch is like another.
"""

import argparse
import sys
import time
from pathlib import Path

import torch
from accelerate import Accelerator

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from lesion.ham10000 import Ham10000, read_table
from lesion.images import ImageTransform
from lesion.loop import map_examples
from lesion.training import create_model, fit_head, prepare_data
from train import parse_arguments

TIMED, EPOCHS, IMAGES_OF_EACH = 2, 20, 72


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--image-size", type=int, default=224)
    args = parser.parse_args()
    options = f"--recipe frozen --init scratch --epochs {EPOCHS} --patience {EPOCHS}".split()
    _, config = parse_arguments(["--data", str(args.data), *options])
    table = read_table(args.data, verify=False)
    table = table.groupby("label").head(IMAGES_OF_EACH).reset_index(drop=True)
    data = prepare_data(table, config.split, config.split_seed, config.class_weighting)
    accelerator = Accelerator()
    model = create_model(config).to(accelerator.device, memory_format=torch.channels_last).eval()
    images = Ham10000(table, transform=ImageTransform(args.image_size, 200, (0.485,) * 3, (0.229,) * 3))

    def embed():
        return map_examples(accelerator, model.embed, images, 64, 2)

    started = time.perf_counter()
    embeddings = embed()
    one_pass = time.perf_counter() - started
    fit_head(model.head, embeddings, data, config)
    cached = time.perf_counter() - started
    started = time.perf_counter()
    for _ in range(TIMED):  # what the backbone alone costs an epoch; the head's own time is added below
        embed()
    in_loop = (time.perf_counter() - started) * EPOCHS / TIMED + cached - one_pass
    print(f"{len(table)} images at {args.image_size} px, {EPOCHS} epochs, {accelerator.device}")
    print(f"  one embedding pass                {one_pass:8.1f} s")
    print(f"  frozen recipe, embeddings cached  {cached:8.1f} s")
    print(f"  frozen recipe, backbone in loop   {in_loop:8.1f} s")
    print(f"  ratio                             {in_loop / cached:8.1f}")


if __name__ == "__main__":
    main()
