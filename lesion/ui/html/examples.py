"""The strip of example photographs."""

import io
from collections.abc import Sequence

from PIL import Image

from lesion.ui.example_photographs import Example
from lesion.ui.html.wording import data_uri

EXAMPLES_SCRIPT = """
element.addEventListener('click', event => {
  const button = event.target.closest('button');
  if (button) trigger('click', { index: Number(button.dataset.index) });
});
"""
STYLE = """
.examples h2 { font-size: var(--text-sm); font-weight: 600; margin: 0 0 .3rem; }
.examples .strip { display: grid; grid-template-columns: repeat(6, 1fr); gap: .25rem; }
.examples button { display: block; margin: 0 !important; border: 2px solid transparent; border-radius: 8px;
  padding: 0; background: none; box-shadow: none; cursor: pointer; }
.examples button:hover { border-color: var(--color-accent); }
.examples img { width: 100%; height: auto; border-radius: 6px; margin: 0; display: block; }
@media (max-width: 600px) {
  .examples .strip { grid-auto-flow: column; grid-template-columns: none; grid-auto-columns: 64px; overflow-x: auto;
    padding-bottom: .3rem; }
}
"""


def examples(choices: Sequence[Example]) -> str:
    """Thumbnails to choose from; a click triggers the component's click with the index."""
    buttons = []
    for index, example in enumerate(choices):
        with Image.open(example.path) as image:
            thumbnail = image.resize((160, 120), Image.Resampling.LANCZOS)
        buffer = io.BytesIO()
        thumbnail.save(buffer, "WEBP", quality=80)
        # The diagnosis is not told: the class guesses, and opens it under the answer.
        values = example.metadata.describe()
        buttons.append(
            f'<button type="button" data-index="{index}" title="{example.image_id}: {values}">'
            f'<img src="{data_uri(buffer.getvalue(), "webp")}" alt="Example {index + 1}: {values}"></button>'
        )
    return (
        f'<div class="examples"><h2>Examples not used in training</h2><div class="strip">{"".join(buttons)}</div></div>'
    )
