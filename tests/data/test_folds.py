"""Folds: even in every class, and no copy in two of them."""

from collections import Counter

import numpy as np

from pigeonhole.data.folds import deal


def test_folds_are_even_in_every_class_and_keep_groups_together():
    labels = np.repeat([0, 1, 2], [103, 52, 7])
    groups = np.arange(len(labels))
    groups[[0, 50, 110]] = 0
    groups[[120, 160]] = 120
    folds = deal(labels, groups, 5, seed=0)
    assert set(folds) == set(range(5))
    assert len(set(folds[[0, 50, 110]])) == len(set(folds[[120, 160]])) == 1
    for label in range(3):
        sizes = Counter(folds[labels == label].tolist())
        assert max(sizes.values()) - min(sizes[fold] for fold in range(5)) <= 3
    assert (folds == deal(labels, groups, 5, seed=0)).all()
    assert (folds != deal(labels, groups, 5, seed=1)).any()


def test_folds_do_not_follow_the_order_of_the_pictures():
    folds = deal(np.zeros(100, int), np.arange(100), 5, seed=0)
    assert len({tuple(folds[start : start + 5]) for start in range(0, 100, 5)}) > 15
