"""What a picture file says about itself, read from its container without decoding a pixel.

Decoders fill what is missing from a cut file with grey and say nothing, so each container is walked from its
first byte to its end mark: a file that lost its last two bytes is found here, and so is one whose header
claims more pixels than any computer should decode. Bytes after the end mark are ignored, as viewers do.
"""

import re
import struct
from collections.abc import Callable

from pigeonhole.pictures.formats import bmp, gif, heif, jpeg, jpegxl, png, ppm, tiff, webp
from pigeonhole.pictures.formats.container import (
    MOST_PIXELS,
    NAMES,
    Container,
    DamagedError,
    ImageError,
    TruncatedError,
)

__all__ = ["NAMES", "Container", "ImageError", "read"]

# A photograph has 2 to 20 pixels per byte, a blank page scanned at 600 dpi up to 8,000.
_BOMB_PIXELS, _BOMB_PIXELS_PER_BYTE = 50_000_000, 1_000

# What a file of each format begins with, and what reads its container.
_FORMATS: dict[str, tuple[bytes, Callable[[bytes], Container]]] = {
    "jpeg": (rb"\xff\xd8\xff", jpeg.read),
    "png": (rb"\x89PNG\r\n\x1a\n", png.read),
    "gif": (rb"GIF8[79]a", gif.read),
    "webp": (rb"RIFF.{4}WEBP", webp.read),
    "tiff": (rb"II[*+]\0|MM\0[*+]", tiff.read),
    "bmp": (rb"BM.{12}[\x0c\x28\x34\x38\x40\x6c\x7c]\0\0\0", bmp.read),
    "ppm": (rb"P[1-6][\s#]", ppm.read),
    "avif": (rb".{4}ftyp(avif|avis|mif1.{4}(.{4}){0,8}avif)", heif.read_avif),
    "heic": (rb".{4}ftyp(hei[cxms]|hev[cxms]|mif1|msf1)", heif.read_heic),
    "jpegxl": (rb"\xff\x0a|\0\0\0\x0cJXL \r\n\x87\n", jpegxl.read),
}
_UNSUPPORTED = {
    "JPEG 2000": rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51",
    "Photoshop": rb"8BPS\0",
    "QOI": rb"qoif",
    "an icon (ICO)": rb"\0\0[\1\2]\0[^\0]\0..\0",
    "PCX": rb"\x0a[\0\2\3\5]\x01[\1\2\4\x08]",
}


def read(data: bytes) -> Container:
    """Walk a file's container from its first byte to its end mark.

    Raises ImageError: empty, not a picture, truncated, damaged, over 200 megapixels, a decompression bomb,
    or of a format or kind that is not supported.
    """
    if not data:
        raise ImageError("empty")
    format_ = _recognise(data)
    try:
        container = _FORMATS[format_][1](data)
    except (TruncatedError, struct.error, IndexError, OverflowError) as error:
        # The readers let struct and indexing notice that an offset lies behind the end.
        raise ImageError(f"truncated {NAMES[format_]}") from error
    except DamagedError as error:
        raise ImageError(f"damaged {NAMES[format_]}") from error
    _check_size(container, len(data))
    return container


def _recognise(data: bytes) -> str:
    for format_, (signature, _) in _FORMATS.items():
        if re.match(signature, data, re.DOTALL):
            return format_
    for name, signature in _UNSUPPORTED.items():
        if re.match(signature, data, re.DOTALL):
            raise ImageError(f"{name} is not supported")
    if data.endswith(b"TRUEVISION-XFILE.\0"):
        raise ImageError("TGA is not supported")
    raise ImageError("not a picture")


def _check_size(container: Container, file_size: int) -> None:
    pixels = container.width * container.height
    if pixels <= 0:
        raise ImageError(f"damaged {container.name}")
    if pixels > MOST_PIXELS:
        raise ImageError("over 200 megapixels")
    if pixels > _BOMB_PIXELS and pixels > _BOMB_PIXELS_PER_BYTE * file_size:
        raise ImageError("a decompression bomb")
