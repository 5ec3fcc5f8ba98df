"""Are full-size photographs read like their small copies?

    python tests/bench/full_size.py --full FOLDER_OF_600x450 --small FOLDER_OF_200x150

Prints for how many of the images in both folders the top diagnosis is the same (with everything unknown), and the
largest difference of a probability.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from lesion.data.reading import read_image
from lesion.inference.predictor import load_predictor


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--full", type=Path, required=True)
    parser.add_argument("--small", type=Path, required=True)
    parser.add_argument("--checkpoint", default="weights")
    args = parser.parse_args()
    predictor = load_predictor(args.checkpoint)
    small = {path.stem: path for path in args.small.rglob("*.jpg")}
    pairs = [(path, small[path.stem]) for path in sorted(args.full.rglob("*.jpg")) if path.stem in small]
    answers = np.array(
        [[list(predictor.predict(read_image(p)).probabilities.values()) for p in pair] for pair in pairs]
    )
    same = answers[:, 0].argmax(1) == answers[:, 1].argmax(1)
    print(f"{same.sum()} of {len(pairs)} have the same top diagnosis ({same.mean():.1%})")
    print(f"largest difference of a probability {np.abs(answers[:, 0] - answers[:, 1]).max():.3f}")


if __name__ == "__main__":
    main()
