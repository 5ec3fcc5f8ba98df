"""How often the nearest cases have a photograph's diagnosis, against a plain loop."""

import numpy as np
import pytest
from sklearn.metrics.pairwise import cosine_similarity

from lesion.data.diagnoses import CODES
from lesion.metrics.bootstrap import bootstrap_weights
from lesion.report.answers import ROUNDS, SEED
from lesion.report.readme_results import results_table


def test_shares_and_chance_are_those_of_a_plain_loop(answers, report):
    found, table = report["similar cases"], answers.held_out.table
    similarities = cosine_similarity(answers.held_out.embeddings.astype(float))
    shares, chances = [], []
    for row in answers.rows:
        others = [r for r in range(len(table)) if table.lesion_id[r] != table.lesion_id[row]]
        nearest = sorted(others, key=lambda r: -similarities[row, r])[: found["nearest"]]
        shares.append(np.mean([table.label[r] == table.label[row] for r in nearest]))
        chances.append(np.mean([table.label[r] == table.label[row] for r in others]))
    shares, chances = np.array(shares), np.array(chances)
    weights = bootstrap_weights(answers.table.lesion_id, ROUNDS, SEED)
    classes = {"all": np.ones(len(shares), bool), **{code: answers.labels == k for k, code in enumerate(CODES)}}
    for name, which in classes.items():
        entry = found["all"] if name == "all" else found["per class"][name]
        assert entry["images"] == which.sum() > 0
        assert entry["lesions"] == answers.table.lesion_id[which].nunique()
        for key, values in (("share", shares), ("by chance", chances), ("minus chance", shares - chances)):
            assert entry[key]["value"] == pytest.approx(values[which].mean(), abs=1e-6)
            drawn = weights[:, which]
            drawn = drawn[drawn.sum(1) > 0]
            draws = np.array([np.average(values[which], weights=w) for w in drawn])
            assert entry[key]["interval"] == pytest.approx(np.percentile(draws, [2.5, 97.5]), abs=1e-6)
    assert found["nearest"] == 6 and found["candidates"] == len(table)


def test_the_card_says_what_chance_is(report):
    table = results_table(report)
    share = report["similar cases"]["per class"]["mel"]["share"]["value"]
    assert f"mel {share:.3f}" in table and report["similar cases"]["chance"] in table
