"""Tables of other collections."""

import pandas as pd
import pytest
from PIL import Image

from lesion.data.diagnoses import CODES
from lesion.data.external_table import MAPPINGS, read_external_table
from lesion.data.metadata import SITES
from lesion.errors import UserError


def write(folder, header, rows, photographs):
    """A table and its photographs, which are found by name."""
    folder.mkdir(exist_ok=True)
    table = folder / "table.csv"
    table.write_text("\n".join([header, *rows]))
    for name in photographs:
        path = folder / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20, 20)).save(path)
    return table, folder / "images"


def read(mapping, *written):
    table, left_out = read_external_table(*written, MAPPINGS[mapping])
    table = table.assign(dx=[CODES[k] for k in table.label], file=[path.name for path in table.path])
    columns = table[["image_id", "lesion_id", "dx", "age", "sex", "site", "file"]]
    return columns.astype(object).where(columns.notna(), None).to_numpy().tolist(), left_out


def test_our_own_form(tmp_path):
    written = write(
        tmp_path, "image_id,dx,age,localization", ["a,mel,45,back", "b,NV,,", "c.png,scc,80,face"], ["x/A.JPG", "b.png"]
    )
    rows, left_out = read("ham10000", *written)
    assert rows == [
        ["a", "a", "mel", 45.0, None, "back", "A.JPG"],
        ["b", "b", "nv", None, None, None, "b.png"],
    ]
    assert left_out == {"scc": 1}


def test_ph2(tmp_path):
    rows = ["IMD003,Common Nevus", "IMD035,Atypical Nevus", "IMD058,Melanoma"]
    written = write(tmp_path, "image_name,diagnosis", rows, ["IMD003.jpg", "IMD035.jpg", "IMD058.jpg"])
    read_rows, left_out = read("ph2", *written)
    assert [row[2] for row in read_rows] == ["nv", "nv", "mel"] and not left_out
    assert all(row[3:6] == [None, None, None] for row in read_rows)


def test_derm7pt(tmp_path):
    """Two photographs of one name in folders of their own, and others in other case."""
    header = "case_num,diagnosis,location,sex,clinic,derm"
    rows = [
        "1,melanoma (in situ),lower limbs,male,NEL/x.jpg,NEL/Nel026.jpg",
        "2,clark nevus,head neck,female,FAL/y.jpg,FAL/Nel026.jpg",
        "3,miscellaneous,back,male,z.jpg,NEL/Nel030.jpg",
    ]
    written = write(tmp_path, header, rows, ["nel/NEL026.JPG", "FAL/Nel026.jpg"])
    read_rows, left_out = read("derm7pt", *written)
    assert read_rows == [
        ["NEL/Nel026", "1", "mel", None, "male", "lower extremity", "NEL026.JPG"],
        ["FAL/Nel026", "2", "nv", None, "female", None, "Nel026.jpg"],
    ]
    assert left_out == {"miscellaneous": 1}


def test_pad_ufes_20_and_isic(tmp_path):
    header = "patient_id,lesion_id,age,gender,region,diagnostic,img_id"
    rows = ["P1,8,61,FEMALE,FOREARM,ACK,PAT_1_8_1.png", "P2,9,55,,NOSE,SCC,PAT_2_9_2.png"]
    written = write(tmp_path / "pad", header, rows, ["PAT_1_8_1.png"])
    assert read("pad_ufes_20", *written) == (
        [["PAT_1_8_1", "8", "akiec", 61.0, "female", "upper extremity", "PAT_1_8_1.png"]],
        {"SCC": 1},
    )
    header = "image,lesion_id,diagnosis,age_approx,sex,anatom_site_general"
    written = write(tmp_path / "isic", header, ["I1,,BKL,30.0,male,palms/soles"], ["I1.jpg"])
    assert read("isic", *written)[0] == [["I1", "I1", "bkl", 30.0, "male", "acral", "I1.jpg"]]


def test_mappings_name_only_what_is_ours():
    for mapping in MAPPINGS.values():
        assert set(mapping.diagnoses.values()) <= set(CODES) and set(mapping.sites.values()) <= set(SITES)
        assert all(name == name.lower() for name in (*mapping.diagnoses, *mapping.sites))


@pytest.mark.parametrize(
    "header, rows, photographs, words",
    [
        ("image,dx", ["a,mel"], ["a.jpg"], "lacks the column.* image_id.*--mapping"),
        ("image_id,dx", ["a,mel", "a,nv"], ["a.jpg"], "twice: a"),
        ("image_id,dx", ["a,melanoma"], ["a.jpg"], "its own are melanoma"),
        ("image_id,dx", ["a,mel", "b,mel"], ["a.jpg"], "1 of the 2 photographs .* b"),
        ("image_id,dx,age", ["a,mel,old"], ["a.jpg"], "a: Age 'old' is not a number"),
        ("image_id,dx,localization", ["a,mel,elbow"], ["a.jpg"], "a: Site 'elbow' is not known"),
    ],
)
def test_what_cannot_be_used_is_said(tmp_path, header, rows, photographs, words):
    written = write(tmp_path, header, rows, photographs)
    with pytest.raises(UserError, match=words):
        read_external_table(*written, MAPPINGS["ham10000"])


def test_missing_files_are_said(tmp_path):
    with pytest.raises(UserError, match="cannot be read as CSV"):
        read_external_table(tmp_path / "none.csv", tmp_path, MAPPINGS["ph2"])
    pd.DataFrame({"image_id": ["a"], "dx": ["mel"]}).to_csv(tmp_path / "table.csv")
    with pytest.raises(UserError, match="is not a folder"):
        read_external_table(tmp_path / "table.csv", tmp_path / "none", MAPPINGS["ham10000"])
