"""What a report is made of and written into."""

import pytest

from lesion.errors import UserError
from lesion.report.reading import read_systems
from lesion.report.writing import write_between_markers


def test_systems_file_that_is_none(tmp_path):
    with pytest.raises(UserError, match=r"make it with `python -m lesion\.compare`"):
        read_systems(tmp_path / "systems.json")


def test_markers_are_needed(tmp_path):
    (tmp_path / "x.md").write_text("nothing")
    with pytest.raises(UserError, match="lacks the lines"):
        write_between_markers(tmp_path / "x.md", "table")
