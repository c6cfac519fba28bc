"""Figures against published or hand-computed values."""

import pytest

from pigeonhole.statistics import accuracy_line, majority_share, wilson_interval


def test_wilson_interval_of_a_textbook_case():
    low, high = wilson_interval(81, 263)  # Newcombe (1998), method 3: 0.2553 to 0.3662
    assert (round(low, 4), round(high, 4)) == (0.2553, 0.3662)


@pytest.mark.parametrize("right, total", [(0, 10), (10, 10)])
def test_wilson_interval_stays_within_bounds_and_has_width(right, total):
    low, high = wilson_interval(right, total)
    assert 0 <= low < high <= 1


def test_majority_share():
    assert majority_share(["cat", "dog", "dog", "dog"]) == ("dog", 0.75)


def test_accuracy_line_states_right_and_total():
    assert accuracy_line(8321, 10000) == "8,321 of 10,000 right: 83.2 % (95 % interval 82.5 to 83.9 %)"
