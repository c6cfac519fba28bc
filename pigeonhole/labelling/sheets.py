"""Groups of pictures that look alike, as a user divides and joins them."""

from collections.abc import Collection, Iterable

import numpy as np

from pigeonhole.errors import UsageError
from pigeonhole.labelling import groups


class Sheets:
    """Numbered groups of rows, the most typical picture of each first. Not safe for threads.

    `version` grows with every change. `coordinates`: float32 [n, d], replaced when there are more pictures.
    """

    def __init__(self, coordinates: np.ndarray):
        self.coordinates = coordinates
        self._rows: dict[int, np.ndarray] = {}
        self._latest = 0
        self.version = 0

    def __iter__(self) -> Iterable[tuple[int, np.ndarray]]:
        return iter(self._rows.items())

    def form(self, rows: np.ndarray) -> None:
        """Group these pictures anew."""
        self.put(rows, self.grouped(rows))

    def grouped(self, rows: np.ndarray) -> list[np.ndarray]:
        """These rows in groups; takes a second for 1,000 pictures, and keeps nothing."""
        return [rows[each] for each in groups.groups(self.coordinates[rows])] if len(rows) else []

    def put(self, rows: np.ndarray, found: list[np.ndarray]) -> None:
        """Let `found`, made of `rows` by `grouped`, take the place of all groups."""
        self._rows = {}
        self._add(found)

    def split(self, number: int, out: Collection[int], open_rows: np.ndarray) -> None:
        """Divide a group in two.

        out        rows of it that are to be the other one; none: they are told apart by their looks
        open_rows  bool [n], the pictures that are divided; others leave the group

        Raises UsageError without such a group, or where one of the two would be empty.
        """
        rows = self._of(number)
        rows = rows[open_rows[rows]]
        if out:
            apart = np.isin(rows, list(out))
            parts = [rows[~apart], rows[apart]]
        else:
            parts = groups.split(self.coordinates, rows)
        if len(parts) < 2 or not all(map(len, parts)):
            raise UsageError("These pictures cannot be told apart: the group stays as it is.")
        place = list(self._rows).index(number)
        before = list(self._rows.items())
        self._rows = dict(before[:place])
        self._add(parts)
        self._rows |= dict(before[place + 1 :])

    def merge(self, numbers: Collection[int]) -> None:
        """Make one group of several. Raises UsageError where one is no more, and without two of them."""
        if len(set(numbers)) < 2 or len(set(numbers)) < len(numbers):
            raise UsageError("It takes two groups to make one of them.")
        rows = np.concatenate([self._of(number) for number in numbers])
        centre = self.coordinates[rows].mean(axis=0)
        order = np.argsort(np.linalg.norm(self.coordinates[rows] - centre, axis=1), kind="stable")
        for number in numbers:
            del self._rows[number]
        before, self._rows = self._rows, {}
        self._add([rows[order]])
        self._rows |= before

    def _of(self, number: int) -> np.ndarray:
        if number not in self._rows:
            raise UsageError("This group is no more: it was changed in another window.")
        return self._rows[number]

    def _add(self, found: Iterable[np.ndarray]) -> None:
        for rows in found:
            self._latest += 1
            self._rows[self._latest] = rows
        self.version += 1
