"""What more labels would bring."""

import numpy as np

from pigeonhole.labelling.curve import outlook
from pigeonhole.labelling.learner import Learner
from tests.support.digit_coordinates import digits, some


def found(coordinates, labels):
    learner, count = Learner(coordinates), int(labels.max()) + 1
    fitted = learner.fit(labels, count)
    return fitted.accuracy and outlook(learner, labels, count, fitted.accuracy)


def test_few_labels_promise_more_than_many():
    coordinates, labels = digits()
    few, many = (found(coordinates, some(labels, count)) for count in (80, 1200))
    assert few.gain > many.gain and few.gain > 0.02
    assert "Twice as many labels as these 80" in few.sentence and "points" in few.sentence


def test_hardly_any_labels_tell_nothing():
    coordinates, labels = digits()
    assert found(coordinates, some(labels, 12)) is None


def test_where_all_is_told_apart_more_labels_bring_little():
    random = np.random.default_rng(0)
    labels = np.arange(400) % 2
    coordinates = (random.standard_normal((400, 4)) + 8 * labels[:, None]).astype(np.float32)
    assert found(coordinates, labels).sentence.startswith("More labels bring little now")
