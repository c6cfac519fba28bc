"""Answers that a model gave to the pictures, as sheets by class to be looked over, the doubtful apart."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np

from pigeonhole.errors import UsageError
from pigeonhole.labelling.collection import Collection
from pigeonhole.labelling.learner import Fitted
from pigeonhole.labelling.state import NONE, State
from pigeonhole.model import doubt

FLAG = "--answers"
DOUBTFUL, OF_CLASS, WITHOUT = "doubtful", "class", "without"  # kinds of sheets


class Said(NamedTuple):
    """One answer of a file: the picture as it is called there, its class, the probability of that, and
    whether it is in doubt. `class_name` None: the picture could not be read."""

    name: str
    class_name: str | None
    probability: float
    is_doubtful: bool


@dataclass(frozen=True)
class Answers:
    """What was said of the n pictures of a collection.

    classes      the class names
    best         int64 [n], positions in `classes`; NONE where nothing was said
    probability  float32 [n], 0..1, of the best class
    doubtful     bool [n]
    elsewhere    answers for files that are not among the pictures
    file         where it was read; None: the model that learns along has said it
    """

    classes: tuple[str, ...]
    best: np.ndarray
    probability: np.ndarray
    doubtful: np.ndarray
    elsewhere: int = 0
    file: Path | None = None

    def padded(self, count: int) -> "Answers":
        """The same, for so many pictures: of those that are more, nothing was said."""
        new = (0, count - len(self.best))
        best = np.pad(self.best, new, constant_values=NONE)
        return replace(
            self, best=best, probability=np.pad(self.probability, new), doubtful=np.pad(self.doubtful, new)
        )

    def renamed(self, called: Mapping[str, str]) -> "Answers":
        """The same with other names for some classes; several may become one."""
        if called.keys().isdisjoint(self.classes):
            return self
        names = [called.get(name, name) for name in self.classes]
        classes = list(dict.fromkeys(names))
        place = np.array([classes.index(name) for name in names])
        best = np.where(self.best == NONE, NONE, place[self.best])
        return replace(self, classes=tuple(classes), best=best)


class Sheet(NamedTuple):
    """Pictures without a label that were answered alike, the least sure first.

    `kind`: DOUBTFUL, OF_CLASS or WITHOUT an answer; `name`: the class of a sheet OF_CLASS. `answers`: the
    class of each picture, `shares` its probability.
    """

    kind: str
    name: str
    rows: list[int]
    answers: list[str]
    shares: list[float]


def of_file(collection: Collection, said: Iterable[Said], file: Path) -> Answers:
    """The answers for the pictures of the collection; where a picture has several, the last one.

    A picture may be called by its path from the working folder or from any folder above the collection's.
    Raises UsageError where none of the pictures is answered.
    """
    number: dict[str, int] = {}
    count = len(collection)
    best, probability = np.full(count, NONE, np.int64), np.zeros(count, np.float32)
    doubtful, elsewhere, first = np.zeros(count, bool), 0, ""
    for each in said:
        row = _row(collection, each.name)
        if row is None:
            elsewhere, first = elsewhere + 1, first or each.name
        elif each.class_name is not None:
            best[row] = number.setdefault(each.class_name, len(number))
            probability[row], doubtful[row] = each.probability, each.is_doubtful
    if not (best != NONE).any():
        told = f"such as {first}" if first else "it is empty"
        raise UsageError(f"{FLAG} {file}: answers none of the pictures in {collection.folder}, {told}")
    return Answers(tuple(number), best, probability, doubtful, elsewhere, file)


def by_model(fitted: Fitted, classes: tuple[str, ...]) -> Answers:
    """What the model that learns along says."""
    shares = fitted.probabilities
    return Answers(classes, shares.argmax(axis=1), shares.max(axis=1), doubt.are_torn(shares))


def sheets(state: State, answers: Answers) -> list[Sheet]:
    """The pictures that have no label yet, on one sheet each; those in doubt come first. None is empty."""
    open_rows = state.undecided
    said = open_rows & (answers.best != NONE)
    found = [_sheet(DOUBTFUL, "", said & answers.doubtful, answers)]
    for position, name in enumerate(answers.classes):
        shown = said & ~answers.doubtful & (answers.best == position)
        found.append(_sheet(OF_CLASS, name, shown, answers))
    found.append(_sheet(WITHOUT, "", open_rows & (answers.best == NONE), answers))
    return [sheet for sheet in found if sheet.rows]


def places(state: State, collection: Collection, answers: Answers | None, unsure: str) -> dict[str, str]:
    """Name -> class, of the label where a picture has one, else of the answer; `unsure` for doubtful ones.

    No picture that is left out, or of which nothing is known.
    """
    found = {}
    for row, (name, label) in enumerate(zip(collection.names, state.labels.tolist(), strict=True)):
        if label != NONE:
            found[name] = state.classes[label]
        elif answers and not state.removed[row] and answers.best[row] != NONE:
            found[name] = unsure if answers.doubtful[row] else answers.classes[answers.best[row]]
    return found


def _sheet(kind: str, name: str, shown: np.ndarray, answers: Answers) -> Sheet:
    rows = np.flatnonzero(shown)
    rows = rows[np.argsort(answers.probability[rows], kind="stable")]
    names = [answers.classes[position] if position != NONE else "" for position in answers.best[rows]]
    return Sheet(kind, name, rows.tolist(), names, answers.probability[rows].tolist())


def _row(collection: Collection, name: str) -> int | None:
    """The row of a picture that is called so from the working folder, from a folder above, or as it is below.

    Of what lies above the folder only its own name is looked at: it may have been moved with its pictures.
    """
    path = os.path.relpath(name, collection.folder).replace(os.sep, "/")
    if path in collection.row_of:
        return collection.row_of[path]
    parts = PurePosixPath(name.replace(os.sep, "/")).parts
    own = collection.folder.resolve().name
    starts = [0, *(place for place in range(1, len(parts)) if parts[place - 1] == own)]
    rows = (collection.row_of.get("/".join(parts[start:])) for start in starts)
    return next((row for row in rows if row is not None), None)
