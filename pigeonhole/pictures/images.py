"""Bytes in, RGB pixels out: the only place that decodes or resizes a picture.

Training, prediction, the web page and the exports all come through `preprocess`; what differs between models
is in `Preprocessing`, which a model carries with it. Colour profiles are not applied.
"""

import importlib.util
from dataclasses import dataclass

import cv2
import numpy as np

from pigeonhole.errors import UsageError
from pigeonhole.pictures import decoders, formats
from pigeonhole.pictures.formats import ImageError

__all__ = [
    "EXTENSIONS",
    "FORMAT_EXTENSIONS",
    "Facts",
    "ImageError",
    "Preprocessing",
    "decode",
    "fitted",
    "inspect",
    "preprocess",
    "readable_formats",
    "resize",
    "scaled",
    "shown",
    "stretched",
]

FORMAT_EXTENSIONS: dict[str, tuple[str, ...]] = {
    "jpeg": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "png": (".png", ".apng"),
    "gif": (".gif",),
    "webp": (".webp",),
    "tiff": (".tif", ".tiff"),
    "bmp": (".bmp", ".dib"),
    "ppm": (".ppm", ".pgm", ".pbm", ".pnm"),
    "avif": (".avif",),
    "heic": (".heic", ".heif"),
    "jpegxl": (".jxl",),
}
EXTENSIONS: frozenset[str] = frozenset(name for names in FORMAT_EXTENSIONS.values() for name in names)


# The rule of models that were saved before format version 3: "area", of JPEGs that were decoded smaller.
REDUCED = "reduced"
MOST_AVERAGED = 4_000_000  # values of a picture that are averaged in four times their memory


def readable_formats() -> list[str]:
    """The names of the formats that this installation reads, such as "JPEG"; HEIC needs an extra."""
    reads_heic = importlib.util.find_spec("pillow_heif") is not None
    return [formats.NAMES[name] for name in FORMAT_EXTENSIONS if name != "heic" or reads_heic]


@dataclass(frozen=True)
class Preprocessing:
    """How one model wants its input; raises UsageError for values that no model can want."""

    image_size: int  # pixels along each side of the square
    channels: int = 3  # 3, or 1 for grey
    resize: str = "area"  # a rule of `resize`; or REDUCED
    colour_order: str = "rgb"  # or "bgr"
    scale: float = 1.0  # multiplies the 0..255 of a pixel

    def __post_init__(self) -> None:
        if self.image_size < 1:
            raise UsageError(f"the image size must be at least 1 pixel, not {self.image_size}")
        for value, allowed, name in (
            (self.channels, (1, 3), "number of channels"),
            (self.resize, ("area", "bilinear", REDUCED), "resize rule"),
            (self.colour_order, ("rgb", "bgr"), "colour order"),
        ):
            if value not in allowed:
                raise UsageError(f"the {name} must be {' or '.join(map(str, allowed))}, not {value}")


@dataclass(frozen=True)
class Facts:
    """What the container says of a picture: `width` and `height` as seen, that is after the EXIF turn.

    `oddities` are some of: turned by EXIF, 16-bit (any depth above 8), grey, transparent (has an alpha
    channel or a transparent colour), CMYK, palette, animated (more than one frame or page). `camera` is
    maker and model by the EXIF, "" where it does not say; an AVIF's is not read.
    """

    format: str
    width: int
    height: int
    oddities: tuple[str, ...]
    camera: str = ""


def inspect(data: bytes) -> Facts:
    """A file's facts from its container, without decoding.

    Raises ImageError: empty, not a picture, truncated, damaged, not supported, over 200 megapixels or a
    decompression bomb. Damage inside the compressed pixels is left for `decode` to find.
    """
    container = formats.read(data)
    present = {
        "turned by EXIF": container.orientation != 1,
        "16-bit": container.maximum > 255,
        "grey": container.grey,
        "transparent": container.transparent,
        "CMYK": container.cmyk,
        "palette": container.palette,
        "animated": container.animated,
    }
    oddities = tuple(name for name, is_so in present.items() if is_so)
    return Facts(container.format, *container.shown_size, oddities, container.camera)


def decode(data: bytes, reduce_to: int | None = None, strongly: bool = False) -> np.ndarray:
    """A file's bytes as uint8 [height, width, 3] RGB, turned as its EXIF says.

    Samples deeper than 8 bits are scaled to 0..255 and rounded to the nearest (65535 -> 255), CMYK and
    palettes converted, transparency composited on white, grey repeated; of an animation the first frame.

    With `reduce_to=S` a JPEG whose smaller side is at least 12 S pixels may come back at a half, quarter or
    eighth of its size, both sides still 6 S or more. After `resize(image, S)` the mean difference from a full
    reading is within 0.3 levels of 255 over a set of photographs, and within 0.6 for each of them.
    `strongly`: for models that were trained so, from 2 S pixels on; within 2 levels over a set, 8 for each.

    Raises ImageError, for any bytes whatsoever, and nothing else.
    """
    container = formats.read(data)
    image = decoders.decode(data, container, reduce_to, strongly)
    return np.ascontiguousarray(_turn(image, container.orientation))


def resize(image: np.ndarray, size: int, rule: str = "area") -> np.ndarray:
    """uint8 [height, width, 3] -> uint8 [size, size, 3]; the picture is squashed to the square, not cropped.

    "area" (and REDUCED) averages over the area along each axis that shrinks and interpolates bilinearly
    along each that grows. "bilinear" is cv2.resize with INTER_LINEAR, which skips pixels when it shrinks: for
    models that were trained so. An image of that size already is returned as it is.
    """
    height, width = image.shape[:2]
    if rule != "bilinear":
        shrunk = (min(width, size), min(height, size))
        if shrunk != (width, height):
            image = _averaged(image, shrunk)
    if image.shape[:2] != (size, size) and rule == "area":
        # In whole numbers OpenCV rounds the weights, which changed answers by up to 0.04.
        grown = cv2.resize(image.astype(np.float32), (size, size), interpolation=cv2.INTER_LINEAR)
        return cv2.convertScaleAbs(grown)
    if image.shape[:2] != (size, size):
        image = cv2.resize(image, (size, size), interpolation=cv2.INTER_LINEAR)
    return image


def fitted(image: np.ndarray, longest: int) -> np.ndarray:
    """uint8 [height, width, 3] in its own proportions, with neither side over `longest`; never enlarged."""
    height, width = image.shape[:2]
    share = longest / max(height, width)
    if share >= 1:
        return image
    return _averaged(image, (max(1, round(width * share)), max(1, round(height * share))))


def stretched(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """uint8 [H, W, 3] -> uint8 [height, width, 3] by the rule "area" of `resize`, proportions or not."""
    shrunk = _averaged(image, (min(image.shape[1], width), min(image.shape[0], height)))
    if shrunk.shape[:2] == (height, width):
        return shrunk
    return cv2.convertScaleAbs(scaled(shrunk.astype(np.float32), height, width))


def scaled(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    """float32 [H, W, C] of any values -> float32 [height, width, C], interpolated, without averaging.

    For pictures that are being made by way of a network, not for those that it is asked about.
    """
    return cv2.resize(picture, (width, height), interpolation=cv2.INTER_LINEAR)


def preprocess(data: bytes, preprocessing: Preprocessing) -> np.ndarray:
    """A file's bytes as a model's input [S, S, C]: uint8 where the scale is 1, else float32.

    One channel is luma, 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601). Raises ImageError as `decode` does.
    """
    size = preprocessing.image_size
    rule = preprocessing.resize
    image = decode(data, None if rule == "bilinear" else size, strongly=rule == REDUCED)
    image = resize(image, size, rule)
    if preprocessing.channels == 1:
        image = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., np.newaxis]
    elif preprocessing.colour_order == "bgr":
        image = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    if preprocessing.scale == 1:
        return image
    return image.astype(np.float32) * np.float32(preprocessing.scale)


def as_input(pixels: np.ndarray, preprocessing: Preprocessing) -> np.ndarray:
    """What `shown` gives, or a batch of them, as a model's input again."""
    ordered = pixels[..., ::-1] if preprocessing.colour_order == "bgr" else pixels
    return (
        ordered if preprocessing.scale == 1 else ordered.astype(np.float32) * np.float32(preprocessing.scale)
    )


def shown(pixels: np.ndarray, preprocessing: Preprocessing) -> np.ndarray:
    """A model's input [S, S, C] as a picture again, uint8 [S, S, C], RGB or grey."""
    levels = np.rint(pixels / preprocessing.scale).astype(np.uint8)
    return levels[..., ::-1] if preprocessing.colour_order == "bgr" else levels


def _averaged(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """uint8 averaged over areas to `size`, (width, height), of which no side is larger.

    OpenCV averages numbers of 32 bits in three quarters of the time, with the same sums, unless both sides
    shrink by whole factors, for which it has another way.
    """
    is_whole = image.shape[1] % size[0] == 0 and image.shape[0] % size[1] == 0
    if is_whole or image.size > MOST_AVERAGED:
        return cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    averages = cv2.resize(image.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    return cv2.convertScaleAbs(averages)  # rounds to the nearest, as the other way does


def _turn(image: np.ndarray, orientation: int) -> np.ndarray:
    """Apply the EXIF orientation: mirror along the diagonal first, then top to bottom, then left to right."""
    if orientation in (5, 6, 7, 8):
        image = image.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        image = image[::-1]
    if orientation in (2, 3, 6, 7):
        image = image[:, ::-1]
    return image
