import numpy as np
import pytest

from pigeonhole.features import neighbours
from pigeonhole.features.neighbours import EqualDepths, nearest, unit
from pigeonhole.networks.lite_layout import NUM_FEATURES, WIDTHS


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(neighbours, "QUERIES", 7)
    monkeypatch.setattr(neighbours, "KNOWN", 11)


def features(count: int, width: int = 8, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, width)).astype(np.float32)


@pytest.mark.parametrize("kind", [np.float32, np.float16])
def test_the_nearest_are_those_of_a_full_comparison(small_blocks, kind):
    queries, known = features(20).astype(kind), features(50, seed=1).astype(kind)
    found = nearest(queries, known, 3)
    cosines = unit(queries) @ unit(known).T
    expected = np.argsort(-cosines, axis=1)[:, :3]
    assert np.array_equal(found.rows, expected)
    assert np.allclose(found.cosines, np.take_along_axis(cosines, expected, 1), atol=1e-6)


def test_a_picture_is_not_its_own_neighbour(small_blocks):
    known = features(30)
    known[17] = 2 * known[4]
    found = nearest(known, known, 2, excluded=np.arange(30))
    assert not np.any(found.rows == np.arange(30)[:, None])
    assert found.rows[17, 0] == 4 and found.rows[4, 0] == 17
    assert found.cosines[4, 0] == pytest.approx(1)


def test_fewer_known_ones_than_asked_for_leave_gaps(small_blocks):
    found = nearest(features(2), features(1, seed=1), 3, excluded=np.array([-1, 0]))
    assert found.rows.tolist() == [[0, -1, -1], [-1, -1, -1]]
    assert np.isneginf(found.cosines[1]).all()


def test_a_picture_without_any_feature_is_no_error():
    found = nearest(np.zeros((1, 8)), features(4), 2)
    assert np.array_equal(found.cosines, [[0, 0]])


def test_each_depth_counts_alike():
    values = features(40, NUM_FEATURES)
    prepare = EqualDepths.of(values)
    first, second = prepare(values[:2])
    assert np.allclose(np.linalg.norm(prepare(values), axis=1), 1, atol=1e-5)
    standard = (values - values.mean(axis=0)) / (values.std(axis=0) + neighbours.LEAST_DEVIATION)
    parts = np.split(standard[:2], np.cumsum(2 * np.array(WIDTHS))[:-1], axis=1)
    cosines = [np.prod(unit(part), axis=0).sum() for part in parts]
    assert first @ second == pytest.approx(np.mean(cosines), abs=1e-5)


def test_another_networks_features_are_one_depth():
    values = features(10, 5)
    assert EqualDepths.of(values).depths == (slice(0, 5),)
    assert np.isfinite(EqualDepths.of(np.zeros((3, 5)))(np.zeros((3, 5)))).all()
