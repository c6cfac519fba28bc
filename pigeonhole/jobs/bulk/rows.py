"""What a row says of a picture, in a table and as a JSON line, and which names have theirs already."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from pigeonhole.data import tables
from pigeonhole.jobs.prediction import NEAREST, Answer, Why
from pigeonhole.model import doubt

FILE, ERROR, MODEL = "file", "error", "model"  # columns, and keys of a JSON line


@dataclass(frozen=True)
class Layout:
    """What every row of a job holds: answers of one model for its `classes`.

    `model`: a digest of the model, so that a job is not resumed with another one. `top`: how many classes a
    JSON line names; a table has all of them. `has_heatmap`, `has_nearest`: what was asked for besides.
    """

    classes: tuple[str, ...]
    model: str
    top: int = 5
    has_heatmap: bool = False
    has_nearest: bool = False

    @classmethod
    def of(cls, classes: tuple[str, ...], model: str, top: int, why: Why) -> "Layout":
        return cls(classes, model, top, why.heatmaps is not None, why.known is not None)

    @property
    def columns(self) -> list[str]:
        """The columns of a table."""
        fixed = [FILE, "prediction", "confidence", "unsure", ERROR, *tables.share_columns(self.classes)]
        numbers = range(1, NEAREST + 1) if self.has_nearest else ()
        nearest = [f"nearest_{number}{part}" for number in numbers for part in ("", "_class", "_cosine")]
        return [*fixed, doubt.COLUMN, *(["heatmap"] if self.has_heatmap else []), *nearest, MODEL]

    def values(self, answer: Answer) -> list[str | float | bool | None]:
        """The row of the table; None for an empty cell."""
        if answer.error is not None:
            empty = len(self.columns) - 6
            return [answer.name, None, None, None, answer.error, *[None] * empty, self.model]
        (best, confidence), shares = answer.ranked[0], dict(answer.ranked)
        cells = [answer.name, best, confidence, answer.unsure, None, *(shares[name] for name in self.classes)]
        cells.append(answer.doubt)
        if self.has_heatmap:
            cells.append(str(answer.heatmap) if answer.heatmap else None)
        near = [value for each in answer.nearest for value in (each.name, each.class_name, each.cosine)]
        missing = len(self.columns) - 1 - len(cells) - len(near)
        return [*cells, *near, *[None] * missing, self.model]


def as_json(answer: Answer, top: int) -> dict[str, object]:
    """What a program is told of an answer: the `top` best classes, or the error."""
    if answer.error is not None:
        return {FILE: answer.name, ERROR: answer.error}
    ranked = [{"class": name, "probability": share} for name, share in answer.ranked[:top]]
    said = {FILE: answer.name, "predictions": ranked, "unsure": answer.unsure, "doubt": answer.doubt}
    if answer.nearest:
        said["nearest"] = [
            {"file": each.name, "class": each.class_name, "cosine": each.cosine} for each in answer.nearest
        ]
    if answer.heatmap:
        said["heatmap"] = str(answer.heatmap)
    return said


class Kept:
    """Which names have their row already, in eight bytes each.

    Two of a million names share their 64 bits with a probability of 3e-8.
    """

    def __init__(self, names: Iterable[str] = ()):
        self._digests = np.unique(np.fromiter(map(_digest, names), np.uint64))

    def __len__(self) -> int:
        return len(self._digests)

    def __contains__(self, name: str) -> bool:
        if not len(self._digests):
            return False
        digest = np.uint64(_digest(name))
        place = np.searchsorted(self._digests, digest)
        return place < len(self._digests) and self._digests[place] == digest


def written(name: str) -> str:
    """A name as text files hold it: what is no UTF-8 is escaped."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


def _digest(name: str) -> int:
    content = written(name).encode("utf-8")
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "little")


def cells(values: Sequence[str | float | bool | None]) -> list[str]:
    """The row of a table as its texts."""
    return [_text(value) for value in values]


def _text(value: str | float | bool | None) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.6f}" if isinstance(value, float) else value
