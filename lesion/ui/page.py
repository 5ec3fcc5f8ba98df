"""The whole page: title, notice, tabs."""

import gradio as gr

from lesion.predictor import PhotographStore, Predictor
from lesion.ui import diagnose, views

SYSTEM_FONTS = ["system-ui", "Segoe UI", "Roboto", "Helvetica Neue", "Arial", "sans-serif"]
THEME = gr.themes.Soft(primary_hue="blue", font=SYSTEM_FONTS, font_mono=["ui-monospace", "monospace"])
"""System fonts: nothing is fetched from another host."""


def build_page(predictor: Predictor) -> gr.Blocks:
    """The app, ready to launch with THEME and views.STYLE."""
    with gr.Blocks(title="Skin lesions: image and metadata", analytics_enabled=False, delete_cache=(600, 2400)) as page:
        gr.HTML(
            '<div class="page-title"><h1>Skin lesions: what the image says, and what age, sex and site add</h1></div>'
        )
        gr.HTML(f'<div class="notice" role="note">{views.NOTICE}</div>')
        diagnose.build(PhotographStore(predictor))
        gr.HTML(f'<div class="attribution">{views.ATTRIBUTION}</div>')
    return page
