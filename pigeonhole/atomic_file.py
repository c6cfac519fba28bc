"""Files that are there complete or not at all, and the check of where the user wants one before any work."""

import contextlib
import io
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, BinaryIO, TextIO

from pigeonhole.errors import UsageError

_ASIDE = re.compile(r"\..+\.\d+")  # a name in its making, and the process that makes it


def check(flag: str, path: Path, pictures: Iterable[str | Path] = ()) -> None:
    """Raise UsageError, naming `flag`, where `path` cannot be written or is one of the user's pictures."""
    if str(path) == "-":
        raise UsageError(f"{flag} -: standard output is not written to; name a file")
    if path.is_dir() or not path.parent.is_dir():
        raise UsageError(f"{flag} {path}: " + ("a folder" if path.is_dir() else "its folder does not exist"))
    if path.is_symlink() and not path.exists():
        raise UsageError(f"{flag} {path}: a link that leads nowhere; name another file")
    if path.is_block_device() or path.is_socket():
        raise UsageError(f"{flag} {path}: neither a file nor a pipe; name another")
    if path.exists() and any(os.path.exists(picture) and path.samefile(picture) for picture in pictures):
        raise UsageError(f"{flag} {path}: would overwrite a picture")
    try:
        if _takes_place(path):
            tempfile.TemporaryFile(dir=path.parent).close()
        elif path.is_file():
            path.open("ab").close()  # what a link leads to
    except OSError as error:
        raise UsageError(f"{flag} {path}: cannot be written ({error.strerror}); name another file") from error


@contextlib.contextmanager
def write(path: Path, encoding: str = "utf-8", errors: str = "backslashreplace") -> Iterator[TextIO]:
    """A text file of the program's own that takes its place only once it is complete. Newlines are untouched.

    A link of that name is replaced, not followed.
    """
    with _in_place_of(path, "w", encoding=encoding, newline="", errors=errors) as file:
        yield file


@contextlib.contextmanager
def write_binary(path: Path) -> Iterator[BinaryIO]:
    """A file of bytes of the program's own that takes its place only once it is complete."""
    with _in_place_of(path, "wb") as file:
        yield file


@contextlib.contextmanager
def write_out(path: Path, encoding: str = "utf-8") -> Iterator[TextIO]:
    """The same as text where the user says; see `write_bytes_out`."""
    with write_bytes_out(path) as binary:
        text = io.TextIOWrapper(binary, encoding=encoding, newline="", errors="backslashreplace")
        yield text
        text.flush()
        text.detach()  # else it closes the file, which is not in its place yet


@contextlib.contextmanager
def write_bytes_out(path: Path) -> Iterator[BinaryIO]:
    """A file where the user says, for which `check` has found nothing wrong.

    A regular file or a new one takes its place once it is complete. A pipe, a device or what a link leads to
    keeps its kind: the complete content is written into it. Raises OSError, naming the path.
    """
    if _takes_place(path):
        with write_binary(path) as file:
            yield file
        return
    with naming(Path(tempfile.gettempdir())), tempfile.TemporaryFile() as complete:
        yield complete
        complete.seek(0)
        with naming(path), path.open("wb") as there:
            shutil.copyfileobj(complete, there)


@contextlib.contextmanager
def naming(path: Path, aside: Path | None = None) -> Iterator[None]:
    """Name the path in an error of the disk that names no file, as when writing fails, or names `aside`."""
    try:
        yield
    except OSError as error:
        if error.errno is None or error.filename not in (None, aside and str(aside)):
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


def remove_leftovers(folder: Path) -> None:
    """Delete what processes that were killed left of files that were not complete."""
    for path in folder.glob(".*"):
        if _ASIDE.fullmatch(path.name) and path.is_file():
            path.unlink(missing_ok=True)


def _takes_place(path: Path) -> bool:
    """Whether a new file takes the place of what is there, if anything is."""
    return not os.path.lexists(path) or (path.is_file() and not path.is_symlink())


@contextlib.contextmanager
def _in_place_of(path: Path, mode: str, **options) -> Iterator[IO]:
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with naming(path, aside):
            with aside.open(mode, **options) as file:
                yield file
                file.flush()
                os.fsync(file.fileno())  # else the name may survive a power cut and the content not
            aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
