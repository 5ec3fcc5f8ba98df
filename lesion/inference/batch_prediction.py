"""A folder of photographs to a table of predictions."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from tqdm.auto import tqdm

from lesion.data.diagnoses import CODES
from lesion.data.metadata import Metadata
from lesion.data.reading import SUFFIXES, read_image
from lesion.errors import UserError, shown
from lesion.inference.predictor import Predictor


def read_metadata(path: Path) -> dict[str, Metadata]:
    """Records by image_id from a table with HAM10000's columns.

    Raises:
        UserError: the table cannot be read, lacks a column, lists an image twice or holds a value not accepted.
    """
    columns = ("image_id", "age", "sex", "localization")
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise UserError(f"--metadata {path} cannot be read as CSV ({error}).") from None
    missing = [c for c in columns if c not in table.columns]
    if missing:
        raise UserError(f"--metadata {path} lacks the column(s) {', '.join(missing)}; it needs {', '.join(columns)}.")
    records = {}
    for row in table.itertuples():
        if row.image_id in records:
            raise UserError(f"--metadata {path} lists {row.image_id} twice; keep one row of it.")
        try:
            records[row.image_id] = Metadata(row.age, row.sex, row.localization)
        except UserError as error:
            raise UserError(f"--metadata {path}, {row.image_id}: {error}") from None
    return records


def find_images(folder: Path) -> tuple[list[Path], list[Path]]:
    """The images below a folder, and the other files.

    Args:
        folder: searched with its sub-folders.

    Returns:
        Paths of the files whose ending is one of SUFFIXES, and of the rest, both sorted.

    Raises:
        UserError: there are no images, or two of one name.
    """
    files = sorted(p for p in folder.rglob("*") if p.is_file()) if folder.is_dir() else []
    images = [p for p in files if p.suffix.lower() in SUFFIXES]
    if not images:
        raise UserError(f"--images {folder} holds no images; give a folder of files that end in {', '.join(SUFFIXES)}.")
    stems = pd.Series([p.stem for p in images])
    if stems.duplicated().any():
        name = stems[stems.duplicated()].iloc[0]
        raise UserError(f"--images {folder} holds several images named {name}; the output needs one row of a name.")
    return images, [p for p in files if p.suffix.lower() not in SUFFIXES]


def count_matches(images: Sequence[Path], records: dict[str, Metadata]) -> int:
    """How many images have a record.

    Args:
        images: of `find_images`.
        records: of `read_metadata`.

    Raises:
        UserError: none.
    """
    matched = sum(path.stem in records for path in images)
    if not matched:
        example = f" The table has {shown(next(iter(records)))}, for one." if records else " The table has no rows."
        raise UserError(
            f"No image_id of --metadata is the name of an image.{example} An image_id is the file's name without its "
            f"ending, such as {images[0].stem!r}. Correct the table, or leave --metadata out to predict without it."
        )
    return matched


def predict_images(
    predictor: Predictor, images: Sequence[Path], records: dict[str, Metadata], prior: str
) -> tuple[pd.DataFrame, list[str]]:
    """Predicts images.

    Args:
        predictor: of `load_predictor`.
        images: of `find_images`.
        records: metadata by image_id, the file's name without its ending; other images are predicted with everything
            unknown.
        prior: see `Predictor.predict`.

    Returns:
        The table, one row an image, and the messages about files that could not be read.
    """
    rows, problems = [], []
    for path in tqdm(images, desc="Predicting", unit="image"):
        try:
            image = read_image(path)
        except UserError as error:
            problems.append(str(error))
            continue
        prediction = predictor.predict(image, records.get(path.stem), prior)
        rows.append([path.stem, *prediction.probabilities.values()])
    return pd.DataFrame(rows, columns=["image", *(code.upper() for code in CODES)]), problems
