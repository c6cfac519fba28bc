"""A saved model as one frozen TensorFlow graph, for programs of TensorFlow 1, OpenCV's dnn and converters."""

from pathlib import Path

import numpy as np
import tensorflow as tf

from pigeonhole import atomic_file
from pigeonhole.model.export import graphs
from pigeonhole.model.export.exporter import Answer, Source

v1 = tf.compat.v1

TITLE = "frozen graph"
PLACE = "model.pb"
NEEDS = ()
HAS_INT8 = False


def write(source: Source, place: Path) -> None:
    """Write a GraphDef: `x:0` to `y_pred:0` and the other public outputs, and `classes:0`, `contract:0` and
    the golden examples as constants, named as in the run's meta graph."""
    names = [*graphs.outputs(source.session), *graphs.DESCRIPTION]
    with atomic_file.naming(place):
        place.write_bytes(graphs.inference_graph(source.session, names).SerializeToString())


def load(place: Path) -> Answer:
    """The file's probabilities by a TensorFlow session."""
    graph_def = v1.GraphDef.FromString(place.read_bytes())
    with tf.Graph().as_default() as graph:
        tf.graph_util.import_graph_def(graph_def, name="")
    session = v1.Session(graph=graph)

    def answer(pixels: np.ndarray) -> np.ndarray:
        return session.run("y_pred:0", {"x:0": pixels})

    return answer
