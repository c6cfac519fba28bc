"""Pictures that join a collection while it is being labelled, such as frames of a camera."""

from collections.abc import Sequence

import numpy as np

from pigeonhole.data import bursts, duplicates
from pigeonhole.data.duplicates import Images
from pigeonhole.data.folders import Record


class Stacked:
    """Pictures, uint8 [n, S, S, C], with some behind them that are held in memory, read by row numbers."""

    def __init__(self, first: Images, more: np.ndarray):
        self._first, self._more = first, more

    def __len__(self) -> int:
        return len(self._first) + len(self._more)

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        is_first = rows < len(self._first)
        found = np.empty((len(rows), *self._more.shape[1:]), np.uint8)
        found[is_first] = self._first[rows[is_first]]
        found[~is_first] = self._more[rows[~is_first] - len(self._first)]
        return found

    def with_more(self, pictures: np.ndarray) -> "Stacked":
        return Stacked(self._first, np.concatenate([self._more, pictures]))


def groups(
    numbers: np.ndarray, known: Sequence[Record], images: Images, new: Sequence[Record], new_images: Images
) -> np.ndarray:
    """A number for each picture, int64 [n + m], equal for copies, near copies and frames of one recording.

    numbers      int64 [n], the same for the pictures that are known
    images       uint8 [n, S, S, C] of those, `new_images` [m, S, S, C] of the others

    Only the new ones are compared.
    """
    latest = int(numbers.max(initial=-1))
    own = np.empty(len(new), np.int64)
    for number, members in enumerate(bursts.groups(new), latest + 1):
        names = {record.entry.name for record in members}
        own[[record.entry.name in names for record in new]] = number
    every = np.concatenate([numbers, own])
    of_burst = {bursts.of(record.entry.name): row for row, record in enumerate(known)}
    near = duplicates.near_copies(_prints(new), new_images, _prints(known), images)
    for row, (record, copy) in enumerate(zip(new, near, strict=True), len(known)):
        earlier = of_burst.get(bursts.of(record.entry.name) or "")
        for other in (earlier, None if copy < 0 else int(copy)):
            if other is not None:
                every[every == every[row]] = every[other]
    return every


def _prints(records: Sequence[Record]) -> np.ndarray:
    return np.array([record.fingerprint for record in records], np.uint64)
