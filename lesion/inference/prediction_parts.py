"""A table of predictions that is written as it comes, in parts, and put together at the end.

Each part is a file, written at once or not at all, in a folder beside the output: OUTPUT.parts. So a prediction that
was killed goes on with the first part that is missing, and nobody holds more than a part in memory. `plan.json` in that
folder says what all parts depend on. A part is the same whoever writes it, and whenever.
"""

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow
from pyarrow import parquet

from lesion.data.diagnoses import CODES
from lesion.errors import UserError
from lesion.files import prepare_folder, write_atomically

PLAN = "plan.json"
COLUMNS = ["image", *(code.upper() for code in CODES)]
"""Of the table: the form of ISIC 2018 Task 3."""
PROBLEM = "problem"
"""A further column of a part: why a file has no row in the table, in which case the diagnoses are empty."""
SCHEMA = pyarrow.schema(
    [(COLUMNS[0], pyarrow.string()), *((name, pyarrow.float64()) for name in COLUMNS[1:]), (PROBLEM, pyarrow.string())]
)
PARTS_IN_A_GROUP = 256
"""Parts that are read at once when the table is put together: a row group of a Parquet file should have many rows."""


class PredictionParts:
    """The parts of one table.

    Args:
        output: the table's file, which is in Parquet's format if its name ends in .parquet, else CSV.
        about: what the parts depend on, by its name in words, for all but the precision.
        resume: go on with an earlier prediction if there is one.
    """

    def __init__(self, output: Path, about: dict[str, str], resume: bool):
        self.output, self.about, self.resume = output, about, resume
        self.folder = output.with_name(output.name + ".parts")

    def begin(self, choose_precision: Callable[[], str]) -> None:
        """Makes the folder and its plan, by the main process, before the others read it.

        The precision belongs to the plan: where it is found by a measurement, that may come out otherwise in another
        process, or on the day of `--resume`.

        Raises:
            UserError: the folder cannot be written, or it holds an earlier prediction that is not to be resumed.
        """
        if self.resume and (self.folder / PLAN).exists():
            self.precision()
            return
        if any(self.folder.glob("part-*.parquet")):
            raise UserError(
                f"{self.folder} holds a part of a prediction that was interrupted. Add --resume to go on with it, or "
                "remove that folder to start anew."
            )
        shutil.rmtree(self.folder, ignore_errors=True)
        prepare_folder(self.folder)
        plan = json.dumps(self.about | {"precision": choose_precision()}, indent=2) + "\n"
        write_atomically(self.folder / PLAN, lambda path: path.write_text(plan, encoding="utf-8"))

    def precision(self) -> str:
        """That of the plan.

        Raises:
            UserError: the plan cannot be read, or is of a prediction with other settings.
        """
        path = self.folder / PLAN
        try:
            plan = json.loads(path.read_text(encoding="utf-8"))
            changed = [name for name, value in self.about.items() if plan[name] != value]
            precision = str(plan["precision"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(f"{path} cannot be read ({error}); remove {self.folder} to start anew.") from None
        if changed:
            given = "; ".join(f"{name} {self.about[name]} (was {plan[name]})" for name in changed)
            raise UserError(
                f"{self.folder} belongs to a prediction with something else: {given}. Give the same to resume it, or "
                "remove that folder to start anew."
            )
        return precision

    def path(self, number: int) -> Path:
        """Of a part."""
        return self.folder / f"part-{number:06}.parquet"

    def write(
        self, number: int, names: Sequence[str], probabilities: np.ndarray, problems: Sequence[str | None]
    ) -> None:
        """Writes a part.

        Args:
            number: of the part, from 0.
            names: N images.
            probabilities: float64 (N, 7); the rows of images with a problem do not count.
            problems: N messages, or None.

        Raises:
            UserError: it cannot be written.
        """
        empty = np.array([problem is not None for problem in problems])
        texts = [pyarrow.array(map(as_unicode, column), pyarrow.string()) for column in (names, problems)]
        columns = [texts[0], *(pyarrow.array(column, mask=empty) for column in probabilities.T), texts[1]]
        table = pyarrow.table(columns, SCHEMA)
        write_atomically(self.path(number), lambda path: parquet.write_table(table, path, write_page_checksum=True))

    def read(self, numbers: range) -> pyarrow.Table:
        """Parts, one after the other.

        Raises:
            UserError: one is damaged.
        """
        tables = []
        for path in map(self.path, numbers):
            try:
                tables.append(parquet.ParquetFile(path, page_checksum_verification=True).read())
            except (OSError, ValueError, pyarrow.ArrowException) as error:
                raise UserError(
                    f"{path} cannot be read ({error}); remove it and run the command again with --resume."
                ) from None
        return pyarrow.concat_tables(tables)

    def groups(self, count: int) -> Iterator[pyarrow.Table]:
        """All of `count` parts, some at a time."""
        for first in range(0, count, PARTS_IN_A_GROUP):
            yield self.read(range(first, min(first + PARTS_IN_A_GROUP, count)))

    def finish(self, count: int, name_problem: Callable[[str], object]) -> tuple[int, int]:
        """Writes the table, by the main process, when all parts are there; then the parts are removed.

        Args:
            count: number of parts.
            name_problem: called with each message.

        Returns:
            How many images were predicted, and how many were left out.

        Raises:
            UserError: a part is damaged, or the table cannot be written.
        """
        write = self.write_parquet if self.output.suffix.lower() == ".parquet" else self.write_csv
        write_atomically(self.output, lambda path: write(path, count))
        predicted = left_out = 0
        for group in self.groups(count):
            problems = group[PROBLEM].drop_null().to_pylist()
            predicted, left_out = predicted + len(group) - len(problems), left_out + len(problems)
            for problem in problems:
                name_problem(problem)
        shutil.rmtree(self.folder, ignore_errors=True)
        return predicted, left_out

    def write_csv(self, path: Path, count: int) -> None:
        """The table as CSV, of `count` parts."""
        pd.DataFrame(columns=COLUMNS).to_csv(path, index=False)
        for group in self.groups(count):
            rows_of(group).to_pandas().to_csv(path, index=False, header=False, mode="a")

    def write_parquet(self, path: Path, count: int) -> None:
        """The table as Parquet, of `count` parts."""
        with parquet.ParquetWriter(path, pyarrow.schema(list(SCHEMA)[:-1])) as writer:
            for group in self.groups(count):
                writer.write_table(rows_of(group))


def as_unicode(text: str | None) -> str | None:
    """A text in which bytes of a file's name that are no Unicode are written as numbers."""
    return text and text.encode("utf-8", "backslashreplace").decode("utf-8")


def rows_of(parts: pyarrow.Table) -> pyarrow.Table:
    """The rows of the finished table that are in some parts."""
    return parts.filter(parts[PROBLEM].is_null()).drop_columns([PROBLEM])
