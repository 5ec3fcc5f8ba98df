"""Values that no dropdown offers, and the functions that read what an API client sends."""

import numpy as np

from lesion.data.metadata import parse_inputs
from lesion.errors import parse_number, parse_whole
from lesion.teaching.cases import Cell, Choice
from lesion.teaching.cohort import Subgroup, check_rule
from lesion.teaching.influence import parse_prevalence
from lesion.teaching.lab import LabSettings
from lesion.teaching.round_result import Progress, parse_case, parse_guesses
from lesion.teaching.rounds import RoundSettings
from lesion.teaching.similar import check_among

VALUES = {
    "null": None, "true": True, "number": 5, "negative": -5, "huge": 10**400, "float": 1e308, "nan": float("nan"),
    "infinity": float("inf"), "nan in words": "NaN", "empty": "", "half": "½", "arabic digits": "٥٥",
    "german": "fünfundfünfzig", "emoji": "🩺😀", "null byte": "a\0b", "surrogate": "\ud800", "sql": "' OR 1=1; --",
    "html": "<script>alert(1)</script>", "format": "{0.__class__} %s ${7*7}", "path": "../../../../etc/passwd",
    "megabyte": "x" * 900_000, "list": ["a", ["b"]], "long list": ["image"] * 50_000, "dictionary": {"a": {"b": 1}},
    "update": {"__type__": "update", "value": 3}, "file": {"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}},
    "bare file": {"path": "/etc/passwd"}, "address": {"url": "http://127.0.0.1:9/x.png", "path": "http://127.0.0.1:9/x.png"},
}  # fmt: skip
ANSWERED = {"null", "nan", "nan in words", "empty", "arabic digits", "number", "long list"}
"""Values that some parameter takes: unknown, a number, or names of inputs."""
PREVALENCE = np.full(7, 1 / 7)
ROUND = RoundSettings(1)
PARSERS = {
    "a number": lambda a, *_: parse_number("Number", a, 0, 100, "%"),
    "a whole number": lambda a, *_: parse_whole("Number", a, 0, 100),
    "inputs": lambda a, *_: parse_inputs("Inputs", a),
    "a prevalence": lambda a, b, _: parse_prevalence(a, b, PREVALENCE),
    "a subgroup": lambda a, b, c: Subgroup(a, b, c, a, b),
    "diagnoses to look among": lambda a, *_: check_among(a),
    "a cell": lambda a, b, c: Cell(a, b, c, a, b, rule=c),
    "a choice": lambda a, b, _: Choice(outcome=a, certainty=b),
    "a rule": lambda a, *_: check_rule(a),
    "settings of the lab": lambda a, b, c: LabSettings(a, b, c, a, b),
    "a round's seed": lambda a, *_: RoundSettings(a),
    "a round's count and mix": lambda a, b, _: RoundSettings(1, a, b),
    "a round's stages and share": lambda a, b, c: RoundSettings(1, confirmed_only=c, stages=a, misleading_share=b),
    "a round in a link": lambda a, *_: RoundSettings.of_text(a),
    "guesses about a case": lambda a, *_: parse_case(a, ROUND),
    "guesses about a round": lambda a, *_: parse_guesses(a, ROUND),
    "progress in a round": lambda a, b, _: Progress.of(ROUND, a, b),
}
"""Each takes three values, of which it reads as many as it needs."""
