"""Labels that look wrong, and copies whose labels differ."""

import numpy as np

from pigeonhole.labelling import review
from pigeonhole.labelling.learner import Learner
from tests.support.digit_coordinates import digits


def test_wrong_labels_stand_first_with_the_right_class_proposed():
    coordinates, labels = digits()
    random = np.random.default_rng(0)
    wrong = random.permutation(len(labels))[:50]
    given = labels.copy()
    given[wrong] = (labels[wrong] + random.integers(1, 10, 50)) % 10
    fitted = Learner(coordinates).fit(given, 10)
    found = review.suspects(fitted, given)
    assert len(found) == len(labels)
    assert [each.doubt for each in found] == sorted((each.doubt for each in found), reverse=True)
    first = found[:100]
    mended = [each for each in first if each.row in wrong and each.proposed == labels[each.row]]
    assert len(mended) >= 40
    assert all(each.given == given[each.row] for each in first)
    rows = np.array([each.row for each in mended])
    alike = review.look_alikes(coordinates, rows, fitted.rows)
    for row, near in zip(rows, alike, strict=True):
        assert row not in near and len(near) == review.NEAREST
    assert np.mean(labels[np.stack(alike)] == labels[rows][:, None]) > 0.8


def test_few_labels_give_no_suspects_or_few_neighbours():
    coordinates, labels = digits()
    none = np.full(len(labels), -1)
    assert review.suspects(Learner(coordinates).fit(none, 2), none) == []
    for label in (0, 1):
        none[np.flatnonzero(labels == label)[:2]] = label
    fitted = Learner(coordinates).fit(none, 2)
    found = review.suspects(fitted, none)
    assert len(found) == 4
    alike = review.look_alikes(coordinates, np.array([each.row for each in found]), fitted.rows)
    assert all(len(near) == 3 for near in alike)


def test_copies_with_different_labels():
    labels = np.array([0, 1, 1, -1, 2, 2, 0])
    groups = np.array([5, 5, 7, 7, 8, 8, 5])
    assert [rows.tolist() for rows in review.divided_copies(labels, groups)] == [[0, 1, 6]]
    assert review.divided_copies(np.full(7, -1), groups) == []
