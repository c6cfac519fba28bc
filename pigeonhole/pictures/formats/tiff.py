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
_SUBFILE_TYPE, _SUB_DIRECTORIES, _DNG_VERSION = 254, 330, 50706
_REDUCED_OR_MASK = 1 | 4
_MOST_PREVIEWS = 20
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _PALETTE_COLOUR, _SEPARATED = 0, 1, 3, 5
_PREMULTIPLIED, _STRAIGHT = 1, 2
_PHOTOMETRICS = (0, 1, 2, 3, 5, 6)  # grey (two kinds), RGB, palette, CMYK, YCbCr
_NAMED_PHOTOMETRICS = {4: "a transparency mask", 8: "CIELAB", 9: "ICCLAB", 10: "ITULAB", 32844: "LogL"}
_RAW_PHOTOMETRICS = (32803, 34892)  # a colour filter array, linear raw
# None, CCITT (three kinds), LZW, JPEG, deflate (two numbers), PackBits.
_COMPRESSIONS = (1, 2, 3, 4, 5, 7, 8, 32946, 32773)

_Tags = dict[int, Sequence[int]]  # a text is its bytes


class Exif(NamedTuple):
    orientation: int = 1
    camera: str = ""


def read(data: bytes) -> Container:
    page, tags, is_last = _picture(data)
    width, height = _value(tags, _WIDTH, 0), _value(tags, _HEIGHT, 0)
    _check_blocks(tags, width, height, len(data))
    _check_kind(tags)
    photometric = _value(tags, _PHOTOMETRIC, _BLACK_IS_ZERO)
    return Container(
        "tiff",
        width,
        height,
        _orientation(tags),
        65535 if max(tags.get(_BITS, (1,))) > 8 else 255,
        grey=photometric in (_WHITE_IS_ZERO, _BLACK_IS_ZERO),
        cmyk=photometric == _SEPARATED,
        palette=photometric == _PALETTE_COLOUR,
        transparent=any(kind in (_PREMULTIPLIED, _STRAIGHT) for kind in tags.get(_EXTRA_SAMPLES, ())),
        animated=not is_last,
        page=page,
        camera=_camera(tags),
    )


def _picture(data: bytes) -> tuple[int, _Tags, bool]:
    """Number and tags of the first directory that is no reduced copy, and whether it is the last one.

    Raises ImageError for a raw photo: its directories are previews, or say that it is one.
    """
    tags, next_page = _directory(data)
    if _DNG_VERSION in tags:
        raise ImageError("a raw photo (DNG) is not supported")
    page = 0
    while _value(tags, _SUBFILE_TYPE, 0) & _REDUCED_OR_MASK:
        if not next_page and _SUB_DIRECTORIES in tags:
            raise ImageError("a raw photo is not supported")
        if not next_page or page == _MOST_PREVIEWS:
            break  # nothing but a reduced copy: it is the picture then
        page += 1
        tags, next_page = _directory(data, next_page)
    if next_page > len(data):
        raise TruncatedError
    return page, tags, next_page == 0


def _check_kind(tags: _Tags) -> None:
    """Raise ImageError, naming the kind, for what no decoder here reads."""
    bits, photometric = tags.get(_BITS, (1,)), _value(tags, _PHOTOMETRIC, _BLACK_IS_ZERO)
    if (compression := _value(tags, _COMPRESSION, 1)) not in _COMPRESSIONS:
        raise ImageError(f"TIFF with compression {compression} is not supported")
    if set(tags.get(_SAMPLE_FORMAT, ())) & {2, 3, 5, 6}:
        raise ImageError("TIFF with signed or floating-point samples is not supported")
    if photometric in _RAW_PHOTOMETRICS:
        raise ImageError("a raw photo is not supported")
    if photometric not in _PHOTOMETRICS:
        named = _NAMED_PHOTOMETRICS.get(photometric, f"photometric interpretation {photometric}")
        raise ImageError(f"TIFF in {named} is not supported")
    if len(set(bits)) > 1:
        raise ImageError("TIFF with samples of unequal depth is not supported")
    if bits[0] > 16:
        raise ImageError(f"TIFF with samples of {bits[0]} bits is not supported")
    grey = photometric in (_WHITE_IS_ZERO, _BLACK_IS_ZERO)
    if grey and set(tags.get(_EXTRA_SAMPLES, ())) & {_PREMULTIPLIED, _STRAIGHT}:
        raise ImageError("grey TIFF with transparency is not supported")


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


def _directory(data: bytes, start: int = 0) -> tuple[_Tags, int]:
    """A directory's integer tags and the camera's, and the next directory's offset (0: none).

    `start`: its offset; 0: the first one.
    """
    order = "<" if data[:1] == b"I" else ">"
    big = struct.unpack_from(order + "H", data, 2)[0] == 43
    count_code, offset_code = ("Q", "Q") if big else ("H", "I")
    entry, room = struct.Struct(f"{order}HH{offset_code}"), 8 if big else 4
    start = start or struct.unpack_from(order + offset_code, data, 8 if big else 4)[0]
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
