"""What the server lets in, in front of Gradio: no address to fetch, no route that the page has no use for, no body that
fills the memory or the disk, and no more requests than can be answered soon."""

import re
from collections.abc import Callable

import gradio as gr
from fastapi.exceptions import RequestValidationError
from gradio.blocks import BlocksConfig
from gradio.route_utils import FnIndexInferError
from gradio.utils import get_upload_folder, is_in_or_equal
from gradio_client.utils import traverse
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

WAITING = 100
"""Requests that wait for their turn. A page waits for two or three at most, so a class of forty never gets there."""
BUSY = f"The demo is busy: {WAITING} requests are waiting. Please try again in a few seconds."
SESSIONS = 200
"""Sessions of which Gradio keeps the state, by default 10,000, though they have ended. A page is one; a program's every
call is one, where it names none. Whose session is forgotten gets a new one with the next request."""
FILE_SIZE = 30 * 2**20
"""Bytes of a photograph."""
TOO_LARGE = "The file is larger than 30 MB. Please give a smaller copy of the photograph."
QUESTION_SIZE = 2**20
"""Bytes of any other request: the files themselves are uploaded before."""
TOO_LONG = "The request is longer than 1 MB. Please upload the photograph first."
NO_ADDRESSES = "This app opens no web addresses. Please download the photograph and give the file."
NO_FILE = "Give the photograph as a file: from gradio_client with handle_file(...)."
GONE = "The photograph is no longer on the server; please upload it again."
UNKNOWN = "There is no such endpoint, or it has other parameters; /gradio_api/info lists them all."

OPEN = re.compile(
    r"/|/(config|login|logout|theme\.css|favicon\.ico|robots\.txt|manifest\.json)/?|/(static|assets)/.*"
    r"|/gradio_api/(info|openapi\.json|app_id|startup-events|theme\.css|upload|upload_progress|reset|cancel)/?"
    r"|/gradio_api/(queue/(join|data)|call/.*|heartbeat/.*|file=(?!.*://).*)",
    re.DOTALL,
)
"""The routes of Gradio that the page and clients use. Among its others are some that fetch web addresses for whoever
asks, write files, or log what they are asked for; a new version may bring more."""
ASKS = re.compile(r"/gradio_api/(queue/join|call/.*)", re.DOTALL)
UPLOADS = re.compile(r"/gradio_api/upload/?")


def guard(page: gr.Blocks) -> dict:
    """The gate in front of a page, and how unreadable requests are refused, for `launch(app_kwargs=...)`."""
    return {
        "middleware": [(Gate, (), {"waiting": lambda: len(page._queue)})],
        "exception_handlers": {RequestValidationError: unreadable},
    }


class Gate:
    """ASGI middleware.

    Args:
        app: the app behind it.
        waiting: how many requests wait.
    """

    def __init__(self, app: ASGIApp, waiting: Callable[[], int]):
        self.app, self.waiting = app, waiting

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        # A reverse proxy that serves the app under a path of its own takes it off, or leaves it to us.
        path = scope["path"].removeprefix(scope["root_path"]) or "/"
        asks = scope["method"] == "POST" and ASKS.fullmatch(path)
        limit, words = (FILE_SIZE + QUESTION_SIZE, TOO_LARGE) if UPLOADS.fullmatch(path) else (QUESTION_SIZE, TOO_LONG)
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        received = 0

        async def receive_some() -> Message:
            """A request that gives no length, or another than it has, is cut off."""
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > limit:
                raise HTTPException(413, words)
            return message

        answer = self.app
        if not OPEN.fullmatch(path):
            answer = JSONResponse({"detail": "Not Found"}, 404)
        elif not declared.isdigit() or int(declared) > limit:
            answer = PlainTextResponse(words, 413)
        elif asks and self.waiting() >= WAITING:
            # Not 503, for which Gradio's page has words of its own.
            answer = JSONResponse({"detail": BUSY}, 429, {"Retry-After": "5"})
        try:
            await answer(scope, receive_some, send)
        except (FnIndexInferError, KeyError, TypeError):  # Gradio's, which looks handlers and parameters up unchecked
            if not asks:
                raise
            await JSONResponse({"detail": UNKNOWN}, 404)(scope, receive, send)
        except RuntimeError as error:
            # Gradio tells a client that it knows nothing of what it listens for, such as an answer asked for before a
            # restart, and then fails in the middle of the response.
            if not isinstance(error.__cause__, HTTPException):
                raise
            await send({"type": "http.response.body"})


async def unreadable(request: Request, error: RequestValidationError) -> JSONResponse:
    """What is wrong with a request, as FastAPI says it, but without the request itself: a NaN in it fits no answer."""
    return JSONResponse({"detail": [{key: e[key] for key in ("type", "loc", "msg")} for e in error.errors()]}, 422)


class SharedConfig(BlocksConfig):
    """The page's components, of whose copies, one for each session, none describes them anew.

    Gradio does so for its deep links, which this app has not: with some 170 components it takes 11 ms and 0.3 MB, and a
    class that opens the page waits for thirty of them.
    """

    def __copy__(self) -> BlocksConfig:
        ours = super().__copy__()
        ours.config_for_block = lambda *_: {}
        return ours


class Page(gr.Blocks):
    """gr.Blocks that opens uploaded files and no others, and whose sessions are cheap.

    Gradio by itself downloads a web address given for a file, opens any file of the machine where the request leaves
    out its mark of a file, and logs the names of those that it refuses, such as a photograph uploaded before a restart.
    """

    def __init__(self, **options):
        super().__init__(**options)
        self.default_config = SharedConfig(self)  # nothing is in the page yet

    async def preprocess_data(self, block_fn, inputs: list, *rest, **named):
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
        gr.Error: it is none of the app's own folder.
    """
    path = str(file["path"])
    if "://" in path:
        raise gr.Error(NO_ADDRESSES, print_exception=False)
    try:
        ours = is_in_or_equal(path, get_upload_folder())
    except (OSError, ValueError):  # no path of a file at all
        ours = False
    if not ours:
        raise gr.Error(GONE, print_exception=False)
    return {"path": path, "meta": {"_type": "gradio.FileData"}}
