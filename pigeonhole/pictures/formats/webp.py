"""WebP (RFC 9649): the RIFF length and the chunks within it."""

import struct
from collections.abc import Iterator

from pigeonhole.pictures.formats.container import Container, DamagedError, TruncatedError
from pigeonhole.pictures.formats.tiff import read_exif

_ANIMATION, _ALPHA = 0x02, 0x10


def read(data: bytes) -> Container:
    chunks: dict[bytes, bytes] = {}
    for name, body in _chunks(data):
        chunks.setdefault(name, body)
    exif = read_exif(chunks.get(b"EXIF", b"").removeprefix(b"Exif\0\0"))
    name, body = next(iter(chunks.items()), (b"", b""))
    if name == b"VP8X":
        flags = body[0]
        width, height = (1 + int.from_bytes(body[at : at + 3], "little") for at in (4, 7))
        return Container(
            "webp",
            width,
            height,
            exif.orientation,
            transparent=bool(flags & _ALPHA),
            animated=bool(flags & _ANIMATION),
            camera=exif.camera,
        )
    if name == b"VP8L" and body[:1] == b"\x2f":
        bits = struct.unpack_from("<I", body, 1)[0]
        return Container("webp", 1 + bits % 2**14, 1 + (bits >> 14) % 2**14, transparent=bool(bits >> 28 & 1))
    if name == b"VP8 " and body[3:6] == b"\x9d\x01\x2a":
        width, height = struct.unpack_from("<HH", body, 6)
        return Container("webp", width % 2**14, height % 2**14)
    raise DamagedError


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    position, end = 12, 8 + struct.unpack_from("<I", data, 4)[0]
    if end > len(data):
        raise TruncatedError
    while position < end:
        name, length = struct.unpack_from("<4sI", data, position)
        if position + 8 + length > end:
            raise DamagedError
        yield name, data[position + 8 : position + 8 + length]
        position += 8 + length + length % 2
