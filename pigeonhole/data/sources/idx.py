"""idx files, the format of MNIST: a big-endian header of type and sizes, then bytes. Plain or gzip.

The header is two zero bytes, the type (8: unsigned byte), the number of dimensions, and each dimension as a
32-bit integer.
"""

import gzip
import io
import math
import struct
import zlib

import numpy as np

from pigeonhole.errors import PigeonholeError

UNSIGNED_BYTE = 8
MOST_BYTES = 1 << 30  # EMNIST's largest file holds 547 MB
GZIP_MAGIC = b"\x1f\x8b"


class IdxError(PigeonholeError):
    """Not an idx file of unsigned bytes, or not a complete one."""


def unpack(name: str, data: bytes) -> bytes:
    """The data, out of gzip where it is packed, its checksum compared. Raises IdxError."""
    if not data.startswith(GZIP_MAGIC):
        return data
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
            content = file.read(MOST_BYTES + 1)
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise IdxError(f"{name}: not a complete gzip file ({error})") from error
    if len(content) > MOST_BYTES:
        raise IdxError(f"{name}: unpacks to over {MOST_BYTES >> 20} MB, far more than published")
    return content


def parse(name: str, content: bytes, dimensions: int) -> np.ndarray:
    """uint8 array of so many dimensions, read-only. Raises IdxError, which says what is wrong."""
    header = 4 + 4 * dimensions
    if len(content) < header or content[:2] != b"\0\0":
        raise IdxError(f"{name}: not an idx file")
    if content[2] != UNSIGNED_BYTE or content[3] != dimensions:
        raise IdxError(
            f"{name}: an idx file of type {content[2]} and {content[3]} dimensions, "
            f"not of bytes ({UNSIGNED_BYTE}) and {dimensions}"
        )
    shape = struct.unpack(f">{dimensions}I", content[4:header])
    if len(content) - header != math.prod(shape):
        raise IdxError(
            f"{name}: {len(content) - header:,} bytes after the header, which tells {math.prod(shape):,}"
        )
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)
