"""A corpus of whole, damaged and odd picture files, each with the verdict that the programs owe it.

The verdicts are fixed here, beforehand; `write_corpus` puts the files into a folder for any test that feeds
one to a program. Needs Pillow, which only the tests use.
"""

import io
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import imagecodecs
import numpy as np
import pillow_heif
import tifffile
from PIL import Image

USED = "used"
WIDTH, HEIGHT = 48, 32
Colour = tuple[float, float, float]


@dataclass(frozen=True)
class OddFile:
    """One file; `mean` is the mean colour that its decoded pixels must have, None where any will do."""

    name: str
    data: bytes
    verdict: str = USED  # or the reason for which it is skipped
    oddities: tuple[str, ...] = ()
    mean: Colour | None = None


def picture() -> np.ndarray:
    """uint8 [32, 48, 3]: smooth, of a different colour in each corner, so that any turn shows."""
    corners = np.array([[[230, 40, 30], [40, 200, 60]], [[50, 60, 220], [240, 220, 80]]], np.float32)
    return cv2.resize(corners, (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR).round().astype(np.uint8)


def alpha() -> np.ndarray:
    """uint8 [32, 48]: from transparent at the left to opaque at the right."""
    return np.tile(np.linspace(0, 255, WIDTH).round().astype(np.uint8), (HEIGHT, 1))


def on_white(image: np.ndarray, opacity: np.ndarray) -> np.ndarray:
    weight = opacity[..., np.newaxis] / 255
    return (image * weight + 255 * (1 - weight)).round().astype(np.uint8)


def mean_of(image: np.ndarray) -> Colour:
    return tuple(np.broadcast_to(image.reshape(HEIGHT * WIDTH, -1).mean(0), 3).tolist())


def grey_of(image: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)


PICTURE = picture()
MEAN = mean_of(PICTURE)
GREY_MEAN = mean_of(grey_of(PICTURE))
ON_WHITE_MEAN = mean_of(on_white(PICTURE, alpha()))


def encode(image: Image.Image | np.ndarray, format_: str, **options: object) -> bytes:
    """Pillow's encoding of a picture; `orientation=N` writes that EXIF value."""
    if isinstance(image, np.ndarray):
        image = Image.fromarray(image)
    if orientation := options.pop("orientation", None):
        options["exif"] = Image.Exif()
        options["exif"][0x0112] = orientation
    buffer = io.BytesIO()
    image.save(buffer, format_, **options)
    return buffer.getvalue()


def flip(data: bytes, position: int, bit: int = 0) -> bytes:
    """`data` with one bit of the byte at `position` turned over."""
    return data[:position] + bytes([data[position] ^ 1 << bit]) + data[position + 1 :]


def png_of(samples: np.ndarray, colour_type: int, size: tuple[int, int] | None = None) -> bytes:
    """A PNG of uint8 or uint16 samples, written by hand; the header claims `size` (width, height)."""
    height, width = samples.shape[:2]
    claimed = size or (width, height)
    depth = 8 * samples.dtype.itemsize
    rows = b"".join(b"\0" + row.astype(samples.dtype.newbyteorder(">")).tobytes() for row in samples)
    return (
        b"\x89PNG\r\n\x1a\n"
        + png_chunk(b"IHDR", struct.pack(">IIBBBBB", *claimed, depth, colour_type, 0, 0, 0))
        + png_chunk(b"IDAT", zlib.compress(rows))
        + png_chunk(b"IEND", b"")
    )


def png_chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def jpeg_segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def with_segment(jpeg: bytes, segment: bytes) -> bytes:
    """A JPEG with one more segment right behind its first two bytes."""
    return jpeg[:2] + segment + jpeg[2:]


def thumbnail_segment() -> bytes:
    """An EXIF segment that holds a small JPEG, with an end mark of its own."""
    directory = struct.pack("<H", 1) + struct.pack("<HHII", 0x0112, 3, 1, 1) + struct.pack("<I", 0)
    return jpeg_segment(0xE1, b"Exif\0\0II*\0" + struct.pack("<I", 8) + directory + encode(PICTURE, "JPEG"))


def exif_segment(orientation: int) -> bytes:
    directory = struct.pack("<HHHII", 1, 0x0112, 3, 1, orientation) + struct.pack("<I", 0)
    return jpeg_segment(0xE1, b"Exif\0\0II*\0" + struct.pack("<I", 8) + directory)


def tiff_of(samples: np.ndarray, **options: object) -> bytes:
    """A TIFF by tifffile, which writes every kind."""
    file = io.BytesIO()
    tifffile.imwrite(file, samples, metadata=None, **options)
    return file.getvalue()


def two_directories(pages: list[np.ndarray], kinds: tuple[int, int]) -> bytes:
    """A TIFF of two pages, each with its NewSubfileType; the first is shrunk to a quarter."""
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        writer.write(pages[0][::4, ::4], photometric="rgb", subfiletype=kinds[0], metadata=None)
        writer.write(pages[1], photometric="rgb", subfiletype=kinds[1], metadata=None)
    return file.getvalue()


def raw_photo() -> bytes:
    """A TIFF that says to be a DNG, with a preview as its first page."""
    version = [(50706, "B", 4, (1, 4, 0, 0), True)]
    return tiff_of(PICTURE[::4, ::4], photometric="rgb", subfiletype=1, extratags=version)


def damaged_strip(tiff: bytes) -> bytes:
    """The second half of one compressed strip overwritten with zeros."""
    with tifffile.TiffFile(io.BytesIO(tiff)) as file:
        page = file.pages[0]
        start, length = page.dataoffsets[1], page.databytecounts[1]
    return tiff[: start + length // 2] + bytes(length - length // 2) + tiff[start + length :]


def heic_of(image: np.ndarray) -> bytes:
    file = io.BytesIO()
    pillow_heif.from_pillow(Image.fromarray(image)).save(file, quality=95)
    return file.getvalue()


def float_tiff() -> bytes:
    return cv2.imencode(".tiff", np.float32(PICTURE[..., ::-1]) / 255)[1].tobytes()


def whole_and_cut() -> Iterator[OddFile]:
    """Of each format: whole, empty, only the head, without the head, cut in the middle, cut at the end."""
    for extension, name, cut, tail_options in (
        ("jpg", "JPEG", 2, {"quality": 95}),
        ("png", "PNG", 2, {}),
        ("webp", "WebP", 2, {"quality": 95}),
        ("gif", "GIF", 1, {}),
        ("tiff", "TIFF", 2, {}),
        ("bmp", "BMP", 2, {}),
        ("ppm", "PPM", 2, {}),
        ("avif", "AVIF", 2, {"quality": 95}),
    ):
        data = encode(PICTURE, name, **tail_options)
        oddities = ("palette",) if name == "GIF" else ()
        yield OddFile(f"{extension}_whole.{extension}", data, oddities=oddities, mean=MEAN)
        yield OddFile(f"{extension}_empty.{extension}", b"", "empty")
        yield OddFile(f"{extension}_only_head.{extension}", data[:20], f"truncated {name}")
        yield OddFile(f"{extension}_without_head.{extension}", data[20:], "not a picture")
        yield OddFile(f"{extension}_cut_in_half.{extension}", data[: len(data) // 2], f"truncated {name}")
        yield OddFile(f"{extension}_cut_at_end.{extension}", data[:-cut], f"truncated {name}")


def flipped() -> Iterator[OddFile]:
    """One bit turned over: noticed wherever the format lets a reader notice."""
    jpeg = encode(PICTURE, "JPEG", quality=95)
    yield OddFile("jpg_flip_in_marker.jpg", flip(jpeg, jpeg.index(b"\xff\xc4")), "damaged JPEG")
    # The compressed pixels of a JPEG have no checksum, but what follows a flipped bit often makes no sense.
    yield OddFile("jpg_flip_in_pixels.jpg", flip(jpeg, len(jpeg) - 40, 2), "damaged JPEG")
    png = encode(PICTURE, "PNG")
    yield OddFile("png_flip_in_header.png", flip(png, 18), "damaged PNG")
    yield OddFile("png_flip_in_pixels.png", flip(png, png.index(b"IDAT") + 30), "damaged PNG")
    yield OddFile("png_flip_at_end.png", flip(png, len(png) - 1), "damaged PNG")
    webp = encode(PICTURE, "WebP")
    yield OddFile("webp_flip_in_header.webp", flip(webp, 12), "damaged WebP")
    yield OddFile("webp_flip_in_pixels.webp", flip(webp, len(webp) - 20))
    gif = encode(PICTURE, "GIF")
    yield OddFile("gif_flip_in_header.gif", flip(gif, gif.index(b"\x2c\0\0\0\0")), "damaged GIF")
    yield OddFile("gif_flip_in_palette.gif", flip(gif, 20), oddities=("palette",), mean=MEAN)
    tiff = encode(PICTURE, "TIFF")
    compression = tiff.index(struct.pack("<HHII", 0x0103, 3, 1, 1)) + 8
    yield OddFile(
        "tiff_flip_in_header.tiff", flip(tiff, compression, 6), "TIFF with compression 65 is not supported"
    )
    yield OddFile("tiff_flip_in_pixels.tiff", flip(tiff, len(tiff) - 100, 6), mean=MEAN)
    bmp = encode(PICTURE, "BMP")
    yield OddFile("bmp_flip_in_header.bmp", flip(bmp, 30, 6), "damaged or unsupported BMP")
    yield OddFile("bmp_flip_in_pixels.bmp", flip(bmp, 100, 6), mean=MEAN)
    ppm = encode(PICTURE, "PPM")
    yield OddFile("ppm_flip_in_header.ppm", flip(ppm, 1, 3), "not a picture")
    yield OddFile("ppm_flip_in_pixels.ppm", flip(ppm, 100, 6), mean=MEAN)
    avif = encode(PICTURE, "AVIF")
    yield OddFile("avif_flip_in_header.avif", flip(avif, avif.index(b"ipco")), "damaged AVIF")


def odd_jpegs() -> Iterator[OddFile]:
    jpeg = encode(PICTURE, "JPEG", quality=95)
    yield OddFile("jpeg_named.png", jpeg, mean=MEAN)
    yield OddFile("jpeg_without_extension", jpeg, mean=MEAN)
    yield OddFile("UPPER_CASE.JPG", jpeg, mean=MEAN)
    yield OddFile("bytes_after_the_end.jpg", jpeg + b"\0" * 99, mean=MEAN)
    yield OddFile("progressive.jpg", encode(PICTURE, "JPEG", quality=95, progressive=True), mean=MEAN)
    progressive = encode(PICTURE, "JPEG", progressive=True)
    yield OddFile("progressive_cut.jpg", progressive[: progressive.rindex(b"\xff\xda")], "truncated JPEG")
    yield OddFile("restarts.jpg", encode(PICTURE, "JPEG", quality=95, restart_marker_rows=1), mean=MEAN)
    grey = encode(grey_of(PICTURE), "JPEG", quality=95)
    yield OddFile("grey.jpg", grey, oddities=("grey",), mean=GREY_MEAN)
    cmyk = encode(Image.fromarray(PICTURE).convert("CMYK"), "JPEG", quality=95)
    yield OddFile("cmyk.jpg", cmyk, oddities=("CMYK",), mean=MEAN)
    for orientation in range(1, 9):
        turned = ("turned by EXIF",) if orientation > 1 else ()
        data = encode(PICTURE, "JPEG", quality=95, orientation=orientation)
        yield OddFile(f"exif_{orientation}.jpg", data, oddities=turned, mean=MEAN)
    broken_exif = jpeg_segment(0xE1, b"Exif\0\0II*\0\xff\xff\xff\xff")
    yield OddFile("exif_broken.jpg", with_segment(jpeg, broken_exif), mean=MEAN)
    twice = with_segment(encode(PICTURE, "JPEG", quality=95, orientation=8), exif_segment(6))
    yield OddFile("two_exif.jpg", twice, USED, ("turned by EXIF",), MEAN)
    scan_start = jpeg.index(b"\xff\xda") + 60
    zeroed = jpeg[:scan_start] + bytes(80) + jpeg[scan_start + 80 :]
    yield OddFile("zeros_in_pixels.jpg", zeroed, "damaged JPEG")
    yield OddFile("half_and_end_mark.jpg", jpeg[: len(jpeg) * 3 // 4] + b"\xff\xd9", "damaged JPEG")
    extra = with_segment(jpeg, b"")[:-2] + bytes(9) + jpeg[-2:]
    yield OddFile("bytes_before_the_end_mark.jpg", extra, mean=MEAN)
    with_thumbnail = with_segment(jpeg, thumbnail_segment())
    yield OddFile("thumbnail.jpg", with_thumbnail, mean=MEAN)
    yield OddFile("thumbnail_cut.jpg", with_thumbnail[:-2], "truncated JPEG")
    size = jpeg.index(b"\xff\xc0") + 5
    huge = jpeg[:size] + struct.pack(">HH", 60000, 60000) + jpeg[size + 4 :]
    yield OddFile("bomb_size.jpg", huge, "over 200 megapixels")
    flat = jpeg[:size] + struct.pack(">HH", 0, WIDTH) + jpeg[size + 4 :]
    yield OddFile("no_height.jpg", flat, "damaged JPEG")
    scan = jpeg[jpeg.index(b"\xff\xda") : -2]
    yield OddFile("bomb_scans.jpg", jpeg[:-2] + scan * 600 + jpeg[-2:], "a decompression bomb")
    yield OddFile("no_scan.jpg", jpeg[: jpeg.index(b"\xff\xda")] + jpeg[-2:], "damaged JPEG")


def odd_pngs() -> Iterator[OddFile]:
    png, grey, opacity = encode(PICTURE, "PNG"), grey_of(PICTURE), alpha()
    deep, deep_grey, deep_alpha = (np.uint16(samples) * 257 for samples in (PICTURE, grey, opacity))
    transparent_grey_mean = mean_of(on_white(np.dstack([grey] * 3), opacity))
    yield OddFile("png_named.jpg", png, mean=MEAN)
    yield OddFile("bytes_after_the_end.png", png + b"\n\n", mean=MEAN)
    yield OddFile("grey.png", png_of(grey, 0), oddities=("grey",), mean=GREY_MEAN)
    yield OddFile("1_bit.png", encode(Image.fromarray(grey).convert("1"), "PNG"), oddities=("grey",))
    palette = Image.fromarray(PICTURE).quantize(64)
    yield OddFile("palette.png", encode(palette, "PNG"), oddities=("palette",), mean=MEAN)
    yield OddFile("rgba.png", png_of(np.dstack([PICTURE, opacity]), 6), USED, ("transparent",), ON_WHITE_MEAN)
    grey_alpha = png_of(np.dstack([grey, opacity]), 4)
    yield OddFile("grey_alpha.png", grey_alpha, USED, ("grey", "transparent"), transparent_grey_mean)
    one_colour = encode(Image.new("P", (WIDTH, HEIGHT)), "PNG", transparency=0)
    yield OddFile("palette_transparent.png", one_colour, USED, ("transparent", "palette"), (255, 255, 255))
    one_grey = encode(np.full((HEIGHT, WIDTH), 7, np.uint8), "PNG", transparency=7)
    yield OddFile("grey_transparent.png", one_grey, USED, ("grey", "transparent"), (255, 255, 255))
    yield OddFile("16_bit.png", png_of(deep, 2), USED, ("16-bit",), MEAN)
    yield OddFile("16_bit_grey.png", png_of(deep_grey, 0), USED, ("16-bit", "grey"), GREY_MEAN)
    deep_rgba = png_of(np.dstack([deep, deep_alpha]), 6)
    yield OddFile("16_bit_alpha.png", deep_rgba, USED, ("16-bit", "transparent"), ON_WHITE_MEAN)
    frames = [Image.fromarray(PICTURE), Image.new("RGB", (WIDTH, HEIGHT))]
    animation = encode(frames[0], "PNG", save_all=True, append_images=frames[1:], duration=100)
    yield OddFile("animated.png", animation, oddities=("animated",), mean=MEAN)
    yield OddFile("exif_6.png", encode(PICTURE, "PNG", orientation=6), USED, ("turned by EXIF",), MEAN)
    yield OddFile("bomb_size.png", png_of(grey, 0, (60000, 60000)), "over 200 megapixels")
    yield OddFile("bomb_ratio.png", png_of(grey, 0, (10000, 10000)), "a decompression bomb")
    yield OddFile("no_width.png", png_of(grey, 0, (0, HEIGHT)), "damaged PNG")
    yield OddFile("unknown_colour_type.png", png_of(PICTURE, 5), "damaged PNG")
    yield OddFile("few_rows.png", png_of(grey[:5], 0, (WIDTH, HEIGHT)), "damaged or unsupported PNG")
    yield OddFile("no_pixels.png", png[:33] + png_chunk(b"IEND", b""), "damaged PNG")


def odd_gifs_and_webps() -> Iterator[OddFile]:
    frames = [Image.fromarray(PICTURE), Image.new("RGB", (WIDTH, HEIGHT))]
    rgba = Image.fromarray(np.dstack([PICTURE, alpha()]))
    gif = encode(PICTURE, "GIF")
    animation = {"save_all": True, "append_images": frames[1:], "duration": 100}
    yield OddFile("animated.gif", encode(frames[0], "GIF", **animation), USED, ("palette", "animated"), MEAN)
    clear = encode(Image.new("P", (WIDTH, HEIGHT)), "GIF", transparency=0)
    yield OddFile("transparent.gif", clear, USED, ("transparent", "palette"), (255, 255, 255))
    bomb = gif[:6] + struct.pack("<HH", 60000, 60000) + gif[10:]
    yield OddFile("bomb_size.gif", bomb, "over 200 megapixels")
    yield OddFile("no_frame.gif", gif[: gif.index(b"\x2c\0\0\0\0")] + b";", "damaged GIF")
    yield OddFile("gif_named.webp", gif, USED, ("palette",), MEAN)
    yield OddFile("lossless.webp", encode(PICTURE, "WebP", lossless=True), mean=MEAN)
    clear = encode(rgba, "WebP", lossless=True, exact=True)
    yield OddFile("transparent.webp", clear, USED, ("transparent",), ON_WHITE_MEAN)
    yield OddFile("animated.webp", encode(frames[0], "WebP", **animation), USED, ("animated",), MEAN)
    turned = encode(PICTURE, "WebP", orientation=6)
    yield OddFile("exif_6.webp", turned, USED, ("turned by EXIF",), MEAN)
    webp = encode(PICTURE, "WebP")
    yield OddFile("bytes_after_the_end.webp", webp + b"\0" * 9, mean=MEAN)


def odd_tiffs() -> Iterator[OddFile]:
    grey = grey_of(PICTURE)
    deep_grey = np.uint16(grey) * 257
    rgba = Image.fromarray(np.dstack([PICTURE, alpha()]))
    yield OddFile("UPPER.TIF", encode(PICTURE, "TIFF", compression="tiff_lzw"), mean=MEAN)
    yield OddFile("big.tiff", encode(PICTURE, "TIFF", big_tiff=True), mean=MEAN)
    yield OddFile("grey.tiff", encode(grey, "TIFF"), USED, ("grey",), GREY_MEAN)
    yield OddFile("16_bit_grey.tiff", encode(deep_grey, "TIFF"), USED, ("16-bit", "grey"), GREY_MEAN)
    deep = cv2.imencode(".tiff", np.uint16(PICTURE[..., ::-1]) * 257)[1].tobytes()
    yield OddFile("16_bit.tiff", deep, USED, ("16-bit",), MEAN)
    yield OddFile("transparent.tiff", encode(rgba, "TIFF"), USED, ("transparent",), ON_WHITE_MEAN)
    cmyk = encode(Image.fromarray(PICTURE).convert("CMYK"), "TIFF")
    yield OddFile("cmyk.tiff", cmyk, USED, ("CMYK",), MEAN)
    fax = encode(Image.fromarray(grey).convert("1"), "TIFF", compression="group4")
    yield OddFile("fax.tiff", fax, USED, ("grey",))
    pages = encode(PICTURE, "TIFF", save_all=True, append_images=[Image.new("RGB", (WIDTH, HEIGHT))])
    yield OddFile("two_pages.tiff", pages, USED, ("animated",), MEAN)
    yield OddFile("two_pages_cut.tiff", pages[: len(pages) // 2], "truncated TIFF")
    plain, height = encode(PICTURE, "TIFF"), struct.pack("<HHII", 0x0101, 4, 1, HEIGHT)
    taller = plain.replace(height, struct.pack("<HHII", 0x0101, 4, 1, 600_000))
    yield OddFile("too_few_strips.tiff", taller, "damaged TIFF")
    turned = encode(PICTURE, "TIFF", orientation=6)
    yield OddFile("exif_6.tiff", turned, USED, ("turned by EXIF",), MEAN)
    floating = "TIFF with signed or floating-point samples is not supported"
    yield OddFile("floating_point.tiff", float_tiff(), floating)
    yield OddFile("reduced_page_first.tiff", two_directories(2 * [PICTURE], (1, 0)), mean=MEAN)
    yield OddFile("raw_photo.dng", raw_photo(), "a raw photo (DNG) is not supported")
    for name in ("lzw", "deflate"):
        damaged = damaged_strip(tiff_of(PICTURE, photometric="rgb", compression=name, rowsperstrip=8))
        yield OddFile(f"damaged_{name}.tiff", damaged, "damaged TIFF")
    planes = tiff_of(np.uint16(PICTURE).transpose(2, 0, 1) * 257, photometric="rgb", planarconfig="separate")
    yield OddFile("16_bit_planes.tiff", planes, USED, ("16-bit",), MEAN)
    lab = tiff_of(PICTURE, photometric="cielab")
    yield OddFile("cielab.tiff", lab, "TIFF in CIELAB is not supported")
    whole_numbers = tiff_of(np.uint32(grey), photometric="minisblack")
    yield OddFile("32_bit.tiff", whole_numbers, "TIFF with samples of 32 bits is not supported")
    grey_alpha = encode(Image.merge("LA", [Image.fromarray(grey), Image.fromarray(alpha())]), "TIFF")
    yield OddFile("grey_alpha.tiff", grey_alpha, "grey TIFF with transparency is not supported")


def odd_bmps_ppms_and_avifs() -> Iterator[OddFile]:
    grey = grey_of(PICTURE)
    rgba = np.dstack([PICTURE, alpha()])
    yield OddFile("grey.bmp", encode(grey, "BMP"), USED, ("palette",), GREY_MEAN)
    clear = cv2.imencode(".bmp", cv2.cvtColor(rgba, cv2.COLOR_RGBA2BGRA))[1].tobytes()
    yield OddFile("transparent.bmp", clear, USED, ("transparent",), ON_WHITE_MEAN)
    yield OddFile("grey.pgm", encode(grey, "PPM"), USED, ("grey",), GREY_MEAN)
    yield OddFile("1_bit.pbm", encode(Image.fromarray(grey).convert("1"), "PPM"), USED, ("grey",))
    header = b"P%d\n# drawn by hand\n%d %d\n%d\n"
    deep = header % (5, WIDTH, HEIGHT, 65535) + (np.uint16(grey) * 257).astype(">u2").tobytes()
    yield OddFile("16_bit.pgm", deep, USED, ("16-bit", "grey"), GREY_MEAN)
    percent = header % (6, WIDTH, HEIGHT, 100) + (PICTURE / 2.55).round().astype(np.uint8).tobytes()
    yield OddFile("up_to_100.ppm", percent, mean=MEAN)
    text = header % (3, WIDTH, HEIGHT, 255) + b" ".join(b"%d" % sample for sample in PICTURE.ravel())
    yield OddFile("text.ppm", text, mean=MEAN)
    yield OddFile("text_cut.ppm", text[: len(text) // 8], "truncated PPM")
    yield OddFile(
        "transparent.avif", encode(rgba, "AVIF", quality=100), USED, ("transparent",), ON_WHITE_MEAN
    )
    ten_bits = (cv2.IMWRITE_AVIF_DEPTH, 10, cv2.IMWRITE_AVIF_QUALITY, 100)
    deep = cv2.imencode(".avif", np.uint16(PICTURE[..., ::-1] * (1023 / 255)), ten_bits)[1].tobytes()
    yield OddFile("10_bit.avif", deep, USED, ("16-bit",), MEAN)
    turned = encode(PICTURE, "AVIF", quality=95, orientation=6)
    yield OddFile("exif_6.avif", turned, USED, ("turned by EXIF",), MEAN)


def photos_of_telephones() -> Iterator[OddFile]:
    rgba = np.dstack([PICTURE, alpha()])
    heic = heic_of(PICTURE)
    yield OddFile("iphone.heic", heic, mean=MEAN)
    yield OddFile("heic_named.jpg", heic, mean=MEAN)
    yield OddFile("heic_cut_in_half.heic", heic[: len(heic) // 2], "truncated HEIC")
    yield OddFile("heic_cut_at_end.heic", heic[:-2], "truncated HEIC")
    yield OddFile("heic_transparent.heic", heic_of(rgba), USED, ("transparent",), ON_WHITE_MEAN)
    yield OddFile("jpeg_xl.jxl", imagecodecs.jpegxl_encode(PICTURE, lossless=True), mean=MEAN)
    deep = imagecodecs.jpegxl_encode(np.uint16(PICTURE) * 257, lossless=True)
    yield OddFile("jpeg_xl_16_bit.jxl", deep, mean=MEAN)
    yield OddFile("jpeg_xl_cut.jxl", deep[: len(deep) // 2], "damaged JPEG XL")
    yield OddFile("jpeg_xl_noise.jpg", b"\xff\x0a" + bytes(40), "damaged JPEG XL")


def not_pictures() -> Iterator[OddFile]:
    page = b"<!DOCTYPE html><html><body><h1>404 Not Found</h1></body></html>"
    drawing = (
        b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><rect width="9" height="9"/></svg>'
    )
    for name, data in (
        ("text.jpg", b"This is no picture.\n"),
        ("html.png", page),
        ("svg.jpg", drawing),
        ("pdf.jpg", b"%PDF-1.7\n1 0 obj\n<< /Type /Catalog >>\nendobj\n%%EOF\n"),
        ("zeros.png", bytes(4096)),
        ("one_byte.jpg", b"\xff"),
        ("BMW.bmp", b"BMW builds cars in Munich.\n"),
        ("zip.jpg", b"PK\x03\x04" + bytes(60)),
    ):
        yield OddFile(name, data, "not a picture")
    for name, format_ in (("TGA", "TGA"), ("PCX", "PCX"), ("QOI", "QOI"), ("an icon (ICO)", "ICO")):
        yield OddFile(f"{format_}.jpg", encode(PICTURE, format_), f"{name} is not supported")
    yield OddFile("jpeg_2000.jp2", b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000 is not supported")
    yield OddFile("photoshop.jpg", b"8BPS\0\x01" + bytes(20), "Photoshop is not supported")


CORPUS: list[OddFile] = [
    *whole_and_cut(),
    *flipped(),
    *odd_jpegs(),
    *odd_pngs(),
    *odd_gifs_and_webps(),
    *odd_tiffs(),
    *odd_bmps_ppms_and_avifs(),
    *photos_of_telephones(),
    *not_pictures(),
]


def write_corpus(folder: Path) -> dict[str, str]:
    """Write every file of the corpus into `folder`, made if need be; returns each name's verdict."""
    folder.mkdir(parents=True, exist_ok=True)
    for odd_file in CORPUS:
        (folder / odd_file.name).write_bytes(odd_file.data)
    return {odd_file.name: odd_file.verdict for odd_file in CORPUS}
