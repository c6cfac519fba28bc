"""One process at a time: a lock on a file that ends with its holder, however that ends."""

import contextlib
import errno
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from pigeonhole.terminal import say

try:
    import fcntl
except ImportError:  # Windows
    import msvcrt

    fcntl = None

HELD_ELSEWHERE = frozenset({errno.EACCES, errno.EAGAIN, errno.EDEADLK})
RETRY_SECONDS = 0.2


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


def _try(file: BinaryIO) -> bool:
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
