"""Links that bring the page back: age, sex, site, diagnosis, lesson, tab, a photograph that comes with the app, and the
model.

All of this is in the link, as ?age=55&site=back&example=ISIC_0024329&tab=influence&model=0123456789ab. The server keeps
nothing, and an uploaded photograph is never part of a link. The model is named by its checkpoint's identity, so that a
link made for another checkpoint is noticed.
"""

import hashlib
import html
import json
from collections.abc import Callable, Container, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qsl, urlencode

import gradio as gr

from lesion.data.diagnoses import CODES
from lesion.data.metadata import AGES, SEXES, SITES, UNKNOWN
from lesion.errors import shown
from lesion.ui.example_photographs import load_examples
from lesion.ui.inputs import MOST_PROBABLE, Inputs, now
from lesion.ui.model_choice import ModelChoice
from lesion.ui.tabs.lessons import LessonsTab

NAMES = ("age", "sex", "site", "diagnosis", "lesson", "tab", "example", "model")
OF_ANOTHER = (
    "This link was made for another checkpoint ({}) than is here ({}). The answers may differ from those that the link "
    "was made for. A lesson of the link was not opened, since it would show other cases."
)
NOT_YOURS = "Your own photograph is not part of the link."
ARRIVED = f"""
() => {{
  const names = new URLSearchParams(location.search);
  return {json.dumps(NAMES)}.some(name => names.has(name)) ? location.search : '';
}}
"""
"""The page's own query, where it is such a link."""
IN_VIEW = """
() => {
  const tab = document.querySelector('#tabs [role=tab][aria-selected=true]');
  document.body.dataset.tab = tab.dataset.tabId;
  return [];
}
"""
"""A page that is still being built may not report that a tab was selected."""
HERE = """
(...values) => {
  const here = new URL('?tab=' + (document.body.dataset.tab ?? 'answer'), location.href);
  return [...values.slice(0, -1), here.href];
}
"""
"""Gives the last value the page's address, whatever a proxy serves it under, and the tab."""
COPY = """
async link => {
  const copied = await navigator.clipboard?.writeText(link).then(() => true, () => false);
  document.querySelector('#link').scrollIntoView({ block: 'nearest' });
  return { __type__: 'update', label: copied ? 'Link (copied)' : 'Link (to copy)' };
}
"""
"""Browsers let a page copy over https and on the machine itself only: elsewhere a person copies what is shown."""


def said(query: str) -> dict[str, str]:
    """The names and values of a link's query."""
    return dict(parse_qsl(query.removeprefix("?"), keep_blank_values=True))


class LinkControls(NamedTuple):
    """The button, where the link is shown, and what takes the query that the page was opened with."""

    button: gr.Button
    box: gr.Textbox
    arrived: gr.Textbox


def build() -> LinkControls:
    """Builds the controls inside the current gr.Column."""
    return LinkControls(
        gr.Button("Copy link to this view", size="sm", elem_id="copy-link"),
        gr.Textbox(label="Link", visible=False, interactive=False, buttons=["copy"], elem_id="link"),
        gr.Textbox(visible="hidden", elem_id="arrived"),
    )


class Choices(NamedTuple):
    """What a link may say.

    Attributes:
        lists: by name, the values to choose from. The first is what a link leaves out, but for examples and models.
        photographs: the held-out ones, each an example too.
    """

    lists: Mapping[str, Sequence[str]]
    photographs: Container[str]

    def accept(self, name: str, value: object) -> bool:
        """Whether a link may say so."""
        return value in self.lists[name] or (name == "example" and value in self.photographs)

    def read(self, query: str) -> tuple[dict[str, str], list[str]]:
        """What a link says, by name, and a sentence on each value that is not known. Other names are not ours. Of a
        link that was made for another checkpoint the lesson is ignored: it would show other cases."""
        state, problems, asked = {}, [], said(query)
        for name, value in asked.items():
            if name in self.lists and self.accept(name, value):
                state[name] = value
            elif name == "model":
                problems.append(OF_ANOTHER.format(shown(value), " or ".join(self.lists[name])))
            elif name in self.lists:
                more = " or the id of a held-out photograph" if name == "example" else ""
                problems.append(
                    f"The link's {name} {shown(value)} is not known and was ignored; choose "
                    f"{', '.join(self.lists[name])}{more}."
                )
        if "model" in asked and "model" not in state:
            state.pop("lesson", None)
        return state, problems

    def write(self, address: str, state: Mapping[str, object]) -> str:
        """The link.

        Args:
            address: of the page, without a query.
            state: values by name; what the page starts with is left out.
        """
        query = {
            name: value
            for name, value in state.items()
            if self.accept(name, value) and (name in ("example", "model") or value != self.lists[name][0])
        }
        return f"{address}?{urlencode(query)}" if query else address


def connect(
    page: gr.Blocks,
    controls: LinkControls,
    given: Inputs,
    choice: ModelChoice,
    chosen: gr.State,
    tabs: gr.Tabs,
    lessons: LessonsTab,
    open_photograph: Callable[..., str],
) -> None:
    """Lets a link restore the page when it is opened, and the button make one.

    Args:
        page: whose opening restores.
        controls: of `build`.
        given: the left column.
        choice: of the model.
        chosen: whose change asks for the views again.
        tabs: of the page.
        lessons: the tab.
        open_photograph: a model, and an image id of a held-out photograph, to a file.
    """
    models = choice.models
    files = {example.image_id: str(example.path) for example in load_examples()}
    keys = {example.key: example.image_id for example in load_examples()}
    lists = {
        "age": [UNKNOWN, *map(str, AGES)], "sex": [UNKNOWN, *SEXES], "site": [UNKNOWN, *SITES],
        "diagnosis": [MOST_PROBABLE, *CODES], "lesson": [],
        "tab": [tab.id for tab in tabs.children if isinstance(tab, gr.Tab)], "example": list(files),
        "model": [model.identity for model in models.all],
    }  # fmt: skip

    def choices_of(model: str, lesson: bool) -> Choices:
        """What links may say of a model; its lessons, which take a while to find, only where one is asked for."""
        keys = [key for _, key in lessons.steps.of(model).choices] if lesson else []
        return Choices({**lists, "lesson": keys}, models.get(model).photographs)

    def restore(query: str) -> tuple:
        model = models.named_by(said(query).get("model")) or models.names[0]
        state, problems = choices_of(model, "lesson" in said(query)).read(query)
        for problem in problems:
            gr.Warning(html.escape(problem), duration=None, title="Link")
        record = [state.get(name, lists[name][0]) for name in ("age", "sex", "site", "diagnosis")]
        tab = state.get("tab", "lessons" if "lesson" in state else lists["tab"][0])
        example = state.get("example")
        photograph = example and (files.get(example) or open_photograph(model, example))
        if model == models.names[0] or "lesson" in state:
            opened = lessons.steps.of(model).open(state.get("lesson"))
        else:  # the tab does it when it is opened
            opened = tuple(gr.skip() for _ in lessons.outputs)
        return gr.Tabs(selected=tab), photograph, *record, model, *opened

    def make(
        path: str | None, age: str, sex: str, site: str, diagnosis: str, lesson: str, model: str, here: str
    ) -> dict[str, object]:
        address, _, tab = here.partition("?tab=")
        choices, example = choices_of(model, tab == "lessons"), None
        with suppress(OSError):  # no photograph, or one that is no longer there
            key = hashlib.sha256(Path(path or "").read_bytes()).digest()
            example = keys.get(key) or choices.photographs.image_id_of(key)
        state = {"age": age, "sex": sex, "site": site, "diagnosis": diagnosis, "tab": tab, "example": example}
        if tab == "lessons":
            state["lesson"] = lesson
        state["model"] = models.identity_of(model)
        info = NOT_YOURS if path and not example else ""
        return gr.Textbox(choices.write(address, state), visible=True, info=info)

    quiet = {"api_visibility": "private", "show_progress": "hidden"}
    page.load(None, None, controls.arrived, js=ARRIVED, api_visibility="private")
    # Only a page that was opened by a link asks.
    restored = controls.arrived.change(
        restore, controls.arrived, [tabs, *given.all, choice.control, *lessons.outputs], **quiet
    )
    restored.then(now, None, chosen, js=IN_VIEW, **quiet)  # asks for the views of what is there by now
    controls.button.click(
        make, [*given.all, lessons.picker, choice.control, controls.box], controls.box, js=HERE,
        trigger_mode="always_last", **quiet,
    ).success(None, controls.box, controls.box, js=COPY, api_visibility="private")  # fmt: skip
