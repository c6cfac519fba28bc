"""The user's decisions, written at once to an append-only labels.csv that several windows may share.

Nothing that has been written is changed: taking back an action adds rows that restore the labels before it,
so undo has no end and can itself be taken back. See `data.journal` for the table.
"""

import errno
import io
import os
import re
import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from io import FileIO
from pathlib import Path

from pigeonhole import locks
from pigeonhole.data import journal as table
from pigeonhole.data import tables
from pigeonhole.data.fixes import Fix
from pigeonhole.data.journal import Header, Row
from pigeonhole.data.layout import normal
from pigeonhole.errors import PigeonholeError, UsageError
from pigeonhole.labelling.history import History
from pigeonhole.terminal import shown

UNDECIDED = ""
Label = str | None  # a class; UNDECIDED; None for a picture that is left out
_ACTION = re.compile(r"[A-Za-z0-9_-]{1,64}")
_LOOKED_BACK = 4096  # bytes before the end, by which a file is known again


class Journal:
    """Labels of pictures by name (posix path below the folder), as the journal `file` has them.

    labels   name -> class, of the pictures that have one
    removed  names of the pictures that are left out
    classes  those of `given`, then the others in the order in which they came up, while a picture has them

    `given`: the classes of the folders, which need no picture. `follower`: is called after each action,
    before another program can write. Copy `labels` and `removed` before going through them: other threads
    change them. Every decision is on the disk before the call that makes it returns; one that cannot be
    written raises and leaves the file as it was. Safe to use from several threads, and with other processes
    that write the same file.
    Raises UsageError where `file` is there and no journal, or cannot be written.
    """

    def __init__(
        self, file: Path, given: Iterable[str] = (), follower: "Callable[[Journal], None] | None" = None
    ):
        self.file = Path(file)
        self._given = tuple(given)
        self._follower = follower
        self._mutex = threading.RLock()
        self._news: set[str] = set()  # names that `refresh` has not told of
        self._forget()
        self._check()
        self.refresh()

    @property
    def classes(self) -> list[str]:
        with self._mutex:
            own = [name for name in self._used if self._used[name] and name not in self._given]
            return [*self._given, *own]

    @property
    def actions(self) -> int:
        """How many actions of the user are in force: an action that was taken back counts no more."""
        with self._mutex:
            return len(self._history.done)

    @property
    def can_redo(self) -> bool:
        """Whether an action was taken back and none has come since."""
        with self._mutex:
            return bool(self._history.undone)

    def decisions(self) -> list[Fix]:
        """What is decided at present, for `Collection.decided`."""
        with self._mutex:
            labels = {**dict.fromkeys(self.removed), **self.labels}
            return [Fix(name, label, self._digests[name]) for name, label in labels.items()]

    def undecided(self) -> list[str]:
        """The names of pictures that were decided upon and are undecided again."""
        with self._mutex:
            return [name for name in self._digests if name not in self.labels and name not in self.removed]

    def act(
        self, action: str, changes: Mapping[str, Label], digests: Mapping[str, str], source: str = ""
    ) -> bool:
        """Write one action of the user: name -> class, UNDECIDED, or None to leave the picture out.

        action   an id made by whoever asks, of letters, digits, "-" and "_": what has been written of an
                 action is not written again, so that a request can be repeated
        digests  name -> sha256 of the content that is decided upon
        source   what led to the decision, such as "group"

        Gives whether anything was new. Raises UsageError for a label that cannot be a class.
        """
        _check_action(action)
        changes = {name: self.spelt(label) for name, label in changes.items()}
        with self._turn() as file:
            written = self._history.changes.get(action, {})
            rows = [
                Row(name, self._word(label), digests.get(name, ""), action)
                for name, label in changes.items()
                if name not in written
            ]
            self._append(file, rows, source)
            return bool(rows)

    def undo(self, action: str, target: str | None = None) -> list[str]:
        """Take back the action `target`, by default the last one that is in force; gives its pictures' names.

        What was decided since on one of its pictures stays. `action`: an id as of `act`. Gives no name where
        there is nothing to take back.
        """
        return self._restore(action, target, self._history.before, "done")

    def redo(self, action: str) -> list[str]:
        """Bring again what was taken back last, unless a new action has come since; gives the names."""
        return self._restore(action, None, self._history.again, "undone")

    def refresh(self) -> set[str]:
        """Take in what others have written; gives the names of the pictures that were decided upon since the
        last call, by them or by this journal."""
        with self._mutex:
            try:
                with self.file.open("rb", buffering=0) as file:
                    self._take(file)
            except FileNotFoundError:
                self._news |= {*self.labels, *self.removed}
                self._forget()
            except OSError as error:
                raise PigeonholeError(f"{self.file}: cannot be read ({error.strerror})") from error
            news, self._news = self._news, set()
            return news

    def spelt(self, label: Label) -> Label:
        """The label as the journal has it: that of a class which differs in upper and lower case alone.

        Raises UsageError for one that cannot be a class.
        """
        if not label:
            return label
        name = normal(label.strip())
        is_name = shown(name) == name and name.strip(" .")  # also of a folder
        if not is_name or "/" in name or "\\" in name:
            raise UsageError(f"{label!a}: cannot be a class; give a name of one line, without slashes")
        with self._mutex:
            if table.is_removal(name, self._given):
                raise UsageError(
                    f"{name}: is the word for pictures to be left out; give the class another name"
                )
            known = {each.casefold(): each for each in self.classes}
        return known.get(name.casefold(), name)

    def _word(self, label: Label) -> str:
        return table.removal(self._given) if label is None else label

    def _restore(self, action: str, target: str | None, changes_of, stack: str) -> list[str]:
        _check_action(action)
        if not self.file.exists():
            return []
        with self._turn() as file:
            if action in self._history.changes:
                return list(self._history.changes[action])
            candidates = getattr(self._history, stack)
            target = target or (candidates[-1] if candidates else None)
            if target not in candidates:
                return []
            rows = [
                Row(name, label, self._digests.get(name, ""), action, target)
                for name, label in changes_of(target).items()
            ]
            self._append(file, rows, "")
            return [row.name for row in rows]

    def _check(self) -> None:
        """Raise UsageError where the file is no journal, or none can be written there."""
        elsewhere = "--labels FILE keeps the decisions elsewhere"
        if self.file.is_dir() or not self.file.parent.is_dir():
            what = "is a folder" if self.file.is_dir() else "its folder does not exist"
            raise UsageError(f"{self.file}: {what}; {elsewhere}")
        try:
            if not self.file.exists():
                if os.access(self.file.parent, os.W_OK):
                    return
                raise PermissionError(errno.EACCES, "no permission to write in this folder")
            self.file.open("r+b").close()
            is_ours = _begins_one(self.file)
        except OSError as error:
            raise UsageError(f"{self.file}: cannot be written ({error.strerror}); {elsewhere}") from error
        if not is_ours:
            raise UsageError(
                f"{self.file}: was not written by pigeonhole label and is left as it is; {elsewhere}"
            )

    def _forget(self) -> None:
        self.labels: dict[str, str] = {}
        self.removed: set[str] = set()
        self._digests: dict[str, str] = {}
        self._used: Counter[str] = Counter()  # class -> pictures, in the order in which classes came up
        self._history = History()
        self._header: Header | None = None
        self._offset = 0  # bytes that are read
        self._last = b""  # the bytes before it

    @contextmanager
    def _turn(self) -> Iterator[FileIO]:
        """The file under its lock, with all that others have written taken in."""
        with self._mutex, self._explained(), locks.briefly(self.file) as file:
            self._take(file)
            yield file
            if self._follower:
                self._follower(self)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise PigeonholeError(
                f"{self.file}: cannot be written ({error.strerror}); the decision is not kept"
            ) from error

    def _take(self, file: FileIO) -> None:
        """Take in the rows behind those that are known, or all where the file is another one."""
        self._news |= self._read(file)

    def _read(self, file: FileIO) -> set[str]:
        changed: set[str] = set()
        if self._header is None or not self._continues(file):
            changed = {*self.labels, *self.removed}
            self._forget()
            self._header = Header.read(file)
            if self._header is None:
                return changed
            self._offset = len(self._header.line)
        file.seek(self._offset)
        data = file.readall()
        end = table.whole_rows(data)
        for row in table.parse(self.file, self._header, data[:end]):
            self._learn(row)
            changed.add(row.name)
        if data[end:].strip() and (
            last := table.tail(self.file, self._header, data[end:], self._history.changes)
        ):
            self._learn(last)
            changed.add(last.name)
            end = len(data)
        self._last = (self._last + data[:end])[-_LOOKED_BACK:]
        self._offset += end
        return changed

    def _continues(self, file: FileIO) -> bool:
        """Whether the file still begins with what has been read of it."""
        file.seek(self._offset - len(self._last))
        return file.read(len(self._last)) == self._last and Header.read(file) == self._header

    def _learn(self, row: Row) -> None:
        self._history.add(row)
        if row.name in self.labels:
            self._used[self.labels.pop(row.name)] -= 1
        self.removed.discard(row.name)
        self._digests[row.name] = row.digest
        if not row.label:
            return
        if table.is_removal(row.label, self._given):
            self.removed.add(row.name)
        else:
            self.labels[row.name] = row.label
            self._used[row.label] += 1

    def _append(self, file: FileIO, rows: Collection[Row], source: str) -> None:
        """Add rows in one write that is on the disk when this returns, or none of them."""
        if not rows:
            return
        size = file.seek(0, os.SEEK_END)
        if size and self._header is None and not _begins_one(self.file):
            raise PigeonholeError(f"{self.file}: has become another file; --labels FILE names a new one")
        if self._header is None:
            size, self._header = 0, Header.new()
            data = self._header.line
        else:
            size, data = self._offset, b"" if self._ends_a_line(file) else b"\n"
        data += self._written(rows, source)
        file.truncate(size)  # what a killed process has left of a row
        try:
            _write_all(file, data)
            os.fsync(file.fileno())
        except OSError:
            file.truncate(size)
            raise
        if size == 0:
            _keep_name(self.file)
            self._header = None
        self._take(file)

    def _ends_a_line(self, file: FileIO) -> bool:
        file.seek(self._offset - 1)
        return file.read(1) == b"\n"

    def _written(self, rows: Iterable[Row], source: str) -> bytes:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        text = io.StringIO(newline="")
        add = tables.adder(text, self._header.separator)
        for row in rows:
            cells = dict(
                zip(
                    table.COLUMNS,
                    (now, row.action, row.name, row.label, row.digest, source, row.undoes),
                    strict=True,
                )
            )
            add([cells.get(column, "") for column in self._header.columns])
        return text.getvalue().encode("utf-8", "surrogateescape")


def _begins_one(file: Path) -> bool:
    """Whether the file is a journal, or the beginning of one that a killed process has left."""
    with file.open("rb") as opened:
        start = opened.read(table.LONGEST_HEADER)
    return Header.new().line.startswith(start) or table.is_journal(file)


def _check_action(action: str) -> None:
    if not _ACTION.fullmatch(action):
        raise UsageError(f"{action!a}: no id of an action; give letters, digits, - and _, at most 64")


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
