"""PNG (W3C, third edition): the chain of chunks, each with its checksum, to IEND."""

import struct
import zlib
from collections.abc import Iterator

from pigeonhole.pictures.formats.container import Container, DamagedError
from pigeonhole.pictures.formats.tiff import read_exif

_GREY, _COLOUR, _PALETTE, _GREY_ALPHA, _COLOUR_ALPHA = 0, 2, 3, 4, 6
_DEPTHS = {
    _GREY: (1, 2, 4, 8, 16),
    _COLOUR: (8, 16),
    _PALETTE: (1, 2, 4, 8),
    _GREY_ALPHA: (8, 16),
    _COLOUR_ALPHA: (8, 16),
}


def read(data: bytes) -> Container:
    chunks: dict[bytes, bytes] = {}
    for name, body in _chunks(data):
        chunks.setdefault(name, body)
    if next(iter(chunks)) != b"IHDR" or b"IDAT" not in chunks:
        raise DamagedError
    width, height, depth, colour = struct.unpack_from(">IIBB", chunks[b"IHDR"])
    if depth not in _DEPTHS.get(colour, ()):
        raise DamagedError
    exif = read_exif(chunks.get(b"eXIf", b""))
    maximum = 65535 if depth == 16 else 255
    key = chunks.get(b"tRNS")
    transparent_grey = None
    if key is not None and colour == _GREY:
        transparent_grey = struct.unpack_from(">H", key)[0] * maximum // (2**depth - 1)
    return Container(
        "png",
        width,
        height,
        exif.orientation,
        maximum,
        grey=colour in (_GREY, _GREY_ALPHA),
        palette=colour == _PALETTE,
        transparent=colour in (_GREY_ALPHA, _COLOUR_ALPHA) or key is not None,
        animated=b"acTL" in chunks,
        transparent_grey=transparent_grey,
        camera=exif.camera,
    )


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    position, name = 8, b""
    while name != b"IEND":
        length, name = struct.unpack_from(">I4s", data, position)
        end = position + 8 + length
        body = data[position + 8 : end]
        if zlib.crc32(body, zlib.crc32(name)) != struct.unpack_from(">I", data, end)[0]:
            raise DamagedError
        yield name, body
        position = end + 4
