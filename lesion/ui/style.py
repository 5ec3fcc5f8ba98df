"""The page's style sheet: the theme's rules, then each piece's own, which stand beside the HTML that they are for."""

from lesion.ui import theme
from lesion.ui.html import (
    alarms,
    answers,
    body_map,
    cases,
    class_board,
    class_phone,
    class_views,
    examples,
    heading,
    heat_map,
    lesson_steps,
    pieces,
    round_results,
    round_steps,
    similar,
)
from lesion.ui.html.charts import comparison, contributions, learning_curve, roc_curve, style
from lesion.ui.html.report import document, facts, tables

PLACES = """
#cohort-summary, #lab-status { min-height: 2.8rem; }
#largest-change { min-height: 3.4rem; }
#largest-change:not(:has(.change)) ~ :not(#alarm-section):not(#alarm-row):not(#decision-section):not(#decision) {
  display: none !important; }
#similar-section:not(:has(.similar, #similar .problem)) { display: none !important; }
#differences { min-height: 26rem; }
#importances { min-height: 11rem; }
#confusions { min-height: 22rem; }
#lab-curves, #lab-curves .placeholder { min-height: 20rem; }
"""
"""Places keep their height while they wait for their content, so that the page does not jump."""
PIECES = (
    heading, pieces, examples, answers, heat_map, body_map, alarms, cases, similar, lesson_steps, style, contributions,
    comparison, roc_curve, learning_curve, document, tables, facts, round_steps, round_results,
    class_views, class_board,
)  # fmt: skip
STYLE = "".join([theme.STYLE, PLACES, *(piece.STYLE for piece in PIECES)])
PHONE_PIECES = (pieces, heat_map, style, round_steps, class_views, class_phone)
PHONE_STYLE = "".join(piece.STYLE for piece in PHONE_PIECES)
"""Of the page that phones in a class open."""
