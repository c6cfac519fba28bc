"""A run's files as they are read: regular files alone, compared with the digests that were noted.

Each raises PigeonholeError, naming the file, where it is missing, damaged or another one than was noted, if
it does not say otherwise.
"""

import csv
import errno
import io
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from pigeonhole.data import tables
from pigeonhole.errors import PigeonholeError
from pigeonhole.runs import objects, seals

if TYPE_CHECKING:
    import numpy as np


def own(file: Path, most: int | None = None) -> bytes:
    """The content of a run's file, of up to `most` bytes, once it has been compared with its digest.

    A link of that name is refused: it could lead to any file of this computer.
    """
    try:
        content = regular(file, getattr(os, "O_NOFOLLOW", 0), most)
    except OSError as error:
        raise PigeonholeError(f"{file}: cannot be read ({error.strerror})") from error
    seals.check(file, content)
    return content


def regular(file: Path, flags: int = 0, most: int | None = None) -> bytes:
    """The content of a regular file of up to `most` bytes. Raises OSError, also for anything else."""
    flags |= getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)  # a pipe must not be waited for
    with open(os.open(file, os.O_RDONLY | flags), "rb") as opened:
        status = os.fstat(opened.fileno())
        if not stat.S_ISREG(status.st_mode) or (most is not None and status.st_size > most):
            raise OSError(errno.EINVAL, "no regular file, or too large")
        return opened.read()


def read_object(file: Path) -> dict:
    """What `objects.write` has written."""
    try:
        content = regular(file)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise PigeonholeError(f"{file}: no such file") from error
    except OSError as error:
        raise PigeonholeError(f"{file}: damaged ({error})") from error
    return objects.parse(file, content)


def table(file: Path, needed: tuple[str, ...]) -> list[dict[str, str]]:
    """The lines of a table that has at least the columns `needed`, by column."""
    try:
        return [row for _, row in tables.rows(file, text(file), needed)]
    except OSError as error:
        raise PigeonholeError(f"{file}: cannot be read ({error})") from error


def figures(file: Path, whole: bool = True) -> "dict[str, np.ndarray]":
    """The numbers of a CSV file by column, float64, NaN for an empty cell: the lines without empty cells, or
    (`whole` False) those with some. A last line that is being written is left out."""
    import numpy as np

    try:
        columns, *rows = csv.reader(text(file))
        if rows and len(rows[-1]) < len(columns):
            rows.pop()
        rows = [[cell or "nan" for cell in row] for row in rows if ("" not in row) is whole]
        values = np.array(rows, np.float64).reshape(len(rows), len(columns))
    except FileNotFoundError as error:
        raise PigeonholeError(f"{file}: no such file") from error
    except (OSError, ValueError, csv.Error) as error:
        raise PigeonholeError(f"{file}: damaged ({error})") from error
    return dict(zip(columns, values.T, strict=True))


def text(file: Path, errors: str = "surrogateescape") -> io.StringIO:
    """What the file holds, newlines untouched. Raises also OSError."""
    data = regular(file)
    seals.check(file, data)
    return io.StringIO(data.decode("utf-8", errors), newline="")
