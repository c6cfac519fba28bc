"""The accuracy to expect of a heap, from labels of its hard pictures."""

import numpy as np
import pytest

from pigeonhole.labelling.expected import FEWEST, accuracy, log_odds
from pigeonhole.labelling.learner import Learner
from pigeonhole.labelling.proposals import propose
from pigeonhole.statistics import wilson_interval
from tests.support.digit_coordinates import digits


def test_hard_pictures_do_not_make_it_look_bad():
    coordinates, labels = digits()
    given, learner, answers = np.full(len(labels), -1), Learner(coordinates), None
    while (given >= 0).sum() < 150:
        rows = propose(coordinates, given, answers, 10)
        given[rows] = labels[rows]
        fitted = learner.fit(given, 10)
        answers = fitted.probabilities
    rest = given < 0
    true = np.mean(answers[rest].argmax(axis=1) == labels[rest])
    alone = np.mean(fitted.out_of_fold.argmax(axis=1) == labels[fitted.rows])
    assert alone < true - 0.1  # what the labelled pictures say by themselves
    assert alone + 0.05 < fitted.accuracy.value < true + 0.02


def test_where_all_are_judged_it_is_the_share_that_is_right():
    right = np.arange(50) % 5 > 0
    found = accuracy(right, np.ones(50), np.arange(50), np.empty(0), np.empty(0))
    assert found.value == pytest.approx(0.8) and found.total == 50
    assert (found.low, found.high) == pytest.approx(wilson_interval(40, 50))


def test_all_right_is_not_held_for_certain():
    found = accuracy(np.ones(20, bool), np.full(20, 3.0), np.arange(20), np.full(500, 3.0), np.ones(500))
    assert 0.9 < found.value < 1 and 0.7 < found.low < 0.95 and found.high <= 1


def test_the_judged_count_less_the_more_others_there_are():
    right, certainty = np.arange(20) % 2 > 0, np.zeros(20)
    found = [
        accuracy(right, certainty, np.arange(20), np.full(count, 3.0), np.ones(count)).value
        for count in (0, 5, 20, 2000)
    ]
    assert found == sorted(found) and found[0] == 0.5 and found[-1] > 0.85


def test_the_share_of_the_judged_alone_is_told_beside():
    right = np.arange(20) % 4 > 0
    found = accuracy(right, np.zeros(20), np.arange(20), np.full(2000, 3.0), np.ones(2000))
    assert found.labelled == pytest.approx(0.75) and found.value > 0.85


def test_copies_count_once_and_few_pictures_tell_nothing():
    right, groups = np.repeat([True, False], FEWEST), np.repeat([0, 1], FEWEST)
    none = np.empty(0)
    assert accuracy(right, np.ones(2 * FEWEST), groups, none, none) is None
    assert accuracy(right[:0], none, groups[:0], none, none) is None
    found = accuracy(right, np.ones(2 * FEWEST), np.minimum(np.arange(2 * FEWEST), FEWEST), none, none)
    assert found.total == FEWEST + 1
    assert found.value == pytest.approx(FEWEST / (FEWEST + 1))


def test_log_odds():
    given = np.array([[0.5, 0.5], [0.9, 0.1], [1.0, 0.0]])
    np.testing.assert_allclose(log_odds(given), [0, np.log(9), 7], atol=1e-6)
