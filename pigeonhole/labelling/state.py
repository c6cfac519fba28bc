"""Where a labelling stands: the label of each picture by the folders and the journal, and in which order."""

from collections.abc import Iterable, Sequence

import numpy as np

from pigeonhole.labelling.collection import Collection
from pigeonhole.labelling.journal import Journal

NONE = -1  # the position of no class


class State:
    """Labels of the pictures of a collection, as arrays that follow the journal. Not safe for threads.

    labels     int64 [n], positions in `classes`, NONE where a picture has no label or is left out
    removed    bool [n], left out
    decided_at int64 [n], a number that grows with every decision; 0 where a label is the folder's or none
    classes    in the order in which they came up: a class keeps its position, and so its key
    """

    def __init__(self, collection: Collection, journal: Journal):
        self._collection, self._journal = collection, journal
        self.classes: list[str] = list(dict.fromkeys([*collection.classes, *journal.classes]))
        self._position = {name: number for number, name in enumerate(self.classes)}
        self.given = np.array([self._position.get(name, NONE) for name in collection.given], np.int64)
        self.labels = self.given.copy()
        self.removed = np.zeros(len(collection), bool)
        self.decided_at = np.zeros(len(collection), np.int64)
        self.decisions = 0
        found, self.unmatched = collection.decided(journal.decisions())
        for number, (name, label) in enumerate(found.items(), 1):
            self._set(collection.row_of[name], label, number)
        self.decisions = len(found)

    def grow(self, collection: Collection) -> None:
        """Go on with a collection that has more pictures behind those of the present one."""
        new = collection.names[len(self.labels) :]
        given = [self._position.get(name, NONE) for name in collection.given[len(self.labels) :]]
        self._collection = collection
        self.given = np.append(self.given, np.array(given, np.int64))
        self.labels = np.append(self.labels, np.array(given, np.int64))
        self.removed = np.append(self.removed, np.zeros(len(new), bool))
        self.decided_at = np.append(self.decided_at, np.zeros(len(new), np.int64))
        self.take(new)

    def take(self, names: Iterable[str]) -> None:
        """Take in what the journal says of these pictures now."""
        self.decisions += 1
        for name in names:
            row = self._collection.row_of.get(name)
            if row is None:
                continue
            if name in self._journal.removed:
                self._set(row, None, self.decisions)
            elif label := self._journal.labels.get(name):
                self._set(row, label, self.decisions)
            else:
                self.removed[row], self.labels[row], self.decided_at[row] = False, self.given[row], 0

    def position(self, name: str) -> int:
        """Of a class, which is added where it is new."""
        if name not in self._position:
            self._position[name] = len(self.classes)
            self.classes.append(name)
        return self._position[name]

    @property
    def undecided(self) -> np.ndarray:
        """bool [n]: neither labelled nor left out."""
        return (self.labels == NONE) & ~self.removed

    def counts(self) -> np.ndarray:
        """Pictures of each class, int64 [K]."""
        return np.bincount(self.labels[self.labels >= 0], minlength=len(self.classes))

    def names(self, rows: Sequence[int]) -> list[str]:
        """Of the pictures in these rows and of all that have the same content."""
        return self._collection.copies(self._collection.names[row] for row in rows)

    def _set(self, row: int, label: str | None, number: int) -> None:
        self.removed[row] = label is None
        self.labels[row] = NONE if label is None else self.position(label)
        self.decided_at[row] = number
