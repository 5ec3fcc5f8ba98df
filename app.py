"""The teaching demo: `python app.py`, then open the address it prints."""

import argparse
import os
import sys
from pathlib import Path

from lesion.errors import UserError


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    bundled = Path(__file__).with_name("weights")
    parser.add_argument("--checkpoint", default=bundled, help="folder or Hub id user/name (default: weights)")
    parser.add_argument("--host", help="address to listen on (default 127.0.0.1, or GRADIO_SERVER_NAME)")
    parser.add_argument("--port", type=int, help="default: the first free one from 7860, or GRADIO_SERVER_PORT")
    parser.add_argument("--share", action="store_true", help="make a public address through Gradio's servers")
    args = parser.parse_args()

    # Before torch is loaded: threads that wait for work leave the cores to other visitors instead of spinning.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from lesion.predictor import load_predictor  # takes seconds: not before the arguments are known to be right
    from lesion.ui.page import STYLE, THEME, build_page

    try:
        predictor = load_predictor(args.checkpoint)
    except UserError as error:
        sys.exit(f"error: {error}")
    # Several visitors at once: one at a time, which is Gradio's default, a class waits behind each upload.
    build_page(predictor).queue(default_concurrency_limit=4).launch(
        server_name=args.host, server_port=args.port, share=args.share, theme=THEME, css=STYLE,
        footer_links=["api"], run_history=False, max_file_size="30mb",
    )  # fmt: skip


if __name__ == "__main__":
    main()
