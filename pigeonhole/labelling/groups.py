"""Pictures that look alike, as groups to be named at once: k-means on the coordinates."""

import numpy as np

from pigeonhole.features.threads import one_thread

PICTURES_PER_GROUP = 10  # for the number of groups: the square root of n over this
FEWEST, MOST = 2, 20
MANY = 20_000  # pictures; more are clustered by random parts at a time
STARTS = 4  # the best of so many clusterings is taken


def usual_count(pictures: int) -> int:
    """How many groups suit so many pictures: 10 for 1,000, at most 20."""
    return min(max(FEWEST, round((pictures / PICTURES_PER_GROUP) ** 0.5)), MOST, max(1, pictures))


def groups(coordinates: np.ndarray, count: int | None = None, seed: int = 0) -> list[np.ndarray]:
    """The rows of each group, int64, the largest group first and in each the most typical picture first.

    coordinates  float32 [n, d]
    count        how many groups; None: as `usual_count` says. There are fewer where pictures are equal

    The same pictures and seed give the same groups.
    """
    count = min(usual_count(len(coordinates)) if count is None else count, len(coordinates))
    if count < 1:
        return []
    centres, label = clusters(coordinates, count, seed)
    distances = np.linalg.norm(coordinates - centres[label], axis=1)
    found = [np.flatnonzero(label == number) for number in range(count)]
    found = [rows[np.argsort(distances[rows], kind="stable")] for rows in found if len(rows)]
    return sorted(found, key=lambda rows: (-len(rows), rows[0]))


def split(coordinates: np.ndarray, rows: np.ndarray, count: int = 2, seed: int = 0) -> list[np.ndarray]:
    """One group divided into `count`, as `groups` does: rows of `coordinates`, not positions in `rows`."""
    rows = np.asarray(rows, np.int64)
    return [rows[part] for part in groups(coordinates[rows], count, seed)]


def clusters(
    coordinates: np.ndarray, count: int, seed: int = 0, weights: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Centres float32 [k, d] of k <= n clusters and the cluster int64 [n] of each picture.

    `weights`: float [n], how much each picture counts.
    """
    from sklearn.cluster import KMeans, MiniBatchKMeans

    if coordinates.shape[1] == 0:  # a single picture, or equal ones: nothing tells them apart
        return np.zeros((1, 0), np.float32), np.zeros(len(coordinates), np.int64)
    kind = KMeans if len(coordinates) <= MANY else MiniBatchKMeans
    # Equal pictures make fewer clusters than asked for, of which scikit-learn would warn.
    places = coordinates @ np.random.default_rng(0).standard_normal(coordinates.shape[1])
    count = min(count, len(np.unique(places)))
    with one_thread("sklearn.cluster"):
        fitted = kind(count, n_init=STARTS, random_state=seed).fit(coordinates, sample_weight=weights)
    return fitted.cluster_centers_.astype(np.float32), fitted.labels_.astype(np.int64)
