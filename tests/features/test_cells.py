import numpy as np
import pytest

from pigeonhole.features import cells
from pigeonhole.features.cells import nearest_in_cells
from pigeonhole.features.neighbours import nearest, unit


@pytest.fixture(autouse=True)
def small_cells(monkeypatch):
    monkeypatch.setattr(cells, "CELL", 50)


def scenes(count: int, each: int, width: int = 16, seed: int = 0) -> np.ndarray:
    """float32 [count * each, width] of length one: `each` rows around each of some places."""
    random = np.random.default_rng(seed)
    places = random.normal(size=(count, 1, width))
    around = places + 0.3 * random.normal(size=(count, each, width))
    return unit(around.reshape(-1, width))


def test_nearly_all_that_a_full_comparison_finds_is_found():
    known = scenes(40, 50)
    rows = np.arange(len(known))
    full = nearest(known, known, 5, rows, np.asarray)
    found = nearest_in_cells(known, known, 5, rows)
    assert np.mean(found.rows == full.rows) > 0.98
    same = found.rows == full.rows
    assert np.array_equal(found.cosines[same], full.cosines[same])
    assert not np.any(found.rows == rows[:, None])


def test_far_fewer_are_compared(monkeypatch):
    """With places far apart, and enough cells for them, no product of all with all is made."""
    compared = []

    def counting(queries, known, *rest, **more):
        compared.append(len(queries) * len(known))
        return nearest(queries, known, *rest, **more)

    monkeypatch.setattr(cells, "nearest", counting)
    known = scenes(100, 50)
    nearest_in_cells(known, known, 5, np.arange(len(known)))
    assert sum(compared) < 0.2 * len(known) ** 2


def test_copies_are_found_among_others():
    known = scenes(40, 50)
    queries = unit(known[::7] + 0.01 * np.random.default_rng(1).normal(size=known[::7].shape))
    found = nearest_in_cells(queries.astype(np.float32), known, 1)
    assert np.mean(found.rows[:, 0] == np.arange(0, len(known), 7)) == 1


def test_what_is_excluded_is_not_found_and_the_rest_is():
    known = np.repeat(scenes(4, 50), 2, axis=0)
    excluded = np.arange(len(known))
    excluded[::2] = -1
    found = nearest_in_cells(known, known, 2, excluded)
    assert not np.any(found.rows[1::2] == excluded[1::2, None])
    assert np.all(found.rows[1::2, 0] == excluded[1::2] - 1)
    assert np.all((found.rows[::2] == np.arange(0, len(known), 2)[:, None]).any(axis=1))


@pytest.mark.parametrize("count", [0, 1, 3])
def test_fewer_known_ones_than_asked_for_leave_gaps(count):
    known, queries = scenes(1, count, seed=1), scenes(2, 2)
    found = nearest_in_cells(queries, known, 5)
    assert np.all((found.rows >= 0).sum(axis=1) == count)
    assert np.array_equal(found.rows < 0, np.isneginf(found.cosines))


def test_equal_pictures_are_one_cell(recwarn):
    known = np.ones((200, 4), np.float32) / 2
    found = nearest_in_cells(known, known, 3, np.arange(200))
    assert np.allclose(found.cosines, 1) and not recwarn.list
