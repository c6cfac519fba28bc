"""Files that a program writes where the user says: checked before any work, there whole or not at all."""

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TextIO

from pigeonhole.errors import UsageError


def check(flag: str, path: Path, pictures: Iterable[str | Path]) -> None:
    """Raise UsageError, naming `flag`, where `path` cannot be written or is one of the user's pictures."""
    if path.is_dir() or not path.parent.is_dir():
        raise UsageError(f"{flag} {path}: " + ("a folder" if path.is_dir() else "its folder does not exist"))
    if path.exists() and any(os.path.exists(picture) and path.samefile(picture) for picture in pictures):
        raise UsageError(f"{flag} {path}: would overwrite a picture")


@contextlib.contextmanager
def write(path: Path) -> Iterator[TextIO]:
    """A text file that takes its place only once it is complete. Characters are UTF-8, newlines untouched."""
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with aside.open("w", encoding="utf-8", newline="", errors="backslashreplace") as file:
            yield file
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
