"""The head that learns along: honest out of fold, and safe for the first few labels."""

import numpy as np
import pytest

from pigeonhole.labelling import learner
from pigeonhole.labelling.expected import FEWEST
from pigeonhole.labelling.learner import Learner
from tests.support.digit_coordinates import digits, some


def test_more_labels_more_right():
    coordinates, labels = digits()
    head, shares = Learner(coordinates), []
    for count in (20, 100, 500):
        given = some(labels, count)
        fitted = head.fit(given, 10)
        rest = given < 0
        shares.append(np.mean(fitted.probabilities[rest].argmax(axis=1) == labels[rest]))
        assert fitted.probabilities.dtype == fitted.out_of_fold.dtype == np.float32
        np.testing.assert_allclose(fitted.probabilities.sum(axis=1), 1, atol=1e-4)
        np.testing.assert_array_equal(fitted.rows, np.flatnonzero(given >= 0))
    assert shares[0] < shares[1] < shares[2] and shares[2] > 0.93


def test_the_accuracy_out_of_fold_is_that_of_new_pictures():
    coordinates, labels = digits()
    differences = []
    for seed in range(5):
        given = some(labels, 300, seed)
        fitted = Learner(coordinates).fit(given, 10)
        new = np.mean(fitted.probabilities[given < 0].argmax(axis=1) == labels[given < 0])
        differences.append(fitted.accuracy.value - new)
        assert fitted.accuracy.low < fitted.accuracy.value < fitted.accuracy.high
    assert -0.03 < np.mean(differences) < 0.01  # a little low: a fifth of the labels is left out


def test_copies_neither_flatter_nor_count_twice():
    random = np.random.default_rng(0)
    noise = np.repeat(random.standard_normal((40, 60)).astype(np.float32), 5, axis=0)
    labels, groups = np.repeat(np.arange(40) % 2, 5), np.repeat(np.arange(40), 5)
    assert Learner(noise).fit(labels, 2).accuracy.value > 0.9  # each answered by its copies
    fitted = Learner(noise, groups).fit(labels, 2)
    assert fitted.accuracy.value < 0.7
    assert fitted.accuracy.total == 40


@pytest.mark.parametrize("classes", [1, 3])
def test_without_two_classes_there_is_an_answer_and_no_accuracy(classes):
    coordinates, _ = digits()
    labels = np.full(len(coordinates), -1)
    fitted = Learner(coordinates).fit(labels, classes)
    assert fitted.accuracy is None and fitted.out_of_fold.shape == (0, classes)
    np.testing.assert_allclose(fitted.probabilities, 1 / classes, atol=1e-6)
    labels[[3, 5]] = 0
    fitted = Learner(coordinates).fit(labels, classes)
    assert fitted.accuracy is None and not fitted.judged.any()
    assert (fitted.probabilities.argmax(axis=1) == 0).all()


def test_one_picture_of_each_class_and_a_class_without_any():
    coordinates, labels = digits()
    given = np.full(len(labels), -1)
    first = np.unique(labels, return_index=True)[1]
    given[first] = labels[first]
    fitted = Learner(coordinates).fit(given, 12)
    assert fitted.accuracy is None and not fitted.judged.any()
    assert fitted.probabilities.shape == (len(labels), 12)
    assert (fitted.probabilities[first].argmax(axis=1) == labels[first]).all()
    assert np.isfinite(np.log(fitted.probabilities)).all()
    assert np.isfinite(np.log(fitted.out_of_fold)).all()


def test_a_class_with_one_picture_is_not_judged_by():
    coordinates, labels = digits()
    rows = np.append(np.flatnonzero(labels < 2), np.flatnonzero(labels == 7)[0])
    fitted = Learner(coordinates[rows]).fit(np.minimum(labels[rows], 2), 3)
    assert fitted.accuracy.total == len(rows) - 1
    assert fitted.accuracy.value > 0.95
    assert fitted.judged[:-1].all() and not fitted.judged[-1]


def test_an_accuracy_needs_enough_pictures():
    coordinates, labels = digits()
    two = np.flatnonzero(labels < 2)
    for count in (FEWEST - 1, FEWEST):
        given = np.full(len(labels), -1)
        given[two[:count]] = labels[two[:count]]
        assert (Learner(coordinates).fit(given, 2).accuracy is None) == (count < FEWEST)


def test_the_same_labels_give_the_same_answers():
    coordinates, labels = digits()
    given = some(labels, 200)
    one, other = (Learner(coordinates).fit(given, 10) for _ in range(2))
    np.testing.assert_array_equal(one.probabilities, other.probabilities)
    np.testing.assert_array_equal(one.out_of_fold, other.out_of_fold)


def test_a_part_of_many_labels_chooses_the_penalty_and_answers_stay_as_good(monkeypatch):
    coordinates, labels = digits()
    usual = Learner(coordinates).fit(labels, 10)
    monkeypatch.setattr(learner, "MANY", 500)
    monkeypatch.setattr(learner, "CHOOSING", 200)
    quick = Learner(coordinates).fit(labels, 10)
    assert abs(quick.accuracy.value - usual.accuracy.value) < 0.02
    assert np.mean(quick.out_of_fold.argmax(axis=1) == labels) > 0.93


def test_classes_of_one_recording_each_are_told_apart_and_not_judged():
    rows = np.random.default_rng(0).normal(np.repeat([[-3.0], [3.0]], 5, axis=0), 0.1, (10, 2))
    labels = np.repeat([0, 1], 5)
    fitted = Learner(rows.astype(np.float32), labels).fit(labels, 2)
    assert (fitted.probabilities.argmax(axis=1) == labels).all()
    assert not fitted.judged.any() and fitted.accuracy is None and np.isfinite(fitted.out_of_fold).all()
