"""Who is in each part: counted again from the table on disk."""

from dataclasses import replace
from types import SimpleNamespace

import pandas as pd
import pytest

from lesion.report.model_card import model_card
from lesion.report.participants import participants, participants_in_markdown


@pytest.fixture(scope="module")
def found(answers, ham10000):
    return participants(answers, ham10000)


@pytest.fixture(scope="module")
def table(ham10000) -> pd.DataFrame:
    return pd.read_csv(ham10000 / "HAM10000_metadata.csv").set_index("image_id")


def test_the_parts_add_up_to_the_collection(found, table, answers):
    assert (found["collection"]["images"], found["collection"]["lesions"]) == (len(table), table.lesion_id.nunique())
    parts = found["parts"]
    assert {name: part["images"] for name, part in parts.items()} == answers.predictor.config.training["images"]
    for count in ("images", "lesions"):
        assert sum(part[count] for part in parts.values()) == found["collection"][count], "no lesion is in two parts"
    for field in ("sex", "site", "diagnosis", "confirmed by"):
        for name, part in (*parts.items(), ("collection", found["collection"])):
            assert sum(images for images, _ in part[field].values()) == part["images"], (field, name)


def test_the_test_part_is_described_as_its_rows_say(found, table, answers):
    rows, part = table.loc[answers.table.image_id], found["parts"]["test"]
    assert part["age"]["mean"] == pytest.approx(rows.age.mean(), abs=1e-6)
    assert part["age"]["std"] == pytest.approx(rows.age.std(ddof=0), abs=1e-6)
    assert part["age"]["unknown"] == rows.age.isna().sum()
    for field, column in (("diagnosis", "dx"), ("confirmed by", "dx_type"), ("site", "localization"), ("sex", "sex")):
        for value, own in rows.groupby(column):
            assert part[field][value] == [len(own), own.lesion_id.nunique()], (field, value)


def test_the_card_shows_them(found, report, answers):
    config, test = answers.predictor.config, found["parts"]["test"]
    words = participants_in_markdown(found)
    card = model_card(config, {**report, "participants": found})
    assert f"## Participants\n\n{words}" in card and "[Participants](#participants)" in card
    assert "Participants" not in model_card(config, report), "not measured"
    assert f"{test['images']} of {test['lesions']} lesions for test" in words
    (row,) = [line for line in words.splitlines() if line.startswith("| diagnosis: mel |")]
    counts = (part["diagnosis"]["mel"] for part in found["parts"].values())
    assert row == f"| diagnosis: mel | {' | '.join(f'{images} ({lesions})' for images, lesions in counts)} |"


def test_another_table_is_not_described(answers, ham10000):
    config = answers.predictor.config
    other = replace(config, training={**config.training, "split_seed": config.training["split_seed"] + 1})
    assert participants(replace(answers, predictor=SimpleNamespace(config=other)), ham10000) is None
