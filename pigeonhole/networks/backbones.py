"""Networks of keras.applications, made of our layers and with a head of their own for our classes.

Each begins with the preprocessing that it was published with, so that it takes RGB 0..255 as every network
here does, and its layers have the names and weights that it was published with.
"""

import re
from collections import Counter
from collections.abc import Callable

import keras
import numpy as np
from keras import layers

from pigeonhole.networks.layers import BatchNorm, Dropout

DROPOUT = 0.2  # before the head, as these networks were published


def backbone(application: str, pixels, num_classes: int):
    """The layers of a function of keras.applications: pixels [N, S, S, C], S at least 32, to logits [N, K].

    Grey pictures are shown to it as colour pictures without colour.
    """
    rgb = pixels if pixels.shape[-1] == 3 else layers.Concatenate(name="rgb")([pixels] * 3)
    published = getattr(keras.applications, application)(
        include_top=False, weights=None, pooling="avg", input_tensor=rgb, input_shape=rgb.shape[1:]
    )
    own = keras.models.clone_model(
        published, input_tensors=published.inputs, clone_function=_take_over(), call_function=_call
    )
    hidden = Dropout(DROPOUT, name="dropout")(own.output)
    return layers.Dense(num_classes, dtype="float32", name="fc")(hidden)


def _take_over() -> Callable[[keras.Operation], keras.Operation]:
    """A function from each layer of a published network to the one that stands in its place here."""
    numbers: Counter[str] = Counter()

    def numbered(kind: str) -> int:
        numbers[kind] += 1
        return numbers[kind]

    def take_over(layer: keras.Operation) -> keras.Operation:
        if not isinstance(layer, layers.Layer):
            return layer  # a sum or a product, which has no state
        if isinstance(layer, layers.BatchNormalization):
            # Its fused kernel is faster, and its statistics settle within a short training, as Keras' own
            # (momentum 0.99 and above) do not.
            return BatchNorm(epsilon=layer.epsilon, name=layer.name, dtype=layer.dtype_policy)
        if isinstance(layer, layers.Dropout):
            # All but the head's drop whole branches of a picture; a step's masks must follow from its number.
            return Dropout(
                layer.rate,
                index=numbered("dropout"),
                whole_pictures=True,
                name=layer.name,
                dtype=layer.dtype_policy,
            )
        if isinstance(layer, layers.Normalization):
            # It keeps its figures as tensors of the moment, which no saved graph can take over.
            deviation = np.sqrt(np.ravel(layer.input_variance))
            offset = -np.ravel(layer.input_mean) / deviation
            name = f"normalization{numbered('normalization')}"
            return layers.Rescaling(
                (1 / deviation).tolist(), offset.tolist(), name=name, dtype=layer.dtype_policy
            )
        config = layer.get_config()
        kind = type(layer).__name__.lower()
        if re.sub(r"_\d+$", "", layer.name).replace("_", "") == kind:
            # Keras has named it by how many it made before in this process.
            config["name"] = f"{kind}{numbered(kind)}"
        return type(layer).from_config(config)

    return take_over


def _call(layer: keras.Operation, *inputs, mask=None, **options):
    """Keras' batch normalisation was called with a mask, which no picture has."""
    return layer(*inputs, **options)
