"""BMP and the portable pixmaps by Pillow."""

import io

import numpy as np
from PIL import BmpImagePlugin, PpmImagePlugin

from pigeonhole.pictures.decoders.samples import grey_to_rgb, on_white, to_8_bits
from pigeonhole.pictures.formats import Container, ImageError

_DEEP = ("I", "I;16")


def decode(data: bytes, container: Container) -> np.ndarray:
    """uint8 [height, width, 3] RGB. Raises ImageError."""
    plugin = BmpImagePlugin.BmpImageFile if container.format == "bmp" else PpmImagePlugin.PpmImageFile
    try:
        with plugin(io.BytesIO(data)) as image:
            if image.size != (container.width, container.height):
                raise ImageError(f"damaged {container.name}")
            if image.mode in _DEEP:
                return grey_to_rgb(to_8_bits(np.asarray(image).astype(np.uint16), 65535))
            if container.transparent:
                samples = np.asarray(image.convert("RGBA"))
                return on_white(np.ascontiguousarray(samples[..., :3]), samples[..., 3])
            return np.asarray(image.convert("RGB"))
    except ImageError:
        raise
    except Exception as error:  # a damaged file can make it fail in any way
        raise ImageError(f"damaged or unsupported {container.name}") from error
