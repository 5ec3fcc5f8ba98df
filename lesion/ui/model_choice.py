"""The dropdown "Model", by which every tab answers, and what follows it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import gradio as gr
from gradio.components import Component
from gradio.events import Dependency

from lesion.ui.api import as_given
from lesion.ui.inputs import now
from lesion.ui.material import Material
from lesion.ui.models import Models

ADD_TAB = "(...given) => [...given.slice(0, -1), document.body.dataset.tab ?? 'answer']"
"""Makes the id of the tab in view the last value."""


@dataclass(frozen=True)
class ModelChoice:
    """The dropdown, and the components that say something of the chosen model.

    Attributes:
        models: to choose from.
        control: whose value is a model's name; hidden where there is only one.
    """

    models: Models
    control: gr.Dropdown
    _about: list[tuple[Component, Callable[[Material], object]]] = field(default_factory=list)

    def follow(self, component: Component, of: Callable[[Material], object]) -> None:
        """Gives a component another value, or an update of it, as soon as another model is chosen.

        Args:
            component: which says something of the first model by now.
            of: the value, from a model's material.
        """
        self._about.append((component, of))

    def text(self, of: Callable[[Material], str], **options: object) -> gr.HTML:
        """HTML about the chosen model, inside the current gr.Blocks; `of` makes it from a model's material."""
        component = gr.HTML(of(self.models.first), **options)
        self.follow(component, of)
        return component

    def when_in_view(
        self, tab: gr.Tab, show: Callable, inputs: Sequence[Component], outputs: Sequence[Component], **options: object
    ) -> list[Dependency]:
        """Calls `show` when a tab is opened, and when another model is chosen while it is in view; returns the two
        events."""

        def show_in_view(*values: object) -> object:
            *given, in_view = values
            return show(*given) if in_view == tab.id else tuple(gr.skip() for _ in outputs)

        inside = [*inputs, gr.Textbox(visible=False)]
        return [
            tab.select(show, inputs, outputs, **options),
            self.control.change(show_in_view, inside, outputs, js=ADD_TAB, **options),
        ]

    def connect(self, chosen: gr.State) -> None:
        """Lets the choice change all that follows it, and then ask for the views of the photograph again.

        Args:
            chosen: whose change asks for them.
        """

        def choose(model: str) -> tuple:
            material = self.models.get(model)
            return tuple(of(material) for _, of in self._about)

        components = [component for component, _ in self._about]
        changed = self.control.change(
            choose, self.control, components, api_visibility="private", show_progress="minimal",
            show_progress_on=self.control, trigger_mode="always_last",
        )  # fmt: skip
        changed.then(now, None, chosen, api_visibility="private", show_progress="hidden")


def build(models: Models) -> ModelChoice:
    """Builds the dropdown inside the current gr.Column."""
    control = gr.Dropdown(
        models.names, value=models.names[0], label="Model", elem_id="model", visible=len(models.names) > 1
    )
    control.preprocess = as_given
    return ModelChoice(models, control)
