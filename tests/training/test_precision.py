"""The number format is chosen by measuring, unless the user chose it."""

import pytest

from pigeonhole.training import precision


@pytest.mark.parametrize("asked", ["float32", "bfloat16"])
def test_what_is_asked_for_is_taken_without_measuring(asked):
    assert precision.choose(asked) == (asked, None)


def test_auto_measures_quietly_and_follows_the_measurement(capfd):
    chosen, gain = precision.choose("auto")
    assert capfd.readouterr() == ("", "")
    assert gain > 0
    assert chosen == ("bfloat16" if gain >= precision.WORTHWHILE else "float32")
