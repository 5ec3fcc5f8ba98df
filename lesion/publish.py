"""Puts a checkpoint on the Hugging Face Hub: `python -m lesion.publish --repository USER/NAME`.

The folder is checked as the app would check it, and uploaded by huggingface_hub in one commit, together with a model
card made from its configuration and report. Log in before by `hf auth login`, or give a token that may write in
HF_TOKEN.
"""

import argparse
import sys
from pathlib import Path

from lesion.errors import UserError
from lesion.report.publication import publish


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m lesion.publish", description=__doc__.split("\n\n")[0])
    parser.add_argument("--checkpoint", type=Path, default="weights", help="folder (default %(default)s)")
    parser.add_argument("--repository", required=True, help="Hub id, user/name")
    parser.add_argument("--private", action="store_true", help="make a new repository private")
    args = parser.parse_args()
    try:
        pinned = publish(args.checkpoint, args.repository, args.private)
    except UserError as error:
        sys.exit(f"error: {error}")
    print(f"Uploaded. To show it: python app.py --checkpoint {args.repository}, or, just this one, {pinned}")


if __name__ == "__main__":
    main()
