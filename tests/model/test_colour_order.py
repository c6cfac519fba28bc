"""Pixels that are handed over blue first are noticed by how certain the model is of them."""

import warnings

import numpy as np
import pytest

from pigeonhole.model import rejection
from pigeonhole.model.classifier import Classifier
from pigeonhole.model.colour_order import FEWEST, seems_reversed
from pigeonhole.training import retraining
from tests.support import saved_runs


def orange(count: int, seed: int) -> np.ndarray:
    """Pictures uint8 [N, S, S, 3] of more red than blue."""
    noise = np.random.default_rng(seed).integers(0, 90, (count, saved_runs.SIZE, saved_runs.SIZE, 3))
    return (noise + np.array([150, 90, 10])).astype(np.uint8)


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    """A model whose rule for "none of these" has seen such pictures."""
    model = saved_runs.network()
    known, valid = (retraining.outputs(model, orange(60, seed)) for seed in (1, 2))
    rule = rejection.fit(known.features, np.arange(60) % 3, valid, 1.0, rule=rejection.COMBINED)
    run = saved_runs.save(tmp_path_factory.mktemp("run"), model, rejection=rule)
    with Classifier.load(run, engine="tensorflow") as loaded:
        yield loaded


def test_blue_first_is_told_once_and_red_first_never(classifier):
    pictures = orange(FEWEST, 3)
    with warnings.catch_warnings(action="error"):
        classifier.predict_pixels(pictures[:-1, ..., ::-1])  # too few to tell
        with pytest.raises(UserWarning, match="red and blue exchanged"):
            classifier.predict_pixels(pictures[..., ::-1])
        classifier.predict_pixels(pictures[..., ::-1])
        classifier._knows_order = False
        classifier.predict_pixels(pictures)
        classifier._knows_order = False
        classifier.predict_pixels(np.repeat(pictures[..., :1], 3, axis=3))  # grey


def test_a_small_gain_is_not_told_however_many_pictures_have_it():
    noise = np.random.default_rng(0).integers(0, 256, (5000, 4, 4, 3)).astype(np.float32)
    deviation = np.sqrt(2) * 256 / np.sqrt(12) / 4  # of the difference of two channels' means
    for shift, is_told in ((0.0, False), (0.5, False), (1.5, True)):
        pixels = noise + np.array([0, 0, shift * deviation])
        assert seems_reversed(lambda pixels: pixels[..., 0].mean(axis=(1, 2)), pixels) == is_told
