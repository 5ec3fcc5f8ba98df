"""How the page looks: one theme, dark and light. The page's colours stand here, those of diagnoses in
`lesion.data.diagnoses`; the style sheets use Gradio's names of them, which change with the theme.

The accent is a petrol that no diagnosis has.
"""

import gradio as gr
from gradio.themes.utils.colors import Color
from gradio.themes.utils.sizes import Size

SYSTEM_FONTS = ["system-ui", "Segoe UI", "Roboto", "Helvetica Neue", "Arial", "sans-serif"]
"""Nothing is fetched from another host."""
TEXT = Size("0.6875rem", "0.75rem", "0.8125rem", "0.9375rem", "1.0625rem", "1.25rem", "1.5rem", name="text")
PETROL = Color(
    "#f0f7f9", "#dcecf1", "#b9d9e2", "#8fc4d3", "#6fc7dc", "#2f8ba5", "#0b5d73", "#094f62", "#0b4252", "#153540",
    "#0c2630", name="petrol",
)  # fmt: skip
SLATE = Color(
    "#f5f7f8", "#eaeef1", "#d3dae0", "#bcc6ce", "#93a1ad", "#64737f", "#4a5865", "#37444f", "#27323b", "#192127",
    "#10161b", name="slate",
)  # fmt: skip

THEME = gr.themes.Base(
    primary_hue=PETROL, secondary_hue=PETROL, neutral_hue=SLATE, text_size=TEXT, radius_size="md", font=SYSTEM_FONTS,
    font_mono=["ui-monospace", "monospace"],
).set(
    body_background_fill="*neutral_50",
    body_background_fill_dark="*neutral_950",
    body_text_color="#17212a",
    body_text_color_dark="#e8edf1",
    body_text_color_subdued="*neutral_600",
    body_text_color_subdued_dark="#aebac4",
    background_fill_primary="white",
    background_fill_primary_dark="*neutral_900",
    background_fill_secondary="*neutral_100",
    background_fill_secondary_dark="*neutral_800",
    border_color_primary="*neutral_300",
    border_color_primary_dark="#3d4a55",
    border_color_accent="*primary_600",
    border_color_accent_dark="*primary_400",
    color_accent="*primary_600",
    color_accent_soft="*primary_50",
    color_accent_soft_dark="*primary_900",
    loader_color="*primary_600",
    loader_color_dark="*primary_400",
    # A panel holds its controls and texts without boxes of their own, so that all of them begin on one line.
    block_background_fill="*background_fill_primary",
    block_background_fill_dark="*background_fill_primary",
    block_border_width="0px",
    block_border_width_dark="0px",
    block_shadow="none",
    block_shadow_dark="none",
    block_padding="0px",
    block_radius="0px",
    block_info_text_color="*body_text_color_subdued",
    block_info_text_size="*text_sm",
    block_info_text_color_dark="*body_text_color_subdued",
    block_title_text_color="*body_text_color",
    block_title_text_color_dark="*body_text_color",
    block_title_text_size="*text_sm",
    block_title_text_weight="600",
    layout_gap="14px",
    form_gap_width="14px",
    input_background_fill="white",
    input_background_fill_dark="*neutral_800",
    input_border_color="*neutral_300",
    input_border_color_dark="#3d4a55",
    input_border_color_focus="*primary_600",
    input_border_color_focus_dark="*primary_400",
    input_border_width="1px",
    input_shadow="none",
    input_shadow_focus="0 0 0 2px *primary_600",
    input_shadow_focus_dark="0 0 0 2px *primary_400",
    input_padding="8px 10px",
    input_placeholder_color="*neutral_600",
    input_placeholder_color_dark="#aebac4",
    checkbox_border_color="*neutral_500",
    checkbox_border_color_dark="*neutral_400",
    checkbox_background_color_selected="*primary_600",
    checkbox_background_color_selected_dark="*primary_600",
    checkbox_border_color_selected="*primary_600",
    checkbox_border_color_selected_dark="*primary_400",
    checkbox_label_background_fill="white",
    checkbox_label_background_fill_dark="*neutral_800",
    checkbox_label_background_fill_hover="*neutral_100",
    checkbox_label_background_fill_hover_dark="*neutral_700",
    checkbox_label_background_fill_selected="*primary_50",
    checkbox_label_background_fill_selected_dark="*primary_900",
    checkbox_label_border_color="*neutral_300",
    checkbox_label_border_color_dark="#3d4a55",
    checkbox_label_border_color_selected="*primary_600",
    checkbox_label_border_color_selected_dark="*primary_400",
    checkbox_label_border_width="1px",
    checkbox_label_padding="6px 12px",
    checkbox_label_text_weight="400",
    slider_color="*primary_600",
    slider_color_dark="*primary_400",
    button_primary_background_fill="*primary_600",
    button_primary_background_fill_dark="*primary_600",
    button_primary_background_fill_hover="*primary_700",
    button_primary_background_fill_hover_dark="*primary_700",
    button_primary_text_color="white",
    button_primary_text_color_dark="white",
    button_secondary_background_fill="*neutral_100",
    button_secondary_background_fill_dark="*neutral_800",
    button_secondary_background_fill_hover="*neutral_200",
    button_secondary_background_fill_hover_dark="*neutral_700",
    button_secondary_border_color="*neutral_300",
    button_secondary_border_color_dark="#3d4a55",
    button_border_width="1px",
    button_large_padding="9px 16px",
    button_large_text_size="*text_md",
    button_large_text_weight="600",
    button_transition="none",
    error_background_fill="#fdecee",
    error_background_fill_dark="#3a171c",
    error_border_color="#b00020",
    error_border_color_dark="#f2788a",
    error_text_color="#8f001a",
    error_text_color_dark="#ffb9c2",
)  # fmt: skip

STYLE = """
.dark { --color-accent: #6fc7dc; }
.gradio-container { overflow: clip !important; }
.gradio-container > .main { max-width: 1720px !important; margin: auto;
  padding: .75rem clamp(.75rem, 2vw, 1.75rem) .5rem !important; }
.prose { color: inherit; }
.prose a { display: inline; margin: 0; padding: 0; color: inherit; text-decoration: underline; }
/* A block's content fades, and a bar runs along its top, where the answer takes longer than a glance. */
.html-container { transition: none; }
.html-container.pending:not(:has(.placeholder)) { opacity: .45; transition: opacity .2s .4s; }
.html-container.pending:has(.placeholder) { opacity: 1; }
.block:has(> .html-container.pending)::before { content: ""; position: absolute; z-index: 2; top: 0; left: 0;
  width: 30%; height: 3px; border-radius: 2px; background: var(--color-accent); opacity: 0;
  animation: run 1.2s .4s ease-in-out infinite alternate; }
.wrap.minimal, .wrap.minimal .progress-text { background: none !important; }
.wrap.minimal:not(.hide) { animation: appear .2s .4s both; }
@keyframes run { 0% { left: 0; opacity: 1; } 100% { left: 70%; opacity: 1; } }
@keyframes appear { 0% { opacity: 0; } 100% { opacity: 1; } }
.form { background: none !important; border: 0 !important; overflow: visible !important; box-shadow: none !important; }
.form > .block, .block:has(input) { overflow: visible !important; }
span[data-testid=block-info] { margin-bottom: .3rem !important; }
#opacity span[data-testid=block-info] { white-space: nowrap; }
input[type=radio]:checked { background-color: var(--checkbox-background-color-selected) !important; }
.wrap-inner { padding: 5px 6px !important; }
.wrap-inner input { text-overflow: ellipsis; padding-right: 1.1rem !important; }
.wrap-inner .icon-wrap { right: .4rem !important; }
input[type=range]::-webkit-slider-thumb { border: 2px solid var(--color-accent); }
button:focus-visible, a:focus-visible, summary:focus-visible, input[type=range]:focus-visible,
input[type=checkbox]:focus-visible, input[type=radio]:focus-visible { outline: 3px solid var(--color-accent) !important;
  outline-offset: 2px; }
.dark .step-number { color: var(--background-fill-primary) !important; }
.dark .pending .step-number { color: inherit !important; }
/* Two panels: the case, and what is said about it. */
#inputs, #tabs { background: var(--background-fill-primary); border: 1px solid var(--border-color-primary);
  border-radius: 10px; }
#inputs { padding: .75rem; gap: .7rem; }
#tabs { padding: .35rem 1.1rem 1.1rem; }
#tabs > .tab-wrapper { padding: 0; margin-bottom: .9rem; }
#tabs > .tab-wrapper > [role=tablist] { background: none; height: auto; min-height: 2.6rem; }
#tabs > .tab-wrapper > [role=tablist] button { height: 2.6rem; padding: 0 .7rem; }
#tabs [role=tab][aria-selected=true] { font-weight: 600; }
#tabs [role=tab]:focus-visible { outline-offset: -3px; }
#photo { border: 1px dashed var(--border-color-primary); border-radius: 8px; }
#photo .icon { color: var(--body-text-color-subdued); }
#photo .wrap p, #photo .wrap { font-size: var(--text-md); color: var(--body-text-color); }
#photo .wrap { min-height: 0; } /* Gradio's own is higher than the box, and would cover what stands above it. */
/* The record stays in sight beside long tabs, so that a class sees what a change of it does. */
@media (min-width: 900px) {
  #inputs { position: sticky; top: .5rem; align-self: flex-start; max-height: calc(100vh - 1rem); overflow-y: auto;
    flex-wrap: nowrap; }
  #inputs > * { flex: none; }
}
body:is([data-tab=round], [data-tab=class], [data-tab=cohort], [data-tab=lab], [data-tab=report]) {
  #inputs > :not(:has(#model)), #inputs:not(:has(#model)) { display: none; }
}
footer { margin: .5rem 0 !important; font-size: var(--text-sm); }
footer .divider:last-child { display: none; }
footer button, footer .divider { color: var(--body-text-color-subdued) !important; }
@media (max-width: 600px) {
  #photo { height: 145px !important; }
  #inputs { gap: .4rem; }
  #tabs { padding: .25rem .75rem .75rem; }
  #tabs > .tab-wrapper > [role=tablist] { display: flex; flex-wrap: wrap; justify-content: space-between; }
  #tabs > .tab-wrapper > [role=tablist] button { padding: 0 .15rem; font-size: .8rem; height: 2.2rem; }
  #model .container { display: flex; align-items: center; gap: .75rem; }
  #model [data-testid=block-info] { margin: 0; }
  #model .container > .wrap { flex: 1; }
}
@media (prefers-reduced-motion: reduce) {
  * { animation-duration: 0s !important; transition: none !important; scroll-behavior: auto !important; }
}
"""
