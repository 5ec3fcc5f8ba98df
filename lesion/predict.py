"""Predict a folder of photographs: `python -m lesion.predict --images DIR --output predictions.csv`.

The output has the form of ISIC 2018 Task 3: image,MEL,NV,BCC,AKIEC,BKL,DF,VASC. A name that ends in .parquet gives the
same table as Parquet, for large collections. A metadata table has HAM10000's columns image_id, age, sex and
localization. An image_id is a file's name without its ending. An image without a row is predicted with everything
unknown; a table none of whose rows belongs to an image is an error. A file that cannot be read is named, the rest are
predicted, and the exit status is 1.

What is predicted is kept in parts beside the output until all is done. After an interruption the same command with
--resume goes on. Several GPUs, or machines with a common file system: `accelerate launch -m lesion.predict …`. The
table is the same, however many take part.
"""

import argparse
import datetime
import sys
from pathlib import Path

from accelerate import PartialState

from lesion.errors import UserError, parse_whole
from lesion.files import prepare_file
from lesion.hardware import DEVICE_HELP, DEVICES, available_cores
from lesion.inference.batch_prediction import BatchSettings, predict_images
from lesion.inference.image_folder import count_matches, find_images, read_metadata
from lesion.inference.predictor import PRIORS
from lesion.model.hub import CHECKPOINT_HELP

LONGEST_WAIT = datetime.timedelta(days=7)
"""Of a process that has finished for the others; ten minutes by default."""


def main() -> None:
    args = parse_arguments()
    state = PartialState(cpu=args.device == "cpu", timeout=LONGEST_WAIT)
    try:
        settings = BatchSettings(
            args.prior,
            parse_whole("--batch-size", args.batch_size, 1, 4096),
            parse_whole("--workers", args.workers, 0, 256),
            args.device,
        )
        images, others = find_images(args.images)
        records = read_metadata(args.metadata) if args.metadata else {}
        if args.metadata:
            matched = count_matches(images, records)
            state.print(f"{args.metadata} has a row for {matched} of the {len(images)} images.")
        if others:
            endings = ", ".join(sorted({path.suffix or path.name for path in others}))
            count = f"{len(others)} other file{'s' if len(others) > 1 else ''}"
            state.print(f"{count} in {args.images} cannot be read as images ({endings}).")
        prepare_file(args.output)
        predicted, left_out = predict_images(
            state, args.checkpoint, images, records, args.output, settings, args.resume,
            lambda problem: print(problem, file=sys.stderr),
        )  # fmt: skip
    except UserError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("Stopped. The same command with --resume goes on.")
    state.print(f"Wrote {predicted} predictions to {args.output}.")
    if left_out:
        sys.exit(f"{left_out} of the files, named above, could not be read and were left out.")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m lesion.predict", description=__doc__.split("\n\n")[0])
    add = parser.add_argument
    add("--images", type=Path, required=True, help="folder of photographs")
    add("--output", type=Path, required=True, help="file to write; Parquet if its name ends in .parquet, else CSV")
    add("--metadata", type=Path, help="CSV with image_id, age, sex, localization")
    add("--checkpoint", default="weights", help=f"{CHECKPOINT_HELP} (default %(default)s)")
    add("--prior", choices=PRIORS, default="dataset", help="prevalence of the diagnoses")
    add("--device", choices=DEVICES, default="auto", help=DEVICE_HELP)
    add("--batch-size", default=BatchSettings.batch_size, help="photographs in a pass (default %(default)s)")
    add("--workers", default=available_cores(), help="processes that read photographs (default: one a core)")
    add("--resume", action="store_true", help="go on where the same command was interrupted")
    return parser.parse_args()


if __name__ == "__main__":
    main()
