"""The bundled sample, digits in training_data/ and testing_data/: recognised, so that it can make room."""

import contextlib
import hashlib
import os
import re
from pathlib import Path

from pigeonhole.data.layout import is_hidden, visible_files

CLASSES = tuple("0123456789")
FILE_NAME = re.compile(r"digit_\d{4}\.png")
FINGERPRINTS = frozenset(
    {
        "378362a61c3cee6bec5daf24da7c5130bc67896aadc880d9c76e5faf2ee0a306",  # training_data
        "3715b2c294124fd2b15f86e2c6e6b11e6a81fd346b4a676020993584d043a897",  # testing_data
    }
)


def fingerprint(folder: Path) -> str:
    """Return the sha256 over the names and contents of all visible files below `folder`, hexadecimal."""
    digest = hashlib.sha256()
    for name in sorted(path.relative_to(folder).as_posix() for path in visible_files(folder)):
        digest.update(f"{name}\0".encode())
        digest.update(hashlib.sha256((folder / name).read_bytes()).digest())
    return digest.hexdigest()


def is_untouched(folder: Path) -> bool:
    """Whether `folder` holds one half of the sample as delivered: nothing added, changed or missing."""
    if _class_folders(folder) != set(CLASSES):
        return False
    # Names first: a large set of the user's own digits need not be read to be told apart.
    if not all(FILE_NAME.fullmatch(path.name) for path in visible_files(folder)):
        return False
    return fingerprint(folder) in FINGERPRINTS


def take_away(folder: Path) -> int:
    """Remove the untouched sample's files and class folders from `folder`; return the number of files."""
    files = visible_files(folder)
    for path in files:
        path.unlink()
    for class_name in CLASSES:
        with contextlib.suppress(OSError):  # the system may keep hidden files of its own in there
            (folder / class_name).rmdir()
    return len(files)


def warning(folder: Path) -> str | None:
    """Return a line for the user whose own class folders lie next to the sample's, or None."""
    classes = _class_folders(folder)
    digits = sorted(name for name in classes & set(CLASSES) if _has_sample_files(folder / name))
    own = sorted(classes - set(digits))
    if not digits or not own:
        return None
    named = ", ".join(own[:3]) + (", ..." if len(own) > 3 else "")
    return (
        f"warning: {folder} holds the bundled sample's digits ({' '.join(digits)}) next to your own"
        f" classes ({named}); delete the digit folders unless you want both"
    )


def _class_folders(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.is_dir() and not is_hidden(path.name)}


def _has_sample_files(folder: Path) -> bool:
    return any(FILE_NAME.fullmatch(name) for name in os.listdir(folder))
