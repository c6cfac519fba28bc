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
from pigeonhole.features import axes
from pigeonhole.features.cells import nearest_in_cells
from pigeonhole.features.neighbours import MOST_FOR_SCALES, EqualDepths, Rows, nearest, union, unit
from pigeonhole.features.store import Features
from pigeonhole.features.threads import one_thread

AXES = 512  # that tell neighbours apart as well as all features do
NEAREST = 3  # of a picture may be compared with it; a copy is nearly always the first of them
USUAL = 6  # nearest neighbour: seldom a copy; a copy is much nearer than it is
MANY = 15_000  # pictures; of more each is compared with some others only, to find those nearest to it
AT_ONCE = 1_000  # pairs that are compared before it is asked whether more of them are worth it
LIMIT = 0.75  # correlation of detail; at least
FALSE_PAIRS = 0.1  # expected among all that are compared
UNRELATED = 200  # pictures that tell how much different pictures agree
FIFTH = 5  # nearest neighbour: as like as pictures of a class are
FEWEST_FITTING = 20  # of those; fewer show no tail
BLOCK = 250  # pairs whose pictures are in memory together
AT_A_TIME = 1_024  # pictures whose features are read
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
    """Compare pictures with their nearest neighbours and the mirror images of these.

    The pairs come in the order of how far they stand out: how much nearer the two are than one of them is to
    its sixth neighbour. The search ends after `AT_ONCE` pairs without a copy, so that very many pictures take
    little longer than a search for neighbours does.

    images  row i, uint8 [S, S, C], belongs to row i of the features; S of at least 96 shows most. Thumbnails
            have too little detail: among 1,438 scans of digits, 8 pixels wide, 3 pairs are named falsely
    labels  int [n], positions of classes
    check   is called now and then, and may raise to stop

    The limit follows from the pictures themselves: their detail is compared with that of the nearest one of
    another class and of the fifth nearest one. In the tail of the normal distribution through the median and
    the upper decile of those (after Fisher's transformation), `FALSE_PAIRS` of all pairs of neighbours would
    pass. So where all pictures look alike, only what agrees still better is called a copy.
    """
    if len(features) < 2:
        return Copies(np.empty((0, 2), np.int64), np.empty(0), np.empty(0, bool), LIMIT, 0)
    plain, mirrored = coordinates(features)
    pairs = _candidates(plain, mirrored)
    found: list[Alignment] = []
    with one_opencv_thread():
        unrelated = _aligned(_unrelated(plain, labels), images, check)
        limit = _limit(np.array([each.correlation for each in unrelated]).reshape(2, -1), len(pairs))
        while len(found) < len(pairs):
            more = list(_aligned(pairs[len(found) : len(found) + AT_ONCE], images, check))
            found += more
            if max(each.correlation for each in more) < limit:
                break
    correlations = np.array([each.correlation for each in found])
    order = np.argsort(-correlations, kind="stable")
    order = order[correlations[order] >= limit]
    are_mirrored = np.array([each.mirrored for each in found])[order]
    return Copies(pairs[order], correlations[order], are_mirrored, limit, len(found))


def coordinates(features: Features) -> tuple[np.ndarray, np.ndarray | None]:
    """float32 [n, d] of length one, whose products tell how near pictures are, and those of mirror images.

    These may be missing: the pictures alone were enough for all of 100 mirrored copies among 1,600 photos.
    """
    prepare = EqualDepths.of(features.plain)
    sample = np.unique(np.linspace(0, len(features) - 1, MOST_FOR_SCALES).astype(np.int64))
    with one_thread():
        directions = axes.leading(prepare(features.plain[sample]), AXES, exponent=0).directions

    def of(rows: Rows) -> np.ndarray:
        parts = (rows[start : start + AT_A_TIME] for start in range(0, len(rows), AT_A_TIME))
        return np.concatenate([unit(prepare(part) @ directions) for part in parts])

    return of(features.plain), None if features.mirrored is None else of(features.mirrored)


def _candidates(plain: np.ndarray, mirrored: np.ndarray | None) -> np.ndarray:
    """Each picture with the nearest to it, plain or mirrored: int64 [P, 2], the lower row first.

    First those that stand out most, by how much nearer the other is than the `USUAL` nearest.
    """
    rows = np.arange(len(plain))
    views = [plain] if mirrored is None else [plain, mirrored]
    if len(plain) > MANY:
        found = [nearest_in_cells(plain, known, USUAL, rows) for known in views]
    else:
        found = [nearest(plain, known, USUAL, rows, np.asarray) for known in views]
    others, cosines = union(found)
    # Where there are fewer pictures, the last one known is the usual one.
    usual = np.where(np.isneginf(cosines), np.inf, cosines)[:, :USUAL].min(axis=1, keepdims=True)
    pairs = np.stack([np.repeat(rows, NEAREST), others[:, :NEAREST].ravel()], axis=1)
    standing_out = (cosines - usual)[:, :NEAREST].ravel()
    order = np.argsort(-standing_out, kind="stable")
    pairs = np.sort(pairs[order[pairs[order, 1] >= 0]], axis=1)
    _, first = np.unique(pairs, axis=0, return_index=True)
    return pairs[np.sort(first)]


def _unrelated(coordinates: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Pictures with the nearest of another class, then the same with their fifth nearest: int64 [2 m, 2]."""
    rows = np.random.default_rng(0).permutation(len(coordinates))[:UNRELATED]
    queries = coordinates[rows]
    fifth = nearest(queries, coordinates, FIFTH, rows, np.asarray).rows[:, -1]
    to_others = np.where(labels[rows, None] == labels, -np.inf, queries @ coordinates.T)
    other = np.where(np.isneginf(to_others.max(axis=1)), -1, to_others.argmax(axis=1))
    partners = np.where(np.stack([other, fifth]) < 0, rows, np.stack([other, fifth]))
    return np.stack([np.tile(rows, 2), partners.ravel()], axis=1)


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
