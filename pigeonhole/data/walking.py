"""Every file below a folder, sorted, in the same memory however many there are."""

import contextlib
import heapq
import itertools
import os
import tempfile
from collections.abc import Iterable, Iterator
from typing import BinaryIO

from pigeonhole.data.layout import is_hidden

MOST_NAMES = 50_000  # of one folder that are held at a time; sorted parts of larger ones wait on the disk
_FOLDER, _FILE = b"d", b"f"


def files_below(folder: str, above: frozenset[str] = frozenset()) -> Iterator[str]:
    """The path of every file below the folder that is not hidden, sorted by name in each folder.

    Links back to a folder above are left; `above` holds the real paths of these. Broken links are given, what
    is neither file nor folder is not. Raises OSError where a folder cannot be listed.
    """
    folder = "" if folder == os.curdir else folder  # so that its files have plain names
    real = os.path.realpath(folder)
    if real in above:
        return
    for name, is_folder in _sorted(folder):
        path = os.path.join(folder, name)
        if is_folder:
            yield from files_below(path, above | {real})
        else:
            yield path


def _sorted(folder: str) -> Iterator[tuple[str, bool]]:
    """Name, and whether it is a folder, of all that is to be seen there."""
    with contextlib.ExitStack() as spools:
        parts: list[Iterable[bytes]] = []
        with os.scandir(folder or os.curdir) as items:
            lines = (line for item in items if (line := _line(item)))
            while part := sorted(itertools.islice(lines, MOST_NAMES)):
                if len(part) == MOST_NAMES:
                    part = _spooled(part, spools.enter_context(tempfile.TemporaryFile()))
                parts.append(part)
        for line in heapq.merge(*parts):
            name, kind = line[:-1].split(b"\0")
            yield os.fsdecode(name.replace(b"/", b"\n")), kind == _FOLDER


def _line(item: os.DirEntry[str]) -> bytes:
    """A line of a spool, nothing for what is passed over. A name has neither "/" nor NUL."""
    if is_hidden(item.name):
        return b""
    if item.is_dir():
        kind = _FOLDER
    elif item.is_file() or item.is_symlink():
        kind = _FILE
    else:
        return b""
    return os.fsencode(item.name).replace(b"\n", b"/") + b"\0" + kind + b"\n"


def _spooled(lines: list[bytes], spool: BinaryIO) -> BinaryIO:
    spool.writelines(lines)
    spool.seek(0)
    return spool
