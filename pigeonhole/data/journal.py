"""labels.csv as `pigeonhole label` writes it: a table of decisions, where the last row of a file counts.

    time,action,file,label,digest,source,undoes
    2026-05-04T10:12:31Z,k3v9,heap/12.png,cat,9f86d081884c7d65...,group,

`label` is a class, `remove` for a picture to be left out, or empty for one that is undecided again. Rows of
one action of the user share `action`; a row that takes an action back, or brings it again, names it in
`undoes`. A `file` with a slash at its end is a class that folders give: `cat/` with the label `kitten` calls
it kitten, also for pictures without a row of their own. Only `file` and `label` are needed in a row added by
hand. `labelling.journal` adds rows; this module reads them.
"""

import csv
import io
import re
from collections.abc import Collection, Container, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pigeonhole.data import tables
from pigeonhole.data.layout import normal
from pigeonhole.errors import PigeonholeError, UsageError

COLUMNS = ("time", "action", "file", "label", "digest", "source", "undoes")
REMOVE = "remove"
MARKS = frozenset({"action", "file", "label", "undoes"})  # no table of another kind has all of them
LONGEST_HEADER = 4096  # bytes
_CLASS = "/"  # the end of the name of a row that calls a class by another name
_BOM = "\ufeff"
_DIGEST = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Row:
    """One row: `name` is a posix path below the folder, the rest as in the table."""

    name: str
    label: str
    digest: str = ""
    action: str = ""
    undoes: str = ""
    source: str = ""

    @property
    def class_name(self) -> str | None:
        """The class of a folder that this row calls by another name; None for one about a picture."""
        return normal(self.name[:-1]) if self.name.endswith(_CLASS) else None

    @classmethod
    def of_class(cls, name: str, label: str, action: str, source: str) -> "Row":
        """That calls a class `label`; where that is empty, by its own name again."""
        return cls(f"{name}{_CLASS}", label, action=action, source=source)


@dataclass(frozen=True)
class Header:
    """A journal's first line: how the rows below it are written. A spreadsheet may have changed it."""

    line: bytes
    columns: tuple[str, ...]
    separator: str

    @classmethod
    def read(cls, file: io.RawIOBase | io.BufferedIOBase) -> "Header | None":
        """Of an open file; None where it is no journal."""
        file.seek(0)
        return cls.of(file.read(LONGEST_HEADER).split(b"\n", 1)[0] + b"\n")

    @classmethod
    def of(cls, line: bytes) -> "Header | None":
        """Of a first line; None where that is not a journal's."""
        text = line.decode("utf-8", "surrogateescape").removeprefix(_BOM)
        separator = tables.separator(text)
        cells = next(csv.reader([text], delimiter=separator), [])
        columns = tuple(cell.strip() for cell in cells)
        return cls(line, columns, separator) if set(columns) >= MARKS else None

    @classmethod
    def new(cls) -> "Header":
        return cls.of(f"{_BOM}{','.join(COLUMNS)}\n".encode())


def is_journal(path: Path) -> bool:
    """Whether the file is there and its first line that of a journal."""
    try:
        with path.open("rb") as file:
            return Header.read(file) is not None
    except OSError:
        return False


def whole_rows(data: bytes) -> int:
    """How many of these bytes, which begin with a row, belong to rows with a line end."""
    end = place = quotes = 0
    for line in data.split(b"\n")[:-1]:
        place += len(line) + 1
        quotes += line.count(b'"')
        if quotes % 2 == 0:
            end = place
    return end


def parse(path: Path, header: Header, data: bytes) -> Iterator[Row]:
    """The rows in these bytes, which lie below the header. Raises PigeonholeError for a wrong row."""
    text = (header.line.rstrip(b"\r\n") + b"\n" + data).decode("utf-8", "surrogateescape")
    for place, cells in tables.rows(path, io.StringIO(text, newline=""), ("file", "label")):
        if not cells["file"]:
            raise PigeonholeError(f"{place}: names no file; add its name or take the line out")
        digest = cells.get("digest", "").strip().lower()
        row = Row(
            cells["file"],
            normal(cells["label"].strip()),
            digest if _DIGEST.fullmatch(digest) else "",
            cells["action"].strip(),
            cells["undoes"].strip(),
            cells.get("source", "").strip(),
        )
        if row.class_name is not None and row.label.lower() == REMOVE:
            raise PigeonholeError(f"{place}: a class is not left out as a whole; leave out its pictures")
        yield row


def tail(path: Path, header: Header, data: bytes, actions: Container[str]) -> Row | None:
    """The last row, if no more than its line end is missing from these bytes; None where it is torn.

    `actions`: those that the rows before it name. A row of which a part is missing was never told to the user
    as written. Raises PigeonholeError where a quote has been opened that nothing closes.
    """
    if b"\n" in data.rstrip(b"\r\n") or (data.endswith(b"\n") and data.count(b'"') % 2):
        raise PigeonholeError(
            f"{path}: a quotation mark near the end is not closed; mend or take out the line"
        )
    text = data.decode("utf-8", "surrogateescape")
    cells = next(csv.reader([text], delimiter=header.separator), []) if data.count(b'"') % 2 == 0 else []
    if len(cells) < len(header.columns) or header.columns[-1] != "undoes":
        return None
    (row,) = parse(path, header, data)
    return row if not row.undoes or row.undoes in actions else None


def read(path: Path) -> list[Row]:
    """Every row, in its order. Raises UsageError without the file, PigeonholeError where it is no journal."""
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise UsageError(f"{path}: no such file of labels") from error
    except OSError as error:
        raise PigeonholeError(f"{path}: cannot be read ({error.strerror})") from error
    header = Header.of(data.split(b"\n", 1)[0] + b"\n")
    if header is None:
        raise UsageError(
            f"{path}: not written by pigeonhole label; it must name the columns {','.join(COLUMNS)}"
        )
    below = data[len(header.line) :]
    end = whole_rows(below)
    rows = list(parse(path, header, below[:end]))
    if below[end:].strip():
        last = tail(path, header, below[end:], {row.action for row in rows})
        rows += [last] if last else []
    return rows


def in_force(rows: Iterable[Row]) -> list[Row]:
    """The last row of each file, in the order in which the files were first named; none that is undecided."""
    last = {row.name: row for row in rows if row.class_name is None}
    return [row for row in last.values() if row.label]


def class_names(rows: Iterable[Row]) -> dict[str, str]:
    """What classes are called, where that is another name than the one before: class -> name."""
    last = {row.class_name: row.label for row in rows if row.class_name is not None}
    return {name: label for name, label in last.items() if label}


def is_removal(label: str, classes: Collection[str]) -> bool:
    """Whether the label is the word for pictures to be left out, and not that of a class of the folders."""
    return label.lower() == REMOVE and label not in classes


def removal(classes: Collection[str]) -> str:
    """The word for pictures to be left out, spelt as none of the classes is."""
    return next(word for word in (REMOVE, REMOVE.upper(), REMOVE.title()) if word not in classes)
