"""One uploaded picture in, the model's answer or the reason for a refusal out."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import flask
import numpy as np
from werkzeug.exceptions import BadRequest

from pigeonhole.evaluation import insight
from pigeonhole.features.known import Near
from pigeonhole.model import doubt
from pigeonhole.model.classifier import ImageError
from pigeonhole.pictures.images import Facts
from pigeonhole.web.models import Model
from pigeonhole.web.uploads import Upload, pictures

LARGE_BYTES = 8_000_000  # of a request
LARGE_REQUESTS = 2  # at one time


@dataclass(frozen=True)
class Wanted:
    """What is wanted besides the answers: so many of the nearest training pictures, a heatmap."""

    nearest: int = 0
    heatmap: bool = False


@dataclass(frozen=True)
class Answered:
    """`ranked`: every class with its probability, best first. `pixels`: what the network saw, [S, S, C].

    `features` float32 [F], where the run keeps training pictures; `nearest`: of those. `heatmap` uint8
    [S, S, 3]: what spoke for the answer; None where it was not asked for.
    """

    name: str
    facts: Facts
    ranked: list[tuple[str, float]]
    unsure: bool
    milliseconds: float
    pixels: np.ndarray
    features: np.ndarray | None = None
    nearest: list[Near] = field(default_factory=list)
    heatmap: np.ndarray | None = None

    @property
    def doubt(self) -> str | None:
        """As of `classifier.Answer`."""
        return doubt.kind([share for _, share in self.ranked], self.unsure)


@dataclass(frozen=True)
class Refused:
    """`status`: 413 or 415. `size`: of the file, in bytes."""

    name: str
    status: int
    reason: str
    size: int


class Busy(Exception):
    """So many large requests are being answered that this one has to come again. Says so in a sentence."""


class Left(Exception):
    """Nobody waits for the answer any more."""


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
        self._heating = threading.Lock()
        self._free = {True: most_pixels, False: self._most_small_pixels}  # by size of the request
        self._changed = threading.Condition()

    def ask(
        self,
        choose: Callable[[], Model],
        request: flask.Request,
        has_left: Callable[[], bool],
        want: Callable[[], Wanted],
    ) -> list[Answered | Refused]:
        """For each picture the model's answer, or a refusal where it is none or has too many pixels.

        `choose` gives the model and `want` what else is wanted, once the request has been read. Stops early
        once `has_left()`.
        Raises `Busy`, `Left`, and BadRequest for a request without pictures, or for a heatmap of several.
        """
        with contextlib.ExitStack() as place:
            is_large = (request.content_length or 0) > LARGE_BYTES
            if is_large:
                place.enter_context(self._place())
            uploads, model, wanted = pictures(request), choose(), want()
            if wanted.heatmap and len(uploads) > 1:
                raise BadRequest("A heatmap takes some seconds. Send one picture at a time.")
            looked_at: list[Facts | Refused] = []
            pixels = 0
            for upload in uploads:
                facts = self._look(model, upload, self.most_request_pixels - pixels)
                pixels += 0 if isinstance(facts, Refused) else facts.width * facts.height
                looked_at.append(facts)
            if not is_large and pixels > self._most_small_pixels:
                is_large = True
                place.enter_context(self._place())
            results = []
            for upload, facts in zip(uploads, looked_at, strict=True):
                if has_left():
                    raise Left
                if isinstance(facts, Facts):
                    facts = self._answer(model, upload, facts, is_large)
                if isinstance(facts, Answered):
                    facts = self._explained(model, facts, wanted, has_left)
                results.append(facts)
            return results

    @property
    def _most_small_pixels(self) -> int:
        return self.most_pixels // 4

    @contextlib.contextmanager
    def _place(self) -> Iterator[None]:
        """One of the few places for large requests; none is waited for."""
        if not self._places.acquire(blocking=False):
            raise Busy("Several large requests are being answered.")
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
        given = classifier.answer(pixels, model.known is not None)
        best_first = np.argsort(-given.probabilities, kind="stable")
        ranked = [(model.classes[index], float(given.probabilities[index])) for index in best_first]
        milliseconds = 1000 * (time.perf_counter() - started)
        return Answered(upload.name, facts, ranked, given.unsure, milliseconds, pixels, given.features)

    def _explained(
        self, model: Model, answer: Answered, wanted: Wanted, has_left: Callable[[], bool]
    ) -> Answered:
        """The answer with what is wanted besides. Only one heatmap is made at a time, by one thread."""

        def check() -> None:
            if has_left():
                raise Left

        if wanted.nearest and model.known:
            (nearest,) = model.known.nearest(answer.features[np.newaxis], wanted.nearest)
            answer = replace(answer, nearest=nearest)
        if not wanted.heatmap:
            return answer
        if not model.has_heatmaps:
            raise BadRequest("This model has no heatmaps.")
        if not self._heating.acquire(blocking=False):
            raise Busy("Another heatmap is being made.")
        try:
            best = model.classes.index(answer.ranked[0][0])
            heatmap = insight.spoke_for(model.classifier, answer.pixels, best, check, threads=1)
            return replace(answer, heatmap=heatmap)
        finally:
            self._heating.release()

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
