"""Whether photographs that are near each other in the embedding have the same diagnosis.

Each test photograph is a query. Its nearest cases are looked for as the page does it: among all held-out photographs of
other lesions, by cosine similarity. Chance is the share of the query's diagnosis among these candidates, which is what
six of them drawn at random would have on average.
"""

import numpy as np

from lesion.data.diagnoses import CODES
from lesion.metrics.bootstrap import mean_with_interval
from lesion.model.nearest import NearestHeldOut
from lesion.report.answers import Answers

NEAREST = 6
"""Similar cases that the page shows."""
CHANCE = (
    "the share of the photograph's diagnosis among the held-out photographs of other lesions, which is what as many of "
    "them drawn at random have on average"
)


def similar_cases(answers: Answers, weights: np.ndarray) -> dict:
    """How many of the nearest cases of a test photograph have its diagnosis.

    Args:
        answers: of `answer_test_part`; the network does not run.
        weights: of `bootstrap_weights` for the test photographs, float (rounds, Q).

    Returns:
        "nearest" (how many cases), "candidates" (held-out photographs), "chance" (what it is, in words), and under
        "all" and under "per class" by code: "images" and "lesions" of the queries, and, each {"value": …,
        "interval": [low, high]} with the queries' lesions resampled and the candidates as they are, "share" of the
        nearest cases with the query's diagnosis, "by chance", and "minus chance", paired. A class without a query has
        "images" and "lesions" alone.
    """
    table, rows = answers.held_out.table, answers.rows
    nearest, _ = NearestHeldOut(answers.held_out).find(answers.embeddings, rows, NEAREST)
    labels, own = table.label.to_numpy(), answers.labels
    found = nearest >= 0
    share = ((labels[nearest] == own[:, None]) & found).sum(1) / np.maximum(found.sum(1), 1)
    chance = share_by_chance(labels, table.lesion_id.to_numpy(), rows)

    def figures(which: np.ndarray) -> dict:
        entry = {"images": int(which.sum()), "lesions": int(answers.table.lesion_id[which].nunique())}
        if not which.any():
            return entry
        drawn = weights[:, which]
        return entry | {
            name: mean_with_interval(values[which], drawn)
            for name, values in (("share", share), ("by chance", chance), ("minus chance", share - chance))
        }

    return {
        "nearest": NEAREST,
        "candidates": len(table),
        "chance": CHANCE,
        "all": figures(np.ones(len(rows), bool)),
        "per class": {code: figures(own == k) for k, code in enumerate(CODES)},
    }


def share_by_chance(labels: np.ndarray, lesions: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """The share of each query's diagnosis among the photographs of other lesions.

    Args:
        labels: int (N,), of all held-out photographs.
        lesions: (N,), their lesions' ids.
        rows: int (Q,), the queries.

    Returns:
        float64 (Q,); 0 where there is no other lesion.
    """
    others = lesions[rows][:, None] != lesions
    alike = others & (labels[rows][:, None] == labels)
    return alike.sum(1) / np.maximum(others.sum(1), 1)
