"""The nearest neighbours among very many pictures: each is compared with those in the cells around it.

So time grows with the number of pictures, not with its square. It is the inverted file of Sivic and Zisserman
("Video Google", 2003): k-means divides the pictures into cells.
"""

import numpy as np

from pigeonhole.features.neighbours import Neighbours, nearest, nothing_found, union, unit
from pigeonhole.features.threads import one_thread

CELL = 1_000  # pictures in a usual cell
AROUND = 12  # cells, those of the nearest centres, in which neighbours are sought
FITTED = 50  # pictures for each cell, at random, that tell where the centres are
ROUNDS = 10  # of k-means; the centres need not be the best


def nearest_in_cells(
    queries: np.ndarray, known: np.ndarray, count: int, excluded: np.ndarray | None = None
) -> Neighbours:
    """As `neighbours.nearest` for rows of length one, but for what lies in no cell nearby.

    queries   float32 [m, d]
    known     float32 [n, d]
    excluded  int [m], a row of `known` that is not to be found, such as the picture itself; -1: none

    Copies are nearly always found (`benchmarks/neighbours.py`). Memory grows with m, by the result, and with
    n, by a few numbers each.
    """
    found = nothing_found(len(queries), count)
    if not len(known):
        return found
    centres = _centres(known)
    members, asking = _of_cells(known, centres, 1), _of_cells(queries, centres, AROUND)
    places = np.full(len(known) + 1, -1)  # of known rows in their cell; that of -1 stays -1
    for here, rows in zip(members, asking, strict=True):
        places[here] = np.arange(len(here))
        itself = None if excluded is None else places[excluded[rows]]
        part = nearest(queries[rows], known[here], count, itself, np.asarray)
        places[here] = -1
        part = Neighbours(np.append(here, -1)[part.rows], part.cosines)
        before = Neighbours(found.rows[rows], found.cosines[rows])
        found.rows[rows], found.cosines[rows] = union([before, part], count)
    return found


def _centres(known: np.ndarray) -> np.ndarray:
    """float32 [k, d] of length one."""
    from sklearn.cluster import KMeans

    count = -(-len(known) // CELL)
    sample = known[np.random.default_rng(0).permutation(len(known))[: FITTED * count]]
    with one_thread("sklearn.cluster"):
        # Equal pictures would make fewer cells than asked for, of which scikit-learn would warn.
        count = min(count, len(np.unique(sample, axis=0)))
        fitted = KMeans(count, n_init=1, max_iter=ROUNDS, random_state=0).fit(sample)
    return unit(fitted.cluster_centers_)


def _of_cells(rows: np.ndarray, centres: np.ndarray, count: int) -> list[np.ndarray]:
    """For each cell the rows, int64, to which its centre is among the `count` nearest."""
    cells = nearest(rows, centres, count, prepare=np.asarray).rows
    order = np.argsort(cells, axis=None, kind="stable")
    bounds = np.searchsorted(cells.ravel()[order], np.arange(len(centres) + 1))
    return [order[bounds[cell] : bounds[cell + 1]] // count for cell in range(len(centres))]
