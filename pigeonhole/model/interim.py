"""What programs of TensorFlow 1 restore while a training goes on: its network at the last validations.

`tf.train.latest_checkpoint` of the run's folder of checkpoints names the newest. Each is a meta graph with
weights, complete or not at all, and a few are kept, so that one that is being restored is not removed.
"""

import errno
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from pigeonhole import atomic_file
from pigeonhole.errors import first_line
from pigeonhole.model import public_graph
from pigeonhole.networks.building import in_float32
from pigeonhole.pictures.images import Preprocessing
from pigeonhole.runs.records import State, Validation
from pigeonhole.runs.run import MODEL, Run

v1 = tf.compat.v1

KEPT = 3
SHARE = 0.005  # of the training that making the graph may take, and as much for writing
SECONDS_PER_LAYER = 0.02  # to make the graph; it is known exactly only afterwards


class Interim:
    """Writes them for the training of `model`, a network of `classes`, in the folder of `run`.

    The graph is that of a finished run, without what is fitted or drawn at the end: the temperature is 1, and
    there are no `certainty:0`, `unsure:0`, `contract:0` and golden examples.
    """

    def __init__(self, run: Run, model: keras.Model, classes: Sequence[str]):
        self._folder = run.checkpoints_folder
        self._model = model
        self._classes = classes
        self._meta: bytes | None = None
        self._before: Validation | None = None
        self._spent = self._last = 0.0  # seconds of writing

    def after(self, validation: Validation, total_steps: int) -> Callable[[State], None] | None:
        """What writes the state after the validation; None where that would take too much of the training.

        It raises OSError.
        """
        expected = self._expected_seconds(validation, total_steps)
        if self._meta is None:
            if len(self._model.layers) * SECONDS_PER_LAYER > SHARE * expected:
                return None
            self._meta = graph(in_float32(self._model, self._model.get_weights()), self._classes)
        return self._write if self._spent + self._last <= SHARE * validation.seconds else None

    def _expected_seconds(self, validation: Validation, total_steps: int) -> float:
        """How long the training takes, by the pace since the validation before; without one, so far."""
        before, self._before = self._before, validation
        if before is None or before.step == validation.step:
            return validation.seconds
        pace = (validation.seconds - before.seconds) / (validation.step - before.step)
        return validation.seconds + pace * (total_steps - validation.step)

    def _write(self, state: State) -> None:
        begun = time.perf_counter()
        weights = state.variables[: len(self._model.variables)]
        write(self._folder, self._meta, public_graph.named(self._model, weights, state.step))
        self._last = time.perf_counter() - begun
        self._spent += self._last


def write(folder: Path, meta: bytes, values: Mapping[str, np.ndarray]) -> None:
    """Add a checkpoint of `values`, by variable, with the graph `meta`; name it the newest, drop the oldest.

    Raises OSError; the folder then names and holds what it did before.
    """
    name = f"{MODEL}-{values['global_step']}"
    try:
        with tf.device("CPU:0"):
            tf.raw_ops.SaveV2(
                prefix=str(folder / name),
                tensor_names=list(values),
                shape_and_slices=[""] * len(values),
                tensors=[tf.constant(value) for value in values.values()],
            )
        with atomic_file.write_binary(folder / f"{name}.meta") as file:
            file.write(meta)
        for part in folder.glob(f"{name}.*"):
            with part.open("r+b") as file:
                os.fsync(file.fileno())
        kept = [*[each for each in _named(folder) if each != name][1 - KEPT :], name]
        _name(folder, kept)
    except tf.errors.OpError as error:
        _remove(folder, f"{name}.")
        raise OSError(
            errno.EIO, f"a checkpoint cannot be written ({first_line(error)})", str(folder)
        ) from error
    except OSError:
        _remove(folder, f"{name}.")
        raise
    _remove(folder, f"{MODEL}-", keep=kept)


def _named(folder: Path) -> list[str]:
    """The checkpoints that the folder names, the oldest first."""
    state = v1.train.get_checkpoint_state(str(folder))
    paths = state.all_model_checkpoint_paths if state else []
    return [Path(path).name for path in paths]


def _name(folder: Path, names: Sequence[str]) -> None:
    with atomic_file.write(Run(folder).checkpoint_file) as file:
        file.write(f'model_checkpoint_path: "{names[-1]}"\n')
        file.writelines(f'all_model_checkpoint_paths: "{name}"\n' for name in names)


def _remove(folder: Path, start: str, keep: Sequence[str] = ()) -> None:
    """Remove the files whose names begin so, but for those of the checkpoints to keep."""
    for file in folder.glob(f"{start}*"):
        if file.name.partition(".")[0] not in keep:
            file.unlink()


def graph(model: keras.Model, classes: Sequence[str]) -> bytes:
    """The meta graph of a float32 `model`, serialized, without its values."""
    _, side, _, channels = model.input.shape
    values = public_graph.named(model, [variable.numpy() for variable in model.variables], 0)
    with tf.Graph().as_default():
        variables = public_graph.add_variables(values, model)
        weights = {name: variable.read_value() for name, variable in variables.items()}
        public_graph.add_network(model, weights, Preprocessing(side, channels), len(classes), 1.0)
        public_graph.add_classes(classes)
        return v1.train.Saver(save_relative_paths=True).export_meta_graph().SerializeToString()
