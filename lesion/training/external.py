"""Photographs of other dermoscopic collections, for the first epochs of a fine-tuning.

The best entries of the ISIC challenges trained on several collections at once. Diagnoses and records are mapped to
HAM10000's; a site that HAM10000 divides more finely is unknown. Class weights, prevalence, encoder and calibration stay
those of HAM10000's own parts, and the last epochs read its photographs alone.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from lesion.data.diagnoses import CODES
from lesion.data.external_table import ISIC_DIAGNOSES, ISIC_SITES
from lesion.data.ham10000 import first_five
from lesion.data.metadata import Metadata
from lesion.errors import UserError
from lesion.training.class_folders import ClassFolders
from lesion.training.config import External

COLUMNS = ("image", "diagnosis", "age_approx", "sex", "anatom_site_general")


@dataclass(frozen=True)
class ExternalPhotographs:
    """Photographs with diagnoses and records.

    Attributes:
        labels: int (N,), indices into DIAGNOSES of `lesion.data.diagnoses`.
        records: of each.
        places: of each, the source and its number there.
    """

    labels: np.ndarray
    records: Sequence[Metadata]
    places: Sequence[tuple[ClassFolders, int]]

    def __len__(self) -> int:
        return len(self.labels)

    def read(self, index: int) -> Image.Image:
        """A photograph, RGB; may be called from several threads.

        Raises:
            UserError: it cannot be read.
        """
        source, number = self.places[index]
        return source.read(number)

    @property
    def image_ids(self) -> list[str]:
        """Of each photograph, the name of its file without its ending."""
        return [Path(source.names[number]).stem for source, number in self.places]

    @property
    def identities(self) -> list[str]:
        """Of each photograph, another where its content is another."""
        return [source.identities[number] for source, number in self.places]

    def digest(self) -> str:
        """Hexadecimal hash of the photographs, their labels and their records."""
        rows = zip(self.identities, self.labels.tolist(), self.records, strict=True)
        return hashlib.sha256("\n".join(map(str, rows)).encode()).hexdigest()[:16]

    def describe(self, config: External) -> dict:
        """What a checkpoint records of it."""
        counts = np.bincount(self.labels, minlength=len(CODES)).tolist()
        return {
            "table": Path(config.table).name,
            "images": [Path(source).name for source in config.images],
            "epochs": config.epochs,
            "photographs": dict(zip(CODES, counts, strict=True)),
            "content": self.digest(),
        }


def read_external(config: External) -> ExternalPhotographs:
    """Reads a table in the form of the ISIC archive and finds its photographs.

    Rows with a diagnosis that is none of HAM10000's are left out.

    Raises:
        UserError: the table or a source cannot be read, a value is not accepted, or a photograph is not there.
    """
    try:
        table = pd.read_csv(config.table, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise UserError(f"--external {config.table} cannot be read as CSV ({str(error).splitlines()[0]}).") from None
    missing = [column for column in COLUMNS if column not in table.columns]
    if missing:
        raise UserError(f"--external {config.table} lacks {', '.join(missing)}; it needs {', '.join(COLUMNS)}.")
    table = table[table.diagnosis.isin(ISIC_DIAGNOSES)]
    if table.empty:
        raise UserError(f"--external {config.table} has none of the diagnoses {', '.join(ISIC_DIAGNOSES)}.")
    places: dict[str, tuple[ClassFolders, int]] = {}
    for source in config.images:
        folders = ClassFolders(Path(source))
        for number, name in enumerate(folders.names):
            places.setdefault(Path(name).stem, (folders, number))
    absent = table.image[~table.image.isin(places)]
    if len(absent):
        raise UserError(
            f"{len(absent)} of the {len(table)} photographs of {config.table} are not in --external-images: "
            f"{first_five(absent)}; add the folder or zip file that holds them."
        )
    records = []
    for row in table.itertuples():
        try:
            records.append(Metadata(row.age_approx, row.sex, ISIC_SITES.get(row.anatom_site_general)))
        except UserError as error:
            raise UserError(f"--external {config.table}, {row.image}: {error}") from None
    labels = np.array([CODES.index(ISIC_DIAGNOSES[diagnosis]) for diagnosis in table.diagnosis])
    return ExternalPhotographs(labels, records, [places[image] for image in table.image])
