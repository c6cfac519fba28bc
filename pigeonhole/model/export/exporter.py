"""The protocol of an exporter, the list of exporters, and what they are given."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from pigeonhole.runs.run import Run

if TYPE_CHECKING:
    import numpy as np
    import tensorflow as tf

    from pigeonhole.model.contract import Contract

# Name of the form -> module of this package, which follows `Exporter`.
EXPORTERS = {
    "onnx": "onnx_file",
    "litert": "litert",
    "savedmodel": "saved_model",
    "pb": "frozen_graph",
    "openvino": "openvino_ir",
    "keras": "keras_file",
    "bundle": "bundle",
    "web": "web",
}
# Around the file of another form, which gives the answers: it is not compared with the others.
WRAPPED = ("web",)

# Pixels [N, S, S, C], RGB or grey 0..255, to probabilities float32 [N, K].
Answer = Callable[["np.ndarray"], "np.ndarray"]


@dataclass(frozen=True)
class Source:
    """The model that is exported.

    run          where it is saved
    session      which holds it
    calibration  uint8 [M, S, S, C], training pictures as the network sees them, where its activations and
                 weights shall be rounded to int8; None: it stays float32
    runtime      where ONNX Runtime Web lies, for a web page; None: where `web_runtime` looks
    """

    run: Run
    session: "tf.compat.v1.Session"
    calibration: "np.ndarray | None" = None
    runtime: Path | None = None

    @cached_property
    def contract(self) -> "Contract":
        from pigeonhole.model import metagraph

        return metagraph.read_contract(self.session)

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """The K class names, in the order of the probabilities."""
        from pigeonhole.model import metagraph

        return metagraph.read_classes(self.session)

    def describe_in(self, folder: Path) -> None:
        """Write the class names, a line each, and the contract into the folder."""
        Run(folder).write_labels(self.classes)
        (folder / "contract.json").write_text(self.contract.to_json(), "utf-8")


class Exporter(Protocol):
    """Turns a restored model into one other form."""

    TITLE: str  # such as "ONNX file", for messages
    PLACE: str  # the name of the file or folder
    NEEDS: tuple[str, ...]  # modules of `extras.OPTIONAL` beyond those that training needs
    HAS_INT8: bool  # whether `write` heeds `Source.calibration`

    def write(self, source: Source, place: Path) -> None:
        """Write the form to `place`, where nothing is. May raise any exception."""

    def load(self, place: Path) -> Answer:
        """What `write` has made, ready to answer any number of pictures. May raise any exception."""


def exporter_of(form: str) -> Exporter:
    """The exporter of a form that EXPORTERS names. Raises ModuleNotFoundError without what it needs."""
    return importlib.import_module(f"{__package__}.{EXPORTERS[form]}")


def place_of(exporter: Exporter, int8: bool = False) -> str:
    """The name of the file or folder: `model.onnx`, or `model.int8.onnx`."""
    named = Path(exporter.PLACE)
    return f"{named.stem}.int8{named.suffix}" if int8 else exporter.PLACE
