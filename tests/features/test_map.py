import numpy as np
import pytest

from pigeonhole.features import map as feature_map
from pigeonhole.features.map import places

LAST = slice(2, 30)


def groups(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Three groups that differ in the last layer: features [count, 30] and the group of each."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 3, count)
    centres = random.normal(0, 2, (3, 30))
    return (centres[labels] + random.normal(0, 1, (count, 30))).astype(np.float16), labels


def share_of_own(found: np.ndarray, labels: np.ndarray) -> float:
    """How often the nearest picture on the map is one of the same group."""
    distances = np.linalg.norm(found[:, None] - found, axis=-1)
    np.fill_diagonal(distances, np.inf)
    return float(np.mean(labels[distances.argmin(axis=1)] == labels))


def test_groups_stay_together_and_the_map_is_the_same_again():
    features, labels = groups(120)
    found = places(features, LAST, seed=3)
    assert found.shape == (120, 2) and found.dtype == np.float32
    assert np.abs(found).max() == pytest.approx(1)
    assert share_of_own(found, labels) > 0.95
    assert np.array_equal(found, places(features, LAST, seed=3))


def test_pictures_beyond_the_first_lie_by_their_like(monkeypatch):
    monkeypatch.setattr(feature_map, "MOST_PLACED", 60)
    monkeypatch.setattr(feature_map, "BLOCK", 50)
    features, labels = groups(200)
    assert share_of_own(places(features, LAST), labels) > 0.95


@pytest.mark.parametrize("count", [0, 1, 2, 5, 11])
def test_few_pictures_have_places_too(count):
    found = places(groups(count)[0], LAST)
    assert found.shape == (count, 2) and np.isfinite(found).all()


def test_equal_pictures_are_no_error():
    assert np.isfinite(places(np.ones((40, 30), np.float32), LAST)).all()
