"""A classifier of a pretrained network as it comes, with a dense layer on its features at six depths."""

from typing import TYPE_CHECKING

import numpy as np

from pigeonhole.features import pretrained

if TYPE_CHECKING:
    import keras

NAME = "frozen"


def classifier(
    kernel: np.ndarray, bias: np.ndarray, shape: tuple[int, int], image_size: int, mirrored: bool
) -> "keras.Model":
    """Pictures float32 [N, S, S, C], RGB or grey 0..255, to logits float32 [N, K], in float32.

    `kernel` float32 [3456, K] and `bias` float32 [K]: of the dense layer. `shape`: S and C. `image_size`: the
    side to which the network itself resizes pictures. `mirrored`: whether features are the mean over a
    picture and its mirror image. Raises PigeonholeError as `pretrained.read` does.
    """
    import keras

    from pigeonhole.networks import lite
    from pigeonhole.networks.averaging import Averaged, Averaging, Variants
    from pigeonhole.networks.resizing import Resized

    weights = pretrained.read()
    side, channels = shape
    shown = pixels = keras.Input((side, side, channels), dtype="float32", name="x")
    if side != image_size:
        shown = Resized(image_size, name="resized")(shown)
    averaging = Averaging(flip=True)
    if mirrored:
        shown = Variants(averaging, name="views")(shown)
    features = lite.efficientnet_lite0_features(shown)
    for variable in keras.Model(pixels, features).weights:
        variable.assign(weights[variable.path])
    if mirrored:
        features = Averaged(averaging, name="average")(features)
    head = keras.layers.Dense(kernel.shape[1], dtype="float32", name="fc")
    model = keras.Model(pixels, head(features), name=NAME)
    head.set_weights([kernel, bias])
    return model
