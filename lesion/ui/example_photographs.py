"""The example photographs that come with the repository."""

import csv
import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from lesion.data.metadata import Metadata

FOLDER = Path(__file__).parent / "examples"


@dataclass(frozen=True)
class Example:
    """A held-out photograph of HAM10000 with its record and its confirmed diagnosis, a code."""

    path: Path
    image_id: str
    metadata: Metadata
    diagnosis: str

    @property
    def key(self) -> bytes:
        """SHA-256 of the file, as in `lesion.inference.photograph_store.Photograph`."""
        return hashlib.sha256(self.path.read_bytes()).digest()


@cache
def load_examples() -> tuple[Example, ...]:
    """The examples in the order of examples.csv."""
    with open(FOLDER / "examples.csv", newline="", encoding="utf-8") as file:
        return tuple(
            Example(
                FOLDER / f"{row['image_id']}.jpg",
                row["image_id"],
                Metadata(row["age"], row["sex"], row["localization"]),
                row["dx"],
            )
            for row in csv.DictReader(file)
        )
