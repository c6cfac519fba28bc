"""From pictures to features: a pretrained network without its last layer.

`open_pretrained` gives EfficientNet-Lite0 in well under a second, by ONNX Runtime. Any Keras network can
be an extractor (`KerasExtractor`). TensorFlow is imported only where it computes.
"""

import hashlib
import re
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from pigeonhole.data.parallel import available_cores
from pigeonhole.features import pretrained
from pigeonhole.networks.lite_layout import HEAD_MEANS, NUM_FEATURES

if TYPE_CHECKING:
    import keras

IMAGE_SIZE = 224  # pixels; the size that EfficientNet-Lite0 was trained at
BATCH = 32  # pictures at once in TensorFlow
EXACT, INT8, AUTO = ("onnx", "tensorflow"), "int8", "auto"  # engines
CPUINFO = Path("/proc/cpuinfo")  # of Linux
INT8_INSTRUCTIONS = re.compile(r"\bavx2\b")  # without these int8 was not measured
SECONDS_TO_MEASURE = 0.4
VERSION, INT8_VERSION = 1, 2  # part of the digest: increase when the same weights give other features


class Extractor(Protocol):
    """What a network sees in pictures. Calls must not overlap; one call uses several cores.

    `digest`: sha256, hexadecimal, of all that decides the features. `image_size`: the side S in pixels.
    `width`: the number D of features. `last`: which of them are the averaged last layer.
    """

    name: str
    digest: str
    image_size: int
    width: int
    last: slice

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Pictures uint8 [n, S, S, 3], RGB, to features float32 [n, D]."""

    def close(self) -> None:
        """Free the network's memory."""


def open_pretrained(
    image_size: int = IMAGE_SIZE, threads: int | None = None, engine: str = "onnx"
) -> Extractor:
    """EfficientNet-Lite0: 3,456 features, the mean and maximum over space at six depths.

    `threads`: how many pictures are computed at once; None: one for each core. `engine`: `onnx` and
    `tensorflow` compute in float32; `int8`, of ONNX Runtime too, in half to three quarters of the time, and
    its features are near theirs; `auto` is `usual_engine`. Raises pretrained.MissingWeights where the weights
    are not installed, PigeonholeError where they are damaged, ValueError for an unknown engine.
    """
    if engine == AUTO:
        engine = usual_engine()
    if engine in ("onnx", INT8):
        return OnnxExtractor(image_size, threads, engine == INT8)
    if engine == "tensorflow":
        digest = _pretrained_digest(image_size)
        return KerasExtractor(pretrained_model(image_size), pretrained.NETWORK, HEAD_MEANS, digest)
    raise ValueError(f"engine {engine!r}: choose from {', '.join((AUTO, INT8, *EXACT))}")


def usual_engine(wanted: str = INT8) -> str:
    """The engine for the features of many pictures: `wanted`, but `onnx` for int8 where the processor has no
    AVX2. By its instructions, so that it is the same at each start."""
    if wanted != INT8:
        return wanted
    text = CPUINFO.read_text("utf-8", "replace") if CPUINFO.is_file() else ""
    return INT8 if INT8_INSTRUCTIONS.search(text) else "onnx"


def pretrained_model(image_size: int, channels: int = 3) -> "keras.Model":
    """The same features in Keras: float32 [N, S, S, C], RGB 0..255, to float32 [N, 3456], with the weights.

    Raises PigeonholeError as `open_pretrained` does.
    """
    weights = pretrained.read()
    from pigeonhole.quiet import import_tensorflow

    import_tensorflow()
    import keras

    from pigeonhole.networks import lite

    pixels = keras.Input((image_size, image_size, channels), dtype="float32", name="x")
    model = keras.Model(pixels, lite.efficientnet_lite0_features(pixels), name=pretrained.NETWORK)
    for variable in model.weights:
        variable.assign(weights[variable.path])
    return model


def pictures_per_second(extractor: Extractor, seconds: float = SECONDS_TO_MEASURE) -> float:
    """By the fastest of several rounds: other work on the machine only ever makes one slower."""
    side = extractor.image_size
    images = np.random.default_rng(0).integers(0, 256, (BATCH, side, side, 3), np.uint8)
    extractor(images)  # the first call prepares
    best, ends = 0.0, time.perf_counter() + seconds
    while time.perf_counter() < ends:
        started = time.perf_counter()
        extractor(images)
        best = max(best, BATCH / (time.perf_counter() - started))
    return best


class OnnxExtractor:
    """EfficientNet-Lite0 by ONNX Runtime: one picture at a time in each of several threads.

    On two cores that was 1.5 times as fast as batches that share the threads, and a picture's features do not
    depend on which others are computed with it.
    """

    name = pretrained.NETWORK
    width = NUM_FEATURES
    last = HEAD_MEANS

    def __init__(self, image_size: int = IMAGE_SIZE, threads: int | None = None, in_int8: bool = False):
        import onnxruntime

        from pigeonhole.features import onnx_graph

        self.image_size = image_size
        self.digest = _pretrained_digest(image_size, in_int8)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1  # the runtime then computes in the thread that asks
        options.log_severity_level = 4
        model = onnx_graph.build(pretrained.read(), image_size, in_int8)
        self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self._pool = ThreadPoolExecutor(threads or available_cores(), thread_name_prefix="features")

    def __call__(self, images: np.ndarray) -> np.ndarray:
        found = np.empty((len(images), self.width), np.float32)

        def compute(number: int) -> None:
            found[number] = self._session.run(["features"], {"x": images[number : number + 1]})[0][0]

        list(self._pool.map(compute, range(len(images))))
        return found

    def close(self) -> None:
        self._pool.shutdown()
        self._session = None


class KerasExtractor:
    """A Keras model from pictures float32 [N, S, S, 3], RGB 0..255, to features [N, D], by TensorFlow."""

    def __init__(self, model: "keras.Model", name: str, last: slice | None = None, digest: str | None = None):
        """`digest`: by default that of the model's weights. `last`: by default all features."""
        import tensorflow as tf

        _, self.image_size, _, channels = model.input.shape
        if channels != 3:
            raise ValueError(f"{name} takes pictures of {channels} channels, not 3")
        self.name = name
        self.width = model.output.shape[-1]
        self.last = slice(0, self.width) if last is None else last
        self.digest = digest or weights_digest(name, self.image_size, model.get_weights())
        signature = [tf.TensorSpec([None, self.image_size, self.image_size, 3], tf.uint8)]
        self._compute = tf.function(
            lambda images: tf.cast(model(tf.cast(images, tf.float32)), tf.float32), input_signature=signature
        )

    @classmethod
    def of_classifier(cls, model: "keras.Model") -> "KerasExtractor":
        """A network of `building.build` without its last layer."""
        import keras

        return KerasExtractor(keras.Model(model.input, model.layers[-1].input), model.name)

    def __call__(self, images: np.ndarray) -> np.ndarray:
        # Batches of one size, so that a picture's features do not depend on how many others there are.
        found = np.empty((len(images), self.width), np.float32)
        for first in range(0, len(images), BATCH):
            batch = images[first : first + BATCH]
            filled = np.pad(batch, ((0, BATCH - len(batch)), (0, 0), (0, 0), (0, 0)))
            found[first : first + BATCH] = self._compute(filled).numpy()[: len(batch)]
        return found

    def close(self) -> None:
        self._compute = None


def weights_digest(name: str, image_size: int, weights: Sequence[np.ndarray]) -> str:
    """sha256, hexadecimal, of a network's name, picture size and weights."""
    digest = hashlib.sha256(f"{name} {image_size} {VERSION}".encode())
    for array in weights:
        digest.update(f" {array.dtype} {array.shape} ".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _pretrained_digest(image_size: int, in_int8: bool = False) -> str:
    about = f"{pretrained.SHA256} {image_size} {VERSION}" + (f" int8 {INT8_VERSION}" if in_int8 else "")
    return hashlib.sha256(about.encode()).hexdigest()
