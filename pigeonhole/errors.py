"""The two kinds of error a user can mend. Each is shown as one line, without a traceback."""

import contextlib
from collections.abc import Iterator
from pathlib import Path


class PigeonholeError(Exception):
    """Something outside the program is wrong: a file, a folder, a model, the disk. Exit status 1."""

    exit_status = 1


class UsageError(PigeonholeError):
    """The command line is wrong: a flag, its value, or a path that it names. Exit status 2."""

    exit_status = 2


@contextlib.contextmanager
def naming(place: Path, known_as: Path | None) -> Iterator[None]:
    """Let errors say `known_as`, if it is given, for `place`, of which the user does not know."""
    try:
        yield
    except PigeonholeError as error:
        error.args = (str(error).replace(str(place), str(known_as or place)),)
        raise


def first_line(error: Exception) -> str:
    """The line of another library's error that says what happened; TensorFlow says first where."""
    lines = str(getattr(error, "message", None) or error).splitlines()
    where = ("Graph execution error", "Detected at node", "Node:")
    told = (line.strip() for line in lines if line.strip() and not line.startswith(where))
    return next(told, type(error).__name__)
