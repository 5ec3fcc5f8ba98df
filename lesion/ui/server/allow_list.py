"""An allow-list in front of Gradio: only the routes that the page and clients use, no body that fills the memory or the
disk, and no more requests than can be answered soon."""

import re
from collections.abc import Callable

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lesion.ui.server.gradio_private import FnIndexInferError, UploadsOnlyBlocks, queue_length

WAITING = 100
"""Requests that wait for their turn. A page waits for two or three at most, so a class of forty never gets there."""
BUSY = f"The demo is busy: {WAITING} requests are waiting. Please try again in a few seconds."
SESSIONS = 200
"""Sessions whose state Gradio keeps after they have ended, by default 10,000. Each open page is one, and so is each
call of a program that names none. A client whose session is forgotten gets a new one with its next request."""
FILE_SIZE = 30 * 2**20
"""Bytes of a photograph."""
TOO_LARGE = "The file is larger than 30 MB. Please give a smaller copy of the photograph."
QUESTION_SIZE = 2**20
"""Bytes of any other request: the files themselves are uploaded before."""
TOO_LONG = "The request is longer than 1 MB. Please upload the photograph first."
UNKNOWN = "There is no such endpoint, or its parameters are different; /gradio_api/info lists them all."

OPEN = re.compile(
    r"/|/(config|login|logout|theme\.css|favicon\.ico|robots\.txt|manifest\.json)/?|/(static|assets)/.*"
    r"|/gradio_api/(info|openapi\.json|app_id|startup-events|theme\.css|upload|upload_progress|reset|cancel)/?"
    r"|/gradio_api/(queue/(join|data)|call/.*|heartbeat/.*|file=(?!.*://).*)"
    r"|/class/[\w-]*",
    re.DOTALL | re.ASCII,
)
"""The routes of Gradio that the page and clients use, and those of ours. Among Gradio's others are some that fetch web
addresses for whoever asks, write files, or log what they are asked for; a new version may bring more."""
ASKS = re.compile(r"/gradio_api/(queue/join|call/.*)", re.DOTALL)
UPLOADS = re.compile(r"/gradio_api/upload/?")


def guard(page: UploadsOnlyBlocks) -> dict:
    """The allow-list in front of a page, the page's own routes, and how unreadable requests are refused, for
    `launch(app_kwargs=...)`."""
    return {
        "routes": page.direct_routes,
        "middleware": [(AllowList, (), {"waiting": lambda: queue_length(page)})],
        "exception_handlers": {RequestValidationError: unreadable},
    }


class AllowList:
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
            # Not by `queue(max_size=...)`: it reads the whole request first and answers 503, for which Gradio's page
            # shows words of its own instead of ours and a client is not told when to try again.
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
    """What is wrong with a request, in FastAPI's words but without the request itself: JSON cannot hold a NaN in it."""
    return JSONResponse({"detail": [{key: e[key] for key in ("type", "loc", "msg")} for e in error.errors()]}, 422)
