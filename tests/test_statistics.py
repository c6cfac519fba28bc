"""Figures against published or hand-computed values, and intervals against simulated trainings."""

import itertools
import math

import numpy as np
import pytest
from scipy.stats import binomtest, norm

from pigeonhole.statistics import (
    CorrectedAccuracy,
    accuracy_line,
    fewest_right,
    majority_share,
    selection_corrected,
    wilson_interval,
)


def test_wilson_interval_of_a_textbook_case():
    low, high = wilson_interval(81, 263)  # Newcombe (1998), method 3: 0.2553 to 0.3662
    assert (round(low, 4), round(high, 4)) == (0.2553, 0.3662)


@pytest.mark.parametrize("right, total", [(0, 10), (10, 10)])
def test_wilson_interval_stays_within_bounds_and_has_width(right, total):
    low, high = wilson_interval(right, total)
    assert 0 <= low < high <= 1


@pytest.mark.parametrize("right, total", [(0, 1), (1, 1), (0, 10), (7, 9), (8321, 10000), (49999, 50000)])
def test_wilson_interval_is_that_of_scipy(right, total):
    expected = binomtest(right, total).proportion_ci(0.95, method="wilson")
    assert wilson_interval(right, total) == pytest.approx((expected.low, expected.high), abs=1e-12)


@pytest.mark.parametrize("total", [1, 20, 259 / 1.5, 302 / 1.5])
def test_wilson_interval_of_all_or_nothing_ends_there(total):
    assert wilson_interval(total, total)[1] == 1 and wilson_interval(0, total)[0] == 0


def test_wilson_interval_of_a_part_of_a_picture_lies_between():
    lower, between, upper = (wilson_interval(right, 20) for right in (15, 15.5, 16))
    assert lower[0] < between[0] < upper[0]
    assert lower[1] < between[1] < upper[1]


def test_majority_share():
    assert majority_share(["cat", "dog", "dog", "dog"]) == ("dog", 0.75)


def test_accuracy_line_states_right_and_total():
    assert accuracy_line(8321, 10000) == "8,321 of 10,000 right: 83.2 % (95 % interval 82.5 to 83.9 %)"


def test_one_validation_needs_no_correction():
    right = np.arange(50) < 41
    corrected = selection_corrected(right[None])
    assert (corrected.right, corrected.total, corrected.optimism) == (41, 50, 0)
    assert corrected.interval == wilson_interval(41, 50)
    assert corrected.lines() == [accuracy_line(41, 50)]


def test_the_interval_of_answers_out_of_fold_is_that_of_fewer_independent_ones():
    told = CorrectedAccuracy(90.0, 150, 0.0, 1, 0, out_of_fold=True)
    low, high = told.interval
    assert (low, high) == pytest.approx(wilson_interval(60, 100))
    shown = f"60.0 % (95 % interval {100 * low:.1f} to {100 * high:.1f} %)"
    assert told.expectation() == shown and told.lines() == [f"90 of 150 right: {shown}"]


def test_equal_validations_need_no_correction():
    right = np.random.default_rng(1).random(60) < 0.7
    corrected = selection_corrected(np.tile(right, (40, 1)))
    assert (corrected.right, corrected.optimism) == (right.sum(), 0)


def test_a_clear_winner_needs_no_correction():
    right_at = np.zeros((3, 100), bool)
    right_at[0, :20], right_at[1, :90], right_at[2, 50:90] = True, True, True
    corrected = selection_corrected(right_at)
    assert (corrected.right, corrected.validations) == (90, 3)


def test_where_the_rate_falls_a_later_network_may_be_two_standard_errors_worse():
    right_at = np.zeros((4, 100), bool)
    right_at[0, :60], right_at[1, :90], right_at[2, :84], right_at[3, :83] = True, True, True, True
    assert fewest_right(90, 100, settles=True) == 84
    assert selection_corrected(right_at).kept == 1
    assert selection_corrected(right_at, settles=True).kept == 2


def test_networks_that_are_alike_but_for_chance_are_not_chosen_among():
    right_at = np.random.default_rng(5).random((12, 400)) < 0.7
    best, late = selection_corrected(right_at), selection_corrected(right_at, settles=True)
    assert best.kept < late.kept
    assert late.optimism < 0.7 * best.optimism


def exactly_corrected(right_at: np.ndarray) -> float:
    """The correction over every possible draw of n pictures instead of a thousand random ones."""
    validations, total = right_at.shape
    best = validations - 1 - int(np.argmax(right_at.sum(1)[::-1]))
    lost = left_out = 0
    for draw in itertools.product(range(total), repeat=total):
        sums = right_at[:, draw].sum(1)
        chosen = max(range(validations), key=lambda v: (sums[v], v))
        for picture in set(range(total)) - set(draw):
            lost += int(right_at[best, picture]) - int(right_at[chosen, picture])
            left_out += 1
    return lost / left_out


@pytest.mark.parametrize(
    "rows", [("11000", "00111", "10101"), ("11110", "01111"), ("10000", "01000", "00100", "00010")]
)
def test_the_correction_is_that_of_all_possible_draws(rows):
    right_at = np.array([[mark == "1" for mark in row] for row in rows])
    assert selection_corrected(right_at).optimism == pytest.approx(exactly_corrected(right_at), abs=0.02)


def test_the_same_answer_at_every_call():
    right_at = np.random.default_rng(2).random((10, 80)) < 0.6
    assert selection_corrected(right_at) == selection_corrected(right_at)


@pytest.mark.parametrize("total", [1, 2, 3])
def test_very_few_pictures_give_a_figure(total):
    corrected = selection_corrected(np.ones((4, total), bool))
    assert (corrected.right, corrected.optimism) == (total, 0)


def test_many_pictures_are_drawn_in_parts():
    random = np.random.default_rng(3)
    right_at = random.random((5, 6_000)) < 0.8
    corrected = selection_corrected(right_at)
    assert 0 < corrected.optimism < 0.02
    assert corrected.right == right_at.sum(axis=1).max() - corrected.optimism * 6_000


def test_the_lines_state_what_was_seen_and_what_may_be_expected():
    random = np.random.default_rng(4)
    right_at = random.random((12, 50)) < 0.7
    corrected = selection_corrected(right_at)
    expected, seen = corrected.lines()
    most = right_at.sum(axis=1).max()
    assert seen.startswith(
        f"seen: {most} of 50 right, {100 * most / 50:.1f} %, by the network chosen from 12 validations;"
    )
    low, high = (100 * bound for bound in corrected.interval)
    assert f"{100 * corrected.accuracy:.1f} % (95 % interval {low:.1f} to {high:.1f} %)" in expected
    assert seen.endswith(f" about {100 * corrected.optimism:.1f} percentage points too high")
    assert corrected.accuracy + corrected.optimism == pytest.approx(most / 50)


def training(random: np.random.Generator, pictures: int, accuracy: float) -> tuple[np.ndarray, np.ndarray]:
    """A simulated training: bool [40, pictures], what its validations had right, and their true accuracies.

    Some pictures are easier than others, and a network answers much as it did at the validation before.
    """
    validations = 40
    progress = np.arange(validations) / validations
    true = accuracy * (1 - 0.65 * np.exp(-6 * progress))
    kept = math.exp(-0.25)
    changing = [random.normal(size=pictures)]
    for _ in range(validations - 1):
        changing.append(kept * changing[-1] + math.sqrt(1 - kept**2) * random.normal(size=pictures))
    difficulty = math.sqrt(0.5) * random.normal(size=pictures) + math.sqrt(0.5) * np.array(changing)
    return difficulty < norm.ppf(true)[:, None], true


def coverage(trainings: int, sizes: tuple[int, ...], seed: int, settles: bool = False) -> dict[str, float]:
    """How often each interval holds the true accuracy of the network that was kept, and the mean errors."""
    random = np.random.default_rng(seed)
    cases = itertools.cycle(itertools.product(sizes, (0.6, 0.85, 0.95)))
    rows = []
    for pictures, accuracy in itertools.islice(cases, trainings):
        right_at, true = training(random, pictures, accuracy)
        counts = right_at.sum(axis=1)
        corrected = selection_corrected(right_at, settles)
        kept = corrected.kept
        (low, high), (seen_low, seen_high) = corrected.interval, wilson_interval(counts[kept], pictures)
        rows.append(
            (
                low <= true[kept] <= high,
                seen_low <= true[kept] <= seen_high,
                corrected.accuracy - true[kept],
                counts[kept] / pictures - true[kept],
            )
        )
    return dict(zip(("corrected", "seen", "error", "error_seen"), np.mean(rows, axis=0), strict=True))


@pytest.mark.parametrize(("settles", "luck"), [(False, 0.03), (True, 0.01)])
def test_the_corrected_interval_holds_the_true_accuracy(settles, luck):
    found = coverage(90, (20, 60, 100), 5, settles)
    assert found["corrected"] >= 0.93
    assert abs(found["error"]) < 0.02
    assert found["error_seen"] > luck  # what there was to correct
    assert settles or found["seen"] < 0.92


@pytest.mark.slow
@pytest.mark.parametrize("settles", [False, True])
def test_the_corrected_interval_holds_the_true_accuracy_in_many_trainings(settles):
    found = coverage(3000, (20, 60, 150, 400), 6, settles)
    assert 0.945 <= found["corrected"] <= 0.985
    assert abs(found["error"]) < 0.005
