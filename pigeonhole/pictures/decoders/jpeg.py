"""JPEG by simplejpeg: the pixels of libjpeg-turbo, whose warnings become errors that name the file."""

import re

import cv2
import numpy as np
import simplejpeg

from pigeonhole.pictures.decoders import opencv
from pigeonhole.pictures.formats import Container, ImageError

# libjpeg can leave out the finest frequencies and return a half, a quarter or an eighth of each side. That is
# allowed where the smaller side keeps this many pixels for each one of the target's: then means over areas
# change by 0.2 levels of 255, and a model's answers by less than 0.01.
_REDUCTIONS = ((8, 16.0), (4, 9.0), (2, 6.0))
_STRONG_REDUCTIONS = ((8, 4.0), (4, 2.0), (2, 1.0))  # as older models were trained: by 2 levels
_SMALLEST_REDUCED = 8  # below this side simplejpeg cannot tell the factors apart
# Warnings after which every pixel is right: bytes between segments, unknown colour or profile marks.
_HARMLESS = re.compile("extraneous bytes|Adobe|ICC|Invalid SOS")


def decode(
    data: bytes, container: Container, reduce_to: int | None = None, strongly: bool = False
) -> np.ndarray:
    """uint8 [height, width, 3] RGB, before the EXIF orientation is applied; see `images.decode`.

    Raises ImageError: damaged, also where a decoder could go on with wrong pixels.
    """
    factor = _reduction(container, reduce_to, strongly)
    expected = (-(-container.height // factor), -(-container.width // factor))
    image = _decompress(data, expected if factor > 1 else (0, 0))
    if container.cmyk:  # OpenCV knows how the programs that write such files mean their inks
        return opencv.imdecode(data, container, cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION)
    if image.shape[:2] != expected:
        raise ImageError("damaged JPEG")
    return image


def _decompress(data: bytes, least: tuple[int, int]) -> np.ndarray:
    for strict in (True, False):
        try:
            return simplejpeg.decode_jpeg(data, min_height=least[0], min_width=least[1], strict=strict)
        except ValueError as error:
            if not _HARMLESS.search(str(error)):
                break
    raise ImageError("damaged JPEG")


def _reduction(container: Container, reduce_to: int | None, strongly: bool) -> int:
    """The strongest factor that keeps enough pixels.

    It must divide both sides: the last pixel would else stand for fewer than the others, and what is averaged
    would move by up to a pixel.
    """
    smaller_side = min(container.width, container.height)
    if reduce_to is None or container.cmyk or smaller_side < _SMALLEST_REDUCED:
        return 1
    for factor, kept in _STRONG_REDUCTIONS if strongly else _REDUCTIONS:
        fits = strongly or container.width % factor == container.height % factor == 0
        if fits and smaller_side >= factor * kept * reduce_to:
            return factor
    return 1
