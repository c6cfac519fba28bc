"""Temperature and calibration error against values worked out by hand or known by construction."""

import math
import time

import numpy as np
import pytest
from scipy.special import softmax

from pigeonhole.model.calibration import Bin, expected_calibration_error, fit_temperature, reliability


def calibrated(pictures: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Logits [N, 5] whose softmax is the very distribution that the labels are drawn from."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, 2, (pictures, 5))
    draw = random.random((pictures, 1))
    return logits, np.minimum((softmax(logits, axis=1).cumsum(axis=1) < draw).sum(axis=1), 4)


@pytest.mark.parametrize("temperature", [0.4, 1.0, 2.5])
def test_the_temperature_that_was_applied_is_found(temperature):
    logits, labels = calibrated(20_000)
    assert fit_temperature(logits * temperature, labels) == pytest.approx(temperature, rel=0.03)


def test_a_temperature_worked_out_by_hand():
    # Two classes, the logits 4 apart, 3 of 4 answers right: calibrated where sigmoid(4 / T) is 3/4.
    logits, labels = np.tile([4.0, 0.0], (40_000, 1)), np.arange(40_000) % 4 == 0
    assert fit_temperature(logits, labels.astype(int)) == pytest.approx(4 / math.log(3), rel=1e-3)


def test_scaling_mends_the_calibration_error_on_other_pictures():
    logits, labels = calibrated(4000, seed=1)
    unseen, their_labels = calibrated(4000, seed=2)
    temperature = fit_temperature(3 * logits, labels)
    assert expected_calibration_error(softmax(3 * unseen, axis=1), their_labels) > 0.1
    assert expected_calibration_error(softmax(3 * unseen / temperature, axis=1), their_labels) < 0.03


def test_the_order_of_the_answers_is_kept():
    logits, labels = calibrated(100)
    scaled = logits / fit_temperature(3 * logits, labels)
    assert np.array_equal(scaled.argmax(axis=1), logits.argmax(axis=1))


@pytest.mark.parametrize("pictures", [1, 2, 20, 1000])
def test_pictures_that_are_all_right_do_not_make_it_vanish(pictures):
    logits, labels = np.tile([6.0, 0.0, -1.0], (pictures, 1)), np.zeros(pictures, int)
    assert 0.2 < fit_temperature(logits, labels) <= 1


@pytest.mark.parametrize("pictures", [1, 2, 20])
def test_pictures_that_are_all_wrong_do_not_make_it_explode(pictures):
    logits, labels = np.tile([6.0, 0.0, -1.0], (pictures, 1)), np.ones(pictures, int)
    assert 1 <= fit_temperature(logits, labels) < 10


def test_logits_of_any_size_give_a_finite_temperature():
    for size in (0.0, 1e-6, 1e4):
        logits, labels = calibrated(50)
        assert 0.04 < fit_temperature((logits * size).astype(np.float32), labels) < 21


def test_no_picture_leaves_the_logits_as_they_are():
    assert fit_temperature(np.empty((0, 3)), np.empty(0, int)) == pytest.approx(1, abs=1e-3)


def test_few_pictures_do_less_harm_than_without_a_prior():
    """Mean loss on unseen pictures, over fits to 20 pictures each, of logits twice too large."""
    unseen, their_labels = calibrated(2000, seed=9)

    def loss(temperature: float) -> float:
        probabilities = softmax(2 * unseen / temperature, axis=1)
        return float(-np.log(probabilities[np.arange(2000), their_labels]).mean())

    losses = [
        loss(fit_temperature(2 * logits, labels)) for logits, labels in (calibrated(20, s) for s in range(30))
    ]
    assert np.mean(losses) - loss(2.0) < 0.4 * (loss(1.0) - loss(2.0))
    assert max(losses) <= loss(1.0)


def test_reliability_counts_each_answer_once_and_in_its_bin():
    probabilities = np.array([[0.95, 0.05], [0.1, 0.9], [0.6, 0.4], [1.0, 0.0], [0.55, 0.45]])
    bins = reliability(probabilities, np.array([0, 0, 0, 0, 1]), bins=10)
    assert len(bins) == 10
    assert [each.count for each in bins] == [0, 0, 0, 0, 0, 2, 0, 0, 1, 2]
    assert bins[0] == Bin(0.0, 0.1, 0, None, None)
    assert (bins[5].confidence, bins[5].accuracy) == (pytest.approx(0.575), 0.5)
    assert (bins[8].low, bins[8].high, bins[8].accuracy) == (0.8, 0.9, 0.0)
    assert (bins[9].confidence, bins[9].accuracy) == (pytest.approx(0.975), 1.0)


def test_the_calibration_error_worked_out_by_hand():
    probabilities = np.array([[0.95, 0.05], [0.1, 0.9], [0.6, 0.4], [1.0, 0.0], [0.55, 0.45]])
    labels = np.array([0, 0, 0, 0, 1])
    expected = (2 * abs(0.5 - 0.575) + 1 * 0.9 + 2 * abs(1 - 0.975)) / 5
    assert expected_calibration_error(probabilities, labels, bins=10) == pytest.approx(expected)


def test_fifteen_bins_unless_told():
    probabilities, labels = np.array([[0.7, 0.3]]), np.array([0])
    assert len(reliability(probabilities, labels)) == 15


def test_a_confidence_that_is_right_as_often_as_it_says_has_no_error():
    probabilities = np.tile([0.75, 0.25], (8, 1))
    assert expected_calibration_error(probabilities, np.array([0, 0, 0, 1] * 2)) == pytest.approx(0)


def mean_errors(temperature: float, pictures: int = 81) -> tuple[float, float]:
    """The calibration error on unseen pictures without and with scaling, the mean over 30 small sets."""
    before, after = [], []
    for seed in range(30):
        logits, labels = calibrated(pictures, seed)
        unseen, their_labels = calibrated(3000, 1000 + seed)
        scaled = unseen * temperature
        before.append(expected_calibration_error(softmax(scaled, axis=1), their_labels))
        fitted = fit_temperature(logits * temperature, labels)
        after.append(expected_calibration_error(softmax(scaled / fitted, axis=1), their_labels))
    return float(np.mean(before)), float(np.mean(after))


def test_few_pictures_of_a_calibrated_network_hardly_spoil_it():
    before, after = mean_errors(1.0)
    assert after < before + 0.015


@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_few_pictures_still_mend_a_network_that_is_far_off(temperature):
    before, after = mean_errors(temperature)
    assert after < 0.6 * before


def test_a_temperature_that_does_not_help_with_other_pictures_is_not_taken():
    """As often as not, where the network is calibrated already."""
    fitted = [fit_temperature(*calibrated(40, seed)) for seed in range(40)]
    assert fitted.count(1.0) > 15


@pytest.mark.slow
def test_of_thousands_of_classes_a_part_of_the_pictures_is_enough():
    random = np.random.default_rng(0)
    logits, labels = random.normal(0, 1, (5000, 2000)).astype(np.float32), np.arange(5000) % 2000
    logits[np.arange(5000), labels] += 9
    begun = time.process_time()
    assert 0.2 < fit_temperature(logits, labels) < 3
    assert time.process_time() - begun < 40, "of all pictures it takes several times as long"
