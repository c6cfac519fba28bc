"""The protocol of an engine, the list of engines, and the choice among them."""

import importlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from pigeonhole.errors import PigeonholeError, UsageError, naming
from pigeonhole.extras import MissingExtra

if TYPE_CHECKING:
    import numpy as np

    from pigeonhole.model.interface import ForeignCheckpoint, Interface, Layer
    from pigeonhole.runs.run import Run

AUTO, ONNX = "auto", "onnx"
# Name -> module of this package, the fastest first. The module's `load` gives the engine for a model.
ENGINES = {
    ONNX: "onnx_runtime",
    "tensorflow": "tensorflow",
}
CHOICES = (AUTO, *ENGINES)


class Engine(Protocol):
    """A restored model. Safe to use from many threads."""

    name: str  # in ENGINES
    interface: "Interface"
    layers: "Sequence[Layer]"  # from the picture to the logits; empty where the engine has only the answers

    def run(self, names: Sequence[str], pixels: "np.ndarray") -> "list[np.ndarray]":
        """The tensors of these names, such as `y_pred`, for preprocessed pictures [N, S, S, C], 0..255."""

    def has(self, name: str) -> bool:
        """Whether `run` knows a tensor of this name."""

    def close(self) -> None:
        """Free the model's memory."""


def load_engine(
    run: "Run", choice: str = AUTO, threads: int | None = None, foreign: "ForeignCheckpoint | None" = None
) -> tuple[Engine, list[str]]:
    """An engine with the model of `run`, and why faster engines could not load it.

    `choice`: one of CHOICES; `auto` takes the first engine that loads the model and gives its golden answers.
    `threads`: how many threads one answer is computed with; None leaves that to the engine. Raises UsageError
    for an unknown engine or a contradicted model, PigeonholeError when no engine can load the model, and
    golden.DriftError when its answers are not those of the computer that trained it.
    """
    check(run, choice)
    *faster, last = ENGINES if choice == AUTO and not run.is_lone else [ONNX if choice == AUTO else choice]
    reasons = []
    with naming(run.folder, run.origin):
        for name in faster:
            try:
                return _load(name, run, threads, foreign), reasons
            except PigeonholeError as error:
                reasons.append(str(error))
        try:
            return _load(last, run, threads, foreign), reasons
        except MissingExtra as error:
            raise PigeonholeError("; ".join([*reasons, str(error)])) from error


def check(run: "Run", choice: str) -> None:
    """Raise UsageError for an engine that there is not, or that has no model of this run."""
    if choice not in CHOICES:
        raise UsageError(f"--engine {choice}: no such engine; choose from {', '.join(CHOICES)}")
    if run.is_lone and choice not in (AUTO, ONNX):
        raise UsageError(f"--engine {choice}: {run} is an ONNX file; only --engine {ONNX} answers with it")


def _load(name: str, run: "Run", threads: int | None, foreign: "ForeignCheckpoint | None") -> Engine:
    return importlib.import_module(f"{__package__}.{ENGINES[name]}").load(run, threads, foreign)
