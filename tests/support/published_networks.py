"""A network of keras.applications with random weights, in place of a download of the trained ones."""

import keras
import numpy as np

from pigeonhole.networks.registry import NETWORKS

SIDE = 32
SMALL = "mobilenet_v3_small"


def side_of(name: str) -> int:
    """The side in pixels at which tests build the network: as small as it goes."""
    return max(SIDE, NETWORKS[name].smallest_side)


def published(name: str, seed: int = 0) -> keras.Model:
    """Keras' own network without its head, with random weights by which nothing is lost on the way."""
    side = side_of(name)
    random = np.random.default_rng(seed)
    model = getattr(keras.applications, NETWORKS[name].application.function)(
        include_top=False, weights=None, pooling="avg", input_shape=(side, side, 3)
    )
    for variable in model.weights:
        kind = variable.path.rpartition("/")[2]
        if kind == "moving_variance" or kind == "gamma":
            variable.assign(random.uniform(0.8, 1.2, variable.shape))
        elif kind == "kernel":
            depthwise = variable.shape[-1] == 1
            fan_in = np.prod(variable.shape[:2] if depthwise else variable.shape[:-1])
            variable.assign(random.normal(0, np.sqrt(1.5 / fan_in), variable.shape))
        else:
            variable.assign(random.normal(0, 0.1, variable.shape))
    return model
