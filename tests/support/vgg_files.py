"""VGG-19 with made-up weights, as the files in which it is published."""

from pathlib import Path

import keras
import numpy as np
from scipy import io

MEAN = (123.68, 116.779, 103.939)


def keras_network() -> keras.Model:
    """Keras' own VGG-19 without its head, of any size, with weights that keep values of a moderate size."""
    model = keras.applications.VGG19(include_top=False, weights=None, input_shape=(None, None, 3))
    random = np.random.default_rng(0)
    for variable in model.weights:
        fan_in = np.prod(variable.shape[:-1])
        is_kernel = len(variable.shape) == 4
        spread = np.sqrt(2 / fan_in) if is_kernel else 0.1
        variable.assign(random.normal(0, spread, variable.shape))
    return model


def write_mat(path: Path, model: keras.Model, change=lambda weights: None) -> Path:
    """The structure of `imagenet-vgg-verydeep-19.mat`: a cell of structs, of convolutions, ReLUs and pools.

    `change` may alter the dict of each convolution's [kernel, bias] in MatConvNet's order first.
    """
    weights = {}
    for layer in (each for each in model.layers if each.weights):
        name = layer.name.replace("block", "conv").replace("_conv", "_")
        kernel, bias = layer.get_weights()
        if name == "conv1_1":
            kernel = kernel[:, :, ::-1]  # MatConvNet's takes RGB, Keras' BGR
        weights[name] = [kernel.transpose(1, 0, 2, 3), bias.reshape(-1, 1)]
    change(weights)
    layers = []
    for name, values in weights.items():
        cell = np.empty((1, 2), object)
        cell[0, 0], cell[0, 1] = values
        layers.append({"name": name, "type": "conv", "weights": cell, "pad": [1, 1, 1, 1], "stride": [1, 1]})
        layers.append({"name": name.replace("conv", "relu"), "type": "relu"})
    cells = np.empty((1, len(layers)), object)
    cells[0] = layers
    average = np.tile(np.float32(MEAN), (224, 224, 1))
    io.savemat(path, {"layers": cells, "meta": {"normalization": {"averageImage": average}}})
    return path
