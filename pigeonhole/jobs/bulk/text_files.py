"""Answers as rows of a CSV table or as JSON lines, in a file that grows, a pipe, or standard output."""

import contextlib
import csv
import io
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO, NamedTuple, Protocol

from pigeonhole import atomic_file, locks
from pigeonhole.data import tables
from pigeonhole.errors import UsageError
from pigeonhole.jobs.bulk.rows import ERROR, FILE, MODEL, Kept, Layout, as_json, cells, written
from pigeonhole.jobs.prediction import Answer

STDOUT = Path("-")


class Row(NamedTuple):
    """A row that is in the file: the picture's name, None for the header; the byte behind the row."""

    name: str | None
    is_error: bool
    end: int


class Format(Protocol):
    """How answers become the text of a file, and are read again from it."""

    flag: str  # that names the file on the command line
    start: bytes  # of every such file

    def __init__(self, layout: Layout): ...

    def head(self, is_file: bool) -> bytes:
        """What the file begins with."""

    def text(self, answers: Sequence[Answer]) -> bytes:
        """The rows of these answers."""

    def rows(self, file: BinaryIO) -> Iterator[Row]:
        """The rows in a file from its start; a torn one at its end is left. Raises ValueError with the reason
        where it is not a file of this layout."""


class Csv:
    """A table as `tables` writes it."""

    flag = "--csv"

    def __init__(self, layout: Layout):
        self._layout = layout
        self._error = layout.columns.index(ERROR)
        self.start = self.head(is_file=True)

    def head(self, is_file: bool) -> bytes:
        mark = "\ufeff" if is_file else ""  # by which spreadsheets know UTF-8
        return mark.encode() + self._encoded([self._layout.columns])

    def text(self, answers: Sequence[Answer]) -> bytes:
        return self._encoded([cells(self._layout.values(answer)) for answer in answers])

    def rows(self, file: BinaryIO) -> Iterator[Row]:
        place = 0

        def lines() -> Iterator[str]:
            nonlocal place
            for line in file:
                if not line.endswith(b"\n"):
                    return  # torn
                place += len(line)
                yield line.decode("utf-8", "replace")

        columns = [written(tables.cell(column)) for column in self._layout.columns]
        reader = csv.reader(lines())
        try:
            header = next(reader, None)
            if header is None:
                return
            if [header[0].removeprefix("\ufeff"), *header[1:]] != columns:
                raise ValueError("it has other columns, so perhaps other classes")
            yield Row(None, False, place)
            for fields in reader:
                if len(fields) != len(columns):
                    line = reader.line_num
                    if next(reader, None) is not None:
                        raise ValueError(f"its line {line} has other columns")
                    return  # torn at a line end inside of a name
                if fields[-1] != self._layout.model:
                    raise ValueError("another model answered there")
                yield Row(tables.original(fields[0]), bool(fields[self._error]), place)
        except csv.Error as error:
            raise ValueError(f"its line {reader.line_num} is damaged ({error})") from error

    def _encoded(self, rows: Sequence[Sequence[str]]) -> bytes:
        text = io.StringIO()
        add = tables.adder(text)
        for row in rows:
            add(row)
        return text.getvalue().encode("utf-8", "backslashreplace")


class JsonLines:
    """An object for each picture, as `--json` prints them, and the model's digest."""

    flag = "--jsonl"
    start = b'{"file": '

    def __init__(self, layout: Layout):
        self._layout = layout

    def head(self, is_file: bool) -> bytes:
        return b""

    def text(self, answers: Sequence[Answer]) -> bytes:
        model = {MODEL: self._layout.model}
        return b"".join(
            json.dumps(as_json(answer, self._layout.top) | model).encode() + b"\n" for answer in answers
        )

    def rows(self, file: BinaryIO) -> Iterator[Row]:
        place = 0
        for number, line in enumerate(file, 1):
            if not line.endswith(b"\n"):
                return  # torn
            place += len(line)
            try:
                said = json.loads(line)
                name, model = said[FILE], said[MODEL]
            except (ValueError, KeyError, TypeError, RecursionError) as error:
                raise ValueError(f"its line {number} is no answer") from error
            if model != self._layout.model:
                raise ValueError("another model answered there")
            if ERROR not in said and not self._fits(said):
                raise ValueError(f"its line {number} holds other things than are asked for, such as --top")
            yield Row(name, ERROR in said, place)

    def _fits(self, said: dict) -> bool:
        most = min(self._layout.top, len(self._layout.classes))
        asked = {"nearest": self._layout.has_nearest, "heatmap": self._layout.has_heatmap}
        return len(said.get("predictions", ())) == most and all(
            (key in said) is wanted for key, wanted in asked.items()
        )


class TextFile(AbstractContextManager):
    """The rows of a job in the file that the user names. They are there for every reader once `add` returns.

    A new file grows in its place, and so does one that is resumed, behind the rows that it has (`kept`). One
    that is replaced keeps its content until the new one is complete. A pipe, a device and standard output are
    written into.
    """

    def __init__(self, path: Path, form: Format, resume: bool = False):
        self._path = path
        self._form = form
        self.kept, self.failures, self._end = Kept(), 0, 0
        with contextlib.ExitStack() as opened:  # closed again where something is wrong
            self._file = self._open(resume, opened.enter_context)
            if not self._end:
                self._file.write(form.head(is_file=path != STDOUT))
                self._file.flush()
            self._opened = opened.pop_all()

    def __contains__(self, name: str) -> bool:
        return name in self.kept

    def add(self, answers: Sequence[Answer]) -> None:
        """Write a row for each. Raises OSError, naming the file."""
        with atomic_file.naming(self._path):
            self._file.write(self._form.text(answers))
            self._file.flush()

    def flush(self) -> None:
        """Nothing waits here."""

    def __exit__(self, *error: object) -> None:
        with atomic_file.naming(self._path):
            self._opened.__exit__(*error)

    def _open(self, resume: bool, enter: Callable) -> BinaryIO:
        path = self._path
        if path == STDOUT:
            sys.stdout.flush()
            return sys.stdout.buffer
        if resume and path.exists() and not path.is_file():
            raise UsageError(f"--resume: {path} is no file whose rows could be kept; name a file")
        if resume or not os.path.lexists(path):
            if not enter(locks.at_once(path)):
                raise UsageError(f"{self._form.flag} {path}: another process is writing it; wait for it")
            file = enter(path.open("r+b"))
            self._scan(file)
            file.truncate(self._end)
            file.seek(self._end)
            return file
        if path.is_file():
            return enter(atomic_file.write_bytes_out(path))
        return enter(path.open("wb"))  # a pipe or a device

    def _scan(self, file: BinaryIO) -> None:
        """Learn which rows the file has. Raises UsageError where they are not those of such a job."""
        try:
            self.kept = Kept(self._names(file))
            if not self._end:  # perhaps cut short in its first line
                file.seek(0)
                if not self._form.start.startswith(file.read(len(self._form.start))):
                    raise ValueError("it holds something else")
        except ValueError as error:
            raise UsageError(
                f"{self._form.flag} {self._path}: cannot be resumed, {error}; name another file"
            ) from error

    def _names(self, file: BinaryIO) -> Iterator[str]:
        for row in self._form.rows(file):
            self._end = row.end
            self.failures += row.is_error
            if row.name is not None:
                yield row.name
