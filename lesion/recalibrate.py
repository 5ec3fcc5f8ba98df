"""Fit again what follows training: `python -m lesion.recalibrate --data DIR --checkpoint weights`.

Calibration, prediction sets and the out-of-distribution detector are fitted anew as train.py fits them; the weights and
the held-out embeddings stay as they are. Without --data only the prediction sets are fitted, which takes seconds. The
test part plays no role. Run `lesion.evaluate` afterwards.
"""

import argparse
import sys
from pathlib import Path

from lesion.errors import UserError
from lesion.model.checkpoint import load_checkpoint
from lesion.training.recalibration import recalibrate, refit_prediction_sets


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m lesion.recalibrate", description=__doc__.split("\n\n")[0])
    parser.add_argument("--data", type=Path, help="folder of HAM10000; without it only the prediction sets are fitted")
    parser.add_argument("--checkpoint", type=Path, default=Path("weights"), help="folder (default %(default)s)")
    parser.add_argument("--output", type=Path, help="folder to write (default: the checkpoint's)")
    parser.add_argument("--mixed-precision", choices=("no", "bf16", "fp16"), default="no")
    args = parser.parse_args()
    try:
        checkpoint, output = load_checkpoint(args.checkpoint), args.output or args.checkpoint
        if args.data:
            recalibrate(checkpoint, args.data, output, args.mixed_precision)
        else:
            refit_prediction_sets(checkpoint, output)
    except UserError as error:
        sys.exit(f"error: {error}")
    print("Run `python -m lesion.evaluate` now: the report of the checkpoint as it was has been removed.")


if __name__ == "__main__":
    main()
