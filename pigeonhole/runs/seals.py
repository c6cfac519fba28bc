"""Digests of a run's files, noted when these are written and compared when they are read.

TensorFlow's graph and the ONNX file have no checksums of their own: one flipped bit could change a class name
or an answer. The digests lie in a file that `sha256sum --check` understands too. A file that it does not
name is read unchecked, as in runs that were made before.
"""

import hashlib
import re
from pathlib import Path

from pigeonhole import atomic_file
from pigeonhole.errors import PigeonholeError

FILE = "sha256.txt"
_LINE = re.compile(r"([0-9a-f]{64})  (.+)")


def note(*paths: Path) -> None:
    """Note what these files of one folder hold now. Raises OSError where one cannot be read or noted."""
    _change(paths, {path.name: _digest(path) for path in paths})


def forget(*paths: Path) -> None:
    """Let these files of one folder hold anything, because they are about to be written. Raises OSError."""
    if _noted(paths[0].parent).keys() & {path.name for path in paths}:
        _change(paths, {})


def check(path: Path, data: bytes | None = None) -> None:
    """Raise PigeonholeError where the file is not what was noted.

    `data`: what it holds, where that has been read; None: it is read here. A missing file is not told here.
    """
    expected = _noted(path.parent).get(path.name)
    if expected is None or not path.is_file():
        return
    try:
        found = _digest(path) if data is None else hashlib.sha256(data).hexdigest()
    except OSError as error:
        raise PigeonholeError(f"{path}: cannot be read ({error.strerror or error})") from error
    if found != expected:
        raise PigeonholeError(
            f"{path}: damaged, it is not what the training wrote; "
            f"where it was changed on purpose, remove its line from {path.with_name(FILE)}"
        )


def _change(paths: tuple[Path, ...], digests: dict[str, str]) -> None:
    folder = paths[0].parent
    noted = {name: digest for name, digest in _noted(folder).items() if folder / name not in paths} | digests
    with atomic_file.write(folder / FILE) as file:
        file.writelines(f"{digest}  {name}\n" for name, digest in sorted(noted.items()))


def _noted(folder: Path) -> dict[str, str]:
    try:
        text = (folder / FILE).read_text("utf-8", errors="replace")
    except OSError:
        return {}
    found = (_LINE.fullmatch(line) for line in text.splitlines())
    return {line[2]: line[1] for line in found if line}


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
