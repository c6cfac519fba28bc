"""Golden examples: pictures inside a model, with the pixels and answers they gave when it was saved.

Replayed at every load, they show at once when a library decodes, resizes or computes differently than the
one that the model was trained with. They are drawn here: no user's picture goes into a model.
"""

import base64
import hashlib
import io
import platform
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from pigeonhole.errors import PigeonholeError
from pigeonhole.model.contract import Contract
from pigeonhole.pictures import images

# Decoders and resizers may round differently; a changed rule moves edges by tens of levels.
PIXEL_TOLERANCE = 2  # levels of 255
# Another order of the same additions moves probabilities by 1e-6; a GPU's rounding to 10 bits by 4e-4.
PROBABILITY_TOLERANCE = 1e-3
MOST_EXAMPLES = 8  # of one model

_EXIF_TURN_RIGHT = (  # an APP1 segment: little-endian TIFF with one entry, orientation 6
    b"\xff\xe1\x00\x22Exif\x00\x00II*\x00\x08\x00\x00\x00\x01\x00\x12\x01\x03\x00\x01\x00\x00\x00\x06\x00\x00\x00"
    b"\x00\x00\x00\x00"
)


class DriftError(PigeonholeError):
    """This computer's libraries do not give what the model gave when it was saved."""


@dataclass(frozen=True)
class Golden:
    """`data`: G encoded pictures; `pixels`: [G, S, S, C] as `images.preprocess` gave them."""

    data: tuple[bytes, ...]
    pixels: np.ndarray

    def fingerprint(self, probabilities: np.ndarray) -> str:
        """sha256, hexadecimal, of the pictures, the pixels and the `probabilities` float32 [G, K]."""
        digest = hashlib.sha256()
        for part in (*self.data, self.pixels.tobytes(), probabilities.astype("<f4").tobytes()):
            digest.update(len(part).to_bytes(8, "little") + part)
        return digest.hexdigest()


def draw(preprocessing: images.Preprocessing) -> Golden:
    """JPEG and PNG pictures, larger and smaller than the input of a model with this preprocessing."""
    data = tuple(_draw_files(preprocessing.image_size))
    return Golden(data, decode(data, preprocessing))


def decode(data: Sequence[bytes], preprocessing: images.Preprocessing) -> np.ndarray:
    """The encoded pictures as the model's input [G, S, S, C]."""
    return np.stack([images.preprocess(picture, preprocessing) for picture in data])


def to_text(golden: Golden, probabilities: np.ndarray) -> str:
    """The examples and their `probabilities` float32 [G, K] as text, for a file that takes nothing else."""
    files = {f"data{index}": np.frombuffer(data, np.uint8) for index, data in enumerate(golden.data)}
    packed = io.BytesIO()
    np.savez_compressed(packed, pixels=golden.pixels, probabilities=probabilities, **files)
    return base64.b64encode(packed.getvalue()).decode()


def from_text(text: str, preprocessing: images.Preprocessing) -> tuple[Golden, np.ndarray]:
    """What `to_text` was given. Raises ValueError when the text is damaged or unpacks to too much."""
    most = MOST_EXAMPLES * (preprocessing.image_size**2 * preprocessing.channels * 16 + 1_000_000)
    try:
        data = io.BytesIO(base64.b64decode(text, validate=True))
        if sum(entry.file_size for entry in zipfile.ZipFile(data).infolist()) > most:
            raise ValueError("they are too large")
        with np.load(data) as packed:
            data = tuple(packed[f"data{index}"].tobytes() for index in range(len(packed) - 2))
            return Golden(data, packed["pixels"]), packed["probabilities"]
    except Exception as error:  # NumPy and zipfile raise anything
        raise ValueError(f"the golden examples cannot be read: {error}") from error


def replay(
    golden: Golden,
    expected: np.ndarray,
    contract: Contract,
    answer: Callable[[np.ndarray], np.ndarray],
    file: str | Path,
) -> None:
    """Ask for the golden examples once more: `answer` gives probabilities float32 [G, K] for their pixels.

    `file`: which holds them. Raises DriftError where this computer decodes, resizes or answers differently
    than when the model was saved, PigeonholeError where the examples are not those of its contract.
    """
    _check_form(golden, expected, contract.preprocessing, file)
    if contract.golden != golden.fingerprint(expected):
        raise PigeonholeError(f"{file}: damaged, its golden examples are not those of its contract")
    try:
        check_decoding(golden, contract.preprocessing)
        check_numerics(expected, answer(golden.pixels))
    except DriftError as error:
        raise DriftError(f"{file}: {error}") from None


def _check_form(
    golden: Golden, expected: np.ndarray, preprocessing: images.Preprocessing, file: str | Path
) -> None:
    count, side = len(golden.data), preprocessing.image_size
    is_right = (
        1 <= count <= MOST_EXAMPLES
        and all(isinstance(data, bytes) for data in golden.data)
        and golden.pixels.shape == (count, side, side, preprocessing.channels)
        and golden.pixels.dtype.kind in "uf"
        and expected.ndim == 2
        and len(expected) == count
        and expected.dtype == np.float32
    )
    if not is_right:
        raise PigeonholeError(f"{file}: damaged, its golden examples are no pictures with their answers")


def check_decoding(golden: Golden, preprocessing: images.Preprocessing) -> None:
    """Raise DriftError where this computer decodes or resizes the golden examples to other pixels."""
    most = 4 * preprocessing.image_size + 16  # pixels; `_draw_files` stays below
    try:
        if any(max(facts.width, facts.height) > most for facts in map(images.inspect, golden.data)):
            raise images.ImageError("larger than such examples are")
        now = decode(golden.data, preprocessing).astype(np.float32)
        drift = float(np.abs(now - golden.pixels).max()) / preprocessing.scale
        finding = f"decode to other pixels here, by up to {drift:.0f} of 255"
    except images.ImageError as error:
        drift = np.inf
        finding = f"cannot be decoded here: {error}"
    if not drift <= PIXEL_TOLERANCE:  # also refuses NaN
        raise DriftError(
            f"decoding drift: the model's golden examples {finding} "
            f"({_versions('opencv-python-headless', 'numpy')}); install the versions it was trained with"
        )


def check_numerics(expected: np.ndarray, now: np.ndarray, tolerance: float = PROBABILITY_TOLERANCE) -> None:
    """Raise DriftError where the golden examples' probabilities [G, K] have changed, or are no numbers."""
    if not np.isfinite(expected).all():
        raise DriftError(
            "the model's answers were no numbers when it was saved: its training failed; "
            "train again with a lower --learning-rate"
        )
    if not np.isfinite(now).all():
        raise DriftError("the model's answers are no numbers: its weights or graph were changed")
    drift = float(np.abs(now - expected).max()) if now.shape == expected.shape else np.inf
    if not drift <= tolerance:  # also refuses NaN
        raise DriftError(
            f"numerical drift: the model's golden examples get other probabilities, by up to {drift:.2g}; "
            "either its weights or graph were changed, or these libraries compute differently "
            f"({_versions('tensorflow', 'onnxruntime')}, {platform.machine()})"
        )


def _draw_files(size: int) -> Iterator[bytes]:
    """Larger, smaller, odd and turned: each takes another way through decoding and resizing."""
    larger, smaller = 3 * size + 1, max(size // 2, 1) + 1
    turned = _encode(".jpg", _scene(larger, larger + size // 2 | 1), cv2.IMWRITE_JPEG_QUALITY, 90)
    yield turned[:2] + _EXIF_TURN_RIGHT + turned[2:]
    yield _encode(".jpg", _scene(smaller, smaller + 4), cv2.IMWRITE_JPEG_QUALITY, 90)
    yield _encode(".png", _scene(larger, smaller), cv2.IMWRITE_PNG_COMPRESSION, 9)
    yield _encode(".png", _scene(size, size)[..., 1], cv2.IMWRITE_PNG_COMPRESSION, 9)


def _scene(height: int, width: int) -> np.ndarray:
    """uint8 [height, width, 3]: a colour gradient with sharp-edged blocks, asymmetric both ways."""
    y, x = np.mgrid[0:height, 0:width] / np.array([height, width]).reshape(2, 1, 1)
    scene = np.stack([60 + 150 * x, 40 + 180 * y, 220 - 100 * (x + y)], axis=-1)
    scene[(y > 0.2) & (y < 0.5) & (x < 0.3)] = (200, 30, 60)
    scene[(y > 0.6) & (x > 0.5) & (x < 0.9)] = (20, 90, 230)
    return np.clip(scene, 0, 255).astype(np.uint8)


def _encode(extension: str, image: np.ndarray, *options: int) -> bytes:
    return cv2.imencode(extension, image, options)[1].tobytes()


def _versions(*packages: str) -> str:
    return ", ".join(f"{package} {_version(package)}" for package in packages)


def _version(package: str) -> str:
    from importlib import metadata

    for name in (package, f"{package}-cpu"):  # TensorFlow comes under either name
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return "not installed"
