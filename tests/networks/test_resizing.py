"""Resizing inside a network against the one way in which pictures are resized outside of it."""

import functools
import math
from fractions import Fraction

import cv2
import numpy as np
import pytest
import tensorflow as tf

from pigeonhole.networks.building import build, in_float32
from pigeonhole.networks.resizing import Resized, weights, whole_picture
from pigeonhole.pictures.images import Preprocessing, preprocess, resize


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


# --- whole pictures ---

SIZES = [
    (375, 500),
    (96, 96),
    (1, 1),
    (1, 300),
    (97, 61),
    (96, 30),
    (30, 100),
    (95, 97),
    (1200, 7),
    (192, 288),
]


@pytest.mark.parametrize("channels", [3, 1])
@pytest.mark.parametrize("size", [96, 5])
@pytest.mark.parametrize("height, width", SIZES)
def test_a_whole_picture_becomes_the_same_pixels_as_outside(height, width, size, channels):
    image = photo(height, width)
    inside = graph(size, channels)(image).numpy()
    assert inside.shape == (1, size, size, channels) and inside.dtype == np.float32
    outside = preprocess(encoded(image), Preprocessing(size, channels)).astype(np.float32)
    differences = np.abs(inside[0] - outside)
    np.testing.assert_array_equal(inside, np.rint(inside))
    mixed = min(height, width) < size < max(height, width)  # rounded in between
    assert differences.max() <= 1
    assert (differences > 0).mean() < (0.35 if mixed else 0.02) or is_of_halves(height, width, size)


def test_one_graph_takes_pictures_of_all_sizes_exactly():
    whole = graph(64, 3)
    for height, width in SIZES:
        image = photo(height, width)
        rows = np.tensordot(exact_weights(height, 64), image.astype(np.float64), 1)
        exact = np.einsum("swc,tw->stc", rows, exact_weights(width, 64))
        assert np.abs(whole(image).numpy()[0] - exact).max() <= 0.5 + 1e-3
    assert whole.experimental_get_tracing_count() == 1


@pytest.mark.parametrize(
    "side, size", [(375, 224), (500, 96), (30, 224), (1, 7), (7, 1), (5, 5), (5000, 224)]
)
def test_the_weights_are_the_covered_shares(side, size):
    np.testing.assert_allclose(weights(side, size), exact_weights(side, size), atol=1e-7)


def test_lengths_that_float32_cannot_hold_change_no_level():
    image = photo(1, 36_001)
    exact = weights(36_001, 256).astype(np.float64) @ image[0]
    inside = graph(256, 3)(image).numpy()[0, 0]
    assert np.abs(inside - exact).max() <= 0.5 + 0.01


def exact_weights(side: int, size: int) -> np.ndarray:
    """By fractions: the share of each value in the interval that is averaged, one value wide at least."""
    wide = max(Fraction(side, size), Fraction(1))
    shares = np.zeros((size, side))
    for place in range(size):
        centre = Fraction(2 * place + 1, 2) * Fraction(side, size)
        start = min(max(centre - wide / 2, Fraction(0)), side - wide)
        for value in range(math.floor(start), math.ceil(start + wide)):
            shares[place, value] = (
                min(start + wide, Fraction(value + 1)) - max(start, Fraction(value))
            ) / wide
    return shares


def is_of_halves(height: int, width: int, size: int) -> bool:
    """Whether means lie at a half so often that another way of rounding those makes many levels differ."""
    return height % size == 0 and width % size == 0


def photo(height: int, width: int) -> np.ndarray:
    """uint8 [height, width, 3]: noise, the hardest to average."""
    return np.random.default_rng(height * 1000 + width).integers(0, 256, (height, width, 3), np.uint8)


def encoded(image: np.ndarray) -> bytes:
    return cv2.imencode(".png", image[..., ::-1])[1].tobytes()


@functools.cache
def graph(size: int, channels: int):
    """`whole_picture` as a graph that knows neither height nor width."""
    takes = tf.TensorSpec([None, None, 3], tf.uint8)
    return tf.function(lambda image: whole_picture(image, size, channels), input_signature=[takes])
