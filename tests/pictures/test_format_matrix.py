"""Every kind of file that a format allows: right pixels, the same twice, or a refusal that names the kind.

What is expected follows from the samples that were written, by NumPy alone, not from another decoder.
"""

import io
import itertools
import struct
from collections.abc import Iterator

import numpy as np
import pytest
import tifffile

from pigeonhole.pictures import images
from tests.support.odd_files import encode, on_white

HEIGHT, WIDTH = 47, 61  # multiples of no block
TOLERANCE = 3  # levels of 255
Case = tuple[str, bytes, np.ndarray]

pytestmark = pytest.mark.slow


def ramp(samples: int, maximum: int, dtype: type) -> np.ndarray:
    """[47, 61, samples]: smooth, another direction in each sample, from 0 to `maximum`."""
    down, across = np.mgrid[0 : HEIGHT - 1 : HEIGHT * 1j, 0 : WIDTH - 1 : WIDTH * 1j]
    waves = [
        (down * (3 + 2 * index) + across * (7 - index)) % 97 / 96
        if index % 2
        else (down / HEIGHT + across / WIDTH) / 2
        for index in range(samples)
    ]
    return (np.dstack(waves) * maximum).round().astype(dtype)


def eight(samples: np.ndarray, maximum: int) -> np.ndarray:
    return np.floor(samples.astype(np.float64) * 255 / maximum + 0.5).astype(np.uint8)


def thrice(grey: np.ndarray) -> np.ndarray:
    return np.repeat(grey.reshape(HEIGHT, WIDTH, 1), 3, axis=2)


def from_inks(inks: np.ndarray) -> np.ndarray:
    light = 255.0 - inks[..., :4]
    return (light[..., :3] * light[..., 3:] / 255).round().astype(np.uint8)


def tiff_modes() -> Iterator[tuple[str, np.ndarray, dict, np.ndarray]]:
    """Name, samples, how to write them, and the picture that they mean."""
    bilevel = ramp(1, 1, bool)[..., 0]
    yield "bilevel", bilevel, {"photometric": "minisblack"}, thrice(bilevel * np.uint8(255))
    yield "bilevel_inverted", bilevel, {"photometric": "miniswhite"}, thrice(~bilevel * np.uint8(255))
    for bits in (2, 4):
        grey = ramp(1, 2**bits - 1, np.uint8)[..., 0]
        shown = thrice(eight(grey, 2**bits - 1))
        yield f"grey{bits}", grey, {"photometric": "minisblack", "bitspersample": bits}, shown
    palette = np.random.default_rng(3).integers(0, 65536, (3, 256)).astype(np.uint16)
    indices = ramp(1, 255, np.uint8)[..., 0]
    yield (
        "palette",
        indices,
        {"photometric": "palette", "colormap": palette},
        eight(palette, 65535).T[indices],
    )
    for bits, dtype in ((8, np.uint8), (16, np.uint16)):
        top = 2**bits - 1
        grey, five = ramp(1, top, dtype)[..., 0], ramp(5, top, dtype)
        colours, opacity = eight(five[..., :3], top), eight(five[..., 3], top)
        inks = eight(five[..., :4], top)
        yield f"grey{bits}", grey, {"photometric": "minisblack"}, thrice(eight(grey, top))
        yield f"grey{bits}_inverted", grey, {"photometric": "miniswhite"}, thrice(255 - eight(grey, top))
        yield f"two{bits}", five[..., :2], {"photometric": "minisblack"}, thrice(eight(five[..., 0], top))
        yield f"rgb{bits}", five[..., :3], {"photometric": "rgb"}, colours
        straight = {"photometric": "rgb", "extrasamples": ["unassalpha"]}
        yield f"rgba{bits}", five[..., :4], straight, on_white(colours, opacity)
        unknown = {"photometric": "rgb", "extrasamples": ["unspecified"]}
        yield f"four{bits}", five[..., :4], unknown, colours
        yield f"bands{bits}", five, {"photometric": "rgb", "extrasamples": ["unspecified"] * 2}, colours
        yield f"cmyk{bits}", five[..., :4], {"photometric": "separated"}, from_inks(inks)
        cmyka = {"photometric": "separated", "extrasamples": ["unassalpha"]}
        shown = on_white(from_inks(inks), eight(five[..., 4], top))
        yield f"cmyka{bits}", five, cmyka, shown


def tiffs() -> Iterator[Case]:
    compressions = (None, "lzw", "deflate", "packbits")
    layouts = ({"rowsperstrip": 5}, {"tile": (16, 16)}, {"tile": (32, 48)})
    for name, samples, how, shown in tiff_modes():
        planes = ("contig", "separate") if samples.ndim == 3 else ("contig",)
        for compression, layout, order, plane in itertools.product(compressions, layouts, "<>", planes):
            if compression and "bitspersample" in how:
                continue  # tifffile does not write it
            written = samples.transpose(2, 0, 1) if plane == "separate" else samples
            options = {**how, **layout, "compression": compression}
            if samples.ndim == 3:
                options["planarconfig"] = plane
            file = io.BytesIO()
            tifffile.imwrite(file, written, byteorder=order, metadata=None, **options)
            case = f"{name}-{compression}-{'tiles' if 'tile' in layout else 'strips'}-{order}-{plane}"
            yield case, file.getvalue(), shown


def bmp(bits: int, header: int, masks: tuple[int, ...], rows: bytes, palette: bytes, top_down: bool) -> bytes:
    """A BMP file by hand: `header` is its length, `masks` are those of BITFIELDS."""
    height = -HEIGHT if top_down else HEIGHT
    compression = 3 if masks else 0
    info = struct.pack("<IiiHHIIiiII", header, WIDTH, height, 1, bits, compression, len(rows), 0, 0, 0, 0)
    packed_masks = b"".join(struct.pack("<I", mask) for mask in masks)
    body = info + (packed_masks if header == 40 else packed_masks.ljust(header - 40, b"\0"))
    start = 14 + len(body) + len(palette)
    return struct.pack("<2sIHHI", b"BM", start + len(rows), 0, 0, start) + body + palette + rows


def padded(rows: np.ndarray, top_down: bool) -> bytes:
    """uint8 [47, n] as BMP rows: bottom up, each padded to a multiple of four bytes."""
    rows = rows if top_down else rows[::-1]
    return np.pad(rows, ((0, 0), (0, -rows.shape[1] % 4))).tobytes()


def bmps() -> Iterator[Case]:
    colours = ramp(3, 255, np.uint8)
    wide = colours.astype(np.uint32)
    red, green, blue = wide[..., 0], wide[..., 1], wide[..., 2]
    by_565 = (red >> 3 << 11 | green >> 2 << 5 | blue >> 3).astype("<u2")
    by_555 = (red >> 3 << 10 | green >> 3 << 5 | blue >> 3).astype("<u2")
    levels = np.random.default_rng(4).integers(0, 256, (256, 3)).astype(np.uint8)
    table = np.pad(levels[:, ::-1], ((0, 0), (0, 1)))
    for top_down in (False, True):
        side = "down" if top_down else "up"
        for bits in (1, 4, 8):
            indices = ramp(1, 2**bits - 1, np.uint8)[..., 0]
            per_byte = 8 // bits
            full = np.pad(indices, ((0, 0), (0, -WIDTH % per_byte))).reshape(HEIGHT, -1, per_byte)
            shifts = np.arange(per_byte)[::-1] * bits
            packed = (full.astype(int) << shifts).sum(-1).astype(np.uint8)
            data = bmp(bits, 40, (), padded(packed, top_down), table[: 2**bits].tobytes(), top_down)
            yield f"bmp{bits}-{side}", data, levels[indices]
        plain = padded(colours[..., ::-1].reshape(HEIGHT, -1), top_down)
        yield f"bmp24-{side}", bmp(24, 40, (), plain, b"", top_down), colours
        masks_565, masks_555 = (0xF800, 0x7E0, 0x1F), (0x7C00, 0x3E0, 0x1F)
        low = colours >> 3
        shown_555 = (low << 3 | low >> 2).astype(np.uint8)
        shown_565 = shown_555.copy()
        shown_565[..., 1] = colours[..., 1] >> 2 << 2 | colours[..., 1] >> 6
        halves = padded(by_555.view(np.uint8).reshape(HEIGHT, -1), top_down)
        yield f"bmp555-{side}", bmp(16, 40, (), halves, b"", top_down), shown_555
        four = np.dstack([colours[..., ::-1], np.full((HEIGHT, WIDTH), 255, np.uint8)])
        quads = padded(four.reshape(HEIGHT, -1), top_down)
        yield f"bmp32-{side}", bmp(32, 40, (), quads, b"", top_down), colours
        for header in (40, 56, 108, 124):
            rows = padded(by_565.view(np.uint8).reshape(HEIGHT, -1), top_down)
            case = f"bmp565-{header}-{side}"
            yield case, bmp(16, header, masks_565, rows, b"", top_down), shown_565
            case = f"bmp555-{header}-{side}"
            yield case, bmp(16, header, masks_555, halves, b"", top_down), shown_555
        for header in (56, 108, 124):
            masks = (0xFF0000, 0xFF00, 0xFF, 0xFF000000)
            yield f"bmp8888-{header}-{side}", bmp(32, header, masks, quads, b"", top_down), colours
            opaque = padded((by_555 | 0x8000).view(np.uint8).reshape(HEIGHT, -1), top_down)
            masks = (0x7C00, 0x3E0, 0x1F, 0x8000)
            yield f"bmp1555-{header}-{side}", bmp(16, header, masks, opaque, b"", top_down), shown_555


def pixmaps() -> Iterator[Case]:
    for maximum in (1, 7, 100, 255, 256, 1023, 65535):
        dtype = np.uint8 if maximum < 256 else np.dtype(">u2")
        for kind, samples in ((2, 1), (3, 3)):
            values = ramp(samples, maximum, np.uint16)
            shown = eight(values, maximum) if samples == 3 else thrice(eight(values, maximum))
            text = b" ".join(b"%d" % value for value in values.ravel())
            header = b"P%d\n# a comment\n%d %d\n%d\n"
            yield f"P{kind}-{maximum}", header % (kind, WIDTH, HEIGHT, maximum) + text, shown
            data = header % (kind + 3, WIDTH, HEIGHT, maximum) + values.astype(dtype).tobytes()
            yield f"P{kind + 3}-{maximum}", data, shown


def others() -> Iterator[Case]:
    colours = ramp(3, 255, np.uint8)
    grey = ramp(1, 255, np.uint8)[..., 0]
    four = np.dstack([colours, grey])
    seen = on_white(colours, grey)
    for level in (0, 6):
        yield f"png-rgb-{level}", encode(colours, "PNG", compress_level=level), colours
        yield f"png-rgba-{level}", encode(four, "PNG", compress_level=level), seen
        yield f"png-grey-{level}", encode(grey, "PNG", compress_level=level), thrice(grey)
    deep = ramp(1, 65535, np.uint16)[..., 0]
    yield "png-grey16", encode(deep, "PNG"), thrice(eight(deep, 65535))
    yield "webp", encode(colours, "WebP", lossless=True), colours
    yield "webp-alpha", encode(four, "WebP", lossless=True, exact=True), seen


CASES = [*tiffs(), *bmps(), *pixmaps(), *others()]


def test_the_matrix_is_large():
    assert len(CASES) >= 534


@pytest.mark.parametrize("case", CASES, ids=lambda case: case[0])
def test_pixels(case):
    name, data, expected = case
    try:
        first, second = images.decode(data), images.decode(data)
    except images.ImageError as error:
        assert "not supported" in str(error), f"{name}: an undamaged file is called: {error}"
        return
    assert first.dtype == np.uint8 and first.shape == expected.shape == (HEIGHT, WIDTH, 3)
    np.testing.assert_array_equal(first, second)
    assert np.abs(first.astype(int) - expected).max() <= TOLERANCE
