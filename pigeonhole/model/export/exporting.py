"""The protocol of an exporter, the list of exporters, and the test that every exported form must pass."""

import importlib
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from pigeonhole.errors import PigeonholeError, first_line
from pigeonhole.model import golden, metagraph
from pigeonhole.runs import seals, search

if TYPE_CHECKING:
    import tensorflow as tf

TOLERANCE = 1e-5  # of probabilities: the same float32 arithmetic in another order
# Name of the form -> module of this package, which follows `Exporter`.
EXPORTERS = {
    "onnx": "onnx_file",
}


class Exporter(Protocol):
    """Turns a restored model into one other form."""

    TITLE: str  # such as "ONNX file", for messages
    PLACE: str  # the name of the file or folder in the run

    def write(self, session: "tf.compat.v1.Session", place: Path) -> None:
        """Write the form of the session's model to `place`. May raise any exception."""

    def answers(self, place: Path, pixels: np.ndarray) -> np.ndarray:
        """Probabilities float32 [N, K] by what `write` has made, for `pixels` [N, S, S, C]. May raise."""


def export(run: Path, form: str = "onnx") -> Path:
    """Write the finished `run`'s model in another form into the run, and give its path.

    It appears there only after it has given the golden examples' answers; otherwise nothing is left of it and
    the run is as before. Raises PigeonholeError where it cannot be made.
    """
    exporter: Exporter = importlib.import_module(f"{__package__}.{EXPORTERS[form]}")
    aside, place = run / f".{exporter.PLACE}", run / exporter.PLACE
    session = metagraph.restore(search.find(run).prefix)
    try:
        _remove(aside)
        exporter.write(session, aside)
        examples, expected = metagraph.read_golden(session)
        golden.check_numerics(expected, exporter.answers(aside, examples.pixels), TOLERANCE)
    except Exception as error:  # converters and runtimes raise anything
        _remove(aside)
        raise PigeonholeError(f"no {exporter.TITLE} was written: {first_line(error)}") from error
    finally:
        session.close()
    seals.forget(place)
    aside.replace(place)
    if place.is_file():
        seals.note(place)
    return place


def _remove(place: Path) -> None:
    shutil.rmtree(place) if place.is_dir() else place.unlink(missing_ok=True)
