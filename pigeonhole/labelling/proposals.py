"""Which pictures to label next: those whose labels teach most."""

import numpy as np

from pigeonhole.labelling.groups import clusters

# With fewer labels, pictures that stand for many others are proposed. While a head knows little, the pictures
# that it doubts are odd ones, which lead it astray.
FIRST = 15
POOL = 5_000  # pictures, a random part of more, that are considered
CANDIDATES = 10  # pictures of small margin that each proposed one is chosen from


def propose(
    coordinates: np.ndarray,
    labels: np.ndarray,
    probabilities: np.ndarray | None,
    count: int = 5,
    seed: int = 0,
) -> np.ndarray:
    """Rows of at most `count` pictures without a label, int64, the one to be labelled first in front.

    coordinates    float32 [n, d]
    labels         int [n], -1 for none
    probabilities  float32 [n, K] by the labels so far; None: not fitted yet

    First those nearest to the centres of clusters that hold no label. Then those between two classes, spread
    by clusters, as in Zhdanov, "Diverse mini-batch Active Learning" (2019).
    """
    pool = _pool(labels, seed)
    given = np.flatnonzero(labels >= 0)
    if probabilities is None or len(given) < FIRST or len(np.unique(labels[given])) < 2:
        return _central(coordinates, pool, given, count, seed)
    return _between_classes(coordinates, pool, probabilities, count, seed)


def margins(probabilities: np.ndarray) -> np.ndarray:
    """How much likelier the first class is than the second, 0..1; probabilities [n, K]. 1 where K is 1."""
    if probabilities.shape[1] < 2:
        return np.ones(len(probabilities))
    second, first = np.partition(probabilities, -2, axis=1)[:, -2:].T
    return first - second


def _pool(labels: np.ndarray, seed: int) -> np.ndarray:
    without = np.flatnonzero(np.asarray(labels) < 0)
    if len(without) > POOL:
        without = np.sort(np.random.default_rng(seed).permutation(without)[:POOL])
    return without


def _central(
    coordinates: np.ndarray, pool: np.ndarray, given: np.ndarray, count: int, seed: int
) -> np.ndarray:
    """The pictures nearest to the centres of clusters without a label, those of the largest first."""
    rows = np.concatenate([pool, given])
    wanted = min(len(given) + count, len(rows))
    if not len(pool) or wanted < 1:
        return pool[:0]
    centres, label = clusters(coordinates[rows], wanted, seed)
    sizes = np.bincount(label, minlength=len(centres))
    sizes[label[len(pool) :]] = 0
    order = [number for number in np.argsort(-sizes, kind="stable") if sizes[number]]
    members = [pool[label[: len(pool)] == number] for number in order[:count]]
    picks = zip(members, order, strict=False)
    return np.array([rows[_nearest(coordinates[rows], centres[number])] for rows, number in picks], np.int64)


def _between_classes(
    coordinates: np.ndarray, pool: np.ndarray, probabilities: np.ndarray, count: int, seed: int
) -> np.ndarray:
    margin = margins(probabilities[pool])
    near = np.argsort(margin, kind="stable")[: CANDIDATES * count]
    if len(near) <= count:
        return pool[near]
    weights = 1 - margin[near] + np.finfo(np.float32).eps
    centres, _ = clusters(coordinates[pool[near]], count, seed, weights)
    picks = np.unique([_nearest(coordinates[pool[near]], centre) for centre in centres])
    return pool[near[picks]]  # `near` is sorted by margin


def _nearest(coordinates: np.ndarray, centre: np.ndarray) -> int:
    return int(((coordinates - centre) ** 2).sum(axis=1).argmin())
