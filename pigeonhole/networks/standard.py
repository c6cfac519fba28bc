"""Network name -> Keras layers.

A network is one function from `pixels` (a Keras tensor [N, S, S, C], RGB 0..255) and the number of classes K
to the logits [N, K]. To add one, write the function and name it in `NETWORKS`; everything else (training,
the table of layers, the saved graph with its readable names) follows from the layers themselves.
"""

import keras
import numpy as np
from keras import layers

from pigeonhole.networks import backbones, classics
from pigeonhole.networks.averaging import PLAIN, Averaged, Shown, Views
from pigeonhole.networks.layers import BatchNorm, Dropout, Standardise
from pigeonhole.networks.recipes import THUMBNAIL
from pigeonhole.networks.whitening import Whiten

MOST_LINES = 40  # of a table of layers
PRECISIONS = {"float32": "float32", "bfloat16": "mixed_bfloat16"}


def tutorial(pixels, num_classes: int):
    """The classic small network: three convolutions with pool then ReLU, one hidden dense layer of 128.

    All weights truncated normal 0.05, all biases 0.05; pictures scaled to 0..1.
    """
    start = {
        "kernel_initializer": keras.initializers.TruncatedNormal(stddev=0.05),
        "bias_initializer": keras.initializers.Constant(0.05),
    }
    hidden = layers.Rescaling(1 / 255, name="scale")(pixels)
    for number, filters in enumerate((32, 32, 64), 1):
        hidden = layers.Conv2D(filters, 3, padding="same", name=f"conv{number}", **start)(hidden)
        hidden = layers.MaxPooling2D(2, padding="same", name=f"pool{number}")(hidden)
        hidden = layers.ReLU(name=f"relu{number}")(hidden)
    hidden = layers.Flatten(name="flatten")(hidden)
    hidden = layers.Dense(128, activation="relu", name="fc1", **start)(hidden)
    return layers.Dense(num_classes, dtype="float32", name="fc2", **start)(hidden)


def standard(pixels, num_classes: int):
    """Three convolutions, each pooled, batch-normalised and then ReLU, and two dense layers with dropout.

    Each picture is standardised by itself, and the pools overlap: together worth a point or two of accuracy.
    The first convolution looks at pictures above thumbnail size through a wider window, in steps of two
    pixels: that is less than a third of the work, and every unit sees twice as much of the picture.
    """
    large = pixels.shape[1] > THUMBNAIL
    kernels, strides, dropout = ((5, 3, 3), (2, 1, 1), 0.5) if large else ((3, 3, 3), (1, 1, 1), 0.3)
    hidden = Standardise(name="standardise")(pixels)
    for number, (filters, kernel, stride) in enumerate(zip((32, 64, 128), kernels, strides, strict=True), 1):
        hidden = layers.Conv2D(
            filters,
            kernel,
            stride,
            padding="same",
            use_bias=False,
            kernel_initializer="he_normal",
            name=f"conv{number}",
        )(hidden)
        hidden = layers.MaxPooling2D(3, 2, padding="same", name=f"pool{number}")(hidden)
        hidden = BatchNorm(name=f"bn{number}")(hidden)
        hidden = layers.ReLU(name=f"relu{number}")(hidden)
    hidden = layers.Flatten(name="flatten")(hidden)
    hidden = Dropout(dropout, index=1, name="dropout1")(hidden)
    hidden = layers.Dense(256, activation="relu", kernel_initializer="he_normal", name="fc1")(hidden)
    return layers.Dense(num_classes, dtype="float32", name="fc2")(hidden)


def deep(pixels, num_classes: int):
    """Seven convolutions in three blocks and a stem, for those who trade minutes for accuracy.

    The plan is that of airbench94 (Jordan, "94% on CIFAR-10 in 3.29 seconds on a single GPU", 2024): a fixed
    first convolution whitens the picture, each block pools between its two convolutions, which are
    batch-normalised, and one value of each filter, the largest, goes to the only dense layer. Narrower than
    there, with `Standardise` before it and SiLU, which is cheaper than GELU and as good. Pictures above
    thumbnail size are looked at in steps of two pixels, as in `standard`, by filters that are learnt.
    """
    return _in_blocks(pixels, num_classes, stem=16, blocks=(32, 64, 128))


def wide(pixels, num_classes: int):
    """`deep` with about as many filters as airbench94 has, for those who trade an hour for accuracy."""
    return _in_blocks(pixels, num_classes, stem=32, blocks=(64, 192, 256))


def _in_blocks(pixels, num_classes: int, stem: int, blocks: tuple[int, ...]):
    """The plan of `deep`: `blocks` filters in the two convolutions of each block, behind the first one.

    `stem`: the filters of the first, where it is learnt.
    """
    start = {"padding": "same", "use_bias": False, "kernel_initializer": "he_normal"}
    hidden = Standardise(name="standardise")(pixels)
    if pixels.shape[1] > THUMBNAIL:
        hidden = layers.Conv2D(stem, 5, 2, name="conv1", **start)(hidden)
        hidden = BatchNorm(name="bn1")(hidden)
    else:
        hidden = Whiten(name="conv1")(hidden)
    hidden = _silu(1)(hidden)
    for block, filters in enumerate(blocks, 1):
        first, second = 2 * block, 2 * block + 1
        hidden = layers.Conv2D(filters, 3, name=f"conv{first}", **start)(hidden)
        hidden = layers.MaxPooling2D(2, name=f"pool{block}")(hidden)
        hidden = _silu(first)(BatchNorm(name=f"bn{first}")(hidden))
        hidden = layers.Conv2D(filters, 3, name=f"conv{second}", **start)(hidden)
        hidden = _silu(second)(BatchNorm(name=f"bn{second}")(hidden))
    hidden = layers.GlobalMaxPooling2D(name="pool4")(hidden)
    return layers.Dense(num_classes, dtype="float32", name="fc1")(hidden)


def _silu(number: int):
    return layers.Activation("silu", name=f"silu{number}")


NETWORKS = {
    **{function.__name__: function for function in (standard, deep, wide, tutorial, *classics.NETWORKS)},
    **backbones.NETWORKS,
}


def build(
    name: str,
    image_size: int,
    channels: int,
    num_classes: int,
    precision: str = "float32",
    views: Views = PLAIN,
) -> keras.Model:
    """The named network: pictures float32 [N, S, S, C], RGB 0..255, to logits float32 [N, K].

    `precision` is what the hidden layers compute in, `float32` or `bfloat16`; weights are float32 in both, so
    they can be moved between the two (`set_weights(get_weights())`). The last layer's input is the
    penultimate layer, the saved graph's `features:0`. `views`: in inference the penultimate layer is the mean
    over these views of a picture, and the logits are so too, since the last layer is linear.
    """
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(PRECISIONS[precision])
    try:
        pixels = keras.Input((image_size, image_size, channels), dtype="float32", name="x")
        shown = Shown(views, name="views")(pixels) if any(views) else pixels
        model = keras.Model(pixels, NETWORKS[name](shown, num_classes), name=name)
        return _averaged(model, views) if any(views) else model
    finally:
        keras.config.set_dtype_policy(before)


def _averaged(model: keras.Model, views: Views) -> keras.Model:
    """With a layer before the last that takes the mean over each picture's views."""
    last = model.layers[-1]
    last_again = type(last).from_config(last.get_config())
    average = Averaged(views, name="average")
    return keras.Model(model.input, last_again(average(last.input)), name=model.name)


def in_float32(model: keras.Model, weights: list[np.ndarray]) -> keras.Model:
    """A network just like `model`, but with these weights, and computing in float32."""
    _, side, _, channels = model.input.shape
    views = next((layer.views for layer in model.layers if isinstance(layer, Averaged)), PLAIN)
    exact = build(model.name, side, channels, model.output.shape[-1], views=views)
    exact.set_weights(weights)
    return exact


def layer_table(model: keras.Model) -> list[tuple[str, str, str, int]]:
    """(layer, input shape, output shape, parameters) of each layer that computes something, in order."""
    rows = []
    for layer in model.layers:
        if isinstance(layer, keras.layers.InputLayer):
            continue
        source = layer.input[0] if isinstance(layer.input, list) else layer.input
        rows.append((layer.name, _shape(source.shape), _shape(layer.output.shape), layer.count_params()))
    return rows


def table_lines(model: keras.Model) -> list[str]:
    """The table of layers as aligned lines, with a heading; of a deep network its beginning and its end."""
    table = layer_table(model)
    if len(table) > MOST_LINES:
        inner = table[3:-3]
        within = (f"{len(inner)} more", inner[0][1], inner[-1][2], sum(count for *_, count in inner))
        table = [*table[:3], within, *table[-3:]]
    rows = [("layer", "input", "output", "parameters")]
    rows += [(name, before, after, f"{count:,}") for name, before, after, count in table]
    return [f"{name:<12} {before:>15} {after:>15} {count:>12}" for name, before, after, count in rows]


def _shape(shape: tuple) -> str:
    return " x ".join(str(side) for side in shape[1:])
