"""AVIF and HEIC (HEIF, ISO/IEC 23008-12): the tree of boxes, and the properties of the primary picture."""

import struct
from collections.abc import Iterator
from dataclasses import replace

from pigeonhole.pictures.formats.container import Container, DamagedError, TruncatedError

# (quarter turns anticlockwise, mirror: None, 0 top to bottom, 1 left to right) -> the same as an EXIF value.
_TURNS = {
    (0, None): 1, (0, 1): 2, (2, 0): 2, (2, None): 3, (0, 0): 4, (2, 1): 4,
    (1, 0): 5, (3, 1): 5, (3, None): 6, (3, 0): 7, (1, 1): 7, (1, None): 8,
}  # fmt: skip


def read_avif(data: bytes) -> Container:
    """An AVIF's facts, as it is stored: OpenCV does not turn it."""
    return Container("avif", **_facts(data))


def read_heic(data: bytes) -> Container:
    """A HEIC's facts after its turn, which its decoder applies."""
    stored = Container("heic", **_facts(data))
    width, height = stored.shown_size
    return replace(stored, width=width, height=height, orientation=1)


def _facts(data: bytes) -> dict[str, int | bool]:
    boxes = {name: (start, end) for name, start, end in _boxes(data, 0, len(data))}
    if b"meta" not in boxes or b"mdat" not in boxes:
        raise TruncatedError
    start, end = boxes[b"meta"]
    meta = (start + 4, end)
    properties = [
        (name, data[at:to]) for name, at, to in _boxes(data, *_inside(data, meta, b"iprp", b"ipco"))
    ]
    depths, codecs_are_grey, alpha = [8], [], False
    for name, body in properties:
        if name == b"av1C":
            depths.append(12 if body[2] & 0x20 else 10 if body[2] & 0x40 else 8)
            codecs_are_grey.append(bool(body[2] & 0x10))
        elif name == b"hvcC":
            depths.append(8 + (body[17] & 7))
        elif name == b"auxC":
            alpha |= b":alpha" in body or b":auxid:1" in body
    width, height, orientation = _shape(properties, _of_primary(data, meta, len(properties)))
    return {
        "width": width,
        "height": height,
        "orientation": orientation,
        "maximum": 2 ** max(depths) - 1,
        "grey": bool(codecs_are_grey) and all(codecs_are_grey),
        "transparent": alpha,
        "animated": b"moov" in boxes,
    }


def _shape(properties: list[tuple[bytes, bytes]], chosen: list[int]) -> tuple[int, int, int]:
    """Width and height as stored, and the turn as an EXIF value."""
    width, height, quarter_turns, mirror = 0, 0, 0, None
    for name, body in (properties[index] for index in chosen):
        if name == b"ispe":
            width, height = struct.unpack_from(">II", body, 4)
        elif name == b"clap":  # the part of the coded picture that is meant, as two fractions
            across, by, down, of = struct.unpack_from(">IIII", body)
            width, height = across // max(by, 1), down // max(of, 1)
        elif name == b"irot":
            quarter_turns = body[0] & 3
        elif name == b"imir":
            mirror = body[0] & 1
    return width, height, _TURNS[quarter_turns, mirror]


def _of_primary(data: bytes, meta: tuple[int, int], count: int) -> list[int]:
    """Which of `count` properties belong to the primary picture: not those of thumbnails, tiles and alpha."""
    start, _ = _inside(data, meta, b"pitm")
    primary = struct.unpack_from(">I" if data[start] else ">H", data, start + 4)[0]
    at, end = _inside(data, meta, b"iprp", b"ipma")
    id_format = ">I" if data[at] else ">H"
    wide = data[at + 3] & 1
    (entries,), at = struct.unpack_from(">I", data, at + 4), at + 8
    for _ in range(entries):
        item, at = struct.unpack_from(id_format, data, at)[0], at + struct.calcsize(id_format)
        associations, at = data[at], at + 1
        indices = struct.unpack_from(f">{associations}{'H' if wide else 'B'}", data, at)
        at += associations * (2 if wide else 1)
        if at > end:
            raise DamagedError
        if item == primary:
            chosen = [(index & (0x7FFF if wide else 0x7F)) - 1 for index in indices]
            return [index for index in chosen if 0 <= index < count]
    raise DamagedError


def _boxes(data: bytes, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Each box's name and its body's bounds."""
    while start < end:
        size, name = struct.unpack_from(">I4s", data, start)
        body = start + 8
        if size == 1:
            size = struct.unpack_from(">Q", data, body)[0]
            body += 8
        elif size == 0:
            size = end - start
        if start + size > end:
            raise TruncatedError
        if start + size < body:
            raise DamagedError
        yield name, body, start + size
        start += size


def _inside(data: bytes, bounds: tuple[int, int], *path: bytes) -> tuple[int, int]:
    """The bounds of the box at the end of the path of names."""
    for wanted in path:
        bounds = next(((at, to) for name, at, to in _boxes(data, *bounds) if name == wanted), None)
        if bounds is None:
            raise DamagedError
    return bounds
