"""Small copies of a checkpoint's held-out photographs, so that the classroom can show the cases it talks about.

    python -m lesion.photographs --data PATH_TO_HAM10000 [--checkpoint weights [weights/ANOTHER]]

writes held_out_photographs.zip into the checkpoint folder: one JPEG for each held-out image, at the size the network
was trained on, so that a copy gets the stored embedding's answer. Without the file the app shows ids and values
instead. Checkpoints in folders inside the first that hold out the same images share the file.

Each checkpoint also gets seen_photographs.safetensors: hashes by which the app recognises the photographs that the
model was trained on and those held out, at any size, and hashed ids of all that it has seen. --seen names sources that
a start read and does not list.
"""

import argparse
import sys
from pathlib import Path

from lesion.errors import UserError
from lesion.model.hub import resolve
from lesion.model.photographs import pack
from lesion.model.seen import read_seen
from lesion.training.seen import write_seen


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m lesion.photographs", description=__doc__.split("\n\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="HAM10000's folder")
    parser.add_argument("--checkpoint", nargs="+", default=["weights"], metavar="DIR", help="default weights")
    parser.add_argument("--seen", type=Path, nargs="+", default=[], metavar="DIR_OR_ZIP", help="what it has seen too")
    args = parser.parse_args()
    try:
        folders = [resolve(folder) for folder in args.checkpoint]
        path = pack(args.data, folders)
        chosen = write_seen(args.data, folders, args.seen)
        unlisted = {folder: read_seen(folder).unlisted for folder in folders}
    except UserError as error:
        sys.exit(f"error: {error}")
    print(f"Wrote {path} ({path.stat().st_size / 1e6:.1f} MB).")
    print(
        f"Photographs are recognised by hashes that differ in at most {chosen.bits} bits. Of altered copies of "
        f"training photographs {chosen.missed:.2%} differ more; {chosen.mistaken:.2%} of the photographs are as near "
        "to one of another lesion."
    )
    for folder, names in unlisted.items():
        if names:
            print(f"{folder} does not list what it has seen of {', '.join(names)}; give the photographs with --seen.")


if __name__ == "__main__":
    main()
