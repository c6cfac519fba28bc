"""A saved model as one ONNX file, which answers without TensorFlow."""

import contextlib
import ctypes
import gc
import json
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf

from pigeonhole import atomic_file
from pigeonhole.model import golden, metagraph
from pigeonhole.model.export import whole_pictures
from pigeonhole.model.export.graphs import INPUT, inference_graph, outputs
from pigeonhole.runs.run import Run

v1 = tf.compat.v1

TITLE = "ONNX file"
PLACE = Run.onnx_file.name
OPSET = 17


def write(session: v1.Session, place: Path) -> None:
    """Write the ONNX file, made from the session's meta graph.

    Input `x` float32 [N, S, S, C], or whole pictures [N, H, W, 3] of one size; outputs `y_pred`, `logits`,
    `features`, and `certainty` and `unsure` where the model has them; the contract, the class names (a JSON
    list) and the golden examples are its metadata.
    """
    model = _convert(session)
    _describe(model, session)
    preprocessing = metagraph.read_contract(session).preprocessing
    whole_pictures.add(model, preprocessing.image_size, preprocessing.channels)
    with atomic_file.naming(place):
        place.write_bytes(model.SerializeToString())


def answers(place: Path, pixels: np.ndarray) -> np.ndarray:
    """Probabilities float32 [N, K] by ONNX Runtime."""
    import onnxruntime

    runtime = onnxruntime.InferenceSession(place.read_bytes(), providers=["CPUExecutionProvider"])
    return runtime.run(["y_pred"], {INPUT: pixels.astype(np.float32)})[0]


def _convert(session: v1.Session):
    import tf2onnx

    with _quiet(), _few_leftovers():
        model, _ = tf2onnx.convert.from_graph_def(
            inference_graph(session),
            input_names=[f"{INPUT}:0"],
            output_names=[f"{name}:0" for name in outputs(session)],
            opset=OPSET,
        )
    return model


def _describe(model, session: v1.Session) -> None:
    """Plain tensor names (`x`, not `x:0`), and what the model says about itself."""
    names = {f"{name}:0": name for name in (INPUT, *outputs(session))}
    for node in model.graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
    for value in (*model.graph.input, *model.graph.output):
        value.name = names[value.name]
        value.type.tensor_type.shape.dim[0].dim_param = "N"
    for key, text in (
        ("contract", metagraph.read_contract(session).to_json()),
        ("classes", json.dumps(metagraph.read_classes(session), ensure_ascii=False)),
        ("golden", golden.to_text(*metagraph.read_golden(session))),
    ):
        model.metadata_props.add(key=key, value=text)


@contextlib.contextmanager
def _few_leftovers() -> Iterator[None]:
    """Free the converter's copies of the graph while it works, and all of them at its end.

    They refer to each other in circles, which Python looks for too seldom where there are many other objects:
    so these are set aside. With 5,000 classes the copies came to 750 MB.
    """
    thresholds = gc.get_threshold()
    gc.freeze()
    gc.collect()  # what it counts now is what a later search is compared with
    gc.set_threshold(thresholds[0], 2, 2)
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        gc.unfreeze()
        gc.collect()
        with contextlib.suppress(OSError, AttributeError, TypeError):
            ctypes.CDLL(None).malloc_trim(0)  # of glibc, which keeps what lies between other blocks


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The converter's progress and TensorFlow's advice to use other functions tell the user nothing."""
    loggers = [logging.getLogger(name) for name in ("tf2onnx", "tf2onnx.tfonnx", "tensorflow")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
