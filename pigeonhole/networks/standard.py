"""Our own networks, and the one of the classic tutorial. Their recipes are in `recipes`."""

import keras
from keras import layers

from pigeonhole.networks.layers import BatchNorm, Dropout, Standardise
from pigeonhole.networks.recipes import THUMBNAIL
from pigeonhole.networks.whitening import Whiten


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
