"""Activation maximisation: what a step prefers, and that a network recognises its own pictures."""

import numpy as np
import pytest

from pigeonhole import Classifier
from pigeonhole.art import typical
from pigeonhole.art.class_odds import ClassOdds
from pigeonhole.art.typical import Settings
from pigeonhole.errors import PigeonholeError
from pigeonhole.runs.run import Run
from tests.support import saved_runs


@pytest.mark.parametrize("channels", [3, 1])
def test_a_network_is_sure_of_its_own_pictures(tmp_path, channels):
    run = saved_runs.save(tmp_path / "run", saved_runs.network(channels=channels))
    odds = ClassOdds(Run(run))
    shape = (3, saved_runs.SIZE, saved_runs.SIZE, channels)
    settings = Settings(steps=60, jitter=0, nearer=0, blur=(0.2, 0.2))  # its weights are random
    stages = list(typical.maximise(odds.of(range(3)), shape, settings))
    assert [stage.number for stage in stages] == list(range(1, 61))
    pictures = stages[-1].pictures
    assert pictures.min() >= 0 and pictures.max() <= 255 and pictures.dtype == np.float32
    assert (stages[-1].log_odds > stages[0].log_odds + 2).all()
    with Classifier.load(run) as classifier:
        assert classifier.predict_pixels(pictures).argmax(axis=1).tolist() == [0, 1, 2]


def test_the_gradient_is_that_of_the_log_odds(tmp_path):
    odds = ClassOdds(Run(saved_runs.ready(tmp_path / "run"))).of([2, 0])
    random = np.random.default_rng(0)
    pictures = random.uniform(60, 180, (2, saved_runs.SIZE, saved_runs.SIZE, 3)).astype(np.float32)
    whole = np.tile(np.float32([0, 0, 1, 1]), (2, 1))
    values, gradient = odds(pictures, whole)
    with Classifier.load(tmp_path / "run", engine="tensorflow") as classifier:
        (logits,) = classifier.fetch(pictures, ["logits"])
    for value, own, place in zip(values, logits, [2, 0], strict=True):
        assert value == pytest.approx(own[place] - np.logaddexp.reduce(np.delete(own, place)), abs=1e-4)
    step = 0.05 * gradient / np.abs(gradient).max(axis=(1, 2, 3), keepdims=True)
    further, _ = odds(pictures + step, whole)
    np.testing.assert_allclose(further - values, (step * gradient).sum(axis=(1, 2, 3)), rtol=0.05)


def test_steps_prefer_slow_changes_by_one_over_the_frequency():
    noise = np.random.default_rng(0).normal(size=(200, 32, 32, 1)).astype(np.float32)

    def power(pictures, row):
        return np.square(np.abs(np.fft.fft2(pictures[..., 0])[:, row, 0])).mean() ** 0.5

    changed = typical.natural(noise)
    ratios = [power(changed, row) / power(noise, row) for row in (1, 2, 8)]
    assert ratios[0] / ratios[1] == pytest.approx(2, rel=1e-3)
    assert ratios[0] / ratios[2] == pytest.approx(8, rel=1e-3)


def test_steps_prefer_brightness_to_colour():
    grey, colour = np.zeros((2, 1, 8, 8, 3), np.float32)
    grey[:], colour[..., 0], colour[..., 2] = 1, 1.5**0.5, -(1.5**0.5)
    assert np.abs(typical.natural(grey)).mean() > 5 * np.abs(typical.natural(colour)).mean()


def test_the_network_looks_aside_and_nearer_within_limits():
    found = typical.boxes(np.random.default_rng(0), 1000, Settings(jitter=0.1, nearer=0.2))
    top, left, bottom, right = found.T
    np.testing.assert_allclose(bottom - top, right - left, atol=1e-6)
    assert 0.8 <= (bottom - top).min() < 0.81 and 0.99 < (bottom - top).max() <= 1
    assert -0.1 <= top.min() < 0 and 1 < right.max() <= 1.1


def test_pictures_are_shown_in_full_contrast_and_grey_ones_in_colour():
    faint = np.float32(117) + np.random.default_rng(0).normal(0, 2, (2, 16, 16, 1)).astype(np.float32)
    shown = typical.shown(faint)
    assert shown.shape == (2, 16, 16, 3) and shown.dtype == np.uint8
    assert shown.min() < 20 and shown.max() > 215
    assert typical.shown(np.full((1, 8, 8, 3), 117, np.float32)).std() == 0


def test_an_answer_that_is_no_number_is_told():
    def odds(pictures, boxes):
        return np.full(len(pictures), np.nan), np.zeros_like(pictures)

    with pytest.raises(PigeonholeError, match="no number"):
        next(typical.maximise(odds, (1, 8, 8, 3)))
