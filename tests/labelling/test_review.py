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
    found = review.suspects(Learner(coordinates).fit(given, 10), given, coordinates)
    assert len(found) == len(labels)
    assert [each.doubt for each in found] == sorted((each.doubt for each in found), reverse=True)
    first = found[:100]
    mended = [each for each in first if each.row in wrong and each.proposed == labels[each.row]]
    assert len(mended) >= 40
    for each in first[:5]:
        assert each.given == given[each.row] and each.row not in each.nearest
        assert len(each.nearest) == review.NEAREST
    alike = np.mean([np.mean(labels[each.nearest] == labels[each.row]) for each in mended])
    assert alike > 0.8


def test_few_labels_give_no_suspects_or_few_neighbours():
    coordinates, labels = digits()
    none = np.full(len(labels), -1)
    assert review.suspects(Learner(coordinates).fit(none, 2), none, coordinates) == []
    for label in (0, 1):
        none[np.flatnonzero(labels == label)[:2]] = label
    found = review.suspects(Learner(coordinates).fit(none, 2), none, coordinates)
    assert len(found) == 4 and all(len(each.nearest) == 3 for each in found)


def test_copies_with_different_labels():
    labels = np.array([0, 1, 1, -1, 2, 2, 0])
    groups = np.array([5, 5, 7, 7, 8, 8, 5])
    assert [rows.tolist() for rows in review.divided_copies(labels, groups)] == [[0, 1, 6]]
    assert review.divided_copies(np.full(7, -1), groups) == []
