"""HAM10000 on disk: one validated table, its splits, and the images.

The layout is Kaggle's (HAM10000_metadata.csv and images in sub-folders of any name, or beside it), at any image size.
Source of the data: Tschandl, Rosendahl and Kittler, Sci. Data 5, 180161 (2018), CC BY-NC 4.0.
"""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from sklearn.model_selection import StratifiedGroupKFold, StratifiedShuffleSplit
from torch.utils.data import Dataset
from tqdm.auto import tqdm

from lesion.data.diagnoses import CODES
from lesion.data.metadata import OLDEST, Metadata
from lesion.data.reading import SUFFIXES, read_image
from lesion.errors import UserError

COLUMNS = ("lesion_id", "image_id", "dx", "dx_type", "age", "sex", "localization")
CSV_NAMES = ("HAM10000_metadata.csv", "HAM10000_metadata")
DEFAULT_SPLIT_SEED = 2
"""The smallest seed whose held-out part has, for every diagnosis, a photograph that was at hand at full size. The
app's examples are such photographs."""
ATTRIBUTION = (
    "HAM10000: P. Tschandl, C. Rosendahl, H. Kittler, Sci. Data 5, 180161 (2018), doi:10.1038/sdata.2018.161, "
    "CC BY-NC 4.0"
)


def read_table(folder: Path, allow_missing: bool = False, verify: bool = True) -> pd.DataFrame:
    """Reads and checks the metadata table and finds the images.

    Args:
        folder: the data set's folder.
        allow_missing: drop rows whose image is not on disk, saying how many, instead of refusing.
        verify: decode every image once, so that a damaged one is found before a training starts.

    Returns:
        One row an image, in the order of the CSV: image_id, lesion_id, label (index in DIAGNOSES), dx_type, age
        (float, NaN where unknown), sex, site (None where unknown), path.

    Raises:
        UserError: anything is missing or inconsistent; the message says what and where.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"--data {folder} is not a folder; give the folder that holds {CSV_NAMES[0]} and the images.")
    csv = next((p for name in CSV_NAMES for p in sorted(folder.rglob(name)) if p.is_file()), None)
    if csv is None:
        raise UserError(f"{folder} holds no {CSV_NAMES[0]}; give the folder of the unpacked Kaggle download.")
    try:
        table = pd.read_csv(csv, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise UserError(f"{csv} cannot be read as CSV ({str(error).splitlines()[0]}); download it again.") from None
    missing_columns = [c for c in COLUMNS if c not in table.columns]
    if missing_columns:
        raise UserError(f"{csv} lacks the column(s) {', '.join(missing_columns)}; it needs {', '.join(COLUMNS)}.")
    if table.empty:
        raise UserError(f"{csv} has no rows; download it again.")
    twice = table.image_id[table.image_id.duplicated()]
    if len(twice):
        raise UserError(f"{csv} lists {len(twice)} image_id(s) twice: {first_five(twice)}; keep one row of each.")
    unknown = sorted(set(table.dx) - set(CODES))
    if unknown:
        raise UserError(f"{csv} has the unknown dx {first_five(unknown)}; accepted are {', '.join(CODES)}.")
    ages = pd.to_numeric(table.age.replace("", "nan"), errors="coerce")
    not_numbers = ages.isna() & ~table.age.str.lower().isin(["", "nan", "unknown"])
    wrong = table.age[not_numbers | (ages < 0) | (ages > OLDEST)]
    if len(wrong):
        where = ", ".join(f"{table.image_id[i]}: {wrong[i]!r}" for i in wrong.index[:5])
        raise UserError(f"{csv} has {len(wrong)} age(s) that are not numbers from 0 to {OLDEST} ({where}).")
    records = []
    for row in table.itertuples():
        try:
            records.append(Metadata(row.age, row.sex, row.localization))
        except UserError as error:
            raise UserError(f"{csv}, {row.image_id}: {error}") from None
    on_disk: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in SUFFIXES:
            on_disk.setdefault(path.stem, path)
    out = pd.DataFrame(
        {
            "image_id": table.image_id,
            "lesion_id": table.lesion_id,
            "label": [CODES.index(dx) for dx in table.dx],
            "dx_type": table.dx_type,
            "age": ages.astype(float),
            "sex": pd.Series([r.sex for r in records], dtype=object),
            "site": pd.Series([r.site for r in records], dtype=object),
            "path": pd.Series([on_disk.get(i) for i in table.image_id], dtype=object),
        }
    )
    absent = out.image_id[out.path.isna()]
    if len(absent) and not allow_missing:
        raise UserError(
            f"{len(absent)} of {len(out)} images listed in {csv} are not under {folder}: {first_five(absent)}; "
            "complete the download, or give --allow-missing to go on without them."
        )
    if len(absent):
        print(f"Dropped {len(absent)} of {len(out)} images that are not under {folder}: {first_five(absent)}.")
        out = out[out.path.notna()].reset_index(drop=True)
        if out.empty:
            raise UserError(f"No image listed in {csv} is under {folder}; check that the images are unpacked there.")
    if verify:
        verify_images(out.path)
    return out


def first_five(values: Iterable) -> str:
    """Up to five of the values, separated by commas."""
    values = [str(v) for v in values]
    return ", ".join(values[:5]) + (", …" if len(values) > 5 else "")


def verify_images(paths: pd.Series) -> None:
    """Decodes every image once, at an eighth of its size where the format allows it.

    Raises:
        UserError: at least one cannot be read; the first five are named.
    """

    def problem(path: Path) -> str | None:
        try:
            with Image.open(path) as image:
                image.draft("RGB", (image.width // 8, image.height // 8))
                image.load()
        except Exception:  # damaged files raise many kinds of exceptions in Pillow
            return str(path)
        return None

    with ThreadPoolExecutor() as pool:
        bad = [p for p in tqdm(pool.map(problem, paths), total=len(paths), desc="Checking images", unit="image") if p]
    if bad:
        raise UserError(f"{len(bad)} image(s) cannot be read or are truncated: {first_five(bad)}; download them again.")


@dataclass(frozen=True)
class Split:
    """Which rows of a table serve for what.

    Attributes:
        kind: "lesion" or "image".
        seed: the seed it was drawn with.
        training, validation, test: sorted row numbers, int (N,).
    """

    kind: str
    seed: int
    training: np.ndarray
    validation: np.ndarray
    test: np.ndarray


def split_table(table: pd.DataFrame, kind: str = "lesion", seed: int = DEFAULT_SPLIT_SEED) -> Split:
    """Splits a table into training, validation and test rows.

    Args:
        table: of `read_table`.
        kind: "lesion": 20 % test, 10 % validation, 70 % training, stratified by diagnosis, all images of a lesion on
            one side. "image": the reference work's protocol, 80 % training and 20 % that serve for both early
            stopping and the score, stratified by diagnosis. Photographs of one lesion are on both sides.
        seed: seeds the draw.

    Raises:
        UserError: a diagnosis has too few lesions for every part.
    """
    rows, labels = np.arange(len(table)), table.label.to_numpy()
    if kind == "image":
        splitter = StratifiedShuffleSplit(n_splits=1, test_size=0.2, random_state=seed)
        training, test = next(splitter.split(rows, labels))
        return Split(kind, seed, np.sort(training), np.sort(test), np.sort(test))
    lesions = table.groupby("label").lesion_id.nunique()
    if lesions.min() < 10:
        raise UserError(
            f"{CODES[lesions.idxmin()]} has {lesions.min()} lesion(s); a split by lesion needs at least 10 of each "
            "diagnosis."
        )
    groups = table.lesion_id.to_numpy()
    rest, test = next(StratifiedGroupKFold(5, shuffle=True, random_state=seed).split(rows, labels, groups))
    inner = StratifiedGroupKFold(8, shuffle=True, random_state=seed)
    training, validation = next(inner.split(rest, labels[rest], groups[rest]))
    return Split(kind, seed, rest[training], rest[validation], test)


def records_of(table: pd.DataFrame) -> list[Metadata]:
    """The metadata of every row."""
    return [Metadata(row.age, row.sex, row.site) for row in table.itertuples()]


class Ham10000(Dataset):
    """Images of a table with whatever arrays belong to them.

    Args:
        table: rows of `read_table`.
        *arrays: arrays of the table's length; `dataset[i]` is (image, arrays[0][i], …).
        transform: applied to the RGB PIL image, where given.
    """

    def __init__(self, table: pd.DataFrame, *arrays: np.ndarray, transform: Callable | None = None):
        self.paths, self.arrays, self.transform = list(table.path), arrays, transform

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple:
        image = read_image(self.paths[index])
        return (self.transform(image) if self.transform else image), *(a[index] for a in self.arrays)
