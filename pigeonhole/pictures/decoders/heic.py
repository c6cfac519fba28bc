"""HEIC and HEIF, the photos of iPhones, by pillow-heif, which is an extra."""

import numpy as np

from pigeonhole import extras
from pigeonhole.pictures.decoders.samples import on_white
from pigeonhole.pictures.formats import Container, ImageError


def decode(data: bytes, container: Container) -> np.ndarray:
    """uint8 [height, width, 3] RGB of the primary picture, turned already. Raises ImageError."""
    try:
        import pillow_heif
    except ImportError as error:
        raise ImageError(str(extras.MissingExtra("HEIC", "pillow_heif"))) from error
    try:
        samples = np.asarray(pillow_heif.open_heif(data, convert_hdr_to_8bit=True))
    except Exception as error:  # a damaged file can make it fail in any way
        raise ImageError("damaged HEIC") from error
    if samples.ndim == 2:
        samples = np.repeat(samples[..., np.newaxis], 3, axis=2)
    if samples.shape[:2] != (container.height, container.width) or samples.dtype != np.uint8:
        raise ImageError("damaged HEIC")
    colours = np.ascontiguousarray(samples[..., :3])
    return on_white(colours, np.ascontiguousarray(samples[..., 3])) if samples.shape[2] == 4 else colours
