"""A classifier of a trained network as it comes, with a dense layer on its features at several depths."""

from typing import TYPE_CHECKING

import numpy as np

from pigeonhole.features.backbone import Backbone

if TYPE_CHECKING:
    import keras

NAME = "frozen"


def classifier(
    kernel: np.ndarray, bias: np.ndarray, shape: tuple[int, int], backbone: Backbone, mirrored: bool
) -> "keras.Model":
    """Pictures float32 [N, S, S, C], RGB or grey 0..255, to logits float32 [N, K], in float32.

    `kernel` float32 [D, K] and `bias` float32 [K]: of the dense layer on the D features of `backbone`, to
    whose size the network itself resizes pictures. `shape`: S and C. `mirrored`: whether features are the
    mean over a picture and its mirror image. Raises PigeonholeError as the backbone does.
    """
    import keras

    from pigeonhole.networks.averaging import Averaged, Averaging, Variants
    from pigeonhole.networks.resizing import Resized

    side, channels = shape
    shown = pixels = keras.Input((side, side, channels), dtype="float32", name="x")
    if side != backbone.image_size:
        shown = Resized(backbone.image_size, name="resized")(shown)
    averaging = Averaging(flip=True)
    if mirrored:
        shown = Variants(averaging, name="views")(shown)
    features = backbone.features(pixels, shown)
    if mirrored:
        features = Averaged(averaging, name="average")(features)
    head = keras.layers.Dense(kernel.shape[1], dtype="float32", name="fc")
    model = keras.Model(pixels, head(features), name=NAME)
    head.set_weights([kernel, bias])
    return model
