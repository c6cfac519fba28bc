"""One uploaded picture in, the model's answer or the reason for a refusal out."""

import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pigeonhole.model.classifier import ImageError
from pigeonhole.web.models import Model
from pigeonhole.web.uploads import Upload

if TYPE_CHECKING:
    from pigeonhole.pictures.images import Facts


@dataclass(frozen=True)
class Answered:
    """`ranked`: every class with its probability, best first. `pixels`: what the network saw, [S, S, C]."""

    name: str
    facts: "Facts"
    ranked: list[tuple[str, float]]
    unsure: bool
    milliseconds: float
    pixels: np.ndarray


@dataclass(frozen=True)
class Refused:
    """`status`: 413 or 415. `size`: of the file, in bytes."""

    name: str
    status: int
    reason: str
    size: int


class Answerer:
    """Answers from many threads at once, within bounds of memory.

    `most_pixels` is the largest picture that is accepted, and all pictures that are being decoded at one time
    have no more pixels than that together.
    """

    def __init__(self, most_pixels: int):
        self.most_pixels = most_pixels
        self._free = most_pixels
        self._changed = threading.Condition()

    def ask(self, model: Model, upload: Upload) -> Answered | Refused:
        """The model's answer; a refusal where the upload is no picture or has too many pixels."""
        started = time.perf_counter()
        classifier = model.classifier
        try:
            facts = classifier.inspect(upload.data)
            if facts.width * facts.height > self.most_pixels:
                return Refused(upload.name, 413, self._too_large(facts), len(upload.data))
            with self._reserved(facts.width * facts.height):
                pixels = classifier.read(upload.data)
        except ImageError as error:
            return Refused(upload.name, 415, str(error), len(upload.data))
        probabilities, unsure = classifier.answer(pixels)
        best_first = np.argsort(-probabilities, kind="stable")
        ranked = [(model.classes[index], float(probabilities[index])) for index in best_first]
        return Answered(upload.name, facts, ranked, unsure, 1000 * (time.perf_counter() - started), pixels)

    def _too_large(self, facts: "Facts") -> str:
        size = facts.width * facts.height / 1e6
        return f"{facts.width} x {facts.height}, {size:.0f} megapixels, is too large"

    @contextlib.contextmanager
    def _reserved(self, pixels: int) -> Iterator[None]:
        """Wait until so many pixels may be decoded beside what is being decoded already."""
        with self._changed:
            self._changed.wait_for(lambda: self._free >= pixels)
            self._free -= pixels
        try:
            yield
        finally:
            with self._changed:
                self._free += pixels
                self._changed.notify_all()
