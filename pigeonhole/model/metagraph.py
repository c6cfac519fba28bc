"""The saved model: a TensorFlow meta graph with its weights, complete or not at all, checked when restored.

Its tensors are those of `public_graph`; and `contract:0`, `golden/bytes:0`, `golden/pixels:0` and
`golden/probabilities:0`.
"""

import contextlib
import errno
import glob
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from pigeonhole.errors import PigeonholeError, first_line
from pigeonhole.model import coverage, golden, graph_check, public_graph
from pigeonhole.model.contract import Contract, check_fits, class_names
from pigeonhole.model.rejection import Rejection
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
) -> tuple[Contract, golden.Golden, np.ndarray]:
    """Write the trained float32 `model` into the run `folder` as a meta graph with weights, and the labels.
    Its contract, golden examples and their probabilities.

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
    values = public_graph.named(model, [variable.numpy() for variable in model.variables], fitted.global_step)
    _, side, _, channels = model.input.shape
    preprocessing = Preprocessing(side, channels)
    with tf.Graph().as_default() as graph, v1.Session(graph=graph) as session:
        weights = _given(values, model, session)
        public_graph.add_network(model, weights, preprocessing, len(classes), fitted.temperature)
        if fitted.rejection is not None:
            public_graph.add_rejection(graph, fitted.rejection)
        described = _add_contract(session, model.name, classes, preprocessing, fitted)
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
    return described


def _given(values: Mapping[str, np.ndarray], model: keras.Model, session: v1.Session) -> dict[str, tf.Tensor]:
    """The tensors that read variables which have these values."""
    variables = public_graph.add_variables(values, model)
    session.run(
        [variable.initializer for variable in variables.values()],
        {variable.initializer.inputs[1]: values[name] for name, variable in variables.items()},
    )
    return {name: variable.read_value() for name, variable in variables.items()}


def _add_contract(
    session: v1.Session,
    network: str,
    classes: Sequence[str],
    preprocessing: Preprocessing,
    fitted: Fitted,
) -> tuple[Contract, golden.Golden, np.ndarray]:
    """Class names, golden examples and contract as constants of the graph; the last three of `save`."""
    examples = golden.draw(preprocessing)
    probabilities = session.run("y_pred:0", {"x:0": examples.pixels})
    rule = fitted.rejection and fitted.rejection.describe()
    contract = Contract(network, preprocessing, fitted.temperature, examples.fingerprint(probabilities), rule)
    public_graph.add_classes(classes)
    tf.constant(list(examples.data), tf.string, name="golden/bytes")
    tf.constant(examples.pixels, name="golden/pixels")
    tf.constant(probabilities, name="golden/probabilities")
    tf.constant(contract.to_json(), name="contract")
    return contract, examples, probabilities


def _move_into_place(aside: Run, run: Run) -> None:
    """Every file reaches the disk before the `checkpoint` that declares the run finished.

    That of an earlier model goes first: the run counts as unfinished while it holds files of both. So does
    its ONNX file, which would answer for the new model. Before that all is written that needs room on the
    disk but for digests, so that without room the earlier model stays.
    """
    paths = sorted(aside.folder.iterdir(), key=lambda path: (path == aside.checkpoint_file, path))
    places = [run.folder / path.name for path in paths]
    seals.forget(*places)
    for file in (run.checkpoint_file, run.onnx_file):
        file.unlink(missing_ok=True)
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
