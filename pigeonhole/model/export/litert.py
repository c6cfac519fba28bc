"""A saved model as a LiteRT (TensorFlow Lite) file, which Android's and MediaPipe's classifiers read."""

import contextlib
import io
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf

from pigeonhole import atomic_file
from pigeonhole.model.export import graphs, litert_metadata
from pigeonhole.model.export.exporter import Answer, Source

TITLE = "LiteRT"
PLACE = "model.tflite"
NEEDS = ("ai_edge_litert",)
HAS_INT8 = True
OUTPUT = "y_pred"  # a classifier of MediaPipe takes the labels for every output that there is


def write(source: Source, place: Path) -> None:
    """Write the file: `x` float32 [1, S, S, C], 0..255, to `y_pred` float32 [1, K].

    Its metadata say that, and hold the class names; in int8, `x` and `y_pred` are float32 all the same.
    """
    preprocessing = source.contract.preprocessing
    side, channels = preprocessing.image_size, preprocessing.channels
    module = tf.Module()
    module.answer = tf.function(
        graphs.as_function(graphs.inference_graph(source.session, [OUTPUT]), [OUTPUT]),
        input_signature=[tf.TensorSpec([1, side, side, channels], tf.float32, graphs.INPUT)],
    )
    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [module.answer.get_concrete_function()], module
    )
    if source.calibration is not None:
        sets = tf.lite.OpsSet
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([_one(picture)] for picture in source.calibration)
        converter.target_spec.supported_ops = [sets.TFLITE_BUILTINS_INT8, sets.TFLITE_BUILTINS]
    with _quiet():
        model = converter.convert()
    model = litert_metadata.described(model, source.contract, source.run.labels_file.name)
    with atomic_file.naming(place):
        place.write_bytes(with_file(model, source.run.labels_file.name, "\n".join(source.classes)))


def load(place: Path) -> Answer:
    """The file's probabilities by LiteRT's interpreter, one picture after the other."""
    from ai_edge_litert.interpreter import Interpreter

    with _quiet():
        interpreter = Interpreter(model_content=place.read_bytes(), num_threads=os.cpu_count())
        interpreter.allocate_tensors()
    (taken,), (given,) = interpreter.get_input_details(), interpreter.get_output_details()

    def answer(pixels: np.ndarray) -> np.ndarray:
        said = []
        for picture in pixels:
            interpreter.set_tensor(taken["index"], _one(picture))
            interpreter.invoke()
            said.append(interpreter.get_tensor(given["index"])[0])
        return np.stack(said)

    return answer


def with_file(model: bytes, name: str, text: str) -> bytes:
    """The model with a text file in a zip archive at its end, where LiteRT's readers look for it."""
    packed = io.BytesIO(model)
    with zipfile.ZipFile(packed, "a", zipfile.ZIP_STORED) as archive:
        archive.writestr(zipfile.ZipInfo(name), text)  # with no date: the same model makes the same file
    return packed.getvalue()


def _one(picture: np.ndarray) -> np.ndarray:
    return picture[np.newaxis].astype(np.float32)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The converter and the interpreter write to the process's standard error, past Python."""
    with open(os.devnull, "wb") as nowhere:
        before = os.dup(2)
        os.dup2(nowhere.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(before, 2)
            os.close(before)
