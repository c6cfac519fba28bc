"""TIFF 6.0 and BigTIFF by the offsets in their first directory; EXIF, which is such a directory."""

import struct
from collections.abc import Sequence
from itertools import zip_longest
from typing import NamedTuple

from pigeonhole.pictures.formats.container import Container, DamagedError, ImageError, TruncatedError

_VALUE_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_VALUE_SIZES |= {16: 8, 17: 8, 18: 8}
_INTEGERS = {1: "B", 3: "H", 4: "I", 16: "Q"}
_TEXT = 2
_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _ORIENTATION = 256, 257, 258, 259, 262, 274
_STRIPS, _STRIP_SIZES, _STRIP_HEIGHT = 273, 279, 278
_TILES, _TILE_SIZES, _TILE_WIDTH, _TILE_HEIGHT = 324, 325, 322, 323
_EXTRA_SAMPLES, _SAMPLE_FORMAT = 338, 339
_MAKER, _MODEL = 271, 272
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _PALETTE_COLOUR, _SEPARATED = 0, 1, 3, 5
_PREMULTIPLIED, _STRAIGHT = 1, 2
# None, CCITT (three kinds), LZW, JPEG, deflate (two numbers), PackBits. Others OpenCV reads as black.
_COMPRESSIONS = (1, 2, 3, 4, 5, 7, 8, 32946, 32773)

_Tags = dict[int, Sequence[int]]  # a text is its bytes


class Exif(NamedTuple):
    orientation: int = 1
    camera: str = ""


def read(data: bytes) -> Container:
    tags, next_page = _directory(data)
    if next_page > len(data):
        raise TruncatedError
    width, height = _value(tags, _WIDTH, 0), _value(tags, _HEIGHT, 0)
    _check_blocks(tags, width, height, len(data))
    bits, photometric = max(tags.get(_BITS, (1,))), _value(tags, _PHOTOMETRIC, _BLACK_IS_ZERO)
    alpha = next((kind for kind in tags.get(_EXTRA_SAMPLES, ()) if kind in (_PREMULTIPLIED, _STRAIGHT)), None)
    grey = photometric in (_WHITE_IS_ZERO, _BLACK_IS_ZERO)
    if (compression := _value(tags, _COMPRESSION, 1)) not in _COMPRESSIONS:
        raise ImageError(f"TIFF with compression {compression} is not supported")
    if set(tags.get(_SAMPLE_FORMAT, ())) & {2, 3}:
        raise ImageError("TIFF with signed or floating-point samples is not supported")
    if grey and alpha:
        raise ImageError("grey TIFF with transparency is not supported")
    return Container(
        "tiff",
        width,
        height,
        _orientation(tags),
        65535 if bits > 8 else 255,
        grey=grey,
        cmyk=photometric == _SEPARATED,
        palette=photometric == _PALETTE_COLOUR,
        transparent=alpha is not None,
        animated=next_page > 0,
        # At 8 bits OpenCV asks libtiff, which multiplies; at 16 it hands the samples through.
        premultiplied=alpha == _PREMULTIPLIED or (alpha is not None and bits <= 8),
        inverted=photometric == _WHITE_IS_ZERO and bits > 8,
        camera=_camera(tags),
    )


def _orientation(tags: _Tags) -> int:
    orientation = _value(tags, _ORIENTATION, 1)
    return orientation if 1 <= orientation <= 8 else 1


def _camera(tags: _Tags) -> str:
    """Maker and model in one line, the maker's name once."""
    maker, model = (_text(tags, tag) for tag in (_MAKER, _MODEL))
    return model if model.startswith(maker) else f"{maker} {model}".strip()


def _text(tags: _Tags, tag: int) -> str:
    value = tags.get(tag)
    return value.split(b"\0")[0].decode("utf-8", "replace").strip() if isinstance(value, bytes) else ""


def _value(tags: _Tags, tag: int, default: int) -> int:
    return tags.get(tag, (default,))[0]


def _check_blocks(tags: _Tags, width: int, height: int, file_size: int) -> None:
    """The pixels lie in strips or in tiles: as many as the size demands, and all of them within the file."""
    if _TILES in tags:
        offsets, sizes = tags[_TILES], tags.get(_TILE_SIZES, ())
        across, down = _value(tags, _TILE_WIDTH, 0), _value(tags, _TILE_HEIGHT, 0)
    else:
        offsets, sizes = tags.get(_STRIPS, ()), tags.get(_STRIP_SIZES, ())
        across, down = width, _value(tags, _STRIP_HEIGHT, height)
    if min(width, height, across, down) < 1 or len(offsets) < -(-width // across) * -(-height // down):
        raise DamagedError
    # libtiff reckons the sizes itself where a writer left them out.
    if any(offset + size > file_size for offset, size in zip_longest(offsets, sizes, fillvalue=0)):
        raise TruncatedError


def _directory(data: bytes) -> tuple[_Tags, int]:
    """The first directory's integer tags and the camera's, and the next directory's offset (0: none)."""
    order = "<" if data[:1] == b"I" else ">"
    big = struct.unpack_from(order + "H", data, 2)[0] == 43
    count_code, offset_code = ("Q", "Q") if big else ("H", "I")
    entry, room = struct.Struct(f"{order}HH{offset_code}"), 8 if big else 4
    start = struct.unpack_from(order + offset_code, data, 8 if big else 4)[0]
    count = struct.unpack_from(order + count_code, data, start)[0]
    position = start + struct.calcsize(order + count_code)
    end = position + count * (entry.size + room)
    if end > len(data):
        raise TruncatedError
    tags: _Tags = {}
    for at in range(position, end, entry.size + room):
        tag, kind, length = entry.unpack_from(data, at)
        size = length * _VALUE_SIZES.get(kind, 0)
        value = at + entry.size
        if size > room:
            value = struct.unpack_from(order + offset_code, data, value)[0]
        if value + size > len(data):
            raise TruncatedError
        if kind in _INTEGERS and length:
            tags.setdefault(tag, struct.unpack_from(f"{order}{length}{_INTEGERS[kind]}", data, value))
        elif kind == _TEXT and tag in (_MAKER, _MODEL):
            tags.setdefault(tag, data[value : value + length])
    return tags, struct.unpack_from(order + offset_code, data, end)[0]


def read_exif(exif: bytes) -> Exif:
    """What it says, or the defaults where there is none, or a broken one: no reason to refuse the picture."""
    if exif[:4] not in (b"II*\0", b"MM\0*"):
        return Exif()
    try:
        tags, _ = _directory(exif)
    except (TruncatedError, struct.error):
        return Exif()
    return Exif(_orientation(tags), _camera(tags))
