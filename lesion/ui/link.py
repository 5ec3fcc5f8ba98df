"""Links that bring the page back: age, sex, site, diagnosis, lesson, tab, and a photograph that comes with the app.

All of this is in the link, as ?age=55&site=back&example=ISIC_0024329&tab=influence. The server keeps nothing, and an
uploaded photograph is never part of a link.
"""

import hashlib
import html
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qsl, urlencode

import gradio as gr

from lesion.data.diagnoses import CODES
from lesion.data.held_out_photographs import HeldOutPhotographs
from lesion.data.metadata import AGES, SEXES, SITES, UNKNOWN
from lesion.errors import shown
from lesion.ui.example_photographs import load_examples
from lesion.ui.inputs import MOST_PROBABLE, Inputs, now
from lesion.ui.tabs.lessons import LessonsTab

NAMES = ("age", "sex", "site", "diagnosis", "lesson", "tab", "example")
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
        lists: by name, the values to choose from. The first is what the page starts with, but for the examples.
        photographs: the held-out ones, each an example too.
    """

    lists: Mapping[str, Sequence[str]]
    photographs: HeldOutPhotographs

    def accept(self, name: str, value: object) -> bool:
        """Whether a link may say so."""
        return value in self.lists[name] or (name == "example" and value in self.photographs)

    def read(self, query: str) -> tuple[dict[str, str], list[str]]:
        """What a link says, by name, and a sentence on each value that is not known. Other names are not ours."""
        state, problems = {}, []
        for name, value in dict(parse_qsl(query.removeprefix("?"), keep_blank_values=True)).items():
            if name in self.lists and self.accept(name, value):
                state[name] = value
            elif name in self.lists:
                more = " or the id of a held-out photograph" if name == "example" else ""
                problems.append(
                    f"The link's {name} {shown(value)} is not known and was ignored; choose "
                    f"{', '.join(self.lists[name])}{more}."
                )
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
            if self.accept(name, value) and (name == "example" or value != self.lists[name][0])
        }
        return f"{address}?{urlencode(query)}" if query else address


def connect(
    page: gr.Blocks,
    controls: LinkControls,
    given: Inputs,
    chosen: gr.State,
    tabs: gr.Tabs,
    lessons: LessonsTab,
    photographs: HeldOutPhotographs,
    open_photograph: Callable[[str], str],
) -> None:
    """Lets a link restore the page when it is opened, and the button make one.

    Args:
        page: whose opening restores.
        controls: of `build`.
        given: the left column.
        chosen: whose change asks for the views again.
        tabs: of the page.
        lessons: the tab.
        photographs: the held-out ones.
        open_photograph: image id of one to a file.
    """
    files = {example.image_id: str(example.path) for example in load_examples()}
    keys = {example.key: example.image_id for example in load_examples()}
    choices = Choices(
        {
            "age": [UNKNOWN, *map(str, AGES)], "sex": [UNKNOWN, *SEXES], "site": [UNKNOWN, *SITES],
            "diagnosis": [MOST_PROBABLE, *CODES], "lesson": [value for _, value in lessons.picker.choices],
            "tab": [tab.id for tab in tabs.children if isinstance(tab, gr.Tab)], "example": list(files),
        },
        photographs,
    )  # fmt: skip

    def restore(query: str) -> tuple:
        state, problems = choices.read(query)
        for problem in problems:
            gr.Warning(html.escape(problem), duration=None, title="Link")
        values = {name: state.get(name, choices.lists[name][0]) for name in NAMES[:-1]}
        tab = state.get("tab", "lessons" if "lesson" in state else choices.lists["tab"][0])
        example = state.get("example")
        photograph = example and (files.get(example) or open_photograph(example))
        record = [values[name] for name in ("age", "sex", "site", "diagnosis", "lesson")]
        return gr.Tabs(selected=tab), photograph, *record

    def make(
        path: str | None, age: str, sex: str, site: str, diagnosis: str, lesson: str, here: str
    ) -> dict[str, object]:
        address, _, tab = here.partition("?tab=")
        example = None
        with suppress(OSError):  # no photograph, or one that is no longer there
            key = hashlib.sha256(Path(path or "").read_bytes()).digest()
            example = keys.get(key) or photographs.image_id_of(key)
        state = {"age": age, "sex": sex, "site": site, "diagnosis": diagnosis, "tab": tab, "example": example}
        if tab == "lessons":
            state["lesson"] = lesson
        info = NOT_YOURS if path and not example else ""
        return gr.Textbox(choices.write(address, state), visible=True, info=info)

    quiet = {"api_visibility": "private", "show_progress": "hidden"}
    page.load(None, None, controls.arrived, js=ARRIVED, api_visibility="private")
    # Only a page that was opened by a link asks.
    restored = controls.arrived.change(restore, controls.arrived, [tabs, *given.all, lessons.picker], **quiet)
    filled = restored.then(lessons.show, lessons.picker, lessons.outputs, **quiet)
    filled.then(now, None, chosen, js=IN_VIEW, **quiet)  # asks for the views of what is there by now
    controls.button.click(
        make, [*given.all, lessons.picker, controls.box], controls.box, js=HERE, trigger_mode="always_last", **quiet
    ).success(None, controls.box, controls.box, js=COPY, api_visibility="private")  # fmt: skip
