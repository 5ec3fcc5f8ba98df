"""What stands above and below the tabs."""

NOTICE = (
    "<b>For research and teaching only. Not a medical device.</b> Its answers reflect associations in one collection "
    "of photographs, mostly of light skin. They show no causes and are not medical advice. Do not upload photographs "
    "that identify a person."
)
HEADER = (
    '<h1 class="page-title">Skin lesions: what the image says, and what age, sex and site add</h1>'
    f'<div class="notice" role="note">{NOTICE}</div>'
)
ATTRIBUTION = (
    "Model and examples: HAM10000, Tschandl, Rosendahl and Kittler, "
    '<a href="https://doi.org/10.1038/sdata.2018.161" target="_blank" rel="noopener">Sci. Data 5, 180161 (2018)</a>, '
    '<a href="https://creativecommons.org/licenses/by-nc/4.0/" target="_blank" rel="noopener">CC BY-NC 4.0</a>.'
)
STYLE = """
h1.page-title { margin: 0 0 .25rem; font-size: var(--text-xl); font-weight: 700; line-height: 1.25; }
.notice { font-size: var(--text-sm); line-height: 1.4; border-left: 4px solid #E69F00; padding: .1rem 0 .1rem .6rem; }
.attribution { font-size: var(--text-sm); color: var(--body-text-color-subdued); }
@media (max-width: 600px) {
  h1.page-title { font-size: var(--text-lg); }
  .notice { font-size: var(--text-xs); }
}
"""
