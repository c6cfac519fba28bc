"""AVIF (ISO/IEC 23000-22 on 23008-12): the tree of boxes, and the properties of the picture."""

import struct
from collections.abc import Iterator

from pigeonhole.pictures.formats.container import Container, DamagedError, TruncatedError

# (quarter turns anticlockwise, mirror: None, 0 top to bottom, 1 left to right) -> the same as an EXIF value.
_TURNS = {
    (0, None): 1, (0, 1): 2, (2, 0): 2, (2, None): 3, (0, 0): 4, (2, 1): 4,
    (1, 0): 5, (3, 1): 5, (3, None): 6, (3, 0): 7, (1, 1): 7, (1, None): 8,
}  # fmt: skip


def read(data: bytes) -> Container:
    boxes = {name: (start, end) for name, start, end in _boxes(data, 0, len(data))}
    if b"meta" not in boxes or b"mdat" not in boxes:
        raise TruncatedError
    sizes, depth, alpha, quarter_turns, mirror = [(0, 0)], 8, False, 0, None
    codecs_are_grey = []
    start, end = boxes[b"meta"]
    properties = _inside(data, *_inside(data, start + 4, end, b"iprp"), b"ipco")
    for name, body_start, body_end in _boxes(data, *properties):
        body = data[body_start:body_end]
        if name == b"ispe":
            sizes.append(struct.unpack_from(">II", body, 4))
        elif name == b"av1C":
            depth = max(depth, 12 if body[2] & 0x20 else 10 if body[2] & 0x40 else 8)
            codecs_are_grey.append(bool(body[2] & 0x10))
        elif name == b"auxC":
            alpha |= b":alpha" in body or b":auxid:1" in body
        elif name == b"irot":
            quarter_turns = body[0] & 3
        elif name == b"imir":
            mirror = body[0] & 1
    # Thumbnails, tiles and the alpha plane have sizes of their own, none larger than the picture's.
    width, height = max(sizes, key=lambda size: size[0] * size[1])
    return Container(
        "avif",
        width,
        height,
        _TURNS[quarter_turns, mirror],
        2**depth - 1,
        grey=bool(codecs_are_grey) and all(codecs_are_grey),
        transparent=alpha,
        animated=b"moov" in boxes,
    )


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


def _inside(data: bytes, start: int, end: int, wanted: bytes) -> tuple[int, int]:
    for name, body, body_end in _boxes(data, start, end):
        if name == wanted:
            return body, body_end
    raise DamagedError
