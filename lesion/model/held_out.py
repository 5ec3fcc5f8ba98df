"""The validation and test images of a checkpoint: held_out.safetensors."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as save_arrays

from lesion.data.diagnoses import CODES
from lesion.data.metadata import OLDEST, SEXES, SITES
from lesion.errors import UserError
from lesion.model.hub import GET_ONE


@dataclass(frozen=True)
class HeldOut:
    """The validation and test images, as far as the classroom and the evaluation need them.

    Attributes:
        table: one row an image: image_id, lesion_id, label, dx_type, age, sex, site, test (bool).
        embeddings: float32, of `FusionModel.pool`, N rows, by a backbone that never trained on them.
    """

    table: pd.DataFrame
    embeddings: np.ndarray


def serialise(arrays: dict[str, np.ndarray], texts: dict[str, str]) -> bytes:
    """A safetensors file with its texts in alphabetical order; the library's own order differs between processes."""
    content = save_arrays(arrays, texts)
    start = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:start])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the format aligns what follows
    return len(text).to_bytes(8, "little") + text + content[start:]


def read_held_out(path: Path) -> HeldOut:
    """Reads held_out.safetensors.

    Raises:
        UserError: missing or damaged.
    """
    try:
        with safe_open(path, "np") as file:
            arrays = {name: file.get_tensor(name) for name in sorted(file.keys())}
            texts = {name: json.loads(value) for name, value in file.metadata().items()}
        rows = len(arrays["embeddings"])
        if not all(len(x) == rows for x in (*arrays.values(), *texts.values())):
            raise ValueError("its columns differ in length")
        if not all(isinstance(column, list) and all(isinstance(x, str) for x in column) for column in texts.values()):
            raise ValueError("its ids are not lists of texts")
        table = pd.DataFrame(
            {
                "image_id": texts["image_id"],
                "lesion_id": texts["lesion_id"],
                "label": arrays["label"].astype(int),
                "dx_type": texts["dx_type"],
                "age": arrays["age"].astype(float),
                "sex": pd.Series([SEXES[i] if i >= 0 else None for i in arrays["sex"]], dtype=object),
                "site": pd.Series([SITES[i] if i >= 0 else None for i in arrays["site"]], dtype=object),
                "test": arrays["test"].astype(bool),
            }
        )
        embeddings = arrays["embeddings"].astype(np.float32)
        if rows == 0 or table.image_id.duplicated().any():
            raise ValueError("it has no images, or one image twice")
        if not table.label.between(0, len(CODES) - 1).all() or not table.age.dropna().between(0, OLDEST).all():
            raise ValueError("it has labels or ages that are out of range")
        if not np.isfinite(embeddings).all():
            raise ValueError("it has embeddings that are not finite")
        return HeldOut(table, embeddings)
    except (
        OSError, SafetensorError, KeyError, TypeError, ValueError, IndexError, AttributeError, RecursionError,
    ) as error:  # fmt: skip
        raise UserError(f"{path} cannot be read ({error}). {GET_ONE}") from None
