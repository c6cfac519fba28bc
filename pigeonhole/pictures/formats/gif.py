"""GIF (89a): the chain of blocks, to the trailer."""

import struct

from pigeonhole.pictures.formats.container import Container, DamagedError

_EXTENSION, _FRAME, _TRAILER, _GRAPHIC_CONTROL = 0x21, 0x2C, 0x3B, 0xF9


def read(data: bytes) -> Container:
    width, height, flags = struct.unpack_from("<HHB", data, 6)
    position = 13 + _table_size(flags)
    frames, transparent = 0, False
    while (block := data[position]) != _TRAILER:
        if block == _EXTENSION:
            if data[position + 1] == _GRAPHIC_CONTROL and not frames:
                transparent = bool(data[position + 3] & 1)
            position = _after_sub_blocks(data, position + 2)
        elif block == _FRAME:
            frames += 1
            position = _after_sub_blocks(data, position + 11 + _table_size(data[position + 9]))
        else:
            raise DamagedError
    if not frames:
        raise DamagedError
    return Container("gif", width, height, palette=True, transparent=transparent, animated=frames > 1)


def _table_size(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _after_sub_blocks(data: bytes, position: int) -> int:
    while size := data[position]:
        position += 1 + size
    return position + 1
