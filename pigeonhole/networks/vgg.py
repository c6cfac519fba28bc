"""VGG-19 without its dense layers (Simonyan and Zisserman, 2015), by the names of the published network.

Each convolution and its ReLU are layers of their own, so that values before and after it can be looked at.
"""

import keras
import numpy as np
from keras import layers

BLOCKS = ((64, 2), (128, 2), (256, 4), (512, 4), (512, 4))  # channels and convolutions of each
MEAN = (123.68, 116.779, 103.939)  # of R, G and B in ImageNet; taken off each pixel


def vgg19(pixels, mean=MEAN):
    """Pixels [N, H, W, 3], RGB 0..255, to the last layer's output, `pool5`; the first is `conv1_1`."""
    hidden = layers.Rescaling(1.0, [-value for value in mean], name="scale")(pixels)
    for block, (channels, count) in enumerate(BLOCKS, 1):
        for number in range(1, count + 1):
            hidden = layers.Conv2D(channels, 3, padding="same", name=f"conv{block}_{number}")(hidden)
            hidden = layers.ReLU(name=f"relu{block}_{number}")(hidden)
        hidden = layers.MaxPooling2D(2, padding="same", name=f"pool{block}")(hidden)
    return hidden


def values(published: keras.Model) -> dict[str, np.ndarray]:
    """The weights of Keras' VGG-19, which takes BGR, by the names and for the RGB here."""
    named = {
        f"{layer.name}/{weight.name}".replace("block", "conv").replace("_conv", "_"): weight.numpy()
        for layer in published.layers
        for weight in layer.weights
    }
    return {**named, "conv1_1/kernel": named["conv1_1/kernel"][:, :, ::-1]}
