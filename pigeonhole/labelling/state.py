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
    reviewed   bool [n], the label looked wrong and was confirmed or mended
    decided_at int64 [n], a number that grows with every decision; 0 where a label is the folder's or none
    classes    in the order in which they came up: a class keeps its position, and so its key
    """

    def __init__(self, collection: Collection, journal: Journal):
        self._collection, self._journal = collection, journal
        self._called = dict(journal.called)
        given = [self._called.get(name, name) for name in collection.classes]
        self.classes: list[str] = list(dict.fromkeys([*given, *journal.classes]))
        self._position = {name: number for number, name in enumerate(self.classes)}
        self._added: set[str] = set()  # classes without a picture as yet
        self.decisions = 0
        self._read()

    def grow(self, collection: Collection) -> None:
        """Go on with a collection that has more pictures behind those of the present one."""
        new = collection.names[len(self.labels) :]
        given = self._given(collection.given[len(self.labels) :])
        self._collection = collection
        self.given = np.append(self.given, given)
        self.labels = np.append(self.labels, given)
        self.removed = np.append(self.removed, np.zeros(len(new), bool))
        self.reviewed = np.append(self.reviewed, np.zeros(len(new), bool))
        self.decided_at = np.append(self.decided_at, np.zeros(len(new), np.int64))
        self.take(new)

    def take(self, names: Iterable[str]) -> None:
        """Take in what the journal says of these pictures now."""
        if self._journal.called != self._called:
            self._rename()
            return
        self.decisions += 1
        for name in names:
            row = self._collection.row_of.get(name)
            if row is None:
                continue
            self.reviewed[row] = self._journal.is_reviewed(name)
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

    def add(self, name: str) -> None:
        """Have a class that needs no picture, whatever other class was called so before."""
        self._added.add(name)
        self.position(name)

    @property
    def shown(self) -> list[int]:
        """The positions of the classes that there are: not of those that have another name by now."""
        left = {*self._called} - {*self._journal.classes} - self._added
        return [number for number, name in enumerate(self.classes) if name not in left]

    @property
    def called(self) -> dict[str, str]:
        """Class -> another name that it has now."""
        return dict(self._called)

    @property
    def undecided(self) -> np.ndarray:
        """bool [n]: neither labelled nor left out."""
        return (self.labels == NONE) & ~self.removed

    def label(self, row: int) -> str | None:
        """The class of a picture; None where it has none or is left out."""
        return self.classes[self.labels[row]] if self.labels[row] != NONE else None

    def counts(self) -> np.ndarray:
        """Pictures of each class, int64 [K]."""
        return np.bincount(self.labels[self.labels >= 0], minlength=len(self.classes))

    def counts_by_name(self) -> dict[str, int]:
        """The same of the classes that there are, in their order."""
        counts = self.counts().tolist()
        return {self.classes[place]: counts[place] for place in self.shown}

    def names(self, rows: Sequence[int]) -> list[str]:
        """Of the pictures in these rows and of all that have the same content."""
        return self._collection.copies(self._collection.names[row] for row in rows)

    def _given(self, names: Sequence[str]) -> np.ndarray:
        """Positions, int64, of what folders give, as these classes are called now."""
        return np.array([self._position.get(self._called.get(name, name), NONE) for name in names], np.int64)

    def _read(self) -> None:
        """Take in all that the journal says."""
        collection, count = self._collection, len(self._collection)
        self.given = self._given(collection.given)
        self.labels = self.given.copy()
        self.removed, self.reviewed = np.zeros(count, bool), np.zeros(count, bool)
        self.decided_at = np.zeros(count, np.int64)
        found, self.unmatched = collection.decided(self._journal.decisions())
        for number, (name, label) in enumerate(found.items(), 1):
            self._set(collection.row_of[name], label, number)
        self.decisions = max(self.decisions + 1, len(found))
        for name, label in collection.decided(self._journal.reviewed())[0].items():
            self.reviewed[collection.row_of[name]] = found[name] == label

    def _rename(self) -> None:
        """Follow the journal where it calls classes by other names. A class that is nowhere called by its
        former name keeps its position, and so its key."""
        before, self._called = self._called, dict(self._journal.called)
        used = {*self._journal.classes}
        for name in before | self._called:
            old, new = before.get(name, name), self._called.get(name, name)
            self._added -= {old} - {new}
            if old != new and old in self._position and new not in self._position and old not in used:
                self._position[new] = self._position.pop(old)
                self.classes[self._position[new]] = new
        for name in self._journal.classes:
            self.position(name)
        self._read()

    def _set(self, row: int, label: str | None, number: int) -> None:
        self.removed[row] = label is None
        self.labels[row] = NONE if label is None else self.position(label)
        self.decided_at[row] = number
