"""Small questions that are answered in front of Gradio: no queue, no session, no thread.

A class of sixty phones asks a dozen of them a second. Through Gradio's queue each would cost as much as an answer about
a photograph, and those who wait for one would wait longer. They pass the same allow-list, need the same login, and what
they cannot use is refused in the same sentences.
"""

import asyncio
import json
from collections.abc import Callable
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from lesion.errors import UserError
from lesion.ui.server.gradio_private import may_enter

SMALL = 2000
"""Bytes of a question at most."""
TOO_LARGE = f"The question is longer than {SMALL:,} bytes. Please send a shorter one."
NO_OBJECT = "The question cannot be read; send a JSON object, with the content type application/json."
LOGIN = "Please log in first."
PRIVATE = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


def answering(function: Callable[[dict], Any], status: Callable[[UserError], int]) -> Callable:
    """An endpoint for Starlette that takes a JSON object and gives JSON, or the response that the function makes.

    Args:
        function: called with the object; may be a coroutine function, and must take no more than an instant otherwise.
        status: of a UserError, whose sentence then is the answer's "detail".
    """

    async def answer(request: Request) -> Response:
        if not may_enter(request):
            return refusal(401, LOGIN)
        try:
            question = await read_object(request)
            given = function(question)
            if asyncio.iscoroutine(given):
                given = await given
        except TooLarge:
            return refusal(413, TOO_LARGE)
        except ClientDisconnect:  # a phone that left the room; nobody reads this
            return Response(status_code=400)
        except UserError as error:
            return refusal(status(error), str(error))
        return given if isinstance(given, Response) else JSONResponse(given, headers=PRIVATE)

    return answer


class TooLarge(Exception):
    """The question has more than SMALL bytes."""


async def read_object(request: Request) -> dict:
    """The JSON object that a request consists of.

    Raises:
        TooLarge: it is too long; what follows is not read.
        UserError: it is something else.
    """
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > SMALL:
            raise TooLarge
    # A web page of somebody else can send forms and text to this one, but no JSON.
    if not request.headers.get("content-type", "").lower().startswith("application/json"):
        raise UserError(NO_OBJECT)
    try:
        question = json.loads(bytes(body))
    except (ValueError, RecursionError):
        raise UserError(NO_OBJECT) from None
    if not isinstance(question, dict):
        raise UserError(NO_OBJECT)
    return question


def refusal(status: int, sentence: str) -> JSONResponse:
    """Why there is no answer."""
    return JSONResponse({"detail": sentence}, status, PRIVATE)
