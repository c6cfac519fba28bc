"""BMP: bytes enough for the pixels that the header announces."""

import struct

from pigeonhole.pictures.formats.container import Container, TruncatedError

_UNCOMPRESSED, _BITFIELDS = (0, 3, 6), (3, 6)


def read(data: bytes) -> Container:
    offset, header_size = struct.unpack_from("<II", data, 10)
    compression, size, alpha_mask = 0, 0, 0
    if header_size == 12:
        width, height, _, bits = struct.unpack_from("<HHHH", data, 18)
    else:
        width, height, _, bits, compression, size = struct.unpack_from("<iiHHII", data, 18)
    if header_size >= 56 and compression in _BITFIELDS:
        alpha_mask = struct.unpack_from("<I", data, 66)[0]
    if compression in _UNCOMPRESSED:
        size = (width * bits + 31) // 32 * 4 * abs(height)
    if offset + size > len(data):
        raise TruncatedError
    return Container("bmp", width, abs(height), palette=bits <= 8, transparent=bits == 32 and alpha_mask != 0)
