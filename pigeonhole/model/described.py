"""What is said once of a checkpoint of another program, kept as `contract.json` beside it."""

import json
from dataclasses import asdict, fields, replace
from pathlib import Path

from pigeonhole import atomic_file
from pigeonhole.errors import PigeonholeError
from pigeonhole.model.interface import ForeignCheckpoint
from pigeonhole.runs.run import Run

FILE = "contract.json"
KEY = "foreign_checkpoint"  # the file's one entry: model name -> what is said of it
_KINDS = {  # of all but the labels
    "input_tensor": str,
    "output_tensor": str,
    "logits": bool,
    "feeds": dict,
    "colour_order": str,
    "scale": float,
    "image_size": int,
    "resize": str,
}


def completed(given: ForeignCheckpoint, run: Run) -> ForeignCheckpoint:
    """What is `given`, and for the rest what the file beside the checkpoint says of it.

    Raises PigeonholeError where the file is damaged.
    """
    kept = _read(run.folder / FILE).get(run.model_name, {})
    said = {each.name: getattr(given, each.name) for each in fields(given)}
    known = {name: value for name, value in kept.items() if said[name] in (None, {})}
    return replace(given, **known)


def write(said: ForeignCheckpoint, run: Run) -> Path:
    """Keep what is said of the checkpoint of `run`, next to what the file says of others of its folder.

    Raises PigeonholeError where a file of that name is not of this kind: it is left as it is.
    """
    file = run.folder / FILE
    entry = {name: value for name, value in asdict(said).items() if value not in (None, {})}
    content = {KEY: {**_read(file), run.model_name: entry}}
    with atomic_file.write(file) as written:
        json.dump(content, written, indent=2, ensure_ascii=False)
        written.write("\n")
    return file


def _read(file: Path) -> dict[str, dict[str, object]]:
    """Model name -> what is said of it; empty without the file."""
    try:
        described = json.loads(file.read_text("utf-8"))[KEY]
        if not all(_is_right(name, value) for each in described.values() for name, value in each.items()):
            raise ValueError("an entry of an unknown name or kind")
        return described
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise PigeonholeError(f"{file}: not what pigeonhole describe writes ({error!r})") from error


def _is_right(name: str, value: object) -> bool:
    if name == "labels":
        return isinstance(value, list) and all(isinstance(each, str) for each in value)
    return isinstance(value, _KINDS.get(name, ()))
