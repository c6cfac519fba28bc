"""BMP and the portable pixmaps by Pillow."""

import io
from typing import TYPE_CHECKING

import numpy as np

from pigeonhole.pictures.decoders.samples import ROWS, grey_to_rgb, on_white, to_8_bits
from pigeonhole.pictures.formats import Container, ImageError

if TYPE_CHECKING:
    from PIL.Image import Image

_DEEP = ("I", "I;16")


def decode(data: bytes, container: Container) -> np.ndarray:
    """uint8 [height, width, 3] RGB. Raises ImageError."""
    from PIL import BmpImagePlugin, PpmImagePlugin  # here, since most pictures do not need it

    plugin = BmpImagePlugin.BmpImageFile if container.format == "bmp" else PpmImagePlugin.PpmImageFile
    try:
        with plugin(io.BytesIO(data)) as image:
            if image.size != (container.width, container.height):
                raise ImageError(f"damaged {container.name}")
            if image.mode in _DEEP:
                return grey_to_rgb(to_8_bits(np.asarray(image).astype(np.uint16), 65535))
            return _to_rgb(image, container.transparent)
    except ImageError:
        raise
    except Exception as error:  # a damaged file can make it fail in any way
        raise ImageError(f"damaged or unsupported {container.name}") from error


def _to_rgb(image: "Image", is_transparent: bool) -> np.ndarray:
    """Some rows at a time: Pillow takes four bytes for each pixel that it converts, and more to give it."""
    width, height = image.size
    rgb = np.empty((height, width, 3), np.uint8)
    for top in range(0, height, ROWS):
        rows = image.crop((0, top, width, min(top + ROWS, height)))
        if is_transparent:
            samples = np.asarray(rows.convert("RGBA"))
            rgb[top : top + ROWS] = on_white(np.ascontiguousarray(samples[..., :3]), samples[..., 3])
        else:
            rgb[top : top + ROWS] = np.asarray(rows.convert("RGB"))
    return rgb
