"""Folds and choices of a cross-validation."""

import numpy as np
import pytest

from pigeonhole.features import cross_validation


@pytest.mark.parametrize(
    ("sizes", "folds"),
    [
        ((50, 50), 10),
        ((500, 500), 5),
        ((20_000, 20_000), 3),
        ((3, 3), 3),
        ((1, 300), 10),
        ((2,) * 50, 2),
        ((1, 1, 2), 2),
    ],
)
def test_the_number_of_folds_suits_the_middle_class(sizes, folds):
    labels = np.repeat(np.arange(len(sizes)), sizes)
    assert cross_validation.num_folds(labels, np.arange(len(labels))) == folds


def test_copies_count_once():
    labels, groups = np.repeat([0, 1], 40), np.arange(80) // 10
    assert cross_validation.num_folds(labels, groups) == 4


@pytest.mark.parametrize(("folds", "count"), [(2, 0), (3, 3), (4, 6), (5, 10), (10, 20)])
def test_each_fold_is_left_out_with_several_others(folds, count):
    found = cross_validation.pairs(folds)
    assert len(found) == len(set(found)) == count
    assert all(one < other for one, other in found)
    if found:
        assert set(np.bincount(np.ravel(found))) == {min(4, folds - 1)}


def test_the_best_is_the_least():
    assert cross_validation.best(np.array([[3, 1], [0.5, 2]])) == (1, 0)


def test_only_a_class_of_several_folds_can_be_judged():
    labels, folds = np.array([0, 0, 1, 1, 2]), np.array([0, 1, 1, 1, 0])
    assert cross_validation.judged(labels, folds).tolist() == [True, True, False, False, False]


def test_an_unseen_class_gets_a_little_probability():
    seen = np.log(np.array([[0.75, 0.25, 1e-30], [0.5, 0.5, 1e-30]]))
    seen[:, 2] = -np.inf
    answers = np.exp(cross_validation.with_unseen(seen, rows=17))
    np.testing.assert_allclose(answers, [[0.7125, 0.2375, 0.05], [0.475, 0.475, 0.05]], atol=1e-6)
    np.testing.assert_array_equal(
        cross_validation.with_unseen(np.log([[0.5, 0.5]]), 5), np.log(np.float32([[0.5, 0.5]]))
    )
