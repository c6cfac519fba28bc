"""Files that a program writes where the user says: checked before any work, there whole or not at all."""

import contextlib
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, BinaryIO, TextIO

from pigeonhole.errors import UsageError

_ASIDE = re.compile(r"\..+\.\d+")  # a name in its making, and the process that makes it


def check(flag: str, path: Path, pictures: Iterable[str | Path]) -> None:
    """Raise UsageError, naming `flag`, where `path` cannot be written or is one of the user's pictures."""
    if path.is_dir() or not path.parent.is_dir():
        raise UsageError(f"{flag} {path}: " + ("a folder" if path.is_dir() else "its folder does not exist"))
    if path.exists() and any(os.path.exists(picture) and path.samefile(picture) for picture in pictures):
        raise UsageError(f"{flag} {path}: would overwrite a picture")


@contextlib.contextmanager
def write(path: Path) -> Iterator[TextIO]:
    """A text file that takes its place only once it is complete. Characters are UTF-8, newlines untouched."""
    with _in_place_of(path, "w", encoding="utf-8", newline="", errors="backslashreplace") as file:
        yield file


@contextlib.contextmanager
def write_binary(path: Path) -> Iterator[BinaryIO]:
    """A file of bytes that takes its place only once it is complete."""
    with _in_place_of(path, "wb") as file:
        yield file


def remove_leftovers(folder: Path) -> None:
    """Delete what processes that were killed left of files that were not complete."""
    for path in folder.glob(".*"):
        if _ASIDE.fullmatch(path.name) and path.is_file():
            path.unlink(missing_ok=True)


@contextlib.contextmanager
def _in_place_of(path: Path, mode: str, **options) -> Iterator[IO]:
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with aside.open(mode, **options) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())  # else the name may survive a power cut and the content not
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
