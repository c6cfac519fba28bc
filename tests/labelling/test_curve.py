"""What more labels would bring."""

import numpy as np

from pigeonhole.labelling.curve import outlook
from tests.support.digit_coordinates import digits, some

CLASSES = [f"digit {number}" for number in range(10)]


def test_few_labels_promise_more_than_many():
    coordinates, labels = digits()
    groups = np.arange(len(labels))
    few, many = (outlook(coordinates, some(labels, count), groups, CLASSES) for count in (100, 1000))
    assert few.gain > many.gain > 0
    assert "(200) would add about" in few.sentence and not few.little
    assert many.doubled.low < many.doubled.accuracy < many.doubled.high


def test_hardly_any_labels_tell_nothing():
    coordinates, labels = digits()
    groups = np.arange(len(labels))
    assert outlook(coordinates, np.full(len(labels), -1), groups, CLASSES) is None
    assert outlook(coordinates, some(labels, 12), groups, CLASSES) is None


def test_where_all_is_told_apart_more_labels_bring_little():
    random = np.random.default_rng(0)
    labels = np.arange(200) % 2
    coordinates = (random.standard_normal((200, 4)) + 8 * labels[:, None]).astype(np.float32)
    found = outlook(coordinates, labels, np.arange(200), ["a", "b"])
    assert found.little and found.sentence.startswith("More labels bring little now")
