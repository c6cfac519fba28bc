"""One uploaded picture in, the model's answer or the reason for a refusal out."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import flask
import numpy as np

from pigeonhole.model.classifier import ImageError
from pigeonhole.pictures.images import Facts
from pigeonhole.web.models import Model
from pigeonhole.web.uploads import Upload, pictures

LARGE_BYTES = 8_000_000  # of a request
LARGE_REQUESTS = 2  # at one time


@dataclass(frozen=True)
class Answered:
    """`ranked`: every class with its probability, best first. `pixels`: what the network saw, [S, S, C]."""

    name: str
    facts: Facts
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


class Busy(Exception):
    """So many large requests are being answered that this one has to come again."""


class Answerer:
    """Answers from many threads at once, within bounds of memory and of time.

    `most_pixels` is the largest picture that is accepted; a request may have four times as many in all.
    Requests with many bytes or many pixels are large. Few of them are answered at one time, and they have
    their own share of the memory for decoding, so that small ones find a free thread and free memory.
    """

    def __init__(self, most_pixels: int):
        self.most_pixels = most_pixels
        self.most_request_pixels = 4 * most_pixels
        self._places = threading.BoundedSemaphore(LARGE_REQUESTS)
        self._free = {True: most_pixels, False: self._most_small_pixels}  # by size of the request
        self._changed = threading.Condition()

    def ask(
        self, choose: Callable[[], Model], request: flask.Request, has_left: Callable[[], bool]
    ) -> list[Answered | Refused]:
        """For each picture the model's answer, or a refusal where it is none or has too many pixels.

        `choose` gives the model, once the request has been read. Stops early once `has_left()`.
        Raises `Busy`, and BadRequest for a request without pictures.
        """
        with contextlib.ExitStack() as place:
            is_large = (request.content_length or 0) > LARGE_BYTES
            if is_large:
                place.enter_context(self._place())
            uploads, model = pictures(request), choose()
            looked_at: list[Facts | Refused] = []
            pixels = 0
            for upload in uploads:
                facts = self._look(model, upload, self.most_request_pixels - pixels)
                pixels += 0 if isinstance(facts, Refused) else facts.width * facts.height
                looked_at.append(facts)
            if not is_large and pixels > self._most_small_pixels:
                is_large = True
                place.enter_context(self._place())
            return [
                facts if isinstance(facts, Refused) else self._answer(model, upload, facts, is_large)
                for upload, facts in zip(uploads, looked_at, strict=True)
                if not has_left()
            ]

    @property
    def _most_small_pixels(self) -> int:
        return self.most_pixels // 4

    @contextlib.contextmanager
    def _place(self) -> Iterator[None]:
        """One of the few places for large requests; none is waited for."""
        if not self._places.acquire(blocking=False):
            raise Busy
        try:
            yield
        finally:
            self._places.release()

    def _look(self, model: Model, upload: Upload, pixels_left: int) -> Facts | Refused:
        """What the head of the file says of the picture."""
        try:
            facts = model.classifier.inspect(upload.data)
        except ImageError as error:
            return Refused(upload.name, 415, str(error), len(upload.data))
        pixels = facts.width * facts.height
        if pixels > self.most_pixels:
            return Refused(upload.name, 413, self._too_large(facts), len(upload.data))
        if pixels > pixels_left:
            reason = (
                f"with the pictures before it, it has over {self.most_request_pixels / 1e6:.0f} megapixels"
            )
            return Refused(upload.name, 413, reason, len(upload.data))
        return facts

    def _answer(self, model: Model, upload: Upload, facts: Facts, is_large: bool) -> Answered | Refused:
        started = time.perf_counter()
        classifier = model.classifier
        try:
            with self._reserved(facts.width * facts.height, is_large):
                pixels = classifier.read(upload.data)
        except ImageError as error:
            return Refused(upload.name, 415, str(error), len(upload.data))
        probabilities, unsure = classifier.answer(pixels)
        best_first = np.argsort(-probabilities, kind="stable")
        ranked = [(model.classes[index], float(probabilities[index])) for index in best_first]
        return Answered(upload.name, facts, ranked, unsure, 1000 * (time.perf_counter() - started), pixels)

    def _too_large(self, facts: Facts) -> str:
        size = facts.width * facts.height / 1e6
        return f"{facts.width} x {facts.height}, {size:.0f} megapixels, is too large"

    @contextlib.contextmanager
    def _reserved(self, pixels: int, is_large: bool) -> Iterator[None]:
        """Wait until so many pixels may be decoded in addition to those of other requests of that size."""
        with self._changed:
            self._changed.wait_for(lambda: self._free[is_large] >= pixels)
            self._free[is_large] -= pixels
        try:
            yield
        finally:
            with self._changed:
                self._free[is_large] += pixels
                self._changed.notify_all()
