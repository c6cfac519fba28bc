"""A saved model as one ONNX file, which answers without TensorFlow."""

import contextlib
import ctypes
import functools
import gc
import logging
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import tensorflow as tf

from pigeonhole import atomic_file
from pigeonhole.model import metagraph
from pigeonhole.model.export import onnx_content, quantizing, whole_pictures
from pigeonhole.model.export.exporter import Answer, Source
from pigeonhole.model.export.graphs import INPUT, inference_graph, outputs
from pigeonhole.quiet import native_errors_discarded
from pigeonhole.runs.run import Run

if TYPE_CHECKING:
    import onnx

v1 = tf.compat.v1

TITLE = "ONNX file"
PLACE = Run.onnx_file.name
NEEDS = ("onnx", "tf2onnx")
HAS_INT8 = True
OPSET = 17
# Of the converter's, without those for loops, rounded weights and what no network here has. They are repeated
# until none changes anything: the one that finds something every time after the others is the last.
OPTIMIZERS = (
    "TransposeOptimizer",
    "ConstFoldOptimizer",
    "ReshapeOptimizer",
    "GlobalPoolOptimizer",
    "IdentityOptimizer",
    "BackToBackOptimizer",
    "MergeDuplicatedNodesOptimizer",
)


def write(source: Source, place: Path) -> None:
    """Write what `content` gives."""
    with atomic_file.naming(place):
        place.write_bytes(content(source))


def content(source: Source) -> bytes:
    """The ONNX file, made from the source's meta graph.

    Input `x` float32 [N, S, S, C], or whole pictures [N, H, W, 3] of one size; outputs `y_pred`, `logits`,
    `features`, and `certainty` and `unsure` where the model has them; the contract, the class names (a JSON
    list) and the golden examples are its metadata.
    """
    model, contract = convert(source.session), source.contract
    examples, probabilities = metagraph.read_golden(source.session)
    if source.calibration is not None:
        model = quantizing.quantized(model, source.calibration)
        probabilities = onnx_content.answer(model.SerializeToString(), examples.pixels)
        contract = replace(contract, golden=examples.fingerprint(probabilities))  # replayed at each load
    onnx_content.describe(model, source.classes, contract, examples, probabilities)
    preprocessing = source.contract.preprocessing
    whole_pictures.add(model, preprocessing.image_size, preprocessing.channels)
    return model.SerializeToString()


def load(place: Path) -> Answer:
    """The file's probabilities by ONNX Runtime."""
    return functools.partial(onnx_content.answer, place.read_bytes())


def convert(session: v1.Session) -> "onnx.ModelProto":
    """The session's model from `x` to `outputs`, which bear their plain names."""
    graph_def = inference_graph(session)
    tensors = [f"{name}:0" for name in outputs(session)]
    with _quiet(), _few_leftovers():
        try:
            model = _converted(graph_def, tensors, keeps_copies=False)
        except Exception:  # an optimizer of the converter raises anything, and leaves the graph half changed
            model = _converted(graph_def, tensors, keeps_copies=True)
    _name_plainly(model, session)
    return model


def _converted(graph_def: v1.GraphDef, tensors: list[str], keeps_copies: bool) -> "onnx.ModelProto":
    """As `tf2onnx.convert.from_graph_def`, with the optimizers that matter here.

    `keeps_copies`: copy the graph before each of them, which takes longer than all of them, and do without
    those that fail. Else their errors are raised.
    """
    from tf2onnx import optimizer, tf_loader, tfonnx

    x = [f"{INPUT}:0"]
    with tf.device("/cpu:0"), tf.Graph().as_default():
        frozen = tf_loader.tf_optimize(x, tensors, graph_def)
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(frozen, name="")
        converted = tfonnx.process_tf_graph(
            graph, continue_on_error=True, opset=OPSET, input_names=x, output_names=tensors
        )
    chosen = {name: getattr(optimizer, name) for name in OPTIMIZERS}
    return optimizer.optimize_graph(converted, keeps_copies, chosen).make_model(TITLE)


def _name_plainly(model: "onnx.ModelProto", session: v1.Session) -> None:
    """`x`, not `x:0`, and N for the number of pictures."""
    names = {f"{name}:0": name for name in (INPUT, *outputs(session))}
    for node in model.graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
    for value in (*model.graph.input, *model.graph.output):
        value.name = names[value.name]
        value.type.tensor_type.shape.dim[0].dim_param = "N"


@contextlib.contextmanager
def _few_leftovers() -> Iterator[None]:
    """Free the converter's graphs at the end of this block, whose parts refer to each other in circles."""
    try:
        yield
    finally:
        gc.collect()
        with contextlib.suppress(OSError, AttributeError, TypeError):
            ctypes.CDLL(None).malloc_trim(0)  # of glibc, which keeps what lies between other blocks


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The converter's progress and TensorFlow's advice to use other functions tell the user nothing.

    Nor does its native side, which at times writes of the session that it starts.
    """
    loggers = [logging.getLogger(name) for name in ("tf2onnx", "tf2onnx.tfonnx", "tensorflow")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings(), native_errors_discarded():
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
