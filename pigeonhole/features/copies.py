"""Pairs that show one picture, mirrored, cropped or changed: found by features, proved by the pixels.

Copies that are only encoded or sized anew are found by `data.duplicates` at less cost, tiny ones by it alone.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from pigeonhole.data.alignment import Alignment, align, sketch
from pigeonhole.data.duplicates import Images, Pair
from pigeonhole.data.parallel import in_parallel, one_opencv_thread
from pigeonhole.features.neighbours import EqualDepths, Neighbours, Rows, nearest
from pigeonhole.features.store import Features

NEAREST = 3  # of a picture are compared with it; a copy is nearly always the first of them
LIMIT = 0.75  # correlation of detail; at least
FALSE_PAIRS = 0.1  # expected among all that are compared
UNRELATED = 200  # pictures that tell how much different pictures agree
FIFTH = 5  # nearest neighbour: seldom a copy, and as like as pictures of a class are
FEWEST_FITTING = 20  # of those; fewer show no tail
BLOCK = 256  # pairs whose pictures are in memory together
MOST_ALIKE = 0.999  # where two pictures are equal, the transformed correlation would be infinite


@dataclass(frozen=True)
class Copies:
    """P pairs of pictures that show the same, the surest first.

    pairs         int64 [P, 2], rows, the lower first
    correlations  float64 [P], of their detail, from `limit` to 1
    mirrored      bool [P], whether one is the other's mirror image
    limit         what a pair had to reach here
    compared      pairs that were looked at
    """

    pairs: np.ndarray
    correlations: np.ndarray
    mirrored: np.ndarray
    limit: float
    compared: int

    def named(self, names: Sequence[str]) -> list[Pair]:
        """The pairs by the names of all pictures, sorted, as `duplicates.groups` takes them."""
        pairs = ((names[first], names[second]) for first, second in self.pairs)
        return sorted((min(pair), max(pair)) for pair in pairs)


def find(
    features: Features, images: Images, labels: np.ndarray, check: Callable[[], None] = lambda: None
) -> Copies:
    """Compare each picture with its nearest neighbours and their mirror images.

    images  row i, uint8 [S, S, C], belongs to row i of the features; S of at least 96 shows most. Thumbnails
            have too little detail: among 1,438 scans of digits, 8 pixels wide, 3 pairs are named falsely
    labels  int [n], positions of classes
    check   is called now and then, and may raise to stop

    The limit follows from the pictures themselves: their detail is compared with that of the nearest one of
    another class and of the fifth nearest one. In the tail of the normal distribution through the median and
    the upper decile of those (after Fisher's transformation), `FALSE_PAIRS` of all pairs that are compared
    would pass. So where all pictures look alike, only what agrees still better is called a copy.
    """
    if len(features) < 2:
        return Copies(np.empty((0, 2), np.int64), np.empty(0), np.empty(0, bool), LIMIT, 0)
    prepare = EqualDepths.of(features.plain)
    pairs = _candidates(features, prepare)
    unrelated = _unrelated(features, labels, prepare)
    with one_opencv_thread():
        usual = [found.correlation for found in _aligned(unrelated, images, check)]
        found = list(_aligned(pairs, images, check))
    limit = _limit(np.array(usual).reshape(2, -1), len(pairs))
    correlations = np.array([each.correlation for each in found])
    mirrored = np.array([each.mirrored for each in found])
    order = np.argsort(-correlations, kind="stable")
    order = order[correlations[order] >= limit]
    return Copies(pairs[order], correlations[order], mirrored[order], limit, len(pairs))


def _candidates(features: Features, prepare: EqualDepths) -> np.ndarray:
    """Each picture with the nearest to it, plain or mirrored: int64 [P, 2], the lower row first, sorted.

    Features of mirror images may be missing: those of the pictures alone were enough for all of 100 mirrored
    copies among 1,600 photos.
    """
    rows = np.arange(len(features))
    found = [
        nearest(features.plain, known, NEAREST, rows, prepare)
        for known in (features.plain, features.mirrored)
        if known is not None
    ]
    both = Neighbours(*(np.concatenate(parts, axis=1) for parts in zip(*found, strict=True)))
    best = np.argsort(-both.cosines, axis=1, kind="stable")[:, :NEAREST]
    others = np.take_along_axis(both.rows, best, axis=1)
    pairs = np.stack([np.repeat(rows, others.shape[1]), others.ravel()], axis=1)
    return np.unique(np.sort(pairs[pairs[:, 1] >= 0], axis=1), axis=0)


def _unrelated(features: Features, labels: np.ndarray, prepare: EqualDepths) -> np.ndarray:
    """Pictures with the nearest of another class, then the same with their fifth nearest: int64 [2 m, 2]."""
    rows = np.random.default_rng(0).permutation(len(features))[:UNRELATED]
    queries = features.plain[rows]
    fifth = nearest(queries, features.plain, FIFTH, rows, prepare).rows[:, -1]
    other = np.full(len(rows), -1)
    for label in np.unique(labels[rows]):
        strangers, own = np.flatnonzero(labels != label), labels[rows] == label
        if len(strangers):
            known = _Selected(features.plain, strangers)
            other[own] = strangers[nearest(queries[own], known, 1, prepare=prepare).rows[:, 0]]
    partners = np.where(np.stack([other, fifth]) < 0, rows, np.stack([other, fifth]))
    return np.stack([np.tile(rows, 2), partners.ravel()], axis=1)


class _Selected:
    """Some of the rows, read when they are asked for."""

    def __init__(self, features: Rows, rows: np.ndarray):
        self.shape = (len(rows), features.shape[1])
        self._features, self._rows = features, rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, rows: slice | np.ndarray) -> np.ndarray:
        return self._features[self._rows[rows]]


def _aligned(pairs: np.ndarray, images: Images, check: Callable[[], None]) -> Iterator[Alignment]:
    """How the pictures of each pair [P, 2] lie over one another, in order."""

    def of_block(block: np.ndarray) -> Sequence[Alignment]:
        rows, places = np.unique(block, return_inverse=True)
        sketches = [sketch(image) for image in images[rows]]
        return [align(sketches[first], sketches[second]) for first, second in places.reshape(-1, 2)]

    blocks = (pairs[start : start + BLOCK] for start in range(0, len(pairs), BLOCK))
    for found in in_parallel(of_block, blocks):
        check()
        yield from found


def _limit(usual: np.ndarray, compared: int) -> float:
    """What the detail of two pictures must correlate by, from two samples [2, m] of different pictures.

    Pairs that do not fit at all, at 0, cannot pass: the tail is that of the others.
    """
    return max(LIMIT, *(_tail(sample[sample > 0], FALSE_PAIRS / compared, sample.size) for sample in usual))


def _tail(fitting: np.ndarray, chance: float, total: int) -> float:
    """What another of `total` pairs, of which some fit, exceeds with this chance."""
    if len(fitting) < FEWEST_FITTING:
        return LIMIT
    transformed = np.arctanh(np.minimum(fitting, MOST_ALIKE))
    middle, decile = np.quantile(transformed, (0.5, 0.9))
    spread = (decile - middle) / NormalDist().inv_cdf(0.9)
    deviations = NormalDist().inv_cdf(max(0.5, 1 - chance * total / len(fitting)))
    return float(np.tanh(middle + deviations * spread))
