"""JPEG XL (ISO/IEC 18181): the size in the codestream's header, bare or inside a container of boxes."""

import struct

from pigeonhole.pictures.formats.container import Container, DamagedError, TruncatedError

_BARE = b"\xff\x0a"
_LENGTHS = (9, 13, 18, 30)  # bits of a side, by a selector of two bits
_RATIOS = {1: (1, 1), 2: (12, 10), 3: (4, 3), 4: (3, 2), 5: (16, 9), 6: (5, 4), 7: (2, 1)}


class _Bits:
    """Reads numbers from bytes, the lowest bit first."""

    def __init__(self, data: bytes):
        self._value = int.from_bytes(data, "little")
        self._left = len(data) * 8

    def take(self, count: int) -> int:
        self._left -= count
        if self._left < 0:
            raise TruncatedError
        taken = self._value & ((1 << count) - 1)
        self._value >>= count
        return taken


def read(data: bytes) -> Container:
    """The picture's facts after its turn, which its decoder applies. Damage is left for the decoder."""
    bits = _Bits(_codestream(data)[2:34])
    small = bits.take(1)
    height = _side(bits, small)
    ratio = bits.take(3)
    width = height * _RATIOS[ratio][0] // _RATIOS[ratio][1] if ratio else _side(bits, small)
    has_orientation = not bits.take(1) and bits.take(1)
    orientation = bits.take(3) + 1 if has_orientation else 1
    if orientation >= 5:
        width, height = height, width
    return Container("jpegxl", width, height)


def _side(bits: _Bits, small: int) -> int:
    return (bits.take(5) + 1) * 8 if small else bits.take(_LENGTHS[bits.take(2)]) + 1


def _codestream(data: bytes) -> bytes:
    """The beginning of the codestream."""
    if data.startswith(_BARE):
        return data
    position = 0
    while position < len(data):
        size, name = struct.unpack_from(">I4s", data, position)
        body = position + (16 if size == 1 else 8)
        if name in (b"jxlc", b"jxlp"):
            start = body + (4 if name == b"jxlp" else 0)
            if data[start : start + 2] != _BARE:
                raise DamagedError
            return data[start:]
        size = struct.unpack_from(">Q", data, position + 8)[0] if size == 1 else size
        if size < 8:
            raise DamagedError
        position += size
    raise TruncatedError
