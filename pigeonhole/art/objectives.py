"""What a picture is changed for: the mean answer of channels of a network's layers, with its gradient."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from pigeonhole.art.layered import LayeredNetwork
from pigeonhole.errors import PigeonholeError, UsageError, first_line


class Goal(NamedTuple):
    """A layer, and the numbers of the channels of it that are meant; none stands for all."""

    layer: str
    channels: tuple[int, ...] = ()


def goals(layers: Sequence[str], channels: Sequence[int]) -> list[Goal]:
    """What `--layer` and `--channel` say: the channels of the only layer, or one of each in their order."""
    if len(layers) == 1 or not channels:
        return [Goal(layer, tuple(channels)) for layer in layers]
    if len(layers) != len(channels):
        raise UsageError(
            f"--channel: {len(channels)} given for {len(layers)} layers; give each its own, in order, or none"
        )
    return [Goal(layer, (channel,)) for layer, channel in zip(layers, channels, strict=True)]


class MeanOfChannels:
    """The sum over goals of the mean over place and channels of a layer's answer; a `dream.Objective`.

    Raises UsageError where the network has no such layer or channel.
    """

    def __init__(self, network: LayeredNetwork, wanted: Sequence[Goal]):
        self._title = network.title
        names = [goal.layer for goal in wanted]

        # AutoGraph would turn the errors of a user into others
        @tf.function(input_signature=[tf.TensorSpec([1, None, None, 3], tf.float32)], autograph=False)
        def climb(picture: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            with tf.GradientTape() as tape:
                tape.watch(picture)
                outputs = network.outputs(picture, names)
                means = [_mean(output, goal) for output, goal in zip(outputs, wanted, strict=True)]
                value = tf.add_n(means)
            return value, tape.gradient(value, picture)

        self._climb = climb.get_concrete_function()

    def __call__(self, picture: np.ndarray) -> tuple[float, np.ndarray]:
        """Of a picture float32 [h, w, 3]. Raises PigeonholeError where the network cannot take its size."""
        height, width = picture.shape[:2]
        try:
            value, gradient = self._climb(tf.constant(picture[np.newaxis]))
        except (tf.errors.InvalidArgumentError, ValueError) as error:
            raise PigeonholeError(
                f"{self._title}: cannot take a picture of {width} x {height} pixels ({first_line(error)})"
            ) from error
        return float(value), gradient.numpy()[0]


def _mean(output: tf.Tensor, goal: Goal) -> tf.Tensor:
    count = output.shape[-1]
    for channel in goal.channels:
        if channel >= count:
            raise UsageError(f"--channel {channel}: {goal.layer} has {count:,} channels, 0 to {count - 1}")
    return tf.reduce_mean(tf.gather(output, goal.channels, axis=-1) if goal.channels else output)
