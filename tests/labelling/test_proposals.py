"""Which pictures are proposed for a label."""

import numpy as np
import pytest

from pigeonhole.labelling.learner import Learner
from pigeonhole.labelling.proposals import margins, propose
from tests.support.digit_coordinates import digits, some


def labelled(order: str, count: int, at_once: int = 5) -> float:
    """The share of the other digits that is right after so many labels in this order."""
    coordinates, labels = digits()
    given, learner, probabilities = np.full(len(labels), -1), Learner(coordinates), None
    if order == "random":
        given = some(labels, count, seed=1)
        probabilities = learner.fit(given, 10).probabilities
    while np.sum(given >= 0) < count:
        rows = propose(coordinates, given, probabilities, at_once)
        given[rows] = labels[rows]
        probabilities = learner.fit(given, 10).probabilities
    return float(np.mean(probabilities[given < 0].argmax(axis=1) == labels[given < 0]))


def test_the_proposed_order_teaches_more_than_a_random_one():
    assert labelled("proposed", 60) > labelled("random", 60) + 0.02


@pytest.mark.parametrize("count", [0, 3, 40])
def test_proposals_are_without_a_label_and_differ(count):
    coordinates, labels = digits()
    given = some(labels, count)
    fitted = Learner(coordinates).fit(given, 10)
    rows = propose(coordinates, given, fitted.probabilities, 8)
    assert len(rows) == len(set(rows.tolist())) == 8
    assert (given[rows] < 0).all()
    np.testing.assert_array_equal(rows, propose(coordinates, given, fitted.probabilities, 8))


def test_when_all_have_a_label_nothing_is_proposed():
    coordinates, labels = digits()
    probabilities = Learner(coordinates).fit(labels, 10).probabilities
    assert len(propose(coordinates, labels, probabilities)) == 0
    given = labels.copy()
    given[[4, 9]] = -1
    assert sorted(propose(coordinates, given, probabilities)) == [4, 9]
    assert len(propose(coordinates[:1], labels[:1], None)) == 0
    assert propose(coordinates[:1], np.array([-1]), None).tolist() == [0]


def test_margins():
    given = np.array([[0.5, 0.3, 0.2], [0.1, 0.1, 0.8]])
    np.testing.assert_allclose(margins(given), [0.2, 0.7])
    np.testing.assert_array_equal(margins(np.ones((2, 1))), [1, 1])
