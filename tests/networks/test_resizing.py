"""Resizing inside a network against the one way in which pictures are resized outside of it."""

import numpy as np
import pytest

from pigeonhole.networks.building import build, in_float32
from pigeonhole.networks.resizing import Resized, weights
from pigeonhole.pictures.images import resize


@pytest.mark.parametrize("side, size", [(224, 160), (224, 112), (100, 99), (32, 128), (28, 96), (5, 5)])
def test_it_is_that_of_pictures_before_rounding(side, size):
    image = np.random.default_rng(side).integers(0, 256, (side, side, 3), np.uint8)
    inside = Resized(size)(image[np.newaxis].astype(np.float32)).numpy()[0]
    assert inside.shape == (size, size, 3)
    assert np.abs(inside - resize(image, size)).max() < 0.8


def test_a_plain_picture_stays_plain():
    for side, size in ((224, 160), (32, 128)):
        np.testing.assert_allclose(weights(side, size).sum(axis=1), 1, rtol=1e-6)


def test_a_network_that_resizes_is_built_again_in_float32():
    model = build("standard", (64, 32), 3, 4, "bfloat16")
    again = in_float32(model, model.get_weights())
    assert again.input.shape == (None, 64, 64, 3)
    pixels = np.random.default_rng(0).uniform(0, 255, (2, 64, 64, 3)).astype(np.float32)
    alone = build("standard", 32, 3, 4)
    alone.set_weights(again.get_weights())
    small = Resized(32)(pixels)
    np.testing.assert_allclose(again(pixels), alone(small), atol=1e-5)
