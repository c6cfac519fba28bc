"""Which known pictures are nearest to a picture, by the cosine of their features, in bounded memory."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

from pigeonhole.networks.lite_layout import NUM_FEATURES, WIDTHS

QUERIES, KNOWN = 1024, 4096  # rows compared at a time: at most 80 MB of features and 16 MB of cosines
MOST_FOR_SCALES = 2000  # pictures, spread over all; the mean and deviation of a feature need no more
LEAST_DEVIATION = 1e-3  # of a feature; a dead one stays near 0
LEAST_LENGTH = 1e-12


class Rows(Protocol):
    """Features [n, D] in memory or on disk, of any float type, read by slices or arrays of row numbers."""

    shape: tuple[int, ...]

    def __len__(self) -> int: ...

    def __getitem__(self, rows: slice | np.ndarray) -> np.ndarray: ...


class Neighbours(NamedTuple):
    """The nearest known pictures of m others, the nearest first: `rows` int64 [m, k] and `cosines` float32
    [m, k], -1..1. Where fewer than k are known, the rest is -1 and minus infinity."""

    rows: np.ndarray
    cosines: np.ndarray


def unit(features: np.ndarray) -> np.ndarray:
    """Each row of [n, D] with length one, float32; a row of zeros stays as it is."""
    features = np.asarray(features, np.float32)
    return features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), LEAST_LENGTH)


@dataclass(frozen=True)
class EqualDepths:
    """Makes the cosine of two pictures the mean of their cosines at each depth of the network.

    The fine structure that tells two pictures of one scene apart is in the first depths, which the last ones
    would outweigh by their number. `mean` and `deviation`, float32 [D], standardise each feature;
    `depths` are the features of each depth.
    """

    mean: np.ndarray
    deviation: np.ndarray
    depths: tuple[slice, ...]

    @staticmethod
    def of(features: Rows) -> "EqualDepths":
        """For features like these, [n, D]. Those of another network than EfficientNet-Lite0 are one depth."""
        sample = features[np.unique(np.linspace(0, len(features) - 1, MOST_FOR_SCALES).astype(np.int64))]
        sample = np.asarray(sample, np.float32)
        bounds = [0, features.shape[1]]
        if features.shape[1] == NUM_FEATURES:
            bounds = [0, *np.cumsum(2 * np.array(WIDTHS)).tolist()]
        depths = tuple(slice(*each) for each in itertools.pairwise(bounds))
        return EqualDepths(sample.mean(axis=0), sample.std(axis=0) + LEAST_DEVIATION, depths)

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """[n, D] to float32 [n, D], each row of length one."""
        standard = (np.asarray(features, np.float32) - self.mean) / self.deviation
        parts = [unit(standard[:, depth]) for depth in self.depths]
        return np.concatenate(parts, axis=1) / np.float32(np.sqrt(len(parts)))


def nearest(
    queries: Rows,
    known: Rows,
    count: int,
    excluded: np.ndarray | None = None,
    prepare: Callable[[np.ndarray], np.ndarray] = unit,
) -> Neighbours:
    """For each of m pictures the `count` nearest of n known ones.

    queries   features [m, D]
    known     features [n, D]
    excluded  int [m], a row of `known` that is not to be found, such as the picture itself; -1: none
    prepare   features [b, D] to float32 [b, E] of length one, of which the cosine is taken

    Memory does not grow with n, and with m only by the result. Of equally near ones the first is taken.
    """
    found = nothing_found(len(queries), count)
    for start in range(0, len(known), KNOWN):
        block = prepare(known[start : start + KNOWN])
        for first in range(0, len(queries), QUERIES):
            rows = slice(first, first + QUERIES)
            cosines = prepare(queries[rows]) @ block.T
            if excluded is not None:
                inside = (excluded[rows] >= start) & (excluded[rows] < start + len(block))
                cosines[inside, excluded[rows][inside] - start] = -np.inf
            _merge(Neighbours(found.rows[rows], found.cosines[rows]), cosines, start)
    return found


def nothing_found(queries: int, count: int) -> Neighbours:
    """What is found before anything is known."""
    shape = (queries, count)
    return Neighbours(np.full(shape, -1, np.int64), np.full(shape, -np.inf, np.float32))


def union(found: Sequence[Neighbours], count: int | None = None) -> Neighbours:
    """The `count` nearest, None: all, of what several searches found for the same pictures."""
    rows, cosines = (np.concatenate(parts, axis=1) for parts in zip(*found, strict=True))
    order = np.argsort(-cosines, axis=1, kind="stable")[:, :count]
    return Neighbours(*(np.take_along_axis(each, order, axis=1) for each in (rows, cosines)))


def _merge(best: Neighbours, cosines: np.ndarray, start: int) -> None:
    """Put into `best`, in place, what is nearer among the known rows from `start` on: `cosines` [b, n]."""
    count, size = best.rows.shape[1], cosines.shape[1]
    here = np.broadcast_to(np.arange(size), cosines.shape)
    if size > count:
        here = np.sort(np.argpartition(-cosines, count - 1, axis=1)[:, :count], axis=1)
    values = np.take_along_axis(cosines, here, axis=1)
    new = Neighbours(np.where(np.isneginf(values), -1, here + start), values)
    best.rows[:], best.cosines[:] = union([best, new], count)
