"""Resizing inside a graph, by the rule of `pictures.images.resize`: of the input of a part of a network that
takes another size, and of whole pictures."""

import keras
import numpy as np
import tensorflow as tf

# Of red, green and blue in luma (ITU-R BT.601), as `pictures.images.preprocess` makes one channel of three.
LUMA = (0.299, 0.587, 0.114)


@keras.saving.register_keras_serializable("pigeonhole")
class Resized(keras.layers.Layer):
    """Square pictures [N, S, S, C] to [N, `size`, `size`, C], computed in float32.

    Averages over the area where pictures shrink and interpolates bilinearly where they grow: two matrix
    products, which every engine computes alike.
    """

    def __init__(self, size: int, **options):
        super().__init__(**{**options, "dtype": "float32"})
        self.size = size

    def call(self, inputs):
        side, channels = inputs.shape[1], inputs.shape[3]
        along = tf.constant(weights(side, self.size))
        rows = tf.matmul(along, tf.reshape(inputs, [-1, side, side * channels]))
        return tf.matmul(along, tf.reshape(rows, [-1, self.size, side, channels]))

    def compute_output_shape(self, input_shape):
        return (input_shape[0], self.size, self.size, input_shape[3])

    def get_config(self):
        return {**super().get_config(), "size": self.size}


def weights(side: int, size: int) -> np.ndarray:
    """float32 [size, side]: how much each of `side` values counts in each of `size`; rows sum to 1.

    Each of the `size` averages an interval as wide as its own share of the `side` values, or one value wide
    where that is more, about its centre, moved inside where it would reach beyond the ends. A value counts as
    much as it is covered. Lengths are counted in parts of 1 / (2 `size`) of a value: they are whole numbers.
    """
    width = 2 * max(side, size)
    start = np.clip((2 * np.arange(size) + 1) * side - width // 2, 0, 2 * size * side - width)[:, None]
    value = 2 * size * np.arange(side)
    covered = np.minimum(start + width, value + 2 * size) - np.maximum(start, value)
    return (np.maximum(covered, 0) / width).astype(np.float32)


def whole_picture(image: tf.Tensor, size: int, channels: int) -> tf.Tensor:
    """One decoded picture of any size, uint8 [H, W, 3] RGB, as a network's input, float32 [1, size, size,
    `channels`] of whole levels 0..255.

    By the rule of `pictures.images`, so that a client only decodes: the same levels, give or take one where
    the mean lies at a half. In a graph H and W may be unknown. Lengths are computed in float32, exactly while
    `size` times the longer side is below 2^23, and beyond that to a hundredth of a level.
    """
    height, width = (tf.cast(side, tf.float32) for side in tf.unstack(tf.shape(image)[:2]))
    columns = tf.shape(image)[1]
    rows = tf.matmul(_weights(height, size), tf.reshape(tf.cast(image, tf.float32), [-1, columns * 3]))
    by_channel = tf.transpose(tf.reshape(rows, [size, columns, 3]), [0, 2, 1])
    square = tf.matmul(tf.reshape(by_channel, [size * 3, -1]), _weights(width, size), transpose_b=True)
    pixels = tf.round(tf.transpose(tf.reshape(square, [size, 3, size]), [0, 2, 1]))
    if channels == 1:
        pixels = tf.round(tf.reduce_sum(pixels * tf.constant(LUMA), axis=2, keepdims=True))
    return tf.reshape(pixels, [1, size, size, channels])


def _weights(side: tf.Tensor, size: int) -> tf.Tensor:
    """As `weights`, for a `side` that is known only in the graph, float32 []: float32 [size, side]."""
    width = 2 * tf.maximum(side, float(size))
    centre = (2 * tf.range(float(size)) + 1) * side
    start = tf.clip_by_value(centre - width / 2, 0, 2 * size * side - width)[:, None]
    value = 2 * size * tf.range(side)
    covered = tf.minimum(start + width, value + 2 * size) - tf.maximum(start, value)
    return tf.maximum(covered, 0) / width
