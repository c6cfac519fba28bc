"""Copies or links of pictures in a folder for each class, and the list by which they are taken away again."""

import contextlib
import errno
import hashlib
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from pigeonhole import locks
from pigeonhole.data import tables
from pigeonhole.data.sources import importing
from pigeonhole.errors import PigeonholeError, UsageError
from pigeonhole.jobs.bulk.rows import Kept
from pigeonhole.jobs.prediction import Answer

FLAG = "--sort-into"
UNDO = "undo.csv"
UNSURE, UNREADABLE = "unsure", "unreadable"  # folders beside those of the classes
CREATED, SOURCE, CONTENT, MODEL = COLUMNS = ("created", "source", "content", "model")
_HEADER = f"{','.join(COLUMNS)}\n".encode()  # its first line
_FOLDER, _SHA256, _INODE = "folder", "sha256:", "inode:"  # what `content` holds or begins with
_UNFINISHED = ".unfinished"  # a copy in its making
LONGEST_NAME = 255  # bytes; of common file systems


class SortedFolder(AbstractContextManager):
    """Class folders below `folder`, to which each answer adds a copy of its picture, or a hard link.

    `model` is noted with each file: a job goes on only with that of before. `flag`: what the user calls it.

    A file is noted in `undo.csv` before it takes its place, so a kill leaves none that the list does not
    name. No file is replaced: one of the same name gets a part of a digest. Originals are only read.
    """

    def __init__(
        self, folder: Path, classes: Sequence[str], model: str, link: bool, resume: bool, flag: str = FLAG
    ):
        self._folder, self._model, self._link, self._flag = folder, model, link, flag
        self._here = os.getcwd()
        self._names = folder_names(classes)
        undo = folder / UNDO
        if undo.exists() and not resume:
            raise UsageError(
                f"{flag} {folder}: {undo} lists what an earlier job put there; add --resume, or name another"
            )
        is_new = not folder.exists()
        folder.mkdir(parents=True, exist_ok=True)
        self.failures = 0
        with contextlib.ExitStack() as opened:
            if not opened.enter_context(locks.at_once(undo)):
                raise UsageError(f"{flag} {folder}: another process is sorting into it; wait for it")
            self.kept = Kept(self._resumed(undo))
            has_rows = undo.stat().st_size > 0
            self._file = opened.enter_context(
                undo.open("a", encoding="utf-8", errors="surrogateescape", newline="")
            )
            self._add = tables.adder(self._file)
            if not has_rows:
                self._note(*COLUMNS)
                if is_new:
                    self._note(".", "", _FOLDER, model)
            self._opened = opened.pop_all()

    def __contains__(self, name: str) -> bool:
        return self._full(name) in self.kept

    def add(self, answers: Sequence[Answer]) -> None:
        """Put a copy of each picture, or a link, where its answer says. Raises OSError, PigeonholeError."""
        for answer in answers:
            self._put(answer)

    def flush(self) -> None:
        """Nothing waits here."""

    def __exit__(self, *error: object) -> None:
        with self._opened:
            (self._folder / _UNFINISHED).unlink(missing_ok=True)

    def _full(self, name: str) -> str:
        """The path by which the list knows a picture, wherever it is read; links on the way stay."""
        return os.path.join(self._here, name)

    def _put(self, answer: Answer) -> None:
        source = self._full(answer.name)
        if not os.path.isfile(source):  # a broken link, or gone: there is nothing to copy
            self._note("", source, "", self._model)
            return
        kind = UNREADABLE if answer.error is not None else UNSURE if answer.unsure else answer.ranked[0][0]
        folder = self._folder / self._names[kind]
        if not folder.is_dir():
            self._note(folder.name, "", _FOLDER, self._model)
            folder.mkdir(exist_ok=True)
        try:
            content = self._made_aside(source)
        except OSError as error:
            if error.errno != errno.EIO and os.access(source, os.R_OK):
                raise
            self._note("", source, "", self._model)
            return
        aside = self._folder / _UNFINISHED
        for target in _targets(folder, source):
            if os.path.lexists(target):
                continue
            self._note(f"{folder.name}/{target.name}", source, content, self._model)
            if _take_place(aside, target):
                return

    def _made_aside(self, source: str) -> str:
        """A copy or a link of the source that has no place yet; gives what it will be known by."""
        aside = self._folder / _UNFINISHED
        aside.unlink(missing_ok=True)
        if self._link:
            try:
                os.link(os.path.realpath(source), aside)
            except OSError as error:
                if error.errno in (errno.EXDEV, errno.EPERM, errno.ENOTSUP):
                    raise PigeonholeError(
                        f"--link: {source} cannot be linked into {self._folder} ({error.strerror}); "
                        "leave --link out to copy"
                    ) from error
                raise
            return _inode(aside)
        try:
            shutil.copyfile(source, aside)
        except OSError as error:  # which names the source
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise OSError(error.errno, error.strerror, str(self._folder)) from error
            raise
        shutil.copystat(source, aside)
        return _SHA256 + _digest(aside)

    def _note(self, *row: str) -> None:
        self._add(row)
        self._file.flush()

    def _resumed(self, undo: Path) -> Iterator[str]:
        """The sources that have been put. Raises UsageError where another model sorted there."""
        _cut_torn_row(undo)
        if not undo.stat().st_size:
            return
        last: dict[str, str] = {}
        try:
            for _, row in tables.read(undo, COLUMNS):
                if row[MODEL] != self._model:
                    raise UsageError(
                        f"{self._flag} {self._folder}: cannot be resumed, another model answered there; "
                        "name another folder"
                    )
                if last.get(SOURCE) and last[SOURCE] != row[SOURCE]:
                    self._count(last)
                    yield last[SOURCE]
                last = row
        except UsageError:
            raise
        except PigeonholeError as error:
            raise UsageError(f"{self._flag} {self._folder}: cannot be resumed, {error}") from error
        # Only the last file may have been noted without having taken its place.
        if last.get(SOURCE) and (not last[CREATED] or _is_as_made(self._folder, last)):
            self._count(last)
            yield last[SOURCE]

    def _count(self, row: dict[str, str]) -> None:
        folder = row[CREATED].partition("/")[0]
        self.failures += folder in ("", self._names[UNREADABLE])


def placed(folder: Path) -> Iterator[tuple[str, str]]:
    """The full path of each original that lies in the sorted folder, and the class folder where it does.

    Only for a folder that no process is sorting into. Raises PigeonholeError for a damaged list.
    """
    list_file = folder / UNDO
    if list_file.is_file() and list_file.stat().st_size:
        for _, row in tables.read(list_file, COLUMNS):
            if row[SOURCE] and row[CREATED]:
                yield row[SOURCE], row[CREATED].partition("/")[0]


def undo(path: Path) -> Iterator[tuple[str, str | None]]:
    """Take away what `path`, an `undo.csv`, lists, and then the list. Gives each file, and why it is kept,
    None where it was removed.

    A file is removed only where it is unchanged and its original is still there with the same content. Raises
    UsageError where `path` is no such list.
    """
    if not path.is_file():
        raise UsageError(f"--undo {path}: no such file; it is called {UNDO}, in the folder sorted into")
    with locks.at_once(path) as is_free:
        if not is_free:
            raise UsageError(f"--undo {path}: a job is sorting into this folder; wait for it")
        yield from _undo(path)


def _undo(path: Path) -> Iterator[tuple[str, str | None]]:
    folder, kept = path.parent, 0
    _cut_torn_row(path)
    made: list[Path] = []
    try:
        for _, row in tables.read(path, COLUMNS):
            if row[CONTENT] == _FOLDER:
                made.append(folder / row[CREATED])
            elif row[CREATED] and os.path.lexists(folder / row[CREATED]):
                reason = _why_kept(folder, row)
                if reason is None:
                    (folder / row[CREATED]).unlink()
                kept += reason is not None
                yield row[CREATED], reason
    except PigeonholeError as error:
        raise UsageError(f"--undo {path}: {error}") from error
    (folder / _UNFINISHED).unlink(missing_ok=True)
    if not kept:
        path.unlink()
    for place in reversed(made):
        if _is_inside(folder, place) or place == folder:
            with contextlib.suppress(OSError):  # there is something in it
                place.rmdir()


def _why_kept(folder: Path, row: dict[str, str]) -> str | None:
    made, source = folder / row[CREATED], Path(row[SOURCE])
    if not _is_inside(folder, made) or made.is_symlink() or not made.is_file():
        return "not a file of this folder"
    if not source.is_file():
        return "its original is gone"
    if not _is_as_made(folder, row):
        return "changed"
    if row[CONTENT].startswith(_INODE):
        is_same = source.samefile(made)
        return None if is_same and made.stat().st_nlink > 1 else "its original has changed"
    if source.samefile(made):
        return "it is its own original"
    return None if row[CONTENT] == _SHA256 + _digest(source) else "its original has changed"


def _is_as_made(folder: Path, row: dict[str, str]) -> bool:
    """Whether what the row tells of is there, and unchanged."""
    made = folder / row[CREATED]
    if made.is_symlink() or not made.is_file():
        return False
    is_link = row[CONTENT].startswith(_INODE)
    return row[CONTENT] == (_inode(made) if is_link else _SHA256 + _digest(made))


def folder_names(classes: Sequence[str]) -> dict[str, str]:
    """Class, UNSURE or UNREADABLE -> folder. A class of such a name keeps it, and the folder gets another."""
    names = dict(zip(classes, importing.class_folders(classes), strict=True))
    taken = {name.casefold() for name in names.values()}
    for kind in (UNSURE, UNREADABLE):
        name = kind
        while name in taken:
            name += "_"
        names.setdefault(kind, name)
    return names


def _targets(folder: Path, source: str) -> Iterator[Path]:
    """Where the file may take its place, the best first."""
    name = os.path.basename(source)
    yield folder / name
    stem, suffix = os.path.splitext(name)
    digest = hashlib.blake2b(os.fsencode(source), digest_size=4).hexdigest()
    while len(os.fsencode(stem + suffix)) + 20 > LONGEST_NAME:
        stem = stem[:-1]
    yield folder / f"{stem}-{digest}{suffix}"
    number = 2
    while True:
        yield folder / f"{stem}-{digest}-{number}{suffix}"
        number += 1


def _take_place(aside: Path, target: Path) -> bool:
    """Give the file its name unless there is one of this name."""
    try:
        os.link(aside, target)
    except FileExistsError:
        return False
    except OSError:  # a file system without links
        if os.path.lexists(target):
            return False
        aside.rename(target)
        return True
    aside.unlink()
    return True


def _cut_torn_row(path: Path) -> None:
    """Cut off a row that a killed process had not written to its end; a file of another kind is left."""
    with path.open("r+b") as file:
        if not _HEADER.startswith(file.read(len(_HEADER))):
            return
        file.seek(0)
        end = 0
        for line in file:
            end += len(line) if line.endswith(b"\n") else 0
        file.truncate(end)


def _is_inside(folder: Path, path: Path) -> bool:
    real = path.parent.resolve() / path.name
    return real != folder.resolve() and real.is_relative_to(folder.resolve())


def _inode(path: Path) -> str:
    status = path.stat()
    return f"{_INODE}{status.st_dev}:{status.st_ino}"


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
