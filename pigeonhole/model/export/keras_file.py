"""A saved model as one .keras file of Keras' own layers, which loads without Pigeonhole."""

import os
from pathlib import Path

import keras
import numpy as np

from pigeonhole.model.export import graphs, keras_graph
from pigeonhole.model.export.exporter import Answer, Source

TITLE = "Keras file"
PLACE = "model.keras"
NEEDS = ()
HAS_INT8 = False


def write(source: Source, place: Path) -> None:
    """Write the file: pictures float32 [N, S, S, C], RGB or grey 0..255, to probabilities [N, K].

    The layers bear the run's names and can be trained further. There is no rule for `unsure` in it.
    """
    model = keras_graph.build(graphs.inference_graph(source.session, ["y_pred"]), "y_pred")
    model.save(os.fspath(place))


def load(place: Path) -> Answer:
    """The file's probabilities by Keras."""
    model = keras.models.load_model(os.fspath(place), compile=False)

    def answer(pixels: np.ndarray) -> np.ndarray:
        return np.asarray(model(pixels.astype(np.float32), training=False))

    return answer
