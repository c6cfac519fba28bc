"""The saved model: a TensorFlow meta graph that tells any client what to feed and what comes out.

Public tensors: `x:0`, `y_true:0`, `y_true_cls:0`, `logits:0`, `y_pred:0`, `y_pred_cls:0`, `cost:0`,
`accuracy:0`, `keep_prob:0`, `features:0`, `certainty:0`, `unsure:0`, `global_step:0`, `classes:0`,
`contract:0`, `golden/bytes:0`, `golden/pixels:0`, `golden/probabilities:0`, `input_check:0`, and for each
layer its weights (`conv1/kernel:0`) and its output (`conv1/output:0`). Some have other names too:
`data_tensor:0`, `y:0`, `label_tensor:0`, `keep_prop:0`, `softmax_probs:0`.
"""

import contextlib
import errno
import glob
import os
import shutil
import tempfile
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from pigeonhole.errors import PigeonholeError, first_line
from pigeonhole.model import coverage, golden, graph_check
from pigeonhole.model.contract import Contract, check_fits, class_names
from pigeonhole.model.rejection import Rejection, add_to_graph
from pigeonhole.networks.layers import Dropout, dropout_feed
from pigeonhole.pictures.images import Preprocessing
from pigeonhole.runs import seals
from pigeonhole.runs.run import MODEL, Run

v1 = tf.compat.v1

# --- saving ---


@dataclass(frozen=True)
class Fitted:
    """What is saved with the weights: of which step they are, and what was fitted to their answers.

    `temperature` calibrates the probabilities. Without `rejection` the graph has no `certainty:0` and no
    `unsure:0`.
    """

    global_step: int
    temperature: float = 1.0
    rejection: Rejection | None = None


def save(
    model: keras.Model,
    classes: Sequence[str],
    folder: Path,
    fitted: Fitted,
    replace: bool = False,
) -> None:
    """Write the trained float32 `model` into the run `folder` as a meta graph with weights, and the labels.

    All of it is written aside first and moved into place file by file, `checkpoint` last: a run is finished
    exactly when that file is there. Raises PigeonholeError when `folder` holds a finished run that is
    not to be replaced, OSError when the disk does not take the files.
    """
    run = Run(folder)
    if run.has_model and not replace:
        raise PigeonholeError(f"{folder}: holds a finished run, which is never overwritten")
    if model.compute_dtype != "float32":
        raise ValueError(f"a saved graph computes in float32, not {model.compute_dtype}")
    # Inside the new graph the weights' values could no longer be read.
    values = {variable.path: variable.numpy() for variable in model.variables}
    values["global_step"] = np.int64(fitted.global_step)
    _, side, _, channels = model.input.shape
    preprocessing = Preprocessing(side, channels)
    with tf.Graph().as_default() as graph, v1.Session(graph=graph) as session:
        weights = _add_variables(values, {each.path for each in model.trainable_variables}, session)
        _add_network(model, weights, preprocessing, len(classes), fitted.temperature)
        if fitted.rejection is not None:
            _add_rejection(graph, fitted.rejection)
        _add_contract(session, model.name, classes, preprocessing, fitted)
        aside = run.unfinished_model_folder
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(parents=True)
        try:
            v1.train.Saver(save_relative_paths=True).save(session, str(aside / MODEL))
            Run(aside).write_labels(classes)
            _move_into_place(Run(aside), run)
        except tf.errors.OpError as error:
            raise OSError(errno.EIO, f"the model cannot be written ({first_line(error)})", folder) from error
        finally:
            shutil.rmtree(aside, ignore_errors=True)


def _add_variables(
    values: Mapping[str, np.ndarray], trainable: Container[str], session: v1.Session
) -> dict[str, tf.Tensor]:
    """One variable for each value, under its name; gives the tensors that read them.

    An optimizer of TensorFlow 1 goes by the collection of those whose names are in `trainable`.

    Reference variables, since a resource variable's `conv1/kernel:0` is a handle and not the weights. Their
    initialiser is zeros: the values would be stored twice there, and hide a failed restore.
    """
    zeros = v1.zeros_initializer()
    variables = {
        name: v1.get_variable(
            name, np.shape(value), value.dtype, zeros, trainable=name in trainable, use_resource=False
        )
        for name, value in values.items()
    }
    session.run(
        [variable.initializer for variable in variables.values()],
        {variable.initializer.inputs[1]: values[name] for name, variable in variables.items()},
    )
    return {name: variable.read_value() for name, variable in variables.items()}


def _add_network(
    model: keras.Model,
    weights: Mapping[str, tf.Tensor],
    preprocessing: Preprocessing,
    num_classes: int,
    temperature: float,
) -> None:
    """The network from `x` to `y_pred`, and what compares it with `y_true`."""
    side, channels = preprocessing.image_size, preprocessing.channels
    x = v1.placeholder(tf.float32, [None, side, side, channels], "x")
    y_true = v1.placeholder(tf.float32, [None, num_classes], "y_true")
    keep_prob = v1.placeholder_with_default(np.float32(1), [], "keep_prob")
    # The other names lie on the way, so that either of two is fed.
    pixels, keep = tf.identity(x, "data_tensor"), tf.identity(keep_prob, "keep_prop")
    labels = tf.identity(tf.identity(y_true, "y"), "label_tensor")
    highest = tf.reduce_max(x)
    tf.logical_or(highest > 1, highest <= 0 if channels == 3 else True, name="input_check")
    outputs = _call_layers(model, weights, pixels, keep)
    last = model.layers[-1]
    tf.identity(outputs[_source(last)], "features")
    logits = tf.identity(outputs[last.name], "logits")
    tf.identity(tf.nn.softmax(logits / temperature, name="y_pred"), "softmax_probs")
    predicted = tf.argmax(logits, axis=1, name="y_pred_cls")
    expected = tf.argmax(labels, axis=1, name="y_true_cls")
    losses = tf.nn.softmax_cross_entropy_with_logits(labels=labels, logits=logits)
    tf.reduce_mean(losses, name="cost")
    tf.reduce_mean(tf.cast(tf.equal(predicted, expected), tf.float32), name="accuracy")


def _call_layers(
    model: keras.Model, weights: Mapping[str, tf.Tensor], x: tf.Tensor, keep_prob: tf.Tensor
) -> dict[str, tf.Tensor]:
    """Layer name -> its output, computed from `x` with the given weights; each also named `LAYER/output`.

    A dropout layer's input is named too, so that it can be taken out of a graph again.
    """
    every_output = keras.Model(model.inputs, [layer.output for layer in model.layers])
    trainable = [weights[variable.path] for variable in every_output.trainable_variables]
    fixed = [weights[variable.path] for variable in every_output.non_trainable_variables]
    with tf.name_scope("network"), dropout_feed(keep_probability=keep_prob):
        tensors, _ = every_output.stateless_call(trainable, fixed, x, training=False)
    outputs = dict(zip((layer.name for layer in model.layers), tensors, strict=True))
    for layer in model.layers:
        if isinstance(layer, keras.layers.InputLayer):
            continue
        tf.identity(outputs[layer.name], f"{layer.name}/output")
        if isinstance(layer, Dropout):
            tf.identity(outputs[_source(layer)], f"{layer.name}/input")
    return outputs


def _source(layer: keras.layers.Layer) -> str:
    """The name of the layer whose output this one takes."""
    return layer.input._keras_history.operation.name


def _add_rejection(graph: tf.Graph, rejection: Rejection) -> None:
    """How certain the network is, and whether that is too little to belong to any of its classes."""
    logits, features = (graph.get_tensor_by_name(f"{name}:0") for name in ("logits", "features"))
    with tf.name_scope("rejection"):
        certainty, unsure = add_to_graph(rejection, logits, features)
    tf.identity(certainty, "certainty")
    tf.identity(unsure, "unsure")


def _add_contract(
    session: v1.Session,
    network: str,
    classes: Sequence[str],
    preprocessing: Preprocessing,
    fitted: Fitted,
) -> None:
    """Class names, golden examples and contract as constants of the graph."""
    examples = golden.draw(preprocessing)
    probabilities = session.run("y_pred:0", {"x:0": examples.pixels})
    rule = fitted.rejection and fitted.rejection.describe()
    contract = Contract(network, preprocessing, fitted.temperature, examples.fingerprint(probabilities), rule)
    tf.constant(list(classes), tf.string, name="classes")
    tf.constant(list(examples.data), tf.string, name="golden/bytes")
    tf.constant(examples.pixels, name="golden/pixels")
    tf.constant(probabilities, name="golden/probabilities")
    tf.constant(contract.to_json(), name="contract")


def _move_into_place(aside: Run, run: Run) -> None:
    """Every file reaches the disk before the `checkpoint` that declares the run finished.

    That of an earlier model goes first: the run counts as unfinished while it holds files of both. So does
    its ONNX file, which would answer for the new model.
    """
    for file in (run.checkpoint_file, run.onnx_file):
        file.unlink(missing_ok=True)
    paths = sorted(aside.folder.iterdir(), key=lambda path: (path == aside.checkpoint_file, path))
    places = [run.folder / path.name for path in paths]
    seals.forget(*places)
    for path, place in zip(paths, places, strict=True):
        with path.open("r+b") as file:
            os.fsync(file.fileno())
        if path == aside.checkpoint_file:
            seals.note(*places[:-1])
            _sync_folder(run.folder)
        path.replace(place)
    _sync_folder(run.folder)


def _sync_folder(folder: Path) -> None:
    if os.name == "posix":  # elsewhere a folder cannot be opened
        descriptor = os.open(folder, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)


# --- restoring ---


def restore(prefix: Path, threads: int | None = None) -> v1.Session:
    """A session with the model whose files begin with `prefix`, complete and checked; the caller closes it.

    `threads`: how many threads one answer is computed with; None lets TensorFlow choose. A model of
    Pigeonhole's own has replayed its golden examples here. Raises PigeonholeError when anything is missing,
    damaged, does not fit, or is left unrestored, and golden.DriftError when the answers have changed.
    """
    for file in files(prefix):
        seals.check(file)
    with tf.Graph().as_default() as graph:
        saver = _import_graph(prefix)
    coverage.check(graph, saver, prefix)
    session = v1.Session(graph=graph, config=_session_config(threads))
    try:
        _restore_weights(session, saver, prefix)
        _replay_golden(session, prefix)
    except BaseException:
        session.close()
        raise
    return session


def read_contract(session: v1.Session) -> Contract | None:
    """The contract inside the session's graph; None in a checkpoint that Pigeonhole did not write."""
    if "contract" not in {operation.name for operation in session.graph.get_operations()}:
        return None
    text = session.run("contract:0")
    if not isinstance(text, bytes):
        raise PigeonholeError("the model's contract is no text")
    return Contract.from_json(text.decode("utf-8", "replace"))


def read_classes(session: v1.Session) -> tuple[str, ...]:
    """The class names inside the graph of a model that has a contract, in the order of its outputs."""
    names = session.run("classes:0")
    if not isinstance(names, np.ndarray) or names.dtype.kind != "O" or names.ndim != 1:
        raise PigeonholeError("the model's class names are no list of names")
    return class_names([name.decode("utf-8", "replace") for name in names])


def read_weights(session: v1.Session) -> dict[str, np.ndarray]:
    """Every layer's weights by name, such as `conv1/kernel`, and `global_step`."""
    operations = session.graph.get_operations()
    names = [operation.name for operation in operations if operation.type in coverage.VARIABLES]
    return session.run({name: f"{name}:0" for name in names})


def read_golden(session: v1.Session) -> tuple[golden.Golden, np.ndarray]:
    """The golden examples inside the graph, and the probabilities float32 [G, K] that they had."""
    data, pixels, probabilities = session.run(["golden/bytes:0", "golden/pixels:0", "golden/probabilities:0"])
    return golden.Golden(tuple(data), pixels), probabilities


def files(prefix: Path) -> list[Path]:
    """The model's files: the graph, the weights' index and the weights."""
    data = prefix.parent.glob(f"{glob.escape(prefix.name)}.data-*-of-*")
    return [Path(f"{prefix}.meta"), Path(f"{prefix}.index"), *sorted(data)]


def _import_graph(prefix: Path) -> v1.train.Saver:
    """Fill the current graph from the meta file, whose devices may be those of another computer."""
    meta = graph_check.read(Path(f"{prefix}.meta"))
    try:
        saver = v1.train.import_meta_graph(meta, clear_devices=True)
    except Exception as error:  # TensorFlow raises anything
        raise PigeonholeError(f"{prefix}.meta: damaged or not a meta graph ({first_line(error)})") from error
    if saver is None:
        raise PigeonholeError(f"{prefix}.meta: holds no variables, so there is no trained model in it")
    return saver


def _session_config(threads: int | None) -> v1.ConfigProto | None:
    if threads is None:
        return None
    # Operations one after the other in the caller's thread: handing them to another costs more than it gains.
    return v1.ConfigProto(intra_op_parallelism_threads=threads, inter_op_parallelism_threads=-1)


def _restore_weights(session: v1.Session, saver: v1.train.Saver, prefix: Path) -> None:
    names = saver.saver_def
    try:
        with _readable(prefix) as path:
            session.run(names.restore_op_name, {names.filename_tensor_name: path})
    except (tf.errors.OpError, ValueError) as error:
        raise PigeonholeError(f"{prefix}: the weights cannot be restored ({first_line(error)})") from error


@contextlib.contextmanager
def _readable(prefix: Path) -> Iterator[str]:
    """The prefix; or that of a copy where TensorFlow would take a folder's brackets for a pattern."""
    if not set("*?[") & set(str(prefix)):
        yield str(prefix)
        return
    with tempfile.TemporaryDirectory() as folder:
        for file in prefix.parent.iterdir():
            if file.name.startswith((f"{prefix.name}.index", f"{prefix.name}.data-")):
                shutil.copyfile(file, Path(folder, file.name.replace(prefix.name, MODEL, 1)))
        yield str(Path(folder, MODEL))


def _replay_golden(session: v1.Session, prefix: Path) -> None:
    try:
        contract = read_contract(session)
        if contract is None:
            return
        takes, gives = (session.graph.get_tensor_by_name(name).shape for name in ("x:0", "y_pred:0"))
        check_fits(contract, read_classes(session), tuple(takes), tuple(gives))
        if contract.rejection is not None:
            session.graph.get_tensor_by_name("unsure:0")
        examples, expected = read_golden(session)
    except (PigeonholeError, KeyError, ValueError, TypeError, tf.errors.OpError) as error:
        raise PigeonholeError(f"{prefix}.meta: {first_line(error)}") from error

    def answer(pixels: np.ndarray) -> np.ndarray:
        return session.run("y_pred:0", {"x:0": pixels})

    golden.replay(examples, expected, contract, answer, f"{prefix}.meta")
