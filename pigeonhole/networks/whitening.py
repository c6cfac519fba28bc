"""A first layer that is not learnt but computed: a convolution that makes the patches of pictures white.

Neighbouring pixels and the three colours are much alike, so that nearly all that a patch varies by is its
brightness. After whitening every direction in which patches vary counts the same, and the layers behind need
not learn to pull them apart. After airbench94 (Jordan, "94% on CIFAR-10 in 3.29 seconds on a single GPU",
2024).
"""

from collections.abc import Iterable

import keras
import numpy as np
import tensorflow as tf

SIDE = 2  # pixels
_LEAST = 5e-4  # variance that counts beside a direction's own: one that hardly varies is not blown up


@keras.saving.register_keras_serializable("pigeonhole")
class Whiten(keras.layers.Layer):
    """Convolution of [N, H, W, C] with fixed 2x2 filters, [N, H-1, W-1, 8C], and a bias to be learnt.

    The filters are the principal directions of the patches, by `filters_for`. They are zeros until
    `set_filters`.
    """

    def build(self, input_shape):
        channels = input_shape[-1]
        filters = 2 * SIDE * SIDE * channels
        self.kernel = self.add_weight(
            shape=(SIDE, SIDE, channels, filters), initializer="zeros", name="kernel", trainable=False
        )
        self.bias = self.add_weight(shape=(filters,), initializer="zeros", name="bias")

    @property
    def has_filters(self) -> bool:
        return bool(np.any(self.kernel.numpy()))

    def set_filters(self, kernel: np.ndarray) -> None:
        self.kernel.assign(kernel)

    def call(self, inputs):
        return tf.nn.bias_add(tf.nn.conv2d(inputs, self.kernel, 1, "VALID"), self.bias)

    def compute_output_shape(self, input_shape):
        count, height, width, channels = input_shape
        return count, height - SIDE + 1, width - SIDE + 1, 2 * SIDE * SIDE * channels


def filters_for(batches: Iterable[np.ndarray]) -> np.ndarray:
    """The kernel float32 [2, 2, C, 8C] that whitens the patches of pictures like these, float [N, H, W, C].

    Each principal direction, the one of the largest variance first, is divided by its standard deviation;
    then all come again with the opposite sign, since what follows cuts off what is negative.
    """
    total, count = 0.0, 0
    for images in batches:
        patches = tf.image.extract_patches(
            images, [1, SIDE, SIDE, 1], [1, 1, 1, 1], [1, 1, 1, 1], "VALID"
        ).numpy()
        patches = patches.reshape(-1, patches.shape[-1])
        total += (patches.T @ patches).astype(np.float64)
        count += len(patches)
    variances, directions = np.linalg.eigh(total / count)
    largest = np.abs(directions).argmax(axis=0)
    directions *= np.sign(directions[largest, np.arange(len(largest))])  # which eigh leaves open
    white = (directions / np.sqrt(np.maximum(variances, 0) + _LEAST))[:, ::-1]
    kernel = np.concatenate([white, -white], axis=1)
    return kernel.reshape(SIDE, SIDE, images.shape[-1], -1).astype(np.float32)
