"""Two trainings are told apart by their last bit, and not by the time that they took."""

import json
from dataclasses import replace

import numpy as np
import pytest

from pigeonhole import outcome
from pigeonhole.errors import PigeonholeError
from pigeonhole.training import Checkup, Score

CHECKUP = Checkup(
    1.0, 9, 0.1, Score(5, 9, 0.25), Score(3, 4, 0.5), 1.5, 100.0, True, np.array([True, True, True, False])
)
WEIGHTS = [np.arange(6, dtype=np.float32).reshape(2, 3), np.zeros(3, np.float32)]
SAID = np.array([[0.25, 0.75]], np.float32)


def test_the_last_bit_of_each_counts():
    before = outcome.digests(WEIGHTS, [CHECKUP], SAID)
    nudged = [np.nextafter(WEIGHTS[0], np.float32(9)), WEIGHTS[1]]
    other_loss = replace(CHECKUP, train=Score(5, 9, float(np.nextafter(0.25, 1))))
    assert outcome.differing(before, outcome.digests(nudged, [CHECKUP], SAID)) == ["weights"]
    assert outcome.differing(before, outcome.digests(WEIGHTS, [other_loss], SAID)) == ["history"]
    assert outcome.differing(before, outcome.digests(WEIGHTS, [CHECKUP], np.nextafter(SAID, 1))) == [
        "predictions"
    ]


def test_the_same_weights_in_another_shape_are_others():
    before = outcome.digests(WEIGHTS, [CHECKUP], SAID)
    turned = outcome.digests([WEIGHTS[0].reshape(3, 2), WEIGHTS[1]], [CHECKUP], SAID)
    assert outcome.differing(before, turned) == ["weights"]


def test_time_does_not_count():
    later = replace(CHECKUP, seconds=99.0, pictures_per_second=1.0)
    assert not outcome.differing(
        outcome.digests(WEIGHTS, [CHECKUP], SAID), outcome.digests(WEIGHTS, [later], SAID)
    )


@pytest.mark.parametrize("content", [None, "{", "[]", "{}", '{"outcome": 3}'])
def test_a_run_without_an_outcome_is_one_clear_error(tmp_path, content):
    if content is not None:
        (tmp_path / outcome.FILE).write_text(content)
    with pytest.raises(PigeonholeError, match="says nothing of its outcome"):
        outcome.read(tmp_path)


def test_what_was_written_is_read(tmp_path):
    digests = outcome.digests(WEIGHTS, [CHECKUP], SAID)
    (tmp_path / outcome.FILE).write_text(json.dumps({outcome.KEY: digests}))
    assert outcome.read(tmp_path) == digests
