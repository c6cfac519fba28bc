"""A model restored from its ONNX file: it starts in a moment, without TensorFlow, and answers faster."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from pigeonhole.errors import PigeonholeError, UsageError, first_line
from pigeonhole.model import golden
from pigeonhole.model.contract import Contract, check_fits, class_names, from_json
from pigeonhole.model.engines import onnx_check
from pigeonhole.model.interface import ForeignCheckpoint, Interface
from pigeonhole.runs import seals
from pigeonhole.runs.run import MODEL, Run


class OnnxRuntime:
    """The engine around an ONNX Runtime session. It has the file's outputs, not the inside of the network."""

    name = "onnx"
    layers = ()

    def __init__(self, runtime):
        self._runtime = runtime
        self._outputs = frozenset(output.name for output in runtime.get_outputs())
        self.metadata: Mapping[str, str] = runtime.get_modelmeta().custom_metadata_map

    def run(self, names: Sequence[str], pixels: np.ndarray) -> list[np.ndarray]:
        """The outputs of these names, such as `y_pred`, for pictures [N, S, S, C], 0..255."""
        if self._runtime is None:
            raise RuntimeError("the model is closed")
        return self._runtime.run([_plain(name) for name in names], {"x": np.asarray(pixels, np.float32)})

    def has(self, name: str) -> bool:
        """Whether the file has an output of this name."""
        return _plain(name) in self._outputs

    @cached_property
    def interface(self) -> Interface:
        """What the file's metadata says. Raises PigeonholeError when that cannot be."""
        unsure = "unsure:0" if self.has("unsure") else None
        return Interface(self.classes, self.contract.preprocessing, unsure=unsure)

    @cached_property
    def contract(self) -> Contract:
        """Raises PigeonholeError when it cannot be read."""
        return Contract.from_json(self.metadata["contract"])

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """The K class names. Raises PigeonholeError when they cannot be read."""
        return class_names(from_json(self.metadata["classes"]))

    def check(self) -> None:
        """Raise PigeonholeError where the metadata is not that of the network."""
        takes = {value.name: value.shape for value in self._runtime.get_inputs()}
        gives = {value.name: value.shape for value in self._runtime.get_outputs()}
        if set(takes) != {"x"} or "y_pred" not in gives:
            raise PigeonholeError("it does not take x and give y_pred")
        size, shape = self.contract.preprocessing, takes["x"]
        if shape[1:3] == ["H", "W"]:  # whole pictures as well; the golden examples show what it makes of them
            shape = [shape[0], size.image_size, size.image_size, size.channels]
        check_fits(self.contract, self.classes, shape, gives["y_pred"])

    def close(self) -> None:
        """Free the model's memory."""
        self._runtime = None


def load(run: Run, threads: int | None, foreign: ForeignCheckpoint | None) -> OnnxRuntime:
    """The ONNX file of a run whose model is saved."""
    if foreign and (flags := foreign.flags()):
        raise UsageError(
            f"{', '.join(flags)}: only for checkpoints of other programs, not with --engine onnx"
        )
    if run.is_interrupted:
        raise PigeonholeError(f"{run}: the training has not ended; only --engine tensorflow answers for it")
    if run.model_name != MODEL:
        raise PigeonholeError(f"{run.prefix}: no run's saved model, so it has no {run.onnx_file.name}")
    return restore(run.onnx_file, threads)


def restore(file: Path, threads: int | None = None) -> OnnxRuntime:
    """The model in `file`, once it has replayed its golden examples here.

    `threads`: how many threads one answer is computed with; None lets ONNX Runtime choose. Raises
    PigeonholeError when the file is missing or damaged or does not carry what is needed to check it, and
    golden.DriftError when its answers have changed.
    """
    try:
        data = file.read_bytes()
    except FileNotFoundError as error:
        raise PigeonholeError(
            f"{file}: no such file, its writing was cut short or failed; --engine tensorflow does without it"
        ) from error
    except OSError as error:
        raise PigeonholeError(f"{file}: {(error.strerror or str(error)).lower()}") from error
    seals.check(file, data)
    try:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or 0
        options.log_severity_level = 4
        options.add_session_config_entry("session.load_model_format", "ONNX")  # the format that was checked
        onnx_check.refuse_external_data(data)
        engine = OnnxRuntime(onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"]))
    except PigeonholeError as error:
        raise PigeonholeError(f"{file}: {error}") from None
    except Exception as error:  # the runtime raises anything
        raise PigeonholeError(f"{file}: ONNX Runtime cannot read it ({first_line(error)})") from error
    _replay_golden(engine, file)
    return engine


def _replay_golden(engine: OnnxRuntime, file: Path) -> None:
    if missing := {"contract", "classes", "golden"} - set(engine.metadata):
        raise PigeonholeError(
            f"{file}: written without {' and '.join(sorted(missing))}, so it cannot be checked; "
            "only a file that Pigeonhole exported can be"
        )
    try:
        engine.check()
        preprocessing = engine.contract.preprocessing
        examples, expected = golden.from_text(engine.metadata["golden"], preprocessing)
    except (PigeonholeError, ValueError) as error:
        raise PigeonholeError(f"{file}: damaged ({error})") from error

    def answer(pixels: np.ndarray) -> np.ndarray:
        # One by one: a batch takes half as long again, and the memory of all of them.
        return np.concatenate([engine.run(["y_pred"], one[np.newaxis])[0] for one in pixels])

    golden.replay(examples, expected, engine.contract, answer, file)


def _plain(tensor: str) -> str:
    return tensor.removesuffix(":0")
