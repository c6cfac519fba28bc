"""One process at a time: a lock on a file that ends with its holder, however that ends."""

import contextlib
import errno
import os
import sys
import time
from collections.abc import Iterator
from io import FileIO
from pathlib import Path
from typing import BinaryIO

from pigeonhole.errors import PigeonholeError
from pigeonhole.terminal import say

try:
    import fcntl
except ImportError:  # Windows
    import msvcrt

    fcntl = None

HELD_ELSEWHERE = frozenset({errno.EACCES, errno.EAGAIN, errno.EDEADLK})
RETRY_SECONDS = 0.2
BRIEF_SECONDS = 0.005  # between two attempts at a lock that is held for milliseconds, ...
MOST_SECONDS = 30  # ... and how long it is waited for


@contextlib.contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold the lock that `path` stands for; says so once on standard error if another process has it."""
    with path.open("a+b") as file:
        if not _try(file):
            say("another process is filling the cache; waiting for it ...", to=sys.stderr)
            while not _try(file):
                time.sleep(RETRY_SECONDS)
        yield


@contextlib.contextmanager
def briefly(path: Path) -> Iterator[FileIO]:
    """The file itself, open for reading and appending without a buffer, under its own lock.

    For what takes milliseconds, so other holders are waited for. What has taken the file's place meanwhile is
    opened instead. Raises PigeonholeError where another process does not let go of it.
    """
    for _ in range(round(MOST_SECONDS / BRIEF_SECONDS)):
        with path.open("a+b", buffering=0) as file:
            if _try(file) and _lies_at(file, path):
                yield file
                return
        time.sleep(BRIEF_SECONDS)
    raise PigeonholeError(f"{path}: another program keeps it locked; close that program")


def _lies_at(file: FileIO, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


@contextlib.contextmanager
def at_once(path: Path) -> Iterator[bool]:
    """Hold the lock that `path` stands for, without waiting; False where another process has it."""
    with path.open("a+b") as file:
        yield _try(file)


def is_held(path: Path) -> bool:
    """Whether a process, this one included, holds the lock."""
    if not path.is_file():
        return False
    with at_once(path) as is_free:
        return not is_free


def _try(file: BinaryIO | FileIO) -> bool:
    try:
        if fcntl:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        else:
            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    except OSError as error:
        if error.errno in HELD_ELSEWHERE:
            return False
        raise
    return True
