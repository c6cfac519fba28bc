"""JPEG (ITU-T T.81): the chain of segments and scans, to the end mark."""

import re
import struct
from collections.abc import Iterator

from pigeonhole.pictures.formats.container import Container, DamagedError, ImageError, TruncatedError
from pigeonhole.pictures.formats.tiff import Exif, read_exif

_EOI, _SOS, _APP1 = 0xD9, 0xDA, 0xE1
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_BOMB_SCANS = 500
_KNOWN = frozenset([0xC4, 0xCC, _SOS, 0xDB, 0xDC, 0xDD, *range(0xE0, 0xF0), 0xFE]) | _FRAMES
# Within a scan, FF is followed by 00 (a stuffed byte), a restart mark or a fill byte; all else ends the scan.
_SCAN_END = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")


def read(data: bytes) -> Container:
    frame, exif, scans = b"", None, 0
    for marker, body in _segments(data):
        if marker in _FRAMES:
            if frame:
                raise DamagedError
            frame = body
        elif marker == _APP1 and body.startswith(b"Exif\0\0") and exif is None:
            exif = read_exif(body[6:])  # of several the first counts
        elif marker == _SOS:
            scans += 1
        if scans > _BOMB_SCANS:
            raise ImageError("a decompression bomb")
    if not scans or len(frame) < 6:
        raise DamagedError
    height, width, components = struct.unpack_from(">HHB", frame, 1)
    exif = exif or Exif()
    return Container(
        "jpeg",
        width,
        height,
        exif.orientation,
        grey=components == 1,
        cmyk=components == 4,
        camera=exif.camera,
    )


def _segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Each segment's marker and body, up to the end mark; a thumbnail has its own inside a segment."""
    position = 2
    while True:
        if data[position] != 0xFF:
            raise DamagedError
        while data[position] == 0xFF:
            position += 1
        marker = data[position]
        if marker == _EOI:
            return
        if marker not in _KNOWN:
            raise DamagedError
        length = struct.unpack_from(">H", data, position + 1)[0]
        body = data[position + 3 : position + 1 + length]
        if len(body) != length - 2:
            raise TruncatedError
        yield marker, body
        position += 1 + length
        if marker == _SOS:
            end = _SCAN_END.search(data, position)
            if end is None:
                raise TruncatedError
            position = end.start()
