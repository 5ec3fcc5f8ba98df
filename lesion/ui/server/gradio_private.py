"""What we rely on of Gradio that it does not promise to keep, which is why requirements.txt pins its minor version.

A new version of Gradio has to be checked against this list:

- here: `Blocks.preprocess_data`, which every handler's values pass through; the `default_config` of a page, copied for
  each session, and its `config_for_block`; `Blocks._queue`, whose length is how many requests wait; the cache of served
  files (`GRADIO_CACHE`, `get_upload_folder`, `is_in_or_equal`); `traverse`; the error that an
  unknown endpoint raises (`FnIndexInferError`); the login's cookies and tokens, as in Gradio's `get_current_user`;
- `lesion.ui.server.allow_list`: the paths of Gradio's routes, that its middleware comes in front of all of them, and
  that it fails in the middle of a stream (RuntimeError) for a client that listens for something unknown;
- `lesion.ui.server.settings`: the environment variables that Gradio reads when it is imported;
- `lesion.ui.api`: that a component's `preprocess` can be replaced by a function;
- `lesion.ui.theme`, and the JavaScript of `page`, `link` and `tabs.lessons`: names of classes and attributes in
  Gradio's page (`data-tab-id`, `.html-container.pending`, …) and the form of an update (`__type__`).
"""

from pathlib import Path

import gradio as gr
from gradio.blocks import BlocksConfig
from gradio.components import Component
from gradio.route_utils import FnIndexInferError
from gradio.utils import get_upload_folder, is_in_or_equal
from gradio_client.utils import traverse
from starlette.requests import Request
from starlette.routing import Route

from lesion.ui.server.files import keep_content

__all__ = ["FnIndexInferError", "UploadsOnlyBlocks", "may_enter", "queue_length", "served_file"]

NO_ADDRESSES = "This app does not open web addresses. Please download the photograph and upload the file."
NO_FILE = "Give the photograph as a file: from gradio_client with handle_file(...)."
GONE = "The photograph is no longer on the server; please upload it again."


def queue_length(page: gr.Blocks) -> int:
    """How many requests wait for their turn."""
    return len(page._queue)


def may_enter(request: Request) -> bool:
    """Whether a request to a route of ours is from somebody who has logged in, where that is asked for."""
    app = request.app
    cookies = (f"{name}-{app.cookie_id}" for name in ("access-token", "access-token-unsecure"))
    return app.auth is None or any(request.cookies.get(name) in app.tokens for name in cookies)


def served_file(component: Component, content: bytes, name: str) -> str:
    """The path of a file that the server hands out, in the component's cache.

    Gradio's own `save_bytes_to_cache` writes over a file of the same content that somebody may be downloading.
    """
    return str(keep_content(Path(component.GRADIO_CACHE), content, name))


class SharedConfig(BlocksConfig):
    """The page's components. Each session has a copy of them, in which they are not described again.

    Gradio describes them for its deep links, which this app does not have: with some 170 components it takes 11 ms and
    0.3 MB, and a class that opens the page waits for thirty of them.
    """

    def __copy__(self) -> BlocksConfig:
        ours = super().__copy__()
        ours.config_for_block = lambda *_: {}
        return ours


class UploadsOnlyBlocks(gr.Blocks):
    """gr.Blocks that opens uploaded files and no others, whose sessions are cheap, and that may have routes of its own.

    Attributes:
        direct_routes: answered in front of Gradio's; filled while the page is built.

    Gradio by itself downloads a web address given for a file, opens any file of the machine where the request leaves
    out its mark of a file, and logs the names of those that it refuses, such as a photograph uploaded before a restart.
    """

    def __init__(self, **options):
        super().__init__(**options)
        self.optional: Component | None = None
        """A component whose value, where it is the last and a program leaves it out, is the one it starts with."""
        self.default_config = SharedConfig(self)  # nothing is in the page yet
        self.direct_routes: list[Route] = []

    async def preprocess_data(self, block_fn, inputs: list, *rest, **named):
        if len(inputs) == len(block_fn.inputs) - 1 and block_fn.inputs[-1] is self.optional:
            inputs = [*inputs, self.optional.value]
        if len(inputs) < len(block_fn.inputs):
            missing = f"{len(block_fn.inputs)} values are needed, {len(inputs)} were given; see the API page."
            raise gr.Error(missing, print_exception=False)
        for component, value in zip(block_fn.inputs, inputs, strict=False):
            if isinstance(component, gr.Image) and not isinstance(value, dict | None):
                raise gr.Error(NO_FILE, print_exception=False)
        inputs = traverse(inputs, uploaded, lambda value: isinstance(value, dict) and value.get("path") is not None)
        return await super().preprocess_data(block_fn, inputs, *rest, **named)


def uploaded(file: dict) -> dict:
    """The file as Gradio marks one, so that its own checks follow, and without what else the request says of it.

    Raises:
        gr.Error: it is not in the app's own folder.
    """
    path = str(file["path"])
    if "://" in path:
        raise gr.Error(NO_ADDRESSES, print_exception=False)
    try:
        ours = is_in_or_equal(path, get_upload_folder())
    except (OSError, ValueError):  # not the path of a file at all
        ours = False
    if not ours:
        raise gr.Error(GONE, print_exception=False)
    return {"path": path, "meta": {"_type": "gradio.FileData"}}
