"""Pictures through threads that read and threads that decode and answer, with a bounded number under way.

Each of the latter takes a few pictures all the way. There are only as many as workers: more of them that take
turns wake each other, and lose 15 % of the time. Decoding and ONNX Runtime leave the interpreter's lock, so
that threads are as fast as processes, and share one model. An answer is computed by one thread: two of ONNX
Runtime's at one picture gain less than two pictures at once. benchmarks/bulk.py compares these ways.
"""

import itertools
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
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
        readers = max(THREADS, 2 * self.workers)
        with one_opencv_thread(), ThreadPoolExecutor(readers) as pool:
            chunks = _chunks(sources, self.pictures_at_once)
            tasks = ((some, pool.submit(_contents, some)) for some in chunks)
            try:
                for answered in in_parallel(self._answer, tasks, self.workers, ahead=2 * readers):
                    yield [prediction.told(self.classifier, *each, self.why) for each in answered]
            finally:
                pool.shutdown(wait=False, cancel_futures=True)

    def _answer(
        self, task: tuple[list[Source], Future]
    ) -> list[tuple[Source, answering.Answer | ImageError]]:
        some, contents = task[0], task[1].result()
        readable = [content for content in contents if isinstance(content, bytes)]
        given = iter(self.classifier.answer_here(readable, self.why.known is not None))
        each = [next(given) if isinstance(content, bytes) else content for content in contents]
        return list(zip(some, each, strict=True))

    @property
    def pictures_at_once(self) -> int:
        """How many pictures a thread takes at a time."""
        pixels = self.classifier.preprocessing.image_size**2
        return max(1, min(MOST_AT_ONCE, _PIXELS_AT_ONCE // pixels))


def _contents(sources: list[Source]) -> list[bytes | ImageError]:
    return [_content(source) for source in sources]


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
