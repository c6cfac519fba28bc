"""Tables that people open in a spreadsheet: CSV whose cells are text, whatever a name in them looks like."""

import contextlib
import csv
import itertools
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import TextIO

from pigeonhole import atomic_file
from pigeonhole.errors import PigeonholeError, UsageError

# The start of what a spreadsheet takes for a formula, also in full-width letters. A mark before it makes it
# text. What has the mark already gets one more, so that one can be taken away again.
_FORMULA = re.compile(r"'*(?:[\t\r\n]|\s*[=+\-@\uff1d\uff0b\uff0d\uff20])")
_MARK = "'"
ENCODING = "utf-8-sig"  # UTF-8 with a mark at the start, without which Excel takes it for something else
_WORKBOOKS = {".xlsx", ".xls", ".xlsm", ".xlsb", ".ods", ".numbers"}
_DELIMITERS = ",;\t"  # a spreadsheet separates by one of them, as the country has it

Row = Iterable[object]


def check(flag: str, path: Path, pictures: Iterable[str | Path]) -> None:
    """Raise UsageError, naming `flag`, where no table can be written to `path`."""
    if path.suffix.lower() in _WORKBOOKS:
        raise UsageError(f"{flag} {path}: the table is CSV, which spreadsheets open; name it {path.stem}.csv")
    atomic_file.check(flag, path, pictures)


@contextlib.contextmanager
def write(path: Path) -> Iterator[Callable[[Row], None]]:
    """Gives what adds a row to the user's file `path`. Raises OSError.

    The file is UTF-8 with the mark by which spreadsheets know it. A name that is no UTF-8 is escaped.
    """
    with atomic_file.write_out(path, encoding=ENCODING) as file:
        yield adder(file)


def adder(file: TextIO, separator: str = ",") -> Callable[[Row], None]:
    """What adds a row to the table in `file`, a text file that leaves newlines alone."""
    # A writer quotes what holds a part of its line end, so it must have both; the file gets plain ones.
    plain = SimpleNamespace(write=lambda line: file.write(line.removesuffix("\r\n") + "\n"))
    writer = csv.writer(plain, delimiter=separator, lineterminator="\r\n")
    return lambda row: writer.writerow([cell(value) for value in row])


def cell(value: object) -> str:
    """The value as text that no spreadsheet computes; `original` gives it back."""
    text = str(value)
    return _MARK + text if _FORMULA.match(text) else text


def original(text: str) -> str:
    """The text of a cell that `cell` wrote, or that a user typed."""
    return text[1:] if text.startswith(_MARK) and _FORMULA.match(text[1:]) else text


def separator(header: str) -> str:
    """What separates the cells of a table with this first line."""
    return max(_DELIMITERS, key=header.count)


def share_columns(classes: Iterable[str]) -> list[str]:
    """The columns of the probabilities; none is called like one of the others, whatever a class is called."""
    return [f"p:{name}" for name in classes]


def read(path: Path, needed: Iterable[str]) -> Iterator[tuple[str, dict[str, str]]]:
    """The place (for errors) and the fields by column of each line that is not empty.

    Takes what spreadsheets make of a file: comma, semicolon or tab, with or without a byte order mark, any
    line ends, columns in any order. Raises PigeonholeError where the file cannot be read, one of the columns
    `needed` is not there, or a line is wrong.
    """
    try:
        with path.open(encoding="utf-8", errors="surrogateescape", newline="") as source:
            yield from rows(path, source, needed)
    except OSError as error:
        raise PigeonholeError(f"{path}: cannot be read ({error.strerror})") from error


def rows(path: Path, source: Iterable[str], needed: Iterable[str]) -> Iterator[tuple[str, dict[str, str]]]:
    """The same of the lines of `source`, which is the table that lies at `path`."""
    lines, needed = iter(source), tuple(needed)
    header = next(lines, "").removeprefix("\ufeff")
    reader = csv.reader(itertools.chain([header], lines), delimiter=separator(header))
    try:
        columns = [column.strip() for column in next(reader, [])]
        if not set(needed) <= set(columns):
            raise PigeonholeError(
                f"{path}, line 1: must name the columns {' and '.join(needed)}; save the table as CSV (UTF-8)"
            )
        for fields in reader:
            place = f"{path}, line {reader.line_num}"
            if any(fields[len(columns) :]):
                raise PigeonholeError(f"{place}: {len(fields)} fields under {len(columns)} columns")
            if any(fields):
                texts = map(original, fields)
                yield place, dict.fromkeys(columns, "") | dict(zip(columns, texts, strict=False))
    except csv.Error as error:
        raise PigeonholeError(f"{path}, line {reader.line_num}: {error}") from error
