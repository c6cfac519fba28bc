"""PNG by OpenCV; large ones by libspng in imagecodecs, which takes the memory of the pixels only once."""

import struct
import zlib
from collections.abc import Iterator

import numpy as np

from pigeonhole.pictures.decoders import opencv
from pigeonhole.pictures.decoders.samples import by_rows, grey_to_rgb, on_white
from pigeonhole.pictures.formats import Container, ImageError

_LARGE = 4_000_000  # pixels
_DEFLATED = 1 << 14  # bytes that are inflated at one time, to a thousand times as many at most
# OpenCV crashes where the frames of an animation are damaged in certain ways. Programs that do not know
# animations pass over these chunks and show what the others hold.
_ANIMATION = (b"acTL", b"fcTL", b"fdAT")


def decode(data: bytes, container: Container) -> np.ndarray:
    """uint8 [height, width, 3] RGB, before the EXIF orientation is applied. Raises ImageError."""
    chunks = list(_chunks(data))
    names = {name for name, _ in chunks}
    # What libspng, as imagecodecs calls it, does not read or would read without its transparency
    is_rare = container.maximum != 255 or (container.transparent and (container.grey or b"tRNS" in names))
    if container.width * container.height >= _LARGE and not is_rare:
        return _decode_large(data, container, [body for name, body in chunks if name == b"IDAT"])
    if container.animated:
        data = data[:8] + b"".join(
            struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(body, zlib.crc32(name)))
            for name, body in chunks
            if name not in _ANIMATION
        )
    return opencv.decode(data, container)


def _chunks(data: bytes) -> Iterator[tuple[bytes, memoryview]]:
    """The chunks of a file whose chain was checked: name and body."""
    view, position, name = memoryview(data), 8, b""
    while name != b"IEND":
        length, name = struct.unpack_from(">I4s", data, position)
        yield name, view[position + 8 : position + 8 + length]
        position += 12 + length


def _decode_large(data: bytes, container: Container, compressed: list[memoryview]) -> np.ndarray:
    import imagecodecs

    _check(compressed)
    try:
        samples = imagecodecs.spng_decode(data)
    except Exception as error:  # a damaged file can make it fail in any way
        raise ImageError("damaged or unsupported PNG") from error
    if samples.dtype != np.uint8 or samples.shape[:2] != (container.height, container.width):
        raise ImageError("damaged or unsupported PNG")
    if samples.ndim == 2:
        return grey_to_rgb(samples)
    if samples.shape[2] == 3:
        return samples
    return by_rows(lambda rows: on_white(np.ascontiguousarray(rows[..., :3]), rows[..., 3]), samples)


def _check(compressed: list[memoryview]) -> None:
    """Raises ImageError where the checksum of all pixels does not fit, which libspng does not look at."""
    inflating = zlib.decompressobj()
    try:
        for part in compressed:
            for start in range(0, len(part), _DEFLATED):
                inflating.decompress(part[start : start + _DEFLATED])
    except zlib.error as error:
        raise ImageError("damaged or unsupported PNG") from error
    if not inflating.eof:
        raise ImageError("damaged or unsupported PNG")
