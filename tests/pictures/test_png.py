"""PNG: large ones, which another decoder reads in less memory, and animations with damaged frames."""

import struct
import zlib

import numpy as np
import pytest

from pigeonhole.pictures import images
from tests.support.odd_files import PICTURE, encode, on_white, png_chunk, png_of

HEIGHT, WIDTH = 300, 240


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every picture counts as large."""
    monkeypatch.setattr("pigeonhole.pictures.decoders.png._LARGE", 1)


def waves(count: int) -> np.ndarray:
    """uint8 [300, 240, count], another pattern in each sample."""
    down, across = np.ogrid[:HEIGHT, :WIDTH]
    return np.dstack(
        [(down * (index + 1) + across * (5 - index)) // 8 % 256 for index in range(count)]
    ).astype(np.uint8)


def split(png: bytes) -> tuple[bytes, bytes, bytes]:
    """What comes before the pixels, the compressed pixels, and what comes after, of a PNG with one IDAT."""
    start = png.index(b"IDAT") - 4
    length = int.from_bytes(png[start : start + 4], "big")
    return png[:start], png[start + 8 : start + 8 + length], png[start + 12 + length :]


@pytest.mark.usefixtures("large")
@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_large_pictures_have_the_pixels_that_were_written(count: int) -> None:
    samples = waves(count)
    colours = np.repeat(samples[..., :1], 3, axis=2) if count < 3 else samples[..., :3]
    expected = on_white(colours, samples[..., -1]) if count in (2, 4) else colours
    found = images.decode(png_of(samples, {1: 0, 2: 4, 3: 2, 4: 6}[count]))
    assert np.abs(found.astype(np.int16) - expected).max() <= (1 if count in (2, 4) else 0)


@pytest.mark.usefixtures("large")
def test_a_large_picture_with_a_transparent_colour() -> None:
    samples = waves(3)
    before, pixels, after = split(png_of(samples, 2))
    key = png_chunk(b"tRNS", struct.pack(">3H", *samples[3, 4].tolist()))
    expected = np.where((samples == samples[3, 4]).all(axis=2, keepdims=True), 255, samples)
    np.testing.assert_array_equal(images.decode(before + key + png_chunk(b"IDAT", pixels) + after), expected)


@pytest.mark.usefixtures("large")
@pytest.mark.parametrize("damage", ["checksum", "rows", "filter"])
def test_large_pictures_with_damaged_pixels_are_refused(damage: str) -> None:
    before, pixels, after = split(png_of(waves(3), 2))
    if damage == "checksum":
        pixels = pixels[:-1] + bytes([pixels[-1] ^ 1])
    elif damage == "rows":
        pixels = zlib.compress(zlib.decompress(pixels)[:-1])
    else:
        pixels = zlib.compress(b"\7" + zlib.decompress(pixels)[1:])
    with pytest.raises(images.ImageError, match="damaged or unsupported PNG"):
        images.decode(before + png_chunk(b"IDAT", pixels) + after)


def test_damaged_frames_of_an_animation_do_not_matter() -> None:
    before, pixels, after = split(encode(PICTURE, "PNG"))
    frame = struct.pack(">5I2H2B", 0, *PICTURE.shape[1::-1], 0, 0, 1, 10, 0, 0)
    wrong_filter = zlib.compress(b"\7" + zlib.decompress(pixels)[1:])
    for damaged in (b"", b"\0\0\0\1" + bytes(range(90)), b"\0\0\0\1" + wrong_filter, b"\0\0\0\7" + pixels):
        animation = (
            before
            + png_chunk(b"acTL", struct.pack(">2I", 2, 0))
            + png_chunk(b"IDAT", pixels)
            + png_chunk(b"fcTL", frame)
            + png_chunk(b"fdAT", damaged)
            + after
        )
        np.testing.assert_array_equal(images.decode(animation), PICTURE)
