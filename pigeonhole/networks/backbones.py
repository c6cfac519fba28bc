"""Networks of keras.applications, made of our layers and with a head of their own for our classes.

Each begins with the preprocessing that it was published with, so that it takes RGB 0..255 as every network
here does, and its layers have the names and weights that it was published with. A layer that Keras numbers
by how many it made before in the process is numbered within its network. VGG-19 is that of `vgg`.
"""

import itertools
import re
from collections import Counter
from collections.abc import Callable

import keras
import numpy as np
from keras import layers

from pigeonhole.networks import vgg
from pigeonhole.networks.layers import BatchNorm, Dropout

DROPOUT = 0.2  # before the head, as these networks were published


def backbone(application: str, pixels, num_classes: int):
    """The layers of a function of keras.applications: pixels [N, S, S, C], S at least 32, to logits [N, K].

    Grey pictures are shown to it as colour pictures without colour.
    """
    rgb = pixels if pixels.shape[-1] == 3 else layers.Concatenate(name="rgb")([pixels] * 3)
    if application == "VGG19":
        features = layers.GlobalAveragePooling2D(name="avg_pool")(vgg.vgg19(rgb))
    else:
        features = _taken_over(application, _preprocessed(application, rgb))
    hidden = Dropout(DROPOUT, name="dropout")(features)
    return layers.Dense(num_classes, dtype="float32", name="fc")(hidden)


def values(published: keras.Model) -> dict[str, np.ndarray]:
    """The weights of a network of keras.applications, by their names here."""
    if published.name == "vgg19":
        return vgg.values(published)
    names = _names(published)
    return {
        f"{names[layer.name]}/{weight.name}": weight.numpy()
        for layer in published.layers
        for weight in layer.weights
    }


def _preprocessed(application: str, rgb):
    """RGB 0..255 as the network was published to take it, where Keras leaves that to the caller."""
    if application == "InceptionV3":
        return layers.Rescaling(1 / 127.5, -1.0, name="scale")(rgb)
    return rgb


def _taken_over(application: str, shown):
    """The layers of a published network, up to its features [N, F]."""
    published = getattr(keras.applications, application)(
        include_top=False, weights=None, pooling="avg", input_tensor=shown, input_shape=shown.shape[1:]
    )
    own = keras.models.clone_model(
        published, input_tensors=published.inputs, clone_function=_take_over(published), call_function=_call
    )
    return own.output


def _names(published: keras.Model) -> dict[str, str]:
    """The name of each layer of a published network -> its name here."""
    names, numbers = {}, Counter()
    for layer in published.layers:
        kind = type(layer).__name__.lower()
        is_numbered = re.sub(r"_\d+$", "", layer.name).replace("_", "") == kind
        if is_numbered or isinstance(layer, layers.Normalization):
            numbers[kind] += 1
            names[layer.name] = f"{kind}{numbers[kind]}"
        else:
            names[layer.name] = layer.name
    return names


def _take_over(published: keras.Model) -> Callable[[keras.Operation], keras.Operation]:
    """A function from each layer of the published network to the one that stands in its place here."""
    names, dropouts = _names(published), itertools.count(1)

    def take_over(layer: keras.Operation) -> keras.Operation:
        if not isinstance(layer, layers.Layer):
            return layer  # a sum or a product, which has no state
        name = names[layer.name]
        if isinstance(layer, layers.BatchNormalization):
            # Its fused kernel is faster, and its statistics settle within a short training, as Keras' own
            # (momentum 0.99 and above) do not.
            return BatchNorm(epsilon=layer.epsilon, scale=layer.scale, name=name, dtype=layer.dtype_policy)
        if isinstance(layer, layers.Dropout):
            # All but the head's drop whole branches of a picture; a step's masks must follow from its number.
            return Dropout(
                layer.rate,
                index=next(dropouts),
                whole_pictures=True,
                name=name,
                dtype=layer.dtype_policy,
            )
        if isinstance(layer, layers.Normalization):
            # It keeps its figures as tensors of the moment, which no saved graph can take over.
            deviation = np.sqrt(np.ravel(layer.input_variance))
            offset = -np.ravel(layer.input_mean) / deviation
            return layers.Rescaling(
                (1 / deviation).tolist(), offset.tolist(), name=name, dtype=layer.dtype_policy
            )
        return type(layer).from_config({**layer.get_config(), "name": name})

    return take_over


def _call(layer: keras.Operation, *inputs, mask=None, **options):
    """Keras' batch normalisation was called with a mask, which no picture has."""
    return layer(*inputs, **options)
