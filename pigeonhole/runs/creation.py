"""A new run's folder: its name, and whether it can be written."""

import itertools
import os
import tempfile
import time
from pathlib import Path

from pigeonhole.errors import UsageError
from pigeonhole.runs.run import Run

LONGEST_NAME = 255  # bytes; of common file systems


def create(output: Path, name: str | None = None) -> Run:
    """Create `output/name`, by default named by date and time.

    Raises UsageError when a run of that name exists, finished or not, or when the name is not a folder's.
    """
    if name is None:
        stem = time.strftime("%Y-%m-%d_%H-%M-%S")
        candidates = (stem if number == 1 else f"{stem}_{number}" for number in itertools.count(1))
    else:
        check_name(output, name)
        candidates = iter([name])
    output.mkdir(parents=True, exist_ok=True)
    for candidate in candidates:
        try:
            (output / candidate).mkdir()
        except FileExistsError:
            continue
        return Run(output / candidate)
    raise UsageError(f"--name {name}: {output / name} exists already; choose another name")


def check_output(output: Path, flag: str = "--output") -> None:
    """Raise UsageError, naming `flag`, where nothing can be written into `output`, which may not exist."""
    existing = next(folder for folder in (output, *output.parents) if os.path.lexists(folder))
    try:
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        why = f"not writable ({error.strerror})" if existing.is_dir() else "no folder"
        is_what = why if existing == output else f"{existing} is {why}"
        raise UsageError(f"{flag} {output}: {is_what}; name another folder") from error


def check_name(output: Path, name: str) -> None:
    """Raise UsageError when no run in `output` can be given this name."""
    if not name.strip() or name in (".", "..") or any(character in name for character in "/\\:\0"):
        raise UsageError(f"--name {name!r}: give a plain folder name")
    if len(os.fsencode(name)) > LONGEST_NAME:
        raise UsageError(f"--name {name[:20]}...: longer than {LONGEST_NAME} bytes; choose a shorter name")
    if (output / name).exists():
        raise UsageError(f"--name {name}: {output / name} exists already; choose another name")
