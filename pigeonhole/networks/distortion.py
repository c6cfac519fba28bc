"""Pictures cropped and distorted inside a network, as the classic networks were published.

In training each picture is changed by what is drawn for it alone, in floating point and without rounding
between the steps; in inference only the centre is cut out. Every step takes images float32 [n, H, W, C] and
`chance` float32 [n, 1, 1, 1], 0 <= chance < 1, one for each picture. What a picture without colour (C = 1)
has none of, hue and saturation, stays as it is.
"""

from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass

import keras
import numpy as np
import tensorflow as tf

from pigeonhole.networks.layers import dropout_feed, uniform

_DRAWS = 1000  # keeps these draws apart from those of the dropout layers, which are counted from 1


@dataclass(frozen=True)
class Flip:
    """Mirrors left and right, every second picture."""

    def __call__(self, images, chance):
        return tf.where(chance < 0.5, images[:, :, ::-1], images)


@dataclass(frozen=True)
class Hue:
    """Turns the hue of colours 0..1 by up to `most` of the whole circle, either way."""

    most: float

    def __call__(self, images, chance):
        def turned(hue, saturation):
            return tf.math.floormod(hue + (2 * chance - 1) * self.most, 1.0), saturation

        return _recoloured(images, turned)


@dataclass(frozen=True)
class _Range:
    """A step with a least and a greatest value."""

    low: float
    high: float


class Contrast(_Range):
    """Multiplies the distance from each channel's mean by `low` to `high`."""

    def __call__(self, images, chance):
        mean = tf.reduce_mean(images, [1, 2], keepdims=True)
        return (images - mean) * _between(self.low, self.high, chance) + mean


@dataclass(frozen=True)
class Brightness:
    """Adds up to `most`, in the pictures' own unit, or takes it away."""

    most: float

    def __call__(self, images, chance):
        return images + _between(-self.most, self.most, chance)


class Saturation(_Range):
    """Multiplies the saturation, at most 1, by `low` to `high`."""

    def __call__(self, images, chance):
        def coloured(hue, saturation):
            return hue, tf.clip_by_value(saturation * _between(self.low, self.high, chance), 0.0, 1.0)

        return _recoloured(images, coloured)


class Clip(_Range):
    """Keeps values from `low` to `high`; nothing about it is random."""

    def __call__(self, images, chance):
        return tf.clip_by_value(images, self.low, self.high)


@keras.saving.register_keras_serializable("pigeonhole")
class Distort(keras.layers.Layer):
    """Cuts [N, S, S, C] to [N, `side`, `side`, C], in training with a change by each of `steps`, in order.

    The cut is the centre; where it is a `random_crop`, it is anywhere in training. What is drawn comes from
    the `dropout_feed` that is in force, so that it follows from the seed and the step, however the batch is
    divided. `active` False: training pictures are treated as in inference. Computes in float32 whatever the
    precision.
    """

    def __init__(self, side: int, steps: Sequence = (), random_crop: bool = False, **options):
        super().__init__(**{**options, "dtype": "float32"})
        self.side = side
        self.steps = tuple(steps)
        self.random_crop = random_crop
        self.active = True

    def call(self, inputs, training: bool = False):
        room = inputs.shape[1] - self.side
        if not (training and self.active):
            return self._centre(inputs, room)
        chances = uniform(tf.stack([tf.shape(inputs)[0], 2 + len(self.steps)]), _DRAWS)
        images = self._anywhere(inputs, room, chances) if self.random_crop else self._centre(inputs, room)
        for number, step in enumerate(self.steps, 2):
            images = step(images, chances[:, number, None, None, None])
        return images

    def describe(self) -> str:
        """In words, such as `random crop 24 x 24, flip, hue 0.05, contrast 0.3 to 1`."""
        words = [f"{'random' if self.random_crop else 'central'} crop {self.side} x {self.side}"]
        for step in self.steps:
            limits = " to ".join(f"{value:g}" for value in astuple(step))
            words.append(f"{type(step).__name__.lower()} {limits}".rstrip())
        return ", ".join(words)

    def _centre(self, images, room: int):
        inside = slice(room // 2, room // 2 + self.side)
        return images[:, inside, inside]

    def _anywhere(self, images, room: int, chances):
        first = tf.cast(tf.floor(chances[:, :2] * (room + 1)), tf.int32)
        rows, columns = tf.split(first[:, :, None] + tf.range(self.side), 2, 1)
        images = tf.gather(images, rows[:, 0], axis=1, batch_dims=1)
        return tf.gather(images, columns[:, 0], axis=2, batch_dims=1)

    def compute_output_shape(self, input_shape):
        return (input_shape[0], self.side, self.side, input_shape[-1])


def distort_of(model: keras.Model) -> Distort:
    """The layer of the network that varies its pictures."""
    return next(layer for layer in model.layers if isinstance(layer, Distort))


def varied(model: keras.Model, images: np.ndarray, seed: int) -> np.ndarray:
    """What training shows the network of `images` uint8 [n, S, S, C], as pictures: uint8 [n, s, s, C].

    `model`: a network with a `Distort` layer. What leaves 0..255 there is cut off to be shown.
    """
    distort = distort_of(model)
    scaled = keras.Model(model.input, distort.input)
    with dropout_feed(seed=tf.constant([seed, 0])):
        changed = distort(scaled(images.astype(np.float32)), training=True).numpy()
    white = scaled(np.full(images[:1].shape, 255, np.float32)).numpy().max()
    return np.clip(np.round(changed / white * 255), 0, 255).astype(np.uint8)


def _recoloured(images, change: Callable):
    """Colours 0..1 with another hue and saturation, 0..1 both; pictures without colour as they are."""
    if images.shape[-1] == 1:
        return images
    hue, saturation, value = tf.split(tf.image.rgb_to_hsv(images), 3, -1)
    return tf.image.hsv_to_rgb(tf.concat([*change(hue, saturation), value], -1))


def _between(low: float, high: float, chance):
    return low + (high - low) * chance
