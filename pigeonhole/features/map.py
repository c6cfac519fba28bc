"""A map of a data set: pictures that look alike to the network lie near each other in the plane."""

import numpy as np

from pigeonhole.features import axes
from pigeonhole.features.neighbours import Rows, nearest
from pigeonhole.features.threads import one_thread

MOST_PLACED = 3000  # pictures, in some 4 s by one thread; others are put between the nearest of those
FEWEST = 10  # pictures; fewer are laid out along their two main axes
AXES = 50
PERPLEXITY = 30  # about how many neighbours are kept near each picture
STEPS, COARSENESS = 400, 0.8  # more and finer changes nothing that can be seen
NEAREST = 3
BLOCK = 4096


def places(features: Rows, last: slice, seed: int = 0) -> np.ndarray:
    """Where each of n pictures lies: float32 [n, 2], -1..1, the same for the same seed and machine.

    From the averaged last layer, the columns `last` of `features` [n, D]: t-SNE (van der Maaten and Hinton,
    "Visualizing Data using t-SNE", 2008) on their first 50 principal axes. Only neighbourhoods tell
    something; distances between groups and their sizes do not.
    """
    count = len(features)
    chosen = np.sort(np.random.default_rng(seed).permutation(count)[:MOST_PLACED])
    if count < 2:
        return np.zeros((count, 2), np.float32)
    known = np.asarray(features[chosen], np.float32)[:, last]
    with one_thread("sklearn.manifold"):
        placed = _placed(axes.leading(known, AXES).coordinates(known), seed)
        found = np.empty((count, 2), np.float32)
        found[chosen] = placed
        others = np.setdiff1d(np.arange(count), chosen)
        for start in range(0, len(others), BLOCK):
            rows = others[start : start + BLOCK]
            near = nearest(np.asarray(features[rows], np.float32)[:, last], known, NEAREST)
            found[rows] = placed[near.rows].mean(axis=1)
    found -= (found.max(axis=0) + found.min(axis=0)) / 2
    return found / max(np.abs(found).max(), np.finfo(np.float32).tiny)


def _placed(coordinates: np.ndarray, seed: int) -> np.ndarray:
    """float32 [m, 2] for coordinates [m, d] along the principal axes."""
    from sklearn.manifold import TSNE

    plane = np.pad(coordinates, ((0, 0), (0, 2)))[:, :2].astype(np.float32)
    if len(plane) < FEWEST or not np.ptp(plane):
        return plane
    start = plane / max(plane[:, 0].std(), 1e-6) * 1e-4
    settings = {"max_iter": STEPS, "angle": COARSENESS, "random_state": seed}
    perplexity = min(PERPLEXITY, (len(plane) - 1) / 3)
    return TSNE(2, perplexity=perplexity, init=start, **settings).fit_transform(coordinates)
