"""A restored model that answers for pictures: what prediction, evaluation and other programs use."""

import itertools
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType

import cv2
import numpy as np

from pigeonhole import images, quiet, runs
from pigeonhole.images import ImageError

Picture = bytes | Path | str | np.ndarray  # a file's content, its path, or an image uint8 [H, W, 3] RGB

_READERS = min(8, os.cpu_count() or 1)
_BATCH_PIXELS = 32 * 128 * 128  # beyond that a larger batch answers no faster and only takes memory


class Classifier:
    """Class probabilities for pictures, from a saved run or an old checkpoint. Safe to use from many threads.

    >>> with Classifier.load() as classifier:
    ...     print(classifier.classes, classifier.predict(["dog.jpg"]))
    """

    def __init__(self, session, interface):
        self._session = session
        self._interface = interface
        size = interface.preprocessing.image_size
        self._batch_size = interface.batch_size or max(1, min(64, _BATCH_PIXELS // size**2))

    @classmethod
    def load(cls, run: str | Path | None = None, *, threads: int | None = None, **supplied) -> "Classifier":
        """Restore a model, by default the newest finished run; see `runs.find` for what `run` may be.

        `threads`: how many threads one answer is computed with; None lets TensorFlow choose. `supplied`: what
        a checkpoint of another program leaves open, the fields of `foreign.Supplied`. Raises UsageError when
        there is no such model or something is left open, PigeonholeError when it is not whole, and
        golden.DriftError when this computer's libraries answer differently than those that trained it.
        """
        prefix = runs.find(run)
        quiet.import_tensorflow()
        from pigeonhole import foreign, metagraph

        session = metagraph.restore(prefix, threads)
        try:
            return Classifier(session, foreign.interface(session, foreign.Supplied(**supplied)))
        except BaseException:
            session.close()
            raise

    @property
    def classes(self) -> tuple[str, ...]:
        """The K class names, in the order of the probabilities."""
        return self._interface.classes

    @property
    def preprocessing(self) -> images.Preprocessing:
        """What the model wants a picture to be turned into."""
        return self._interface.preprocessing

    def predict(self, pictures: Sequence[Picture]) -> np.ndarray:
        """Probabilities float32 [N, K]. Raises ImageError, naming the picture, when one cannot be read."""
        answers = []
        for picture, answer in zip(pictures, self.predict_each(pictures), strict=True):
            if isinstance(answer, ImageError):
                name = f"{picture}: " if isinstance(picture, str | Path) else f"picture {len(answers)}: "
                raise ImageError(f"{name}{answer}")
            answers.append(answer)
        return np.array(answers, np.float32).reshape(-1, len(self.classes))

    def predict_each(self, pictures: Iterable[Picture]) -> Iterator[np.ndarray | ImageError]:
        """For each picture, in order, its probabilities float32 [K], or why it cannot be read.

        Reads ahead by one batch in a few threads: any number of pictures takes the same memory.
        """
        with ThreadPoolExecutor(_READERS) as readers:
            waiting = []
            for batch in itertools.chain(_batches(pictures, self._batch_size), [()]):
                reading = [readers.submit(self._read, picture) for picture in batch]
                yield from self._answer([future.result() for future in waiting])
                waiting = reading

    def predict_pixels(self, pixels: np.ndarray) -> np.ndarray:
        """Probabilities float32 [N, K] of pictures that are preprocessed already, [N, S, S, C]."""
        side, channels = self.preprocessing.image_size, self.preprocessing.channels
        if pixels.shape[1:] != (side, side, channels):
            raise ValueError(f"pixels must be [N, {side}, {side}, {channels}], not {list(pixels.shape)}")
        starts = range(0, len(pixels), self._batch_size)
        parts = [self._run(pixels[start : start + self._batch_size]) for start in starts]
        return np.concatenate([np.empty((0, len(self.classes)), np.float32), *parts])

    def close(self) -> None:
        """Free the model's memory."""
        self._session.close()

    def __enter__(self) -> "Classifier":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _read(self, picture: Picture) -> np.ndarray | ImageError:
        try:
            return images.preprocess(_content(picture), self.preprocessing)
        except ImageError as error:
            return error
        except OSError as error:
            return ImageError((error.strerror or str(error)).lower())

    def _answer(self, read: Sequence[np.ndarray | ImageError]) -> Iterator[np.ndarray | ImageError]:
        readable = [pixels for pixels in read if not isinstance(pixels, ImageError)]
        answers = iter(self.predict_pixels(np.stack(readable)) if readable else ())
        for pixels in read:
            yield pixels if isinstance(pixels, ImageError) else next(answers)

    def _run(self, pixels: np.ndarray) -> np.ndarray:
        asked = self._interface
        output = self._session.run(asked.output, {asked.input: pixels, **asked.feeds})
        return _softmax(output) if asked.logits else output


def _content(picture: Picture) -> bytes:
    if isinstance(picture, bytes):
        return picture
    if isinstance(picture, np.ndarray):
        if picture.dtype != np.uint8 or picture.shape[2:] != (3,):
            raise ValueError(f"an image must be uint8 [H, W, 3], not {picture.dtype} {list(picture.shape)}")
        # As a file without loss, so that an image takes the same one way as everything else.
        return cv2.imencode(".bmp", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))[1].tobytes()
    return Path(picture).read_bytes()


def _batches(pictures: Iterable[Picture], size: int) -> Iterator[list[Picture]]:
    rest = iter(pictures)
    while batch := list(itertools.islice(rest, size)):
        yield batch


def _softmax(logits: np.ndarray) -> np.ndarray:
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True), dtype=np.float32)
    return exponentials / exponentials.sum(axis=1, keepdims=True)
