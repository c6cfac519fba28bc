"""JSON objects in files, each with a digest of its own content that is compared when it is read."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from pigeonhole import atomic_file
from pigeonhole.errors import PigeonholeError

KEY = "sha256"


def write(path: Path, content: Mapping[str, object], indent: int | None = None) -> None:
    """Replace the file. `content` has no key "sha256". Raises OSError."""
    text = json.dumps({**content, KEY: _digest(content)}, indent=indent, ensure_ascii=False)
    with atomic_file.write(path) as file:
        file.write(f"{text}\n")


def parse(path: Path, data: bytes) -> dict:
    """What `write` was given, from the file's content, or an object without a digest, as older versions
    wrote it.

    Raises PigeonholeError, naming the file, where the content is damaged or no object.
    """
    try:
        content = json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise PigeonholeError(f"{path}: damaged ({error})") from error
    if not isinstance(content, dict):
        raise PigeonholeError(f"{path}: damaged (it holds no JSON object)")
    expected = content.pop(KEY, None)
    if expected not in (None, _digest(content)):
        raise PigeonholeError(
            f"{path}: damaged, it is not what was written; where it was changed on purpose, "
            f'remove its "{KEY}"'
        )
    return content


def _digest(content: Mapping[str, object]) -> str:
    as_read = json.loads(json.dumps(content))  # where keys are texts, and tuples are lists
    return hashlib.sha256(json.dumps(as_read, sort_keys=True).encode()).hexdigest()
