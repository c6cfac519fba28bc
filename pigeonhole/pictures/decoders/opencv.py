"""GIF and AVIF by OpenCV, and the kinds of PNG, WebP, JPEG and TIFF that the other decoders leave to it."""

import cv2
import numpy as np

from pigeonhole.pictures.decoders.samples import by_rows, grey_to_rgb, on_white, to_8_bits
from pigeonhole.pictures.formats import Container, ImageError

# OpenCV would log each damaged file on standard error; here it becomes an ImageError.
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


def decode(data: bytes, container: Container) -> np.ndarray:
    """uint8 [height, width, 3] RGB, before the EXIF orientation is applied. Raises ImageError."""
    if container.transparent or container.maximum != 255:
        return _decode_exactly(data, container)
    return imdecode(data, container, cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION)


def _decode_exactly(data: bytes, container: Container) -> np.ndarray:
    """RGB uint8 of deep or transparent samples, which OpenCV would truncate or strip of their alpha."""
    samples = imdecode(data, container, cv2.IMREAD_UNCHANGED)
    return by_rows(lambda rows: _to_rgb(rows, container), samples)


def _to_rgb(samples: np.ndarray, container: Container) -> np.ndarray:
    """Samples as OpenCV gives them, [rows, width] or [rows, width, 3 or 4], as RGB uint8 on white."""
    maximum = container.maximum if samples.dtype == np.uint16 else 255
    alpha = samples[..., 3] if samples.ndim == 3 and samples.shape[2] == 4 else None
    if container.transparent_grey is not None and samples.ndim == 2:
        alpha = np.where(samples == container.transparent_grey, 0, maximum).astype(samples.dtype)
    if samples.ndim == 2:
        colours = grey_to_rgb(samples)
    else:
        colours = cv2.cvtColor(samples, cv2.COLOR_BGRA2RGB if alpha is not None else cv2.COLOR_BGR2RGB)
    colours = to_8_bits(colours, maximum)
    if container.transparent and alpha is not None:
        return on_white(colours, to_8_bits(alpha, maximum))
    return colours


def imdecode(data: bytes, container: Container, flags: int) -> np.ndarray:
    """What OpenCV makes of the bytes, if it has the size that the container promised. Raises ImageError."""
    try:
        samples = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:
        samples = None
    expected = (container.height, container.width)
    if samples is None or samples.dtype not in (np.uint8, np.uint16) or samples.shape[:2] != expected:
        raise ImageError(f"damaged or unsupported {container.name}")
    return samples
