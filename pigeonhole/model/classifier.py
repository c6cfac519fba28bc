"""A restored model that answers for pictures: what prediction, evaluation and other programs use."""

import itertools
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np

from pigeonhole import quiet
from pigeonhole.errors import PigeonholeError
from pigeonhole.model.engines import onnx_runtime
from pigeonhole.model.interface import Interface
from pigeonhole.pictures import images
from pigeonhole.pictures.images import ImageError
from pigeonhole.runs import runs

if TYPE_CHECKING:
    import tensorflow as tf

Picture = bytes | Path | str | np.ndarray  # a file's content, its path, or an image uint8 [H, W, 3] RGB

_READERS = min(8, os.cpu_count() or 1)
_BATCH_PIXELS = 32 * 128 * 128  # beyond that a larger batch answers no faster and only takes memory


class Answer(NamedTuple):
    """What a model says to one picture: `probabilities` float32 [K], and whether it is `unsure`.

    Unsure stands for "perhaps none of these classes"; a model without a rule for it never is.
    """

    probabilities: np.ndarray
    unsure: bool


class Classifier:
    """Class probabilities for pictures, from a saved run or an old checkpoint. Safe to use from many threads.

    >>> with Classifier.load() as classifier:
    ...     print(classifier.classes, classifier.predict(["dog.jpg"]))
    """

    def __init__(self, session: "tf.compat.v1.Session | onnx_runtime.Session", interface: Interface):
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
        from pigeonhole.model import foreign, metagraph, unfinished

        with unfinished.model(prefix) as complete:
            session = metagraph.restore(complete, threads)
        try:
            return Classifier(session, foreign.interface(session, foreign.Supplied(**supplied)))
        except BaseException:
            session.close()
            raise

    @classmethod
    def load_onnx(cls, run: str | Path | None = None, *, threads: int | None = None) -> "Classifier":
        """Restore a finished run's model from its ONNX file: in a moment, without TensorFlow.

        It gives the same answers to a few millionths, and `fetch` the outputs that the file has, but not the
        inside of the network. Raises as `load` does, also where the run has no ONNX file.
        """
        prefix = runs.find(run)
        if prefix.name != runs.MODEL or runs.is_interrupted(prefix.parent):
            raise PigeonholeError(f"{prefix}: no finished run's model, so that no {runs.ONNX} is of it")
        session = onnx_runtime.restore(prefix.with_name(runs.ONNX), threads)
        return Classifier(session, onnx_runtime.interface(session))

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
        """For each picture, in order, its probabilities float32 [K], or why it cannot be read."""
        for answer in self.answer_each(pictures):
            yield answer if isinstance(answer, ImageError) else answer.probabilities

    def answer_each(self, pictures: Iterable[Picture]) -> Iterator[Answer | ImageError]:
        """For each picture, in order, the model's answer, or why it cannot be read.

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
        return self._answer_pixels(pixels)[0]

    @staticmethod
    def inspect(data: bytes) -> images.Facts:
        """A file's facts from its container, without decoding. Raises ImageError as `images.inspect` does."""
        return images.inspect(data)

    def read(self, data: bytes) -> np.ndarray:
        """A file's bytes as the network sees them, [S, S, C]. Raises ImageError."""
        return images.preprocess(data, self.preprocessing)

    def answer(self, pixels: np.ndarray) -> Answer:
        """The answer for one picture that is read already, [S, S, C]: computed in the calling thread."""
        probabilities, unsure = self._answer_pixels(pixels[np.newaxis])
        return Answer(probabilities[0], unsure[0])

    def fetch(self, pixels: np.ndarray, names: Sequence[str]) -> list[np.ndarray]:
        """Tensors of the saved graph, such as `logits` or `conv1/output`, for pictures preprocessed already.

        `pixels`: [N, S, S, C], read in batches, so it may lie on disk. Each result: [N, ...].
        """
        return self._fetch(pixels, [f"{name}:0" for name in names])

    @property
    def session(self) -> "tf.compat.v1.Session":
        """The restored graph, for a look inside the network; of a model from `load`."""
        return self._session

    def has(self, name: str) -> bool:
        """Whether the graph, of a model from `load`, holds a tensor of this name, as `fetch` takes it."""
        return any(operation.name == name for operation in self._session.graph.get_operations())

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

    def _answer(self, read: Sequence[np.ndarray | ImageError]) -> Iterator[Answer | ImageError]:
        readable = [pixels for pixels in read if not isinstance(pixels, ImageError)]
        answers = zip(*self._answer_pixels(np.stack(readable)), strict=True) if readable else iter(())
        for pixels in read:
            yield pixels if isinstance(pixels, ImageError) else Answer(*next(answers))

    def _answer_pixels(self, pixels: np.ndarray) -> tuple[np.ndarray, list[bool]]:
        """Probabilities float32 [N, K], and N times whether the model is unsure."""
        asked = self._interface
        if asked.unsure is None:
            (output,) = self._fetch(pixels, [asked.output])
            unsure = [False] * len(output)
        else:
            output, flags = self._fetch(pixels, [asked.output, asked.unsure])
            unsure = flags.tolist()
        return (_softmax(output) if asked.logits else output), unsure

    def _fetch(self, pixels: np.ndarray, tensors: Sequence[str]) -> list[np.ndarray]:
        side, channels = self.preprocessing.image_size, self.preprocessing.channels
        if pixels.shape[1:] != (side, side, channels):
            raise ValueError(f"pixels must be [N, {side}, {side}, {channels}], not {list(pixels.shape)}")
        if not len(pixels):  # one run all the same, for the shapes
            return [part[:0] for part in self._run(np.zeros((1, side, side, channels)), tensors)]
        starts = range(0, len(pixels), self._batch_size)
        parts = [self._run(pixels[start : start + self._batch_size], tensors) for start in starts]
        return [np.concatenate(part) for part in zip(*parts, strict=True)]

    def _run(self, pixels: np.ndarray, tensors: Sequence[str]) -> list[np.ndarray]:
        asked = self._interface
        return self._session.run(tensors, {asked.input: pixels, **asked.feeds})


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
