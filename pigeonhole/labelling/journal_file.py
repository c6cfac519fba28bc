"""The file of a journal: what others have added is read, rows are added so that they survive a power cut."""

import errno
import io
import os
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from io import FileIO
from pathlib import Path
from typing import NamedTuple

from pigeonhole import locks
from pigeonhole.data import journal as table
from pigeonhole.data import tables
from pigeonhole.data.journal import Header, Row
from pigeonhole.errors import PigeonholeError, UsageError

_LOOKED_BACK = 4096  # bytes before the end, by which a file is known again
_ELSEWHERE = "--labels FILE keeps the decisions elsewhere"


class News(NamedTuple):
    """Rows that were not known. `is_anew`: they are all rows, for the file is not the one that was read."""

    rows: list[Row]
    is_anew: bool


class JournalFile:
    """The rows of the journal at `path`, of which each is read once. Not safe for threads."""

    def __init__(self, path: Path):
        self.path = Path(path)
        self.forget()

    def forget(self) -> None:
        """Read the file from its start the next time."""
        self._header: Header | None = None
        self._offset = 0  # bytes that are read
        self._last = b""  # the bytes before it

    def check(self) -> None:
        """Raise UsageError where the file is no journal, or none can be written there."""
        path = self.path
        if path.is_dir() or not path.parent.is_dir():
            what = "is a folder" if path.is_dir() else "its folder does not exist"
            raise UsageError(f"{path}: {what}; {_ELSEWHERE}")
        try:
            if not path.exists():
                if os.access(path.parent, os.W_OK):
                    return
                raise PermissionError(errno.EACCES, "no permission to write in this folder")
            path.open("r+b").close()
            is_ours = self._begins_one()
        except OSError as error:
            raise UsageError(f"{path}: cannot be written ({error.strerror}); {_ELSEWHERE}") from error
        if not is_ours:
            raise UsageError(
                f"{path}: was not written by pigeonhole label and is left as it is; {_ELSEWHERE}"
            )

    @contextmanager
    def locked(self) -> Iterator[FileIO]:
        """The file, made where it is not there, while no other program writes it."""
        try:
            with locks.briefly(self.path) as file:
                yield file
        except OSError as error:
            raise PigeonholeError(
                f"{self.path}: cannot be written ({error.strerror}); the decision is not kept"
            ) from error

    def news(self, file: FileIO, actions: Collection[str]) -> News:
        """What has come since the last call. `actions`: those that the rows so far name.

        Raises UsageError where the file has become another one that is no journal, PigeonholeError for a
        wrong row; nothing counts as read then.
        """
        is_anew = self._header is None or not self._continues(file)
        header = Header.read(file) if is_anew else self._header
        if header is None:
            if not self._begins_one():
                raise UsageError(
                    f"{self.path}: has become another file, one without decisions, and nothing can be saved "
                    "there. Put the former file back, or start again with --labels and another name"
                )
            self.forget()
            return News([], True)
        offset = len(header.line) if is_anew else self._offset
        file.seek(offset)
        data = file.readall()
        end = table.whole_rows(data)
        try:
            rows = list(table.parse(self.path, header, data[:end]))
        except PigeonholeError:
            if is_anew:
                raise
            self.forget()  # to be told by its line in the file
            return self.news(file, actions)
        if data[end:].strip():
            named = {row.action for row in rows}
            known = named if is_anew else named | set(actions)
            if last := table.tail(self.path, header, data[end:], known):
                rows.append(last)
                end = len(data)
        self._last = (b"" if is_anew else self._last) + data[:end]
        self._last = self._last[-_LOOKED_BACK:]
        self._header, self._offset = header, offset + end
        return News(rows, is_anew)

    def append(self, file: FileIO, rows: Collection[Row]) -> None:
        """Add rows in one write that is on the disk when this returns, or none of them.

        All that others have written is known. Afterwards the rows are news.
        """
        header = self._header or Header.new()
        is_new = self._header is None
        if is_new:
            size, data = 0, header.line
        else:
            size, data = self._offset, b"" if self._ends_a_line(file) else b"\n"
        data += _written(rows, header)
        file.truncate(size)  # what a killed process has left of a row
        try:
            _write_all(file, data)
            os.fsync(file.fileno())
        except OSError:
            file.truncate(size)
            raise
        if is_new:
            _keep_name(self.path)

    def _continues(self, file: FileIO) -> bool:
        """Whether the file still begins with what has been read of it."""
        file.seek(self._offset - len(self._last))
        return file.read(len(self._last)) == self._last and Header.read(file) == self._header

    def _begins_one(self) -> bool:
        """Whether the file is a journal, or the beginning of one that a killed process has left."""
        with self.path.open("rb") as opened:
            start = opened.read(table.LONGEST_HEADER)
        return Header.new().line.startswith(start) or Header.of(start.split(b"\n", 1)[0] + b"\n") is not None

    def _ends_a_line(self, file: FileIO) -> bool:
        file.seek(self._offset - 1)
        return file.read(1) == b"\n"


def _written(rows: Iterable[Row], header: Header) -> bytes:
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    text = io.StringIO(newline="")
    add = tables.adder(text, header.separator)
    for row in rows:
        values = now, row.action, row.name, row.label, row.digest, row.source, row.undoes
        cells = dict(zip(table.COLUMNS, values, strict=True))
        add([cells.get(column, "") for column in header.columns])
    return text.getvalue().encode("utf-8", "surrogateescape")


def _write_all(file: FileIO, data: bytes) -> None:
    while data:
        data = data[file.write(data) :]


def _keep_name(path: Path) -> None:
    """Have the folder's entry of a new file survive a power cut, where the system can."""
    if os.name == "nt":
        return
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
