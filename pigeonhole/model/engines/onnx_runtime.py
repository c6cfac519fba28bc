"""A model restored from its ONNX file: it starts in a moment, without TensorFlow, and answers faster."""

import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from pigeonhole.errors import PigeonholeError, first_line
from pigeonhole.model import golden
from pigeonhole.model.contract import Contract
from pigeonhole.model.interface import Interface


class Session:
    """An ONNX model that is asked as a TensorFlow session is. Safe to use from many threads."""

    def __init__(self, runtime):
        self._runtime = runtime
        self.metadata: Mapping[str, str] = runtime.get_modelmeta().custom_metadata_map
        self.outputs = frozenset(output.name for output in runtime.get_outputs())

    def run(self, tensors: Sequence[str], feeds: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        """The tensors, such as `y_pred:0`, for float32 values of those that are fed."""
        values = {_plain(name): np.asarray(value, np.float32) for name, value in feeds.items()}
        return self._runtime.run([_plain(name) for name in tensors], values)

    @cached_property
    def contract(self) -> Contract:
        """Raises PigeonholeError when it cannot be read."""
        return Contract.from_json(self.metadata["contract"])

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """The K class names, in the order of the outputs. Raises ValueError when they cannot be read."""
        return tuple(json.loads(self.metadata["classes"]))

    def close(self) -> None:
        """Free the model's memory."""
        self._runtime = None


def restore(file: Path, threads: int | None = None) -> Session:
    """A session with the model in `file`, once it has replayed its golden examples here.

    `threads`: how many threads one answer is computed with; None lets ONNX Runtime choose. Raises
    PigeonholeError when the file is missing or damaged or does not carry what is needed to check it, and
    golden.DriftError when its answers have changed.
    """
    try:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or 0
        options.log_severity_level = 4
        session = Session(
            onnxruntime.InferenceSession(file.read_bytes(), options, providers=["CPUExecutionProvider"])
        )
    except OSError as error:
        raise PigeonholeError(f"{file}: {(error.strerror or str(error)).lower()}") from error
    except Exception as error:  # the runtime raises anything
        raise PigeonholeError(f"{file}: ONNX Runtime cannot read it ({first_line(error)})") from error
    _replay_golden(session, file)
    return session


def interface(session: Session) -> Interface:
    """How the session is asked."""
    unsure = "unsure:0" if "unsure" in session.outputs else None
    return Interface(session.classes, session.contract.preprocessing, unsure=unsure)


def _replay_golden(session: Session, file: Path) -> None:
    if missing := {"contract", "classes", "golden"} - set(session.metadata):
        raise PigeonholeError(
            f"{file}: written without {' and '.join(sorted(missing))}, so nothing tells whether it is right"
        )
    try:
        examples, expected = golden.from_text(session.metadata["golden"])
        contract, _ = session.contract, session.classes  # both can be read
    except (ValueError, TypeError) as error:
        raise PigeonholeError(f"{file}: damaged ({error})") from error
    except PigeonholeError as error:
        raise PigeonholeError(f"{file}: {error}") from error

    def answer(pixels: np.ndarray) -> np.ndarray:
        return session.run(["y_pred"], {"x": pixels})[0]

    golden.replay(examples, expected, contract, answer, file)


def _plain(tensor: str) -> str:
    return tensor.removesuffix(":0")
