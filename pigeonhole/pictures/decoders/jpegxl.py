"""JPEG XL by imagecodecs."""

import numpy as np

from pigeonhole.pictures.decoders.samples import grey_to_rgb, on_white, to_8_bits
from pigeonhole.pictures.formats import Container, ImageError


def decode(data: bytes, container: Container) -> np.ndarray:
    """uint8 [height, width, 3] RGB of the first frame, turned already. Raises ImageError."""
    import imagecodecs

    try:
        samples = imagecodecs.jpegxl_decode(data)
    except Exception as error:  # a damaged file can make it fail in any way
        raise ImageError("damaged JPEG XL") from error
    if samples.shape[:2] != (container.height, container.width):
        samples = samples[0]  # an animation has one more axis in front
    if samples.shape[:2] != (container.height, container.width):
        raise ImageError("damaged JPEG XL")
    if samples.dtype not in (np.uint8, np.uint16):
        raise ImageError("JPEG XL with floating-point samples is not supported")
    samples = samples.reshape(container.height, container.width, -1)
    samples = to_8_bits(samples, np.iinfo(samples.dtype).max).reshape(samples.shape)
    count = 3 if samples.shape[2] >= 3 else 1
    colours = np.ascontiguousarray(samples[..., :count])
    colours = grey_to_rgb(colours) if count == 1 else colours
    if samples.shape[2] == count:
        return colours
    return on_white(colours, np.ascontiguousarray(samples[..., count]))
