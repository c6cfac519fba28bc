"""A restored model that answers for pictures: what prediction, evaluation and other programs use."""

import io
import itertools
import os
import warnings
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Self, Union

import cv2
import numpy as np

from pigeonhole.errors import PigeonholeError
from pigeonhole.model import colour_order, doubt
from pigeonhole.model.engines.engine import AUTO, Engine, load_engine
from pigeonhole.model.interface import ForeignCheckpoint, Layer
from pigeonhole.pictures import images
from pigeonhole.pictures.images import ImageError
from pigeonhole.runs import search
from pigeonhole.runs.run import Run

if TYPE_CHECKING:
    from PIL.Image import Image

# A file's content, its path, an image uint8 [H, W, 3] RGB, or one of Pillow's.
Picture = Union[bytes, Path, str, np.ndarray, "Image"]

_READERS = min(8, os.cpu_count() or 1)
_BATCH_PIXELS = 32 * 128 * 128  # beyond that a larger batch answers no faster and only takes memory


class Answer(NamedTuple):
    """What a model says to one picture: `probabilities` float32 [K], and whether it is `unsure`.

    Unsure stands for "perhaps none of these classes"; a model without a rule for it never is. `features`
    float32 [F]: the penultimate layer, where it was asked for. `doubt`: see `model.doubt`.
    """

    probabilities: np.ndarray
    unsure: bool
    features: np.ndarray | None = None

    @property
    def doubt(self) -> str | None:
        """ "torn" between the two best classes, "stranger" where it is unsure, or None."""
        return doubt.kind(np.sort(self.probabilities)[::-1], self.unsure)


class Classifier(AbstractContextManager):
    """Class probabilities for pictures, from a saved run or an old checkpoint. Safe to use from many threads.

    >>> with Classifier.load() as classifier:
    ...     print(classifier.classes, classifier.predict(["dog.jpg"]))
    """

    def __init__(self, engine: Engine, passed_over: Sequence[str] = ()):
        self._engine = engine
        self._interface = engine.interface
        self._knows_order = False  # of the colours that are handed over
        self.passed_over = tuple(passed_over)  # why each faster engine could not load the model
        size = self._interface.preprocessing.image_size
        self._batch_size = self._interface.batch_size or max(1, min(64, _BATCH_PIXELS // size**2))

    @classmethod
    def load(
        cls,
        run: str | Path | Run | None = None,
        *,
        engine: str = AUTO,
        threads: int | None = None,
        foreign: ForeignCheckpoint | None = None,
    ) -> "Classifier":
        """Restore a model, by default the newest finished run; see `search.find` for what `run` may be.

        `engine`: `onnx` takes the run's ONNX file, which starts in a moment, answers the same to a few
        millionths and has no inside; `tensorflow` the meta graph, with every named tensor; `auto` the first
        of them that loads. `threads`: how many threads one answer is computed with; None leaves that to the
        engine. `foreign`: what a checkpoint of another program does not say about itself.

        Raises UsageError when there is no such model or something is left open, PigeonholeError when a file
        is missing or damaged, and golden.DriftError when this computer's libraries answer differently than
        those that trained it.
        """
        return cls(*load_engine(search.find(run), engine, threads, foreign))

    @property
    def classes(self) -> tuple[str, ...]:
        """The K class names, in the order of the probabilities."""
        return self._interface.classes

    @property
    def preprocessing(self) -> images.Preprocessing:
        """What the model wants a picture to be turned into."""
        return self._interface.preprocessing

    def predict(self, pictures: Sequence[Picture] | Picture) -> np.ndarray:
        """Probabilities float32 [N, K]; of one picture that is in no list, [1, K].

        Raises ImageError, naming the picture, when one cannot be read.
        """
        answers = []
        pictures = [pictures] if is_one(pictures) else list(pictures)
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

    def answer_each(
        self, pictures: Iterable[Picture], with_features: bool = False
    ) -> Iterator[Answer | ImageError]:
        """For each picture, in order, the model's answer, or why it cannot be read.

        Reads ahead by one batch in a few threads: any number of pictures takes the same memory.
        """
        with ThreadPoolExecutor(_READERS) as readers:
            waiting = []
            for batch in itertools.chain(_batches(pictures, self._batch_size), [()]):
                reading = [readers.submit(self._read, picture) for picture in batch]
                yield from self._answer([future.result() for future in waiting], with_features)
                waiting = reading

    def answer_here(
        self, pictures: Sequence[Picture], with_features: bool = False
    ) -> list[Answer | ImageError]:
        """What `answer_each` gives for a few pictures, all of it computed in the calling thread."""
        return list(self._answer([self._read(picture) for picture in pictures], with_features))

    def predict_pixels(self, pixels: np.ndarray) -> np.ndarray:
        """Probabilities float32 [N, K] of pictures that are preprocessed already, [N, S, S, C].

        Warns where the values of colour pictures for a model that takes 0..255 are 0..1 throughout, and once
        where the model is much more certain of many pictures with red and blue exchanged.
        """
        takes_bytes = self.preprocessing.scale == 1 and self.preprocessing.channels == 3
        if takes_bytes and isinstance(pixels, np.ndarray) and (mistake := self._mistake(pixels)):
            warnings.warn(mistake, stacklevel=2)
        return self._answer_pixels(pixels)[0]

    def _mistake(self, pixels: np.ndarray) -> str | None:
        """What seems to be wrong with pixels [N, S, S, 3]. The order is looked at with the first many."""
        if 0 < np.max(pixels, initial=0) <= 1:
            return "no value of these pictures is above 1, but the model takes 0..255, RGB: multiply by 255"
        if self._knows_order or len(pixels) < colour_order.FEWEST or not self.has("certainty"):
            return None
        self._knows_order = True
        if colour_order.seems_reversed(lambda part: self._fetch(part, ["certainty"])[0], pixels):
            return (
                "the model is much more certain of these pictures with red and blue exchanged; it takes RGB: "
                "hand over pixels[..., ::-1] where OpenCV has read them"
            )
        return None

    @staticmethod
    def inspect(data: bytes) -> images.Facts:
        """A file's facts from its container, without decoding. Raises ImageError as `images.inspect` does."""
        return images.inspect(data)

    def read(self, data: bytes) -> np.ndarray:
        """A file's bytes as the network sees them, [S, S, C]. Raises ImageError."""
        return images.preprocess(data, self.preprocessing)

    def answer(self, pixels: np.ndarray, with_features: bool = False) -> Answer:
        """The answer for one picture that is read already, [S, S, C]: computed in the calling thread."""
        return Answer(*(part[0] for part in self._answer_pixels(pixels[np.newaxis], with_features)))

    def fetch(self, pixels: np.ndarray, names: Sequence[str]) -> list[np.ndarray]:
        """Tensors of the saved model, such as `logits` or `conv1/output`, for pictures preprocessed already.

        `pixels`: [N, S, S, C], read in batches, so it may lie on disk. Each result: [N, ...]. Raises
        PigeonholeError for a tensor that the engine does not have.
        """
        self._require(names)
        return self._fetch(pixels, names)

    def constant(self, name: str) -> np.ndarray:
        """A tensor that depends on no picture, such as `conv1/kernel` or `global_step`."""
        self._require([name])
        side, channels = self.preprocessing.image_size, self.preprocessing.channels
        (value,) = self._engine.run([name], np.zeros((1, side, side, channels)))
        return value

    def has(self, name: str) -> bool:
        """Whether the engine has a tensor of this name, for `fetch` or `constant`."""
        return self._engine.has(name)

    @property
    def is_foreign(self) -> bool:
        """Whether it is a checkpoint of another program, of which only answers can be asked."""
        return self.engine == "tensorflow" and not self.has("contract")

    @property
    def engine(self) -> str:
        """The name of the engine that answers, such as `onnx`."""
        return self._engine.name

    @property
    def layers(self) -> Sequence[Layer]:
        """The network's named layers; none by an engine, or in a checkpoint, that has only the answers."""
        return self._engine.layers

    def close(self) -> None:
        """Free the model's memory."""
        self._engine.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _read(self, picture: Picture) -> np.ndarray | ImageError:
        try:
            return images.preprocess(_content(picture), self.preprocessing)
        except ImageError as error:
            return error
        except OSError as error:
            return ImageError((error.strerror or str(error)).lower())

    def _answer(
        self, read: Sequence[np.ndarray | ImageError], with_features: bool
    ) -> Iterator[Answer | ImageError]:
        readable = [pixels for pixels in read if not isinstance(pixels, ImageError)]
        parts = self._answer_pixels(np.stack(readable), with_features) if readable else ()
        answers = zip(*parts, strict=True)
        for pixels in read:
            yield pixels if isinstance(pixels, ImageError) else Answer(*next(answers))

    def _answer_pixels(
        self, pixels: np.ndarray, with_features: bool = False
    ) -> tuple[np.ndarray, list[bool], Sequence[np.ndarray | None]]:
        """Probabilities float32 [N, K], N times whether the model is unsure, and features float32 [N, F]."""
        asked, more = self._interface, ["features"] if with_features else []
        self._require(more)
        flags = [] if asked.unsure is None else [asked.unsure]
        output, *rest = self._fetch(pixels, [asked.output, *flags, *more])
        features = rest.pop() if with_features else [None] * len(output)
        unsure = rest[0].tolist() if rest else [False] * len(output)
        return (_softmax(output) if asked.logits else output), unsure, features

    def _fetch(self, pixels: np.ndarray, tensors: Sequence[str]) -> list[np.ndarray]:
        side, channels = self.preprocessing.image_size, self.preprocessing.channels
        if pixels.shape[1:] != (side, side, channels):
            raise ValueError(f"pixels must be [N, {side}, {side}, {channels}], not {list(pixels.shape)}")
        if not len(pixels):  # one run all the same, for the shapes
            return [part[:0] for part in self._engine.run(tensors, np.zeros((1, side, side, channels)))]
        starts = range(0, len(pixels), self._batch_size)
        parts = [self._engine.run(tensors, pixels[start : start + self._batch_size]) for start in starts]
        return [np.concatenate(part) for part in zip(*parts, strict=True)]

    def _require(self, names: Sequence[str]) -> None:
        if missing := [name for name in names if not self.has(name)]:
            raise PigeonholeError(f"the engine {self.engine} has no {', '.join(missing)} of this model")


def _content(picture: Picture) -> bytes:
    if isinstance(picture, bytes | bytearray | memoryview):
        return bytes(picture)
    if _is_pillows(picture):
        return _as_png(picture)
    if isinstance(picture, np.ndarray):
        if picture.dtype != np.uint8 or picture.shape[2:] != (3,):
            raise ValueError(f"an image must be uint8 [H, W, 3], not {picture.dtype} {list(picture.shape)}")
        if not picture.size:
            raise ImageError("empty")
        # As a file without loss, so that an image takes the same one way as everything else.
        return cv2.imencode(".bmp", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))[1].tobytes()
    if not isinstance(picture, str | os.PathLike):
        raise TypeError(
            "a picture is a path, a file's bytes, a uint8 array [H, W, 3] or an image of Pillow, "
            f"not {type(picture).__name__}"
        )
    return Path(picture).read_bytes()


def is_one(pictures: object) -> bool:
    """Whether this is a picture, and not a list or batch of pictures."""
    if isinstance(pictures, np.ndarray):
        return pictures.ndim <= 3
    return isinstance(pictures, bytes | bytearray | memoryview | str | os.PathLike) or _is_pillows(pictures)


def _is_pillows(picture: object) -> bool:
    return any(kind.__module__ == "PIL.Image" for kind in type(picture).__mro__)


def _as_png(picture: "Image") -> bytes:
    """As a file without loss, turned as its EXIF data say. Raises ImageError for one without pixels."""
    from PIL import ImageOps

    if 0 in picture.size:
        raise ImageError("empty")
    turned = ImageOps.exif_transpose(picture)
    if turned.mode not in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"):
        turned = turned.convert("RGB")
    file = io.BytesIO()
    turned.save(file, "PNG", compress_level=0)
    return file.getvalue()


def _batches(pictures: Iterable[Picture], size: int) -> Iterator[list[Picture]]:
    rest = iter(pictures)
    while batch := list(itertools.islice(rest, size)):
        yield batch


def _softmax(logits: np.ndarray) -> np.ndarray:
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True), dtype=np.float32)
    return exponentials / exponentials.sum(axis=1, keepdims=True)
