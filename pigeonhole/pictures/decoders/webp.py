"""WebP by imagecodecs, which takes the memory of the pixels only once; with opacity or frames by OpenCV.

Both use libwebp, so that the pixels are the same. What imagecodecs refuses, OpenCV judges.
"""

import contextlib

import numpy as np

from pigeonhole.pictures.decoders import opencv
from pigeonhole.pictures.formats import Container


def decode(data: bytes, container: Container) -> np.ndarray:
    """uint8 [height, width, 3] RGB, before the EXIF orientation is applied. Raises ImageError."""
    if not (container.transparent or container.animated):
        import imagecodecs

        with contextlib.suppress(Exception):  # a damaged file can make it fail in any way
            samples = imagecodecs.webp_decode(data)
            if samples.dtype == np.uint8 and samples.shape == (container.height, container.width, 3):
                return samples
    return opencv.decode(data, container)
