"""From a file's bytes to its pixels as stored: for each format the library that reads it most reliably.

OpenCV reads some kinds of TIFF, BMP and PPM wrongly and says nothing, and libjpeg reports damage only on
standard error. So TIFF is read by tifffile, BMP and PPM by Pillow, and JPEG by simplejpeg, which gives the
same pixels as OpenCV and reports damage.
"""

import contextlib
import functools
import hashlib
from collections.abc import Callable

import numpy as np

from pigeonhole.pictures.decoders import heic, jpeg, jpegxl, opencv, pillow, png, tiff, webp
from pigeonhole.pictures.formats import Container

_DECODERS: dict[str, Callable[[bytes, Container], np.ndarray]] = {
    "png": png.decode,
    "tiff": tiff.decode,
    "webp": webp.decode,
    "bmp": pillow.decode,
    "ppm": pillow.decode,
    "heic": heic.decode,
    "jpegxl": jpegxl.decode,
}

_LIBRARIES = ("opencv-python-headless", "simplejpeg", "pillow", "tifffile", "imagecodecs", "pillow-heif")


@functools.cache
def versions() -> str:
    """The versions of all decoders in a short form: equal text, equal pixels."""
    import importlib.metadata  # here, since it takes a while and an answer does not need it

    found = []
    for library in _LIBRARIES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found.append(f"{library} {importlib.metadata.version(library)}")
    return hashlib.sha256("\n".join(found).encode()).hexdigest()[:12]


def decode(
    data: bytes, container: Container, reduce_to: int | None = None, strongly: bool = False
) -> np.ndarray:
    """uint8 [height, width, 3] RGB, before the EXIF orientation is applied.

    `reduce_to`, `strongly`: see `images.decode`; only JPEG heeds them. Raises ImageError and nothing else.
    """
    if container.format == "jpeg":
        return jpeg.decode(data, container, reduce_to, strongly)
    return _DECODERS.get(container.format, opencv.decode)(data, container)
