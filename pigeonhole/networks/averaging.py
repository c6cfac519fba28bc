"""Test-time augmentation inside the network: answers by the mean over several variants of a picture."""

from collections.abc import Mapping
from typing import NamedTuple

import keras
import tensorflow as tf

from pigeonhole.networks.layers import SameShape

SHIFT = 32  # a shifted variant is moved by the side divided by this


class Averaging(NamedTuple):
    """Which variants of a picture a network answers by, in addition to the picture itself.

    `shift`: the picture moved towards its upper left and its lower right corner, by one pixel of 32; what is
    missing there is the picture mirrored at its edge. The two count as much as the unmoved one (Jordan, "94%
    on CIFAR-10 in 3.29 seconds on a single GPU", 2024). `flip`: the mirror image of each of these.
    """

    flip: bool = False
    shift: bool = False

    @classmethod
    def asked_for(cls, options: Mapping[str, object]) -> "Averaging":
        """What --flip-average and --shift-average say; a run made before there was such a flag has none."""
        return cls(*(bool(options.get(f"{name}_average")) for name in cls._fields))

    @property
    def weights(self) -> list[float]:
        """How much each variant counts, the picture itself first; sums to 1."""
        once = [0.5, 0.25, 0.25] if self.shift else [1.0]
        return [weight / 2 for weight in once] * 2 if self.flip else once

    def describe(self) -> str:
        if not self.shift:
            return "each picture and its mirror image" if self.flip else "each picture alone"
        also = ", and the mirror images of all three" if self.flip else ""
        return f"each picture and two shifted copies{also}"


SINGLE = Averaging()  # the picture alone


class _OfAveraging(SameShape):
    """What the two layers have in common."""

    arguments = ("averaging",)

    def __init__(self, averaging: Averaging, **options):
        super().__init__(**options)
        self.averaging = Averaging(*averaging)


@keras.saving.register_keras_serializable("pigeonhole")
class Variants(_OfAveraging):
    """In inference every picture [N, S, S, C] in V variants, [VN, S, S, C], those of a picture together.

    In training each once, as it is. `Averaged` makes one answer of the V.
    """

    def call(self, inputs, training: bool = False):
        if training:
            return inputs
        variants = [inputs]
        if self.averaging.shift:
            step = max(1, round(inputs.shape[1] / SHIFT))
            wider = tf.pad(inputs, [[0, 0], [step, step], [step, step], [0, 0]], "REFLECT")
            variants += [wider[:, 2 * step :, 2 * step :], wider[:, : -2 * step, : -2 * step]]
        if self.averaging.flip:
            variants += [variant[:, :, ::-1] for variant in variants]
        return tf.reshape(tf.stack(variants, 1), [-1, *inputs.shape[1:]])


@keras.saving.register_keras_serializable("pigeonhole")
class Averaged(_OfAveraging):
    """In inference the weighted means of V rows each, [VN, F] to [N, F]: what `Variants` took apart."""

    def call(self, inputs, training: bool = False):
        if training:
            return inputs
        weights = self.averaging.weights
        apart = tf.reshape(inputs, [-1, len(weights), *inputs.shape[1:]])
        return tf.reduce_sum(apart * tf.constant(weights, inputs.dtype)[:, None], 1)
