"""Named endpoints of the app's API: each a function of its own, beside the handlers that serve the page."""

import inspect
from collections.abc import Callable, Iterator, Sequence
from functools import wraps

import gradio as gr
from gradio.components import Component
from gradio.data_classes import ImageData

from lesion.errors import UserError


def uploaded_file(payload: ImageData | None) -> str | None:
    """The uploaded file as it is.

    It stands in for gr.Image's own preprocessing, which fails on a bad file with a generic error and clips 16-bit
    images; we decode the file ourselves, with better words.
    """
    return None if payload is None else payload.path


def as_given(value: object) -> object:
    """Stands in for a component's own preprocessing: what an API client gives is checked by us, with better words."""
    return value


def endpoint(
    name: str,
    function: Callable,
    inputs: Sequence[Component],
    outputs: Component | Sequence[Component],
    text: str,
    concurrency_id: str | None = None,
) -> None:
    """Adds a documented endpoint.

    `gr.api` would name the inputs "1st", "2nd", … and leave out their choices and first values on the API page; it
    serves where there are no inputs.

    Args:
        name: of the endpoint, without the slash.
        function: called with the inputs' values; a UserError it raises becomes the client's error message.
        inputs, outputs: components that describe, and convert, what goes in and comes out.
        text: for the API page.
        concurrency_id: of the queue that it shares with others, one of which runs at a time.
    """
    gr.Button(visible=False).click(
        in_sentences(function),
        inputs,
        outputs,
        api_name=name,
        api_description=text,
        concurrency_id=concurrency_id,
        concurrency_limit=1 if concurrency_id else "default",
    )


def in_sentences(function: Callable) -> Callable:
    """The function, whose UserErrors a person reads as they are."""
    if inspect.isgeneratorfunction(function):

        @wraps(function)
        def answers(*values: object) -> Iterator:
            try:
                yield from function(*values)
            except UserError as error:
                raise gr.Error(str(error), print_exception=False) from None

        return answers

    @wraps(function)
    def answer(*values: object) -> object:
        try:
            return function(*values)
        except UserError as error:
            raise gr.Error(str(error), print_exception=False) from None

    return answer
