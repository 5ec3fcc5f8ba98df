"""Tables of other dermoscopic collections, in HAM10000's form.

Each collection names its columns, its diagnoses and its body sites in its own way; a `Mapping` says which of ours they
are. A diagnosis that is none of the seven is left out, and how many are is counted. A site that HAM10000 divides more
finely is unknown.

- PH2: Mendonça, Ferreira, Marques, Marcal and Rozeira, "PH2 - A dermoscopic image database for research and
  benchmarking" (EMBC 2013).
- Derm7pt: Kawahara, Daneshvar, Argenziano and Hamarneh, "Seven-point checklist and skin lesion classification using
  multitask multimodal neural nets" (IEEE Journal of Biomedical and Health Informatics, 2019).
- PAD-UFES-20: Pacheco et al., "PAD-UFES-20: a skin lesion dataset composed of patient data and clinical images
  collected from smartphones" (Data in Brief, 2020).

The mapping of PH2 was used on its table. Those of Derm7pt, PAD-UFES-20 and the ISIC archive follow what these
collections publish, and were not run.
"""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from lesion.data.diagnoses import CODES
from lesion.data.ham10000 import first_five
from lesion.data.metadata import Metadata
from lesion.data.reading import SUFFIXES
from lesion.errors import UserError

REQUIRED, OPTIONAL = ("image_id", "dx"), ("age", "sex", "localization", "lesion_id")
ISIC_DIAGNOSES = {"MEL": "mel", "NV": "nv", "BCC": "bcc", "AK": "akiec", "BKL": "bkl", "DF": "df", "VASC": "vasc"}
"""The ISIC archive's codes that are one of HAM10000's diagnoses; squamous cell carcinomas (SCC), for one, are not."""
ISIC_SITES = {
    "lower extremity": "lower extremity", "upper extremity": "upper extremity", "posterior torso": "back",
    "palms/soles": "acral",
}  # fmt: skip
"""The ISIC archive's sites that are one of HAM10000's; "head/neck" may be face, scalp, neck or ear."""


@dataclass(frozen=True)
class Mapping:
    """How a collection's table is read.

    Attributes:
        title: the collection's name.
        columns: the table's column for each of REQUIRED and some of OPTIONAL.
        diagnoses: the table's diagnoses, in lower case, to ours.
        sites: the table's sites, in lower case, to ours, any other being unknown; none where they are ours.
        differs: how its photographs differ from HAM10000's, a sentence; nothing where that is not known.
    """

    title: str
    columns: dict[str, str]
    diagnoses: dict[str, str]
    sites: dict[str, str] = field(default_factory=dict)
    differs: str = ""


MAPPINGS = {
    "ham10000": Mapping(
        "another collection",
        {name: name for name in (*REQUIRED, *OPTIONAL)},
        {code: code for code in CODES},
    ),
    "ph2": Mapping(
        "PH2",
        {"image_id": "image_name", "dx": "diagnosis"},
        {"common nevus": "nv", "atypical nevus": "nv", "melanoma": "mel"},
        differs="PH2 comes from another hospital and another camera, and half of its nevi are atypical: they resemble "
        "melanomas more than most nevi do.",
    ),
    "derm7pt": Mapping(
        "Derm7pt",
        {"image_id": "derm", "dx": "diagnosis", "sex": "sex", "localization": "location", "lesion_id": "case_num"},
        {
            "basal cell carcinoma": "bcc",
            **{f"{kind} nevus": "nv" for kind in ("blue", "clark", "combined", "congenital", "dermal", "recurrent")},
            "reed or spitz nevus": "nv",
            "dermatofibroma": "df",
            "melanoma": "mel",
            **{f"melanoma ({stage})": "mel" for stage in ("in situ", "0.76 to 1.5 mm")},
            **{f"melanoma ({stage} mm)": "mel" for stage in ("less than 0.76", "more than 1.5")},
            "seborrheic keratosis": "bkl",
            "vascular lesion": "vasc",
        },
        {
            "abdomen": "abdomen",
            "acral": "acral",
            "back": "back",
            "chest": "chest",
            "genital areas": "genital",
            "lower limbs": "lower extremity",
            "upper limbs": "upper extremity",
        },
        differs="Derm7pt is an atlas for teaching: its cases were chosen for what they show.",
    ),
    "pad_ufes_20": Mapping(
        "PAD-UFES-20",
        {
            "image_id": "img_id",
            "dx": "diagnostic",
            "age": "age",
            "sex": "gender",
            "localization": "region",
            "lesion_id": "lesion_id",
        },
        {"ack": "akiec", "bcc": "bcc", "mel": "mel", "nev": "nv", "sek": "bkl"},
        {
            "abdomen": "abdomen",
            "arm": "upper extremity",
            "back": "back",
            "chest": "chest",
            "ear": "ear",
            "face": "face",
            "foot": "foot",
            "forearm": "upper extremity",
            "hand": "hand",
            "neck": "neck",
            "nose": "face",
            "scalp": "scalp",
            "thigh": "lower extremity",
        },
        differs="PAD-UFES-20 holds photographs from smartphones, taken without a dermatoscope, which the model was not "
        "made for.",
    ),
    "isic": Mapping(
        "ISIC archive",
        {
            "image_id": "image",
            "dx": "diagnosis",
            "age": "age_approx",
            "sex": "sex",
            "localization": "anatom_site_general",
            "lesion_id": "lesion_id",
        },
        {code.lower(): ours for code, ours in ISIC_DIAGNOSES.items()},
        ISIC_SITES,
    ),
}
"""By the name that `--mapping` takes. The first is HAM10000's own form."""


def read_external_table(table: Path, images: Path, mapping: Mapping) -> tuple[pd.DataFrame, dict[str, int]]:
    """Reads a collection's table and finds its photographs.

    Args:
        table: a CSV file.
        images: folder of the photographs, searched with its sub-folders; case plays no role.
        mapping: of its names.

    Returns:
        One row a photograph: image_id, lesion_id (the photograph's own id where the table has none), label (index in
        DIAGNOSES), age, sex, site, path; and how many rows each diagnosis has that was left out.

    Raises:
        UserError: the table cannot be read, lacks a column, names a photograph twice or one that is not there, has a
            value that is not accepted, or none of the seven diagnoses.
    """
    rows = read_columns(table, mapping)
    twice = rows.image_id[rows.image_id.duplicated()]
    if len(twice):
        raise UserError(
            f"--external {table} lists {len(twice)} photograph(s) twice: {first_five(twice)}; keep one each."
        )
    labels = rows.dx.str.strip().str.lower().map(mapping.diagnoses)
    left_out = dict(Counter(rows.dx[labels.isna()]).most_common())
    rows = rows.assign(label=labels)[labels.notna()].reset_index(drop=True)
    if rows.empty:
        raise UserError(
            f"--external {table} has none of the diagnoses {first_five(mapping.diagnoses)}; its own are "
            f"{first_five(left_out)}. Choose another --mapping ({', '.join(MAPPINGS)}) or translate the column "
            f"{mapping.columns['dx']}."
        )
    if not images.is_dir():
        raise UserError(f"--images {images} is not a folder; give the folder that holds the photographs.")
    on_disk: dict[str, Path] = {}
    for path in sorted(images.rglob("*")):
        if path.suffix.lower() in SUFFIXES:
            for name in (path.relative_to(images).with_suffix("").as_posix(), path.stem):
                on_disk.setdefault(name.casefold(), path)
    paths = rows.image_id.str.casefold().map(on_disk)
    absent = rows.image_id[paths.isna()]
    if len(absent):
        raise UserError(
            f"{len(absent)} of the {len(rows)} photographs of {table} are not under {images}: {first_five(absent)}; "
            "add them, or take their rows out of the table."
        )
    records = []
    for row in rows.itertuples():
        try:
            site = mapping.sites.get(row.localization.strip().lower()) if mapping.sites else row.localization
            records.append(Metadata(row.age, row.sex, site))
        except UserError as error:
            raise UserError(f"--external {table}, {row.image_id}: {error}") from None
    lesions = rows.lesion_id.where(rows.lesion_id != "", rows.image_id)
    read = pd.DataFrame(
        {
            "image_id": rows.image_id,
            "lesion_id": lesions,
            "label": [CODES.index(code) for code in rows.label],
            "age": [np.nan if record.age is None else record.age for record in records],
            "sex": pd.Series([record.sex for record in records], dtype=object),
            "site": pd.Series([record.site for record in records], dtype=object),
            "path": paths,
        }
    )
    return read, left_out


def read_columns(table: Path, mapping: Mapping) -> pd.DataFrame:
    """The columns of a table under our names, as text; "" in those that it does not have.

    Raises:
        UserError: it cannot be read, or lacks a column that is needed.
    """
    try:
        read = pd.read_csv(table, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise UserError(f"--external {table} cannot be read as CSV ({str(error).splitlines()[0]}).") from None
    missing = [mapping.columns[name] for name in REQUIRED if mapping.columns[name] not in read.columns]
    if missing:
        raise UserError(
            f"--external {table} lacks the column(s) {', '.join(missing)}; choose the --mapping of its collection "
            f"({', '.join(MAPPINGS)}), or give it the columns {', '.join(REQUIRED)} and, where known, "
            f"{', '.join(OPTIONAL)}."
        )
    empty = pd.Series("", index=read.index)
    columns = {name: read.get(mapping.columns.get(name, ""), empty) for name in (*REQUIRED, *OPTIONAL)}
    columns["image_id"] = columns["image_id"].map(without_ending)
    return pd.DataFrame(columns)


def without_ending(image_id: str) -> str:
    """An id without the ending of an image file, where it has one."""
    path = Path(image_id)
    return path.with_suffix("").as_posix() if path.suffix.lower() in SUFFIXES else image_id
