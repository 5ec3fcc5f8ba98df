"""Predict a folder of photographs: `python -m lesion.predict --images DIR --output predictions.csv`.

The output has the form of ISIC 2018 Task 3: image,MEL,NV,BCC,AKIEC,BKL,DF,VASC. A metadata table has HAM10000's
columns image_id, age, sex and localization. An image_id is a file's name without its ending. An image without a row is
predicted with everything unknown; a table none of whose rows belongs to an image is an error. A file that cannot be
read is named, the rest are predicted, and the exit status is 1.
"""

import argparse
import sys
from pathlib import Path

from lesion.errors import UserError
from lesion.files import prepare_file, write_atomically
from lesion.inference.batch_prediction import count_matches, find_images, predict_images, read_metadata
from lesion.inference.predictor import load_predictor
from lesion.model.hub import CHECKPOINT_HELP


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m lesion.predict", description=__doc__.split("\n\n")[0])
    parser.add_argument("--images", type=Path, required=True, help="folder of photographs")
    parser.add_argument("--output", type=Path, required=True, help="CSV file to write")
    parser.add_argument("--metadata", type=Path, help="CSV with image_id, age, sex, localization")
    parser.add_argument("--checkpoint", default="weights", help=f"{CHECKPOINT_HELP} (default %(default)s)")
    parser.add_argument(
        "--prior", choices=("dataset", "uniform"), default="dataset", help="prevalence of the diagnoses"
    )
    args = parser.parse_args()
    try:
        images, others = find_images(args.images)
        records = read_metadata(args.metadata) if args.metadata else {}
        if args.metadata:
            matched = count_matches(images, records)
            print(f"{args.metadata} has a row for {matched} of the {len(images)} images.")
        if others:
            endings = ", ".join(sorted({path.suffix or path.name for path in others}))
            count = f"{len(others)} other file{'s' if len(others) > 1 else ''}"
            print(f"{count} in {args.images} cannot be read as images ({endings}).")
        prepare_file(args.output)
        table, problems = predict_images(load_predictor(args.checkpoint), images, records, args.prior)
        write_atomically(args.output, lambda path: table.to_csv(path, index=False))
    except UserError as error:
        sys.exit(f"error: {error}")
    print(f"Wrote {len(table)} predictions to {args.output}.")
    if problems:
        sys.exit("\n".join(["These files were left out:", *problems]))


if __name__ == "__main__":
    main()
