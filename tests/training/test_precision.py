"""The number format is chosen by measuring, unless the user chose it."""

import itertools

import pytest
import tensorflow as tf

from pigeonhole.training import precision


@pytest.mark.parametrize("asked", ["float32", "bfloat16"])
def test_what_is_asked_for_is_taken_without_measuring(asked):
    assert precision.choose(asked) == (asked, None)


@pytest.mark.parametrize("depthwise", [pytest.param(False, marks=pytest.mark.slow), True])
def test_auto_measures_quietly_and_follows_the_measurement(capfd, depthwise):
    chosen, gain = precision.choose("auto", depthwise)
    assert capfd.readouterr() == ("", "")
    assert gain > 0
    assert chosen == ("bfloat16" if gain >= precision.WORTHWHILE else "float32")


def test_a_round_that_other_work_slows_down_does_not_decide(monkeypatch):
    """By a single slow round the faster format was taken for hopeless, and two trainings differed."""
    steps = {tf.float32: "float32", tf.bfloat16: "bfloat16"}
    monkeypatch.setattr(precision, "_convolution_step", lambda dtype, num_pictures: steps[dtype])
    rounds = {"float32": itertools.cycle([2.0, 2.1, 6.0]), "bfloat16": itertools.cycle([9.0, 1.0, 1.1])}
    monkeypatch.setattr(precision, "_seconds", lambda step: next(rounds[step]))
    assert precision.choose("auto") == ("bfloat16", 2.0)
