"""The settings of app.py: the command line's, then the environment's, which is all that a Space or a container has.

Nothing here imports Gradio, which reads some of them when it is imported.
"""

import argparse
import os
import socket
from collections.abc import Sequence
from pathlib import Path

from lesion.errors import UserError, parse_whole, shown
from lesion.hardware import DEVICE_HELP, DEVICES

BUNDLED = Path(__file__).resolve().parents[3] / "weights"
"""The checkpoint of the repository. An installed package has none beside it."""
SECOND = BUNDLED / "efficientnet_lite2"
"""A smaller one to compare it with."""


def read_settings(arguments: Sequence[str] | None, description: str) -> argparse.Namespace:
    """The settings: from the command line, else from the environment, else the defaults.

    Args:
        arguments: of the command line; None means the program's own.
        description: of the program, for its help.

    Returns:
        checkpoint: folders or Hub ids; the first of them answers at first. host, port: to listen on; the port is None
        for the first free one from 7860. device: one of DEVICES.
        root_path: under which a reverse proxy serves the app, without a slash at its end. login: user and password, or
        None. share: whether through Gradio's servers.

    Raises:
        UserError: a value is not accepted, no checkpoint is given and none is bundled, or the app cannot listen there.
    """
    # Gradio would read the first three too, when it is imported, and differently: an IPv6 address fails, a taken port
    # makes it choose another one, and errors are not sentences.
    names = ("GRADIO_SERVER_NAME", "GRADIO_SERVER_PORT", "GRADIO_ROOT_PATH", "LESION_LOGIN", "LESION_CHECKPOINT")
    host, port, root_path, login, checkpoint = (os.environ.pop(name, "") for name in names)
    # Told by this that it is in a Space, Gradio would watch for changed code, which fails without another package, and
    # its page would fetch a header from huggingface.co and fonts from Google.
    os.environ.pop("SYSTEM", None)
    parser = argparse.ArgumentParser(
        description=description,
        epilog="Only in the environment: GRADIO_ROOT_PATH, the path of a reverse proxy under which the app is served, "
        "and LESION_LOGIN, a user:password that is then needed to open it.",
    )
    parser.add_argument("--checkpoint", action="append",
                        help="folder, or Hub id user/name or user/name@revision; repeat it to choose on the page "
                        "between several (default: LESION_CHECKPOINT, which may name several with commas between "
                        "them, or weights and weights/efficientnet_lite2)")  # fmt: skip
    parser.add_argument("--host", default=host or "127.0.0.1",
                        help="address to listen on (default: GRADIO_SERVER_NAME, or 127.0.0.1)")  # fmt: skip
    parser.add_argument("--port", default=port or None,
                        help="default: GRADIO_SERVER_PORT, or the first free one from 7860")  # fmt: skip
    parser.add_argument("--device", choices=DEVICES, default="auto", help=DEVICE_HELP)
    parser.add_argument("--share", action="store_true", help="make a public address through Gradio's servers")
    args = parser.parse_args(arguments)
    given = [part.strip() for part in checkpoint.split(",") if part.strip()]
    args.checkpoint = args.checkpoint or given or [folder for folder in (BUNDLED, SECOND) if folder.is_dir()]
    if not args.checkpoint:
        raise UserError(
            "No checkpoint was given, and this installation comes without one; give --checkpoint or LESION_CHECKPOINT "
            "the folder weights of the repository, a folder that train.py wrote, or a Hub id user/name."
        )
    if args.port is not None:
        args.port = parse_whole("Port", args.port, 1, 65535)
    args.root_path, args.login = parse_root_path(root_path), parse_login(login)
    check_listening(args.host, args.port)
    return args


def parse_root_path(text: str) -> str:
    """A path such as /skin/lesions, or a whole address, without the slash at its end; empty for none.

    Raises:
        UserError: it is something else.
    """
    if text and not text.startswith(("/", "http://", "https://")):
        raise UserError(
            f"GRADIO_ROOT_PATH {shown(text)} is not accepted; give a path that begins with a slash, such as "
            "/skin/lesions, or the whole address, such as https://example.org/skin/lesions."
        )
    return text.rstrip("/")


def parse_login(text: str) -> tuple[str, str] | None:
    """User and password; None where no login is asked for.

    Raises:
        UserError: one of the two is missing; the message does not tell the other.
    """
    if not text:
        return None
    user, _, password = text.partition(":")
    if not (user.strip() and password):
        raise UserError("LESION_LOGIN is not accepted; give user:password, neither of them empty, or leave it out.")
    return user.strip(), password  # Gradio takes spaces off the user that is typed, too


def check_listening(host: str, port: int | None) -> None:
    """Tries to listen.

    Raises:
        UserError: the address does not belong to this machine, or the port is taken or needs other rights.
    """
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        socket.create_server((host.strip("[]"), port or 0), family=family).close()
    except OSError as error:
        place = host if port is None else f"{host}, port {port}"
        raise UserError(
            f"Cannot listen on {place} ({error.strerror}); choose another with --host and --port, or "
            "GRADIO_SERVER_NAME and GRADIO_SERVER_PORT."
        ) from None
