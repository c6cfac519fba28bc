"""Groups of pictures that look alike."""

import warnings

import numpy as np

from pigeonhole.labelling import groups
from tests.support.digit_coordinates import digits


def purity(found: list[np.ndarray], labels: np.ndarray) -> float:
    return sum(np.bincount(labels[rows]).max() for rows in found) / len(labels)


def test_every_picture_is_in_one_group_and_alike_ones_together():
    coordinates, labels = digits()
    found = groups.groups(coordinates)
    assert len(found) == 10
    np.testing.assert_array_equal(np.sort(np.concatenate(found)), np.arange(len(labels)))
    assert purity(found, labels) > 0.6
    assert [len(rows) for rows in found] == sorted(map(len, found), reverse=True)


def test_the_most_typical_come_first():
    coordinates, _ = digits()
    for rows in groups.groups(coordinates, 5):
        distances = np.linalg.norm(coordinates[rows] - coordinates[rows].mean(axis=0), axis=1)
        assert distances[:3].mean() < distances[-3:].mean()


def test_splitting_parts_what_differs():
    coordinates, labels = digits()
    mixed = np.flatnonzero(np.isin(labels, (0, 6)))
    parts = groups.split(coordinates, mixed)
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), mixed)
    assert all(np.bincount(labels[part]).max() > 0.95 * len(part) for part in parts)


def test_the_same_pictures_give_the_same_groups():
    coordinates, _ = digits()
    for one, other in zip(
        groups.groups(coordinates, seed=3), groups.groups(coordinates, seed=3), strict=True
    ):
        np.testing.assert_array_equal(one, other)


def test_few_and_equal_pictures():
    assert groups.groups(np.empty((0, 4), np.float32)) == []
    assert [rows.tolist() for rows in groups.groups(np.ones((1, 4), np.float32))] == [[0]]
    nothing_differs = np.empty((2, 0), np.float32)  # as the principal components of equal pictures are
    assert [rows.tolist() for rows in groups.groups(nothing_differs)] == [[0, 1]]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert [rows.tolist() for rows in groups.groups(np.ones((3, 4), np.float32), 2)] == [[0, 1, 2]]
