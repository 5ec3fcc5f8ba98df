"""The teaching demo: `python app.py`, then open the address it prints."""

import argparse
import atexit
import os
import signal
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from lesion.errors import UserError
from lesion.ui.server.files import own_folder
from lesion.ui.server.settings import read_settings


def main() -> None:
    # Ctrl-C, `docker stop` and a Space that goes to sleep end alike: the folder of uploads is removed.
    when_stopped(lambda *_: sys.exit())
    try:
        settings = read_settings(None, __doc__)
        with own_folder() as folder:
            serve(settings, folder)
    except UserError as error:
        sys.exit(f"error: {error}")
    # At once, but for what libraries tidy up: an answer still being computed must not write its files again.
    atexit._run_exitfuncs()
    sys.stdout.flush()
    os._exit(0)


def serve(settings: argparse.Namespace, folder: Path) -> None:
    """Runs the app until it is stopped.

    Args:
        settings: see `read_settings`.
        folder: for all of Gradio's files.

    Raises:
        UserError: no such checkpoint.
    """
    os.environ["GRADIO_TEMP_DIR"] = str(folder)  # before Gradio is imported
    from lesion.model.checkpoint import load_checkpoint

    with ThreadPoolExecutor(1) as beside:  # the weights are read while Gradio is imported
        checkpoint = beside.submit(load_checkpoint, settings.checkpoint[0])
        from lesion.ui.models import Models
        from lesion.ui.page import build_page
        from lesion.ui.server.allow_list import FILE_SIZE, SESSIONS, guard
        from lesion.ui.style import STYLE
        from lesion.ui.theme import THEME

        page = build_page(Models(checkpoint.result(), settings.checkpoint[1:], settings.device))
    # Several visitors at once: one at a time, which is Gradio's default, a class waits behind each upload.
    page.queue(default_concurrency_limit=4, api_open=False)  # nothing goes past the queue, which the allow-list bounds
    try:
        page.launch(
            server_name=settings.host, server_port=settings.port, root_path=settings.root_path, auth=settings.login,
            share=settings.share, theme=THEME, css=STYLE, footer_links=["api"], run_history=False,
            enable_monitoring=False, max_file_size=FILE_SIZE,
            state_session_capacity=SESSIONS,
            ssr_mode=False, num_workers=0,  # whose processes would answer past the allow-list
            app_kwargs=guard(page),
        )  # fmt: skip
    except SystemExit:
        when_stopped(signal.SIG_IGN)  # it is being done
    finally:
        page.close(verbose=False)


def when_stopped(do: Callable | signal.Handlers) -> None:
    """What the signals that end a program do."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, do)


if __name__ == "__main__":
    main()
