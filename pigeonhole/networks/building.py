"""The one way in which a network is made: for training, retraining, an unfinished run or a benchmark."""

import keras
import numpy as np

from pigeonhole.networks.averaging import SINGLE, Averaged, Averaging, Variants
from pigeonhole.networks.registry import NETWORKS
from pigeonhole.networks.resizing import Resized

PRECISIONS = {"float32": "float32", "bfloat16": "mixed_bfloat16"}


def build(
    name: str,
    image_size: int | tuple[int, int],
    channels: int,
    num_classes: int,
    precision: str = "float32",
    averaging: Averaging = SINGLE,
) -> keras.Model:
    """The named network: pictures float32 [N, S, S, C], RGB 0..255, to logits float32 [N, K].

    `precision` is what the hidden layers compute in, `float32` or `bfloat16`; weights are float32 in both, so
    they can be moved between the two (`set_weights(get_weights())`). The last layer's input is the
    penultimate layer, the saved graph's `features:0`. `averaging`: in inference the penultimate layer is the
    mean over these variants of a picture, and the logits are so too, since the last layer is linear.

    `image_size`: the side S in pixels; or S and the side to which the network itself resizes pictures.
    """
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(PRECISIONS[precision])
    try:
        side, seen = image_size if isinstance(image_size, tuple) else (image_size, image_size)
        shown = pixels = keras.Input((side, side, channels), dtype="float32", name="x")
        if seen != side:
            shown = Resized(seen, name="resized")(shown)
        # "views" is the layer's name in saved graphs, which other programs may ask for.
        shown = Variants(averaging, name="views")(shown) if any(averaging) else shown
        model = keras.Model(pixels, NETWORKS[name].function()(shown, num_classes), name=name)
        return _averaged(model, averaging) if any(averaging) else model
    finally:
        keras.config.set_dtype_policy(before)


def _averaged(model: keras.Model, averaging: Averaging) -> keras.Model:
    """With a layer before the last that takes the mean over each picture's variants."""
    last = model.layers[-1]
    last_again = type(last).from_config(last.get_config())
    average = Averaged(averaging, name="average")
    return keras.Model(model.input, last_again(average(last.input)), name=model.name)


def in_float32(model: keras.Model, weights: list[np.ndarray]) -> keras.Model:
    """A network just like `model`, but with these weights, and computing in float32."""
    _, side, _, channels = model.input.shape
    averaging = next((layer.averaging for layer in model.layers if isinstance(layer, Averaged)), SINGLE)
    seen = next((layer.size for layer in model.layers if isinstance(layer, Resized)), side)
    exact = build(model.name, (side, seen), channels, model.output.shape[-1], averaging=averaging)
    exact.set_weights(weights)
    return exact
