"""Answers read again from the file that `predict --csv` or `--jsonl` has written."""

import json
from collections.abc import Iterator
from pathlib import Path

from pigeonhole.data import tables
from pigeonhole.errors import PigeonholeError, UsageError
from pigeonhole.jobs.bulk.rows import ERROR, FILE
from pigeonhole.labelling.answers import FLAG, Said
from pigeonhole.model import doubt

NEEDED = (FILE, "prediction", "confidence", "unsure", doubt.COLUMN)


def read(path: Path) -> Iterator[Said]:
    """Each answer, also those for files that could not be read.

    Raises UsageError without such a file, PigeonholeError where it is damaged.
    """
    if not path.is_file():
        raise UsageError(f"{FLAG} {path}: no such file; predict --csv or --jsonl writes it")
    try:
        with path.open("rb") as file:
            is_json = file.read(1) == b"{"
    except OSError as error:
        raise PigeonholeError(f"{path}: cannot be read ({error.strerror})") from error
    yield from _json_lines(path) if is_json else _table(path)


def _table(path: Path) -> Iterator[Said]:
    for place, row in tables.read(path, NEEDED):
        if row.get(ERROR) or not row["prediction"]:
            yield Said(row[FILE], None, 0.0, False)
            continue
        try:
            share = _share(row["confidence"].replace(",", "."))
        except ValueError as error:
            raise PigeonholeError(f"{place}: {row['confidence']!a} is no confidence") from error
        yield Said(row[FILE], row["prediction"], share, row["unsure"] == "yes" or bool(row[doubt.COLUMN]))


def _json_lines(path: Path) -> Iterator[Said]:
    with path.open(encoding="utf-8", errors="surrogateescape") as file:
        for number, line in enumerate(file, 1):
            if not line.endswith("\n"):
                return  # torn: the job goes on, or was stopped
            try:
                said = json.loads(line)
                if ERROR in said:
                    yield Said(str(said[FILE]), None, 0.0, False)
                    continue
                best = said["predictions"][0]
                in_doubt = bool(said["unsure"] or said["doubt"])
                yield Said(str(said[FILE]), str(best["class"]), _share(best["probability"]), in_doubt)
            except (ValueError, KeyError, TypeError, IndexError, RecursionError) as error:
                raise PigeonholeError(f"{path}, line {number}: is no answer of predict --jsonl") from error


def _share(written: str | float) -> float:
    """A probability; ValueError for what is none, TypeError for what is no number."""
    share = float(written)
    if not 0 <= round(share, 5) <= 1:  # float32 may end a little above 1
        raise ValueError(f"{share} is not from 0 to 1")
    return share
