"""Several trained networks as one, which answers by the weighted geometric mean of their probabilities."""

from collections.abc import Sequence
from typing import NamedTuple

import keras
import numpy as np

COMBINED = "combined"  # the name of such a network


class Part(NamedTuple):
    """A trained network in float32 whose last layer is dense, and how much its answers count, above 0.

    `name` goes in front of the names of its layers.
    """

    name: str
    model: keras.Model
    weight: float


def combine(parts: Sequence[Part]) -> keras.Model:
    """One network of pictures float32 [N, S, S, C] to logits float32 [N, K]; all parts take such pictures.

    A sum of logits, each times its weight, is but for a constant the logarithm of the weighted geometric mean
    of probabilities. The last layers are linear, so that one dense layer on all penultimate layers side by
    side computes it: the combined network has a penultimate layer and a head as any other.
    """
    pixels = keras.Input(parts[0].model.input.shape[1:], dtype="float32", name="x")
    ends = [_copied(part, pixels) for part in parts]
    features = ends[0] if len(ends) == 1 else keras.layers.Concatenate(name="features_of_all")(ends)
    heads = [[part.weight * values for values in part.model.layers[-1].get_weights()] for part in parts]
    kernel = np.concatenate([kernel for kernel, _ in heads])
    bias = np.sum([bias for _, bias in heads], axis=0)
    head = keras.layers.Dense(kernel.shape[1], dtype="float32", name="head")
    combined = keras.Model(pixels, head(features), name=COMBINED)
    head.set_weights([kernel, bias])
    return combined


def _copied(part: Part, pixels):
    """The penultimate layer of a copy of `part`, which takes `pixels`."""
    model, name = part.model, part.name

    def renamed(layer: keras.Operation) -> keras.Operation:
        if not isinstance(layer, keras.layers.Layer):
            return layer  # a sum or a product, which has no state
        return type(layer).from_config({**layer.get_config(), "name": f"{name}_{layer.name}"})

    before_head = keras.Model(model.input, model.layers[-1].input)
    copied = keras.models.clone_model(before_head, input_tensors=pixels, clone_function=renamed)
    copied.set_weights(before_head.get_weights())
    return copied.output
