"""The classic small networks, each as its published code has it; their recipes are in `recipes`.

Parameters at 10 classes and the published size: `classic_tiny` 93,038, `classic_dropout` 713,930,
`classic_augmented` 731,786 (of them 128 moving statistics), `classic_mnist` 266,585, `classic_lrn` 1,068,298.
"""

import keras
from keras import layers

from pigeonhole.networks.distortion import Brightness, Clip, Contrast, Distort, Flip, Hue, Saturation
from pigeonhole.networks.layers import BatchNorm, Dropout, LocalResponse, Standardise


def classic_tiny(pixels, num_classes: int):
    """Three small convolutions, each followed by ReLU and an overlapping pool, and a linear layer of 200.

    All padding VALID, no biases, all weights truncated normal 0.05; pictures scaled to 0..1. The published
    code drops values of the last pool (450 at 32 pixels) and then goes on without the result, so that the
    layer is here at rate 0; `--dropout 0.5` is the variant in which it takes part.
    """
    start = {"use_bias": False, "kernel_initializer": _truncated_normal(0.05)}
    hidden = layers.Rescaling(1 / 255, name="scale")(pixels)
    for number, (kernel, filters) in enumerate(((5, 4), (7, 3), (5, 2)), 1):
        hidden = layers.Conv2D(filters, kernel, padding="valid", name=f"conv{number}", **start)(hidden)
        hidden = layers.ReLU(name=f"relu{number}")(hidden)
        hidden = layers.MaxPooling2D(2, 1, padding="valid", name=f"pool{number}")(hidden)
    hidden = layers.Flatten(name="flatten")(hidden)
    hidden = Dropout(0.0, index=1, name="dropout1")(hidden)
    hidden = layers.Dense(200, name="fc1", **start)(hidden)
    return layers.Dense(num_classes, dtype="float32", name="fc2", **start)(hidden)


def classic_dropout(pixels, num_classes: int):
    """Three convolutions, each pooled, and dense layers of 1024 and 128 behind dropout, without activations.

    As published: beside the pools nothing in it is other than linear. All weights and biases truncated
    normal 0.05; pictures scaled to 0..1.
    """
    start = {"kernel_initializer": _truncated_normal(0.05), "bias_initializer": _truncated_normal(0.05)}
    hidden = layers.Rescaling(1 / 255, name="scale")(pixels)
    for number, (kernel, filters, stride) in enumerate(((7, 32, 2), (3, 64, 1), (2, 128, 1)), 1):
        hidden = layers.Conv2D(filters, kernel, stride, padding="same", name=f"conv{number}", **start)(hidden)
        hidden = layers.MaxPooling2D(2, 2, padding="same", name=f"pool{number}")(hidden)
    hidden = layers.Flatten(name="flatten")(hidden)
    for number, units in enumerate((1024, 128), 1):
        hidden = Dropout(0.5, index=number, name=f"dropout{number}")(hidden)
        hidden = layers.Dense(units, name=f"fc{number}", **start)(hidden)
    return layers.Dense(num_classes, dtype="float32", name="fc3", **start)(hidden)


def classic_augmented(pixels, num_classes: int):
    """Two convolutions of 64 on strongly distorted crops, and dense layers of 256 and 128.

    Weights normal with variance 2 / inputs (He et al., 2015), those of the logits uniform (Glorot and Bengio,
    2010), biases zero. The batch norm has no scale, as its library had it. There the moving statistics
    followed by 0.0003 a step; by 0.01 here they are the same, but for noise, at the published length, and
    fit a training that is shorter.
    """
    start = {"kernel_initializer": keras.initializers.VarianceScaling(2, "fan_in", "untruncated_normal")}
    distortions = (
        Flip(), Hue(0.05), Contrast(0.3, 1.0), Brightness(0.2), Saturation(0.0, 2.0), Clip(0.0, 1.0),
    )  # fmt: skip
    hidden = layers.Rescaling(1 / 255, name="scale")(pixels)
    hidden = Distort(_cropped(pixels), distortions, random_crop=True, name="distort")(hidden)
    hidden = layers.Conv2D(64, 5, padding="same", name="conv1", **start)(hidden)
    hidden = BatchNorm(momentum=0.99, scale=False, name="bn1")(hidden)
    hidden = layers.ReLU(name="relu1")(hidden)
    hidden = layers.MaxPooling2D(2, 2, padding="same", name="pool1")(hidden)
    hidden = layers.Conv2D(64, 5, padding="same", name="conv2", **start)(hidden)
    hidden = layers.ReLU(name="relu2")(hidden)
    hidden = layers.MaxPooling2D(2, 2, padding="same", name="pool2")(hidden)
    hidden = layers.Flatten(name="flatten")(hidden)
    hidden = layers.Dense(256, activation="relu", name="fc1", **start)(hidden)
    hidden = layers.Dense(128, activation="relu", name="fc2", **start)(hidden)
    return layers.Dense(num_classes, dtype="float32", name="fc3")(hidden)


def classic_mnist(pixels, num_classes: int):
    """Two convolutions of 25 and 50, each followed by ReLU and pool, and a dense layer of 100.

    All weights truncated normal 0.1, biases of convolutions zero, those of dense layers truncated normal
    0.1; pictures scaled to 0..1.
    """
    weights = {"kernel_initializer": _truncated_normal(0.1)}
    start = {**weights, "bias_initializer": _truncated_normal(0.1)}
    hidden = layers.Rescaling(1 / 255, name="scale")(pixels)
    for number, filters in enumerate((25, 50), 1):
        hidden = layers.Conv2D(filters, 4, padding="same", name=f"conv{number}", **weights)(hidden)
        hidden = layers.ReLU(name=f"relu{number}")(hidden)
        hidden = layers.MaxPooling2D(2, 2, padding="same", name=f"pool{number}")(hidden)
    hidden = layers.Flatten(name="flatten")(hidden)
    hidden = layers.Dense(100, activation="relu", name="fc1", **start)(hidden)
    return layers.Dense(num_classes, dtype="float32", name="fc2", **start)(hidden)


def classic_lrn(pixels, num_classes: int):
    """Two convolutions of 64 with local response normalisation, and dense layers of 384 and 192.

    It sees the centre of each picture, standardised; in training also mirrored, brighter or darker, and of
    another contrast, all on 0..255. All weights truncated normal 0.05, all biases zero.
    """
    start = {"kernel_initializer": _truncated_normal(0.05)}
    side = _cropped(pixels)
    distortions = (Flip(), Brightness(63), Contrast(0.2, 1.8))
    hidden = Distort(side, distortions, name="distort")(pixels)
    hidden = Standardise(least=(side * side * pixels.shape[-1]) ** -0.5, name="standardise")(hidden)
    for number in (1, 2):
        hidden = layers.Conv2D(64, 5, padding="same", name=f"conv{number}", **start)(hidden)
        hidden = layers.ReLU(name=f"relu{number}")(hidden)
        hidden = layers.MaxPooling2D(3, 2, padding="same", name=f"pool{number}")(hidden)
        hidden = LocalResponse(5, bias=2.0, alpha=1e-3, beta=0.75, name=f"norm{number}")(hidden)
    hidden = layers.Flatten(name="flatten")(hidden)
    hidden = layers.Dense(384, activation="relu", name="fc1", **start)(hidden)
    hidden = layers.Dense(192, activation="relu", name="fc2", **start)(hidden)
    return layers.Dense(num_classes, dtype="float32", name="fc3", **start)(hidden)


def _cropped(pixels) -> int:
    """The side of the part that is looked at: 24 of 32 pixels as published, three quarters of any other."""
    return max(1, round(pixels.shape[1] * 24 / 32))


def _truncated_normal(deviation: float):
    """Cut off at two standard deviations, a new one for each weight, as Keras asks for."""
    return keras.initializers.TruncatedNormal(stddev=deviation)
