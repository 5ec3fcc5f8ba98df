"""A folder of photographs to a table of predictions."""

from pathlib import Path

import pandas as pd
from tqdm.auto import tqdm

from lesion.data.diagnoses import CODES
from lesion.data.metadata import Metadata
from lesion.data.reading import read_image
from lesion.errors import UserError
from lesion.inference.predictor import Predictor

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif"}


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


def predict_folder(
    predictor: Predictor, folder: Path, records: dict[str, Metadata], prior: str
) -> tuple[pd.DataFrame, list[str]]:
    """Predicts every image below a folder.

    Args:
        predictor: of `load_predictor`.
        folder: searched with its sub-folders.
        records: metadata by image_id, the file's name without its ending.
        prior: see `Predictor.predict`.

    Returns:
        The table, one row an image, and the messages about files that could not be read.

    Raises:
        UserError: no images, or two of one name.
    """
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES) if folder.is_dir() else []
    if not paths:
        raise UserError(f"--images {folder} holds no images ({', '.join(sorted(SUFFIXES))}).")
    stems = pd.Series([p.stem for p in paths])
    if stems.duplicated().any():
        name = stems[stems.duplicated()].iloc[0]
        raise UserError(f"--images {folder} holds several images named {name}; the output needs one row of a name.")
    rows, problems = [], []
    for path in tqdm(paths, desc="Predicting", unit="image"):
        try:
            image = read_image(path)
        except UserError as error:
            problems.append(str(error))
            continue
        prediction = predictor.predict(image, records.get(path.stem), prior)
        rows.append([path.stem, *prediction.probabilities.values()])
    return pd.DataFrame(rows, columns=["image", *(code.upper() for code in CODES)]), problems
