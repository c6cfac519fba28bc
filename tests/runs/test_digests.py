"""Two trainings are told apart by their last bit, and not by the time that they took."""

import json
from dataclasses import replace

import numpy as np
import pytest

from pigeonhole.errors import PigeonholeError
from pigeonhole.runs import digests
from pigeonhole.runs.records import Score, Validation
from pigeonhole.runs.run import Run

VALIDATION = Validation(
    1.0, 9, 0.1, Score(5, 9, 0.25), Score(3, 4, 0.5), 1.5, 100.0, True, np.array([True, True, True, False])
)
WEIGHTS = [np.arange(6, dtype=np.float32).reshape(2, 3), np.zeros(3, np.float32)]
SAID = np.array([[0.25, 0.75]], np.float32)


def test_the_last_bit_of_each_counts():
    before = digests.digests(WEIGHTS, [VALIDATION], SAID)
    nudged = [np.nextafter(WEIGHTS[0], np.float32(9)), WEIGHTS[1]]
    other_loss = replace(VALIDATION, train=Score(5, 9, float(np.nextafter(0.25, 1))))
    assert digests.differing(before, digests.digests(nudged, [VALIDATION], SAID)) == ["weights"]
    assert digests.differing(before, digests.digests(WEIGHTS, [other_loss], SAID)) == ["history"]
    assert digests.differing(before, digests.digests(WEIGHTS, [VALIDATION], np.nextafter(SAID, 1))) == [
        "predictions"
    ]


def test_the_same_weights_in_another_shape_are_others():
    before = digests.digests(WEIGHTS, [VALIDATION], SAID)
    turned = digests.digests([WEIGHTS[0].reshape(3, 2), WEIGHTS[1]], [VALIDATION], SAID)
    assert digests.differing(before, turned) == ["weights"]


def test_time_does_not_count():
    later = replace(VALIDATION, seconds=99.0, pictures_per_second=1.0)
    assert not digests.differing(
        digests.digests(WEIGHTS, [VALIDATION], SAID), digests.digests(WEIGHTS, [later], SAID)
    )


@pytest.mark.parametrize("content", [None, "{", "[]", "{}", '{"outcome": 3}'])
def test_a_run_without_an_outcome_is_one_clear_error(tmp_path, content):
    if content is not None:
        Run(tmp_path).result_file.write_text(content)
    with pytest.raises(PigeonholeError, match="has no record of its outcome"):
        digests.read(Run(tmp_path))


def test_what_was_written_is_read(tmp_path):
    written = digests.digests(WEIGHTS, [VALIDATION], SAID)
    Run(tmp_path).result_file.write_text(json.dumps({digests.KEY: written}))
    assert digests.read(Run(tmp_path)) == written
