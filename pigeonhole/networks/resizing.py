"""Resizing inside a network, by the rule of `pictures.images.resize`: its parts can have other sizes."""

import keras
import numpy as np
import tensorflow as tf


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
    """float32 [size, side]: how much each of `side` values counts in each of `size`; rows sum to 1."""
    scale = side / size
    if size <= side:
        edges = np.arange(size + 1) * scale
        covered = np.clip(edges[1:, None] - np.arange(side), 0, 1) - np.clip(
            edges[:-1, None] - np.arange(side), 0, 1
        )
        return (covered / scale).astype(np.float32)
    places = np.clip((np.arange(size) + 0.5) * scale - 0.5, 0, side - 1)
    return np.maximum(0, 1 - np.abs(places[:, None] - np.arange(side))).astype(np.float32)
