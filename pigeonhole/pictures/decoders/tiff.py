"""TIFF by tifffile, which gives every sample as it is stored and raises where a strip is damaged."""

import io
import logging

import cv2
import numpy as np

from pigeonhole.pictures.decoders import opencv
from pigeonhole.pictures.decoders.samples import cmyk_to_rgb, grey_to_rgb, on_white, to_8_bits
from pigeonhole.pictures.formats import Container, ImageError

_WHITE_IS_ZERO, _RGB, _PALETTE, _SEPARATED, _YCBCR = 0, 2, 3, 5, 6
_JPEG = 7
_PREMULTIPLIED, _STRAIGHT = 1, 2
_COLOURS = {_RGB: 3, _SEPARATED: 4, _YCBCR: 3}  # samples that are colours; one for all others
_ORDER = {"YX": (0, 1), "YXS": (0, 1, 2), "SYX": (1, 2, 0)}

logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # what is damaged becomes an ImageError


def decode(data: bytes, container: Container) -> np.ndarray:
    """uint8 [height, width, 3] RGB of the container's page, before the orientation is applied.

    Raises ImageError: damaged, or of a kind that is not supported.
    """
    import tifffile

    try:
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            page = file.pages[container.page]
            if page.photometric == _YCBCR and page.compression != _JPEG:
                return _by_opencv(data, container)
            samples = page.asarray(maxworkers=1)
            axes = page.axes
    except ImageError:
        raise
    except Exception as error:  # a damaged file can make it fail in any way
        raise ImageError("damaged TIFF") from error
    if axes not in _ORDER:
        raise ImageError(f"TIFF with the axes {axes} is not supported")
    samples = samples.transpose(_ORDER[axes])
    if samples.shape[:2] != (container.height, container.width):
        raise ImageError("damaged TIFF")
    return _to_rgb(samples.reshape(*samples.shape[:2], -1), page)


def _by_opencv(data: bytes, container: Container) -> np.ndarray:
    """YCbCr that is not JPEG: libtiff, inside OpenCV, knows its subsampling. OpenCV turns it by itself."""
    if container.page or container.orientation != 1:
        raise ImageError("TIFF in YCbCr that is turned or not on the first page is not supported")
    return opencv.decode(data, container)


def _to_rgb(samples: np.ndarray, page) -> np.ndarray:
    """Samples [height, width, n] of the page's kind as uint8 RGB, transparency on white."""
    maximum = 2**page.bitspersample - 1
    samples = samples.astype(np.uint8) if samples.dtype == bool else samples
    count = _COLOURS.get(page.photometric, 1)
    if samples.shape[2] < count:
        raise ImageError("damaged TIFF")
    kinds = tuple(int(kind) for kind in page.extrasamples)
    kind = next((each for each in kinds if each in (_PREMULTIPLIED, _STRAIGHT)), None)
    colours = np.ascontiguousarray(samples[..., :count])
    if page.photometric == _PALETTE:
        colours = _looked_up(colours[..., 0], page.colormap)
    else:
        colours = to_8_bits(colours, maximum).reshape(*samples.shape[:2], count)
    if page.photometric == _WHITE_IS_ZERO:
        colours = cv2.bitwise_not(colours).reshape(colours.shape)
    if page.photometric == _SEPARATED:
        colours = cmyk_to_rgb(colours)
    elif colours.shape[2] == 1:
        colours = grey_to_rgb(colours[..., 0])
    if kind is None:
        return colours
    alpha = np.ascontiguousarray(samples[..., samples.shape[2] - len(kinds) + kinds.index(kind)])
    return on_white(colours, to_8_bits(alpha, maximum), kind == _PREMULTIPLIED)


def _looked_up(indices: np.ndarray, palette: np.ndarray) -> np.ndarray:
    """uint8 [height, width, 3] by a palette uint16 [3, n]; some writers leave its values at 8 bits."""
    maximum = 255 if palette.max() < 256 else 65535
    return np.ascontiguousarray(to_8_bits(palette, maximum).T)[indices]
