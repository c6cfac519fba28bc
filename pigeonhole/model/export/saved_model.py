"""A saved model as TensorFlow's SavedModel folder, which TensorFlow Serving takes."""

import os
from pathlib import Path

import numpy as np
import tensorflow as tf

from pigeonhole.model.export import graphs
from pigeonhole.model.export.exporter import Answer, Source
from pigeonhole.networks import resizing

TITLE = "SavedModel"
PLACE = "saved_model"
NEEDS = ()
HAS_INT8 = False
SIGNATURE = tf.saved_model.DEFAULT_SERVING_SIGNATURE_DEF_KEY  # "serving_default"
WHOLE = "whole_picture"
# TensorFlow Serving copies this folder with the model and looks no further.
EXTRA = "assets.extra"


def write(source: Source, place: Path) -> None:
    """Write the folder. Signature `serving_default`: `x` float32 [N, S, S, C] to all public outputs by name;
    `whole_picture`: `picture` uint8 [H, W, 3], decoded, of any size, to the same, N = 1.

    In `assets.extra` are the class names, a line each, and the contract.
    """
    preprocessing = source.contract.preprocessing
    side, channels = preprocessing.image_size, preprocessing.channels
    names = graphs.outputs(source.session)
    answer = tf.function(
        graphs.as_function(graphs.inference_graph(source.session), names),
        input_signature=[tf.TensorSpec([None, side, side, channels], tf.float32, graphs.INPUT)],
    )

    @tf.function(input_signature=[tf.TensorSpec([None, None, 3], tf.uint8, "picture")])
    def whole(picture: tf.Tensor) -> dict[str, tf.Tensor]:
        return answer(resizing.whole_picture(picture, side, channels))

    signatures = {SIGNATURE: answer, WHOLE: whole}
    # Nothing but the signatures holds the weights: as a part of the module they would be stored once more.
    concrete = {name: function.get_concrete_function() for name, function in signatures.items()}
    tf.saved_model.save(tf.Module(), place, concrete)
    extra = place / EXTRA
    extra.mkdir()
    source.describe_in(extra)


def load(place: Path) -> Answer:
    """The folder's probabilities by its signature."""
    module = tf.saved_model.load(os.fspath(place))
    signature = module.signatures[SIGNATURE]

    def answer(pixels: np.ndarray) -> np.ndarray:
        return signature(**{graphs.INPUT: tf.constant(pixels, tf.float32)})["y_pred"].numpy()

    answer.module = module  # which holds what the signature needs
    return answer
