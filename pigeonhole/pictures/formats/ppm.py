"""The portable pixmaps of Netpbm: PPM, PGM and PBM, as text and as bytes."""

import re

from pigeonhole.pictures.formats.container import Container, DamagedError, TruncatedError

_GAP = rb"(?:\s|#[^\n\r]*[\n\r])+"
_SIZE = re.compile(rb"P([1-6])" + _GAP + rb"(\d{1,9})" + _GAP + rb"(\d{1,9})")
_MAXIMUM = re.compile(_GAP + rb"(\d{1,5})")


def read(data: bytes) -> Container:
    header = _SIZE.match(data)
    if not header:
        raise DamagedError
    kind, width, height = (int(group) for group in header.groups())
    maximum, position = 1, header.end()
    if kind not in (1, 4):
        found = _MAXIMUM.match(data, position)
        if not found:
            raise DamagedError
        maximum, position = int(found[1]), found.end()
    if not 0 < maximum <= 65535:
        raise DamagedError
    samples = width * (3 if kind in (3, 6) else 1)
    row = (samples + 7) // 8 if kind == 4 else samples * (2 if maximum > 255 else 1)
    # The text kinds (1 to 3) spend at least one character on a sample.
    size = row * height if kind > 3 else samples * height
    if position + 1 + size > len(data) + (kind <= 3):
        raise TruncatedError
    deep = maximum > 255
    return Container("ppm", width, height, maximum=65535 if deep else 255, grey=kind not in (3, 6))
