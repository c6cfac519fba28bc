"""EfficientNet-Lite0 in Keras layers: as a classifier, and as features at six depths."""

from keras import layers

from pigeonhole.networks.layers import BatchNorm, Dropout
from pigeonhole.networks.lite_layout import BLOCKS, DEPTHS, EPSILON, HEAD_WIDTH, MEAN, MOST, SCALE, STEM_WIDTH

DROPOUT = 0.2  # before the last layer, as published


def efficientnet_lite0(pixels, num_classes: int):
    """Pixels [N, S, S, C], RGB 0..255, of any size S, to logits [N, K].

    Grey pictures are shown to it as colour pictures without colour.
    """
    hidden = layers.GlobalAveragePooling2D(name="head_mean")(_depths(pixels)[-1])
    hidden = Dropout(DROPOUT, name="dropout")(hidden)
    return layers.Dense(num_classes, dtype="float32", name="fc")(hidden)


def efficientnet_lite0_features(pixels):
    """Pixels as above to features float32 [N, 3456]: mean and maximum over space at each of six depths.

    The columns `lite_layout.HEAD_MEANS` are what the classifier's last layer takes.
    """
    pooled = []
    for depth in _depths(pixels):
        name = depth._keras_history.operation.name.partition("_")[0]
        pooled.append(layers.GlobalAveragePooling2D(name=f"{name}_mean")(depth))
        pooled.append(layers.GlobalMaxPooling2D(name=f"{name}_max")(depth))
    return layers.Concatenate(dtype="float32", name="depths")(pooled)


def _depths(pixels) -> list:
    """The outputs [N, H, W, D] of the blocks DEPTHS and of the head."""
    rgb = pixels if pixels.shape[-1] == 3 else layers.Concatenate(name="rgb")([pixels] * 3)
    hidden = layers.Rescaling(1 / SCALE, -MEAN / SCALE, name="scale")(rgb)
    hidden = _convolve(hidden, "stem", STEM_WIDTH, 3, 2)
    outputs = []
    for block in BLOCKS:
        hidden = _block(hidden, block)
        outputs.append(hidden)
    head = _convolve(hidden, "head", HEAD_WIDTH, 1)
    return [*(outputs[number] for number in DEPTHS), head]


def _block(inputs, block):
    hidden = inputs
    if block.expands:
        hidden = _convolve(hidden, f"{block.name}_expand", block.hidden, 1)
    depthwise = layers.DepthwiseConv2D(
        block.kernel, block.stride, "same", use_bias=False, name=f"{block.name}_depthwise"
    )
    hidden = _normalise(depthwise(hidden), f"{block.name}_depthwise")
    hidden = _convolve(hidden, f"{block.name}_project", block.outputs, 1, activated=False)
    return layers.Add(name=f"{block.name}_add")([inputs, hidden]) if block.adds else hidden


def _convolve(inputs, name: str, filters: int, kernel: int, stride: int = 1, activated: bool = True):
    convolution = layers.Conv2D(filters, kernel, stride, "same", use_bias=False, name=name)
    return _normalise(convolution(inputs), name, activated)


def _normalise(inputs, name: str, activated: bool = True):
    hidden = BatchNorm(epsilon=EPSILON, name=f"{name}_bn")(inputs)
    return layers.ReLU(MOST, name=f"{name}_relu")(hidden) if activated else hidden
