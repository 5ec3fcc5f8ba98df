"""Small copies of a checkpoint's held-out photographs, so that the classroom can show the cases it talks about.

    python -m lesion.photographs --data PATH_TO_HAM10000 [--checkpoint weights [weights/ANOTHER]]

writes held_out_photographs.zip into the checkpoint folder: one JPEG for each held-out image, at the size the network
was trained on, so that a copy gets the stored embedding's answer. Without the file the app shows ids and values
instead. Checkpoints in folders inside the first that hold out the same images share the file.
"""

import argparse
import sys
from pathlib import Path

from lesion.errors import UserError
from lesion.model.hub import resolve
from lesion.model.photographs import pack


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m lesion.photographs", description=__doc__.split("\n\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="HAM10000's folder")
    parser.add_argument("--checkpoint", nargs="+", default=["weights"], metavar="DIR", help="folders (default weights)")
    args = parser.parse_args()
    try:
        path = pack(args.data, [resolve(folder) for folder in args.checkpoint])
    except UserError as error:
        sys.exit(f"error: {error}")
    print(f"Wrote {path} ({path.stat().st_size / 1e6:.1f} MB).")


if __name__ == "__main__":
    main()
