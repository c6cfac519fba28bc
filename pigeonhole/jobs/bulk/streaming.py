"""Pictures through threads that read, decode and answer, with a bounded number under way.

Each thread takes a few pictures all the way. Decoding and ONNX Runtime leave the interpreter's lock, so that
threads are as fast as processes, and share one model. An answer is computed by one thread: two of ONNX
Runtime's at one picture gain less than two pictures at once. benchmarks/bulk.py compares these ways.
"""

import itertools
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pigeonhole.data.parallel import THREADS, in_parallel, one_opencv_thread
from pigeonhole.jobs import prediction
from pigeonhole.jobs.prediction import Answer, Source, Why
from pigeonhole.model import classifier as answering
from pigeonhole.model.classifier import Classifier
from pigeonhole.pictures.images import ImageError

# Pictures of one task: one photo, several thumbnails, whose answers take less than calling for them does.
MOST_AT_ONCE = 32
_PIXELS_AT_ONCE = 128 * 128


@dataclass(frozen=True)
class Stream:
    """What answers: a classifier loaded with one thread, and how many pictures are computed at once."""

    classifier: Classifier
    workers: int
    why: Why

    def answers(self, sources: Iterable[Source]) -> Iterator[list[Answer]]:
        """The answers in the order of the sources, a few at a time.

        More threads than workers read, since storage may be far away; only so many compute. Raises as
        `prediction.answers`.
        """
        at_once = threading.BoundedSemaphore(self.workers)
        with_features = self.why.known is not None

        def answer(some: list[Source]) -> list[tuple[Source, answering.Answer | ImageError]]:
            contents = [_content(source) for source in some]
            readable = [content for content in contents if isinstance(content, bytes)]
            with at_once:
                given = iter(self.classifier.answer_here(readable, with_features))
            each = [next(given) if isinstance(content, bytes) else content for content in contents]
            return list(zip(some, each, strict=True))

        tasks = _chunks(sources, self.pictures_at_once)
        with one_opencv_thread():
            for answered in in_parallel(answer, tasks, max(THREADS, 2 * self.workers)):
                yield [prediction.told(self.classifier, *each, self.why) for each in answered]

    @property
    def pictures_at_once(self) -> int:
        """How many pictures a thread takes at a time."""
        pixels = self.classifier.preprocessing.image_size**2
        return max(1, min(MOST_AT_ONCE, _PIXELS_AT_ONCE // pixels))


def _content(source: Source) -> bytes | ImageError:
    if isinstance(source.picture, bytes):
        return source.picture
    try:
        with open(source.picture, "rb") as file:
            return file.read()
    except OSError as error:
        return ImageError((error.strerror or str(error)).lower())


def _chunks(sources: Iterable[Source], size: int) -> Iterator[list[Source]]:
    rest = iter(sources)
    while some := list(itertools.islice(rest, size)):
        yield some
