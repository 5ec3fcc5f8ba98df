"""Reading the data set, and its splits."""

import shutil

import numpy as np
import pandas as pd
import pytest

from conftest import make_ham10000
from lesion.data.diagnoses import CODES
from lesion.data.ham10000 import Ham10000, read_table, split_table
from lesion.errors import UserError

CSV = "HAM10000_metadata.csv"


@pytest.fixture
def folder(ham10000, tmp_path):
    """A copy that a test may damage."""
    return shutil.copytree(ham10000, tmp_path / "copy")


def change(folder, edit):
    """Applies `edit` to the metadata table on disk."""
    table = pd.read_csv(folder / CSV, dtype=str, keep_default_na=False)
    edit(table).to_csv(folder / CSV, index=False)


def test_reads_every_row(ham10000):
    table = read_table(ham10000)
    raw = pd.read_csv(ham10000 / CSV)
    assert list(table.image_id) == list(raw.image_id)
    assert [CODES[label] for label in table.label] == list(raw.dx)
    assert np.array_equal(table.age.isna(), raw.age.isna())
    assert (table.site.isna() == (raw.localization == "unknown")).all()


def test_reads_a_flat_folder(ham10000, tmp_path):
    shutil.copy(ham10000 / CSV, tmp_path)
    for path in ham10000.rglob("*.jpg"):
        shutil.copy(path, tmp_path)
    assert len(read_table(tmp_path)) == len(read_table(ham10000))


def test_image_sizes_do_not_matter(tmp_path):
    small = read_table(make_ham10000(tmp_path / "small", size=(40, 30)))
    large = read_table(make_ham10000(tmp_path / "large", size=(120, 90)))
    assert list(small.image_id) == list(large.image_id)


def damage_csv_missing(folder):
    (folder / CSV).unlink()


def damage_csv_binary(folder):
    (folder / CSV).write_bytes(bytes(range(128, 256)) * 20)


def damage_column(folder):
    change(folder, lambda t: t.drop(columns="sex"))


def damage_duplicate(folder):
    change(folder, lambda t: pd.concat([t, t.iloc[[3]]]))


def damage_dx(folder):
    change(folder, lambda t: t.assign(dx=t.dx.where(t.index != 5, "scc")))


def damage_age_text(folder):
    change(folder, lambda t: t.assign(age=t.age.where(t.index != 5, "old")))


def damage_age_range(folder):
    change(folder, lambda t: t.assign(age=t.age.where(t.index != 5, "130")))


def damage_site(folder):
    change(folder, lambda t: t.assign(localization=t.localization.where(t.index != 5, "elbow")))


def damage_missing_images(folder):
    for name in ("ISIC_0000000", "ISIC_0000007"):
        next(folder.rglob(f"{name}.jpg")).unlink()


def damage_truncated(folder):
    path = next(folder.rglob("ISIC_0000004.jpg"))
    path.write_bytes(path.read_bytes()[:-400])


def damage_text_file(folder):
    next(folder.rglob("ISIC_0000004.jpg")).write_text("not an image")


@pytest.mark.parametrize(
    "damage, words",
    [
        (damage_csv_missing, [CSV, "Kaggle"]),
        (damage_csv_binary, ["cannot be read as CSV"]),
        (damage_column, ["lacks", "sex"]),
        (damage_duplicate, ["twice", "ISIC_0000003"]),
        (damage_dx, ["scc", "akiec"]),
        (damage_age_text, ["ISIC_0000005", "'old'"]),
        (damage_age_range, ["ISIC_0000005", "'130'"]),
        (damage_site, ["ISIC_0000005", "elbow", "lower extremity"]),
        (damage_missing_images, ["2 of", "ISIC_0000000", "ISIC_0000007", "--allow-missing"]),
        (damage_truncated, ["truncated", "ISIC_0000004"]),
        (damage_text_file, ["cannot be read", "ISIC_0000004"]),
    ],
)
def test_refuses_with_one_sentence(folder, damage, words):
    damage(folder)
    with pytest.raises(UserError) as error:
        read_table(folder)
    message = str(error.value)
    assert all(word in message for word in words), message
    assert "\n" not in message


def test_refuses_a_folder_that_is_none(tmp_path):
    with pytest.raises(UserError, match="is not a folder"):
        read_table(tmp_path / "nowhere")


def test_allow_missing_says_how_many(folder, capsys):
    damage_missing_images(folder)
    before = len(pd.read_csv(folder / CSV))
    assert len(read_table(folder, allow_missing=True)) == before - 2
    assert "Dropped 2 of" in capsys.readouterr().out


def test_lesion_split_keeps_lesions_together_and_classes_everywhere(ham10000):
    table = read_table(ham10000, verify=False)
    split = split_table(table, "lesion", seed=3)
    parts = [split.training, split.validation, split.test]
    assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(len(table)))
    lesions = [set(table.lesion_id.iloc[part]) for part in parts]
    assert not lesions[0] & lesions[1] and not lesions[0] & lesions[2] and not lesions[1] & lesions[2]
    assert all(set(table.label.iloc[part]) == set(range(7)) for part in (split.training, split.test))
    assert abs(len(split.test) / len(table) - 0.2) < 0.05
    assert abs(len(split.validation) / len(table) - 0.1) < 0.05


def test_image_split_scores_on_what_it_stops_on(ham10000):
    table = read_table(ham10000, verify=False)
    split = split_table(table, "image", seed=3)
    assert np.array_equal(split.validation, split.test)
    assert not set(split.training) & set(split.test)
    assert len(split.training) + len(split.test) == len(table)
    shared = set(table.lesion_id.iloc[split.training]) & set(table.lesion_id.iloc[split.test])
    assert shared, "the reference protocol leaks lesions, and this reproduces it"


def test_splits_are_reproducible_and_depend_on_the_seed(ham10000):
    table = read_table(ham10000, verify=False)
    for kind in ("lesion", "image"):
        first, again, other = (split_table(table, kind, seed).test for seed in (1, 1, 2))
        assert np.array_equal(first, again)
        assert not np.array_equal(first, other)


def test_too_few_lesions_is_said(ham10000):
    table = read_table(ham10000, verify=False)
    few = table[(table.label != CODES.index("df")) | (table.lesion_id == "HAM_df0000")].reset_index(drop=True)
    with pytest.raises(UserError, match="df has 1 lesion"):
        split_table(few)


def test_dataset_gives_images_and_arrays(ham10000):
    table = read_table(ham10000, verify=False)
    image, label = Ham10000(table, table.label.to_numpy())[2]
    assert image.mode == "RGB" and image.size == (100, 75) and label == table.label[2]
