"""The one way from bytes to pixels: conversions, sizes, and that nothing but ImageError comes out."""

import io
import struct
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from pigeonhole.errors import UsageError
from pigeonhole.pictures import images
from pigeonhole.pictures.images import ImageError, Preprocessing
from tests.support.odd_files import (
    PICTURE,
    alpha,
    encode,
    grey_of,
    heic_of,
    jpeg_segment,
    on_white,
    picture,
    png_chunk,
    png_of,
    with_segment,
)

PHOTOS = Path(__file__).parents[3] / "shared" / "data" / "dogs_cats"


def photograph(seed: int, height: int, width: int) -> np.ndarray:
    """Noise of every scale, its amplitude falling with the frequency as in a photograph: uint8 [H, W, 3]."""
    random = np.random.default_rng(seed)
    image = np.full((height, width, 3), 128.0)
    for octave in range(1, 8):
        noise = random.standard_normal((2**octave, 2**octave, 3))
        image += 60 / octave * cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
    return image.clip(0, 255).astype(np.uint8)


def shown(data: bytes) -> np.ndarray:
    """Pillow's idea of the picture: an independent decoder."""
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))


def assert_close(actual: np.ndarray, expected: np.ndarray, tolerance: int = 0) -> None:
    assert actual.shape == expected.shape
    assert actual.dtype == np.uint8
    difference = np.abs(actual.astype(int) - expected.astype(int)).max()
    assert difference <= tolerance, f"differs by {difference} levels"


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WebP", "TIFF", "AVIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(format_: str, orientation: int) -> None:
    data = encode(PICTURE, format_, orientation=orientation)
    image = images.decode(data)
    assert_close(image, shown(data), tolerance=2)
    facts = images.inspect(data)
    assert (facts.height, facts.width) == image.shape[:2] == ((32, 48) if orientation < 5 else (48, 32))
    assert ("turned by EXIF" in facts.oddities) == (orientation != 1)


def exif_of(maker: str, model: str, orientation: int = 1) -> Image.Exif:
    exif = Image.Exif()
    exif[0x010F], exif[0x0110], exif[0x0112] = maker, model, orientation
    return exif


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WebP", "TIFF"])
def test_camera(format_: str) -> None:
    data = encode(PICTURE, format_, exif=exif_of("Nikon", "COOLPIX S3", 6))
    assert images.inspect(data).camera == "Nikon COOLPIX S3"
    assert "turned by EXIF" in images.inspect(data).oddities
    assert images.inspect(encode(PICTURE, format_)).camera == ""


@pytest.mark.parametrize(
    ("maker", "model", "camera"),
    [
        ("Canon", "Canon EOS 5D", "Canon EOS 5D"),
        (" Fuji ", "X 100 ", "Fuji X 100"),
        ("Sony", "", "Sony"),
        ("", "X100", "X100"),
        ("LG\0rest", "G2", "LG G2"),
    ],
)
def test_a_cameras_name_is_one_clean_line(maker: str, model: str, camera: str) -> None:
    assert images.inspect(encode(PICTURE, "JPEG", exif=exif_of(maker, model))).camera == camera


def test_the_camera_of_a_broken_file_or_exif() -> None:
    data = encode(PICTURE, "JPEG", exif=exif_of("Nikon", "COOLPIX"))
    with pytest.raises(ImageError, match="truncated JPEG"):
        images.inspect(data[:-2])
    assert images.inspect(data.replace(b"Nikon\0", b"Nik\xff\xff\0")).camera == "Nik\ufffd\ufffd COOLPIX"
    assert images.inspect(data.replace(b"MM\0*", b"MM\0+").replace(b"II*\0", b"II+\0")).camera == ""
    number_for_a_name = struct.pack("<4sIHHHIII", b"II*\0", 8, 1, 0x010F, 3, 1, 1000, 0)
    odd = with_segment(encode(PICTURE, "JPEG"), jpeg_segment(0xE1, b"Exif\0\0" + number_for_a_name))
    assert images.inspect(odd).camera == ""


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_of_deep_and_transparent_pictures(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    chunk = png_chunk(b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0"))
    for samples in (np.uint16(PICTURE) * 257, np.dstack([PICTURE, np.full_like(alpha(), 255)])):
        png = png_of(samples, 6 if samples.shape[2] == 4 else 2)
        data = png[:33] + chunk + png[33:]
        assert_close(images.decode(data), shown(encode(PICTURE, "PNG", orientation=orientation)))


def test_a_reduced_jpeg_is_turned_too() -> None:
    large = cv2.resize(PICTURE, (480, 320))
    data = encode(large, "JPEG", quality=95, orientation=6)
    reduced = images.decode(data, reduce_to=32, strongly=True)
    assert reduced.shape == (120, 80, 3)
    assert_close(images.resize(reduced, 32), images.resize(images.decode(data), 32), tolerance=4)


def test_16_bit_samples_are_scaled_and_rounded() -> None:
    samples = np.arange(0, 65536, dtype=np.uint16).reshape(256, 256)
    expected = np.dstack([np.round(samples / 257)] * 3).astype(np.uint8)
    assert_close(images.decode(png_of(samples, 0)), expected)
    assert_close(images.decode(encode(samples, "TIFF")), expected)
    assert_close(images.decode(b"P5 256 256 65535\n" + samples.astype(">u2").tobytes()), expected)
    assert images.decode(png_of(samples, 0))[-1, -1].tolist() == [255, 255, 255]


@pytest.mark.parametrize("maximum", [1, 15, 100, 255, 1000, 4095])
def test_ppm_of_any_maximum(maximum: int) -> None:
    samples = np.linspace(0, maximum, 48 * 3).round().reshape(6, 8, 3)
    expected = np.round(samples * 255 / maximum).astype(np.uint8)
    binary = samples.astype(">u2" if maximum > 255 else np.uint8).tobytes()
    assert_close(images.decode(b"P6 8 6 %d\n" % maximum + binary), expected, tolerance=1)
    text = b" ".join(b"%d" % sample for sample in samples.ravel().astype(int))
    assert_close(images.decode(b"P3 8 6 %d\n" % maximum + text), expected, tolerance=1)


def test_white_is_zero_tiff() -> None:
    for samples in (grey_of(PICTURE), np.uint16(grey_of(PICTURE)) * 257):
        tiff = encode(samples, "TIFF")
        black_is_zero = struct.pack("<HHII", 262, 3, 1, 1)
        assert black_is_zero in tiff
        inverted = tiff.replace(black_is_zero, struct.pack("<HHII", 262, 3, 1, 0))
        assert_close(images.decode(inverted), 255 - np.dstack([grey_of(PICTURE)] * 3))


@pytest.mark.parametrize(
    "kind", ["png", "16-bit png", "grey png", "webp", "tiff", "16-bit tiff", "bmp", "avif"]
)
def test_transparency_is_composited_on_white(kind: str) -> None:
    rgba, grey = np.dstack([PICTURE, alpha()]), grey_of(PICTURE)
    bgra = cv2.cvtColor(rgba, cv2.COLOR_RGBA2BGRA)
    data, opaque = {
        "png": (png_of(rgba, 6), PICTURE),
        "16-bit png": (png_of(np.uint16(rgba) * 257, 6), PICTURE),
        "grey png": (png_of(np.dstack([grey, alpha()]), 4), np.dstack([grey] * 3)),
        "webp": (encode(rgba, "WebP", lossless=True, exact=True), PICTURE),
        "tiff": (encode(rgba, "TIFF"), PICTURE),
        "16-bit tiff": (cv2.imencode(".tiff", np.uint16(bgra) * 257)[1].tobytes(), PICTURE),
        "bmp": (cv2.imencode(".bmp", bgra)[1].tobytes(), PICTURE),
        "avif": (encode(rgba, "AVIF", quality=100), PICTURE),
    }[kind]
    if kind == "16-bit tiff":
        # OpenCV writes no tag that calls the fourth sample alpha, and without one it is not.
        assert_close(images.decode(data), PICTURE)
    else:
        assert "transparent" in images.inspect(data).oddities
        assert_close(images.decode(data), on_white(opaque, alpha()), tolerance=4 if kind == "avif" else 1)


@pytest.mark.parametrize(
    ("mode", "format_"), [("P", "PNG"), ("P", "GIF"), ("L", "PNG"), ("1", "PNG"), ("RGB", "PNG")]
)
def test_one_transparent_colour(mode: str, format_: str) -> None:
    key = {"P": 3, "L": 200, "1": 0, "RGB": tuple(PICTURE[0, 0].tolist())}[mode]
    source = Image.fromarray(PICTURE)
    image = source.quantize(8) if mode == "P" else source.convert(mode)
    if mode == "L":
        image.paste(200, (10, 10, 20, 20))
    data = encode(image, format_, transparency=key)
    rgba = np.asarray(Image.open(io.BytesIO(data)).convert("RGBA"))
    assert (rgba[..., 3] == 0).any()
    assert_close(images.decode(data), on_white(rgba[..., :3], rgba[..., 3]))


def test_cmyk_equals_pillows_conversion() -> None:
    inks = cv2.resize(np.random.default_rng(3).integers(0, 256, (6, 8, 4), np.uint8), (64, 48))
    for data in (encode(Image.fromarray(inks, "CMYK"), kind) for kind in ("JPEG", "TIFF")):
        assert images.inspect(data).oddities == ("CMYK",)
        assert_close(images.decode(data), shown(data), tolerance=2)


@pytest.mark.parametrize("format_", ["GIF", "PNG", "WebP", "TIFF", "AVIF"])
def test_first_frame_of_an_animation(format_: str) -> None:
    still = Image.fromarray(PICTURE).quantize(16).convert("RGB")
    options = {"save_all": True, "append_images": [Image.new("RGB", still.size)]}
    options |= {"WebP": {"lossless": True}, "AVIF": {"quality": 100, "subsampling": "4:4:4"}}.get(format_, {})
    data = encode(still, format_, **options)
    assert "animated" in images.inspect(data).oddities
    assert_close(images.decode(data), np.asarray(still), tolerance=4 if format_ == "AVIF" else 0)


def test_grey_and_1_bit_are_repeated() -> None:
    grey = grey_of(PICTURE)
    assert_close(images.decode(encode(grey, "PNG")), np.dstack([grey] * 3))
    bits = Image.fromarray(grey).convert("1")
    for format_ in ("PNG", "TIFF", "BMP", "PPM", "GIF"):
        assert_close(images.decode(encode(bits, format_)), np.asarray(bits.convert("RGB")))


def test_content_decides_and_not_the_name() -> None:
    formats = [
        images.inspect(encode(PICTURE, name)).format for name in ("JPEG", "PNG", "GIF", "WebP", "TIFF")
    ]
    assert formats == ["jpeg", "png", "gif", "webp", "tiff"]
    assert ".jpeg" in images.FORMAT_EXTENSIONS["jpeg"]
    assert {name for names in images.FORMAT_EXTENSIONS.values() for name in names} == images.EXTENSIONS


@pytest.mark.parametrize(
    "format_", ["JPEG", "PNG", "GIF", "WebP", "TIFF", "BMP", "PPM", "AVIF", "TIFF by OpenCV"]
)
def test_every_cut_is_found(format_: str) -> None:
    """At whatever byte the file ends early, it is refused."""
    if format_ == "TIFF by OpenCV":
        resolution = (cv2.IMWRITE_TIFF_XDPI, 300, cv2.IMWRITE_TIFF_YDPI, 300)
        data = cv2.imencode(".tiff", PICTURE, resolution)[1].tobytes()
    else:
        data = encode(PICTURE, format_)
    for length in range(len(data)):
        with pytest.raises(ImageError):
            images.inspect(data[:length])


def test_png_checksums_find_every_flip() -> None:
    data = encode(PICTURE, "PNG")
    for position in range(8, len(data)):
        with pytest.raises(ImageError):
            images.inspect(data[:position] + bytes([data[position] ^ 4]) + data[position + 1 :])


def test_a_thumbnails_end_mark_is_not_the_pictures() -> None:
    jpeg = encode(PICTURE, "JPEG")
    data = with_segment(jpeg, jpeg_segment(0xE1, b"http://thumbnail\0" + jpeg))
    images.inspect(data)
    with pytest.raises(ImageError, match="truncated JPEG"):
        images.inspect(data[:-2])


def test_a_huge_picture_is_refused_before_its_pixels_are_found_missing() -> None:
    small = grey_of(PICTURE)
    with pytest.raises(ImageError, match=r"^over 200 megapixels$"):
        images.decode(png_of(small, 0, (20000, 10001)))
    with pytest.raises(ImageError, match=r"^a decompression bomb$"):
        images.decode(png_of(small, 0, (20000, 10000)))


def test_a_header_that_the_pixels_contradict() -> None:
    png = png_of(PICTURE, 2)
    honest = images.decode(png)
    assert honest.shape == (32, 48, 3)
    with pytest.raises(ImageError, match="damaged or unsupported PNG"):
        images.decode(png_of(PICTURE, 2, (48, 64)))
    avif = encode(PICTURE, "AVIF", save_all=True, append_images=[Image.new("RGB", (48, 32))])
    taller = avif.replace(
        b"ispe\0\0\0\0" + struct.pack(">II", 48, 32), b"ispe\0\0\0\0" + struct.pack(">II", 48, 64)
    )
    assert images.inspect(taller).height == 64
    with pytest.raises(ImageError, match="damaged or unsupported AVIF"):
        images.decode(taller)


TIFF_COMPRESSION = struct.pack("<HHII", 259, 3, 1, 1)


def test_of_two_widths_a_tiff_has_the_first() -> None:
    narrow = struct.pack("<HHII", 256, 4, 1, 40)
    data = encode(PICTURE, "TIFF").replace(TIFF_COMPRESSION, narrow)
    assert images.inspect(data).width == images.decode(data).shape[1] == 48


def test_a_tiff_cut_within_its_text() -> None:
    tiff = encode(PICTURE, "TIFF")
    text_at_the_end = struct.pack("<HHII", 305, 2, 20, len(tiff))
    data = tiff.replace(TIFF_COMPRESSION, text_at_the_end) + b"a drawing programme\0"
    assert images.inspect(data).width == 48
    with pytest.raises(ImageError, match="truncated TIFF"):
        images.inspect(data[:-2])


def test_a_very_wide_picture() -> None:
    data = b"P5 1500000 1 255\n" + bytes(1_500_000)
    assert images.decode(data).shape == (1, 1_500_000, 3)
    assert images.preprocess(data, Preprocessing(8)).max() == 0


@pytest.mark.parametrize("size", [(1, 1), (1, 400), (400, 1), (3, 2)])
def test_tiny_and_narrow_pictures(size: tuple[int, int]) -> None:
    image = photograph(0, *size)
    for format_ in ("JPEG", "PNG", "GIF", "WebP", "TIFF", "BMP", "PPM"):
        data = encode(image, format_)
        assert images.decode(data).shape == (*size, 3)
        assert images.preprocess(data, Preprocessing(16)).shape == (16, 16, 3)


def test_area_resize_averages() -> None:
    image = photograph(1, 64, 96)
    expected = image.reshape(16, 4, 16, 6, 3).mean((1, 3))
    assert np.abs(images.resize(image, 16) - expected).max() <= 0.51


def test_area_resize_averages_one_axis_and_interpolates_the_other() -> None:
    image = photograph(2, 8, 64)
    averaged = image.reshape(8, 16, 4, 3).mean(2)
    expected = cv2.resize(averaged, (16, 16), interpolation=cv2.INTER_LINEAR)
    assert np.abs(images.resize(image, 16) - expected).max() <= 1.01


def test_resize_up_and_bilinear_are_plain_linear() -> None:
    image = photograph(3, 20, 30)
    exact = cv2.resize(image.astype(np.float64), (40, 40), 0, 0, cv2.INTER_LINEAR)
    assert np.abs(images.resize(image, 40) - exact).max() <= 0.501
    in_whole_numbers = cv2.resize(image, (40, 40), 0, 0, cv2.INTER_LINEAR)
    for rule in ("bilinear", images.REDUCED):  # models that were trained so
        np.testing.assert_array_equal(images.resize(image, 40, rule), in_whole_numbers)
    large = photograph(4, 100, 150)
    expected = cv2.resize(large, (40, 40), 0, 0, cv2.INTER_LINEAR)
    np.testing.assert_array_equal(images.resize(large, 40, "bilinear"), expected)
    assert (images.resize(large, 40) != expected).any()


def test_the_right_size_is_left_alone() -> None:
    image = photograph(5, 32, 32)
    for rule in ("area", "bilinear"):
        np.testing.assert_array_equal(images.resize(image, 32, rule), image)


def test_preprocess_defaults_to_rgb_bytes() -> None:
    data = encode(PICTURE, "PNG")
    result = images.preprocess(data, Preprocessing(24))
    assert result.dtype == np.uint8
    np.testing.assert_array_equal(result, images.resize(picture(), 24))


def test_preprocess_as_the_classic_tutorial(tmp_path: Path) -> None:
    """BGR, plain bilinear, 0..1: bit for bit what `cv2.imread` and the tutorial's own lines give."""
    path = tmp_path / "photograph.jpg"
    path.write_bytes(encode(photograph(6, 375, 500), "JPEG"))
    expected = cv2.resize(cv2.imread(str(path)), (128, 128), 0, 0, cv2.INTER_LINEAR).astype(np.float32)
    expected = np.multiply(expected, 1.0 / 255.0)
    contract = Preprocessing(128, resize="bilinear", colour_order="bgr", scale=1 / 255)
    result = images.preprocess(path.read_bytes(), contract)
    assert result.dtype == np.float32
    np.testing.assert_array_equal(result, expected)


def test_one_channel_is_luma() -> None:
    data = encode(PICTURE, "PNG")
    result = images.preprocess(data, Preprocessing(32, channels=1))
    assert result.shape == (32, 32, 1)
    expected = images.resize(PICTURE, 32) @ [0.299, 0.587, 0.114]
    assert np.abs(result[..., 0] - expected).max() <= 0.51
    grey = grey_of(PICTURE)
    same = images.preprocess(encode(grey, "PNG"), Preprocessing(32, channels=1))[..., 0]
    np.testing.assert_array_equal(same, images.resize(np.dstack([grey] * 3), 32)[..., 0])


@pytest.mark.parametrize(
    "wrong", [{"image_size": 0}, {"channels": 2}, {"resize": "cubic"}, {"colour_order": "grb"}]
)
def test_impossible_preprocessing(wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError, match=str(next(iter(wrong.values())))):
        Preprocessing(**{"image_size": 32, **wrong})


@pytest.mark.parametrize(
    ("sides", "target", "expected"),
    [
        ((384, 512), 32, (192, 256)),
        ((384, 511), 32, (384, 511)),
        ((383, 512), 32, (383, 512)),
        ((1152, 1536), 32, (288, 384)),
        ((1152, 1538), 32, (576, 769)),
        ((2048, 3000), 16, (256, 375)),
        ((2048, 3000), None, (2048, 3000)),
    ],
)
def test_how_far_a_jpeg_is_reduced(
    sides: tuple[int, int], target: int | None, expected: tuple[int, int]
) -> None:
    data = encode(np.zeros((*sides, 3), np.uint8), "JPEG")
    assert images.decode(data, reduce_to=target).shape[:2] == expected


@pytest.mark.parametrize(
    ("sides", "expected"),
    [
        ((375, 500), (188, 250)),
        ((256, 400), (128, 200)),
        ((255, 500), (255, 500)),
        ((750, 1000), (375, 500)),
        ((1024, 1400), (256, 350)),
        ((4096, 6000), (512, 750)),
    ],
)
def test_how_far_a_jpeg_is_reduced_for_older_models(
    sides: tuple[int, int], expected: tuple[int, int]
) -> None:
    data = encode(np.zeros((*sides, 3), np.uint8), "JPEG")
    assert images.decode(data, reduce_to=128, strongly=True).shape[:2] == expected
    older = images.resize(images.decode(data, reduce_to=128, strongly=True), 128)
    np.testing.assert_array_equal(images.preprocess(data, Preprocessing(128, resize=images.REDUCED)), older)


def test_only_a_jpeg_is_reduced_and_only_for_area() -> None:
    image = photograph(7, 300, 300)
    assert images.decode(encode(image, "PNG"), reduce_to=32).shape == image.shape
    jpeg = encode(image, "JPEG")
    full = images.resize(images.decode(jpeg), 32, "bilinear")
    np.testing.assert_array_equal(images.preprocess(jpeg, Preprocessing(32, resize="bilinear")), full)


def reduction_errors(files: list[bytes], size: int, strongly: bool = False) -> list[float]:
    """Mean difference, in levels of 255, that reading each JPEG reduced makes to the resized picture."""
    errors = []
    for data in files:
        full, reduced = images.decode(data), images.decode(data, reduce_to=size, strongly=strongly)
        assert reduced.shape[0] < full.shape[0]
        difference = images.resize(full, size).astype(int) - images.resize(reduced, size)
        errors.append(float(np.abs(difference).mean()))
    return errors


def whole_blocks(image: np.ndarray) -> np.ndarray:
    """Its part whose sides are multiples of 8."""
    return image[: len(image) // 8 * 8, : image.shape[1] // 8 * 8]


def test_reduced_reading_stays_within_its_tolerance() -> None:
    files = [encode(photograph(seed, 376, 504), "JPEG", quality=90) for seed in range(8)]
    for size in (128, 80, 40, 16):
        errors = reduction_errors(files, size, strongly=True)
        assert np.mean(errors) <= 2
        assert max(errors) <= 8
    for size in (31, 10, 2):
        errors = reduction_errors(files, size)
        assert np.mean(errors) <= 0.3
        assert max(errors) <= 0.6


@pytest.mark.skipif(not PHOTOS.is_dir(), reason="needs the photographs of ../shared/data/dogs_cats")
def test_reduced_reading_of_real_photographs_stays_within_its_tolerance() -> None:
    paths = sorted(PHOTOS.glob("training_data/*/*.jpg"))[::5]
    photos = [images.decode(path.read_bytes()) for path in paths]
    files = [
        encode(whole_blocks(photo), "JPEG", quality=90) for photo in photos if min(photo.shape[:2]) >= 256
    ]
    assert len(files) >= 20
    for size in (21, 10, 5):
        errors = reduction_errors(files, size)
        assert np.mean(errors) <= 0.3
        assert max(errors) <= 0.6


def test_heic_without_its_extra_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(ImageError, match=r'pip install "pigeonhole\[heic\]"'):
        images.decode(heic_of(PICTURE))


@pytest.mark.parametrize("most", [0, images.MOST_AVERAGED])
def test_averages_are_those_of_opencv_to_the_last_bit(monkeypatch, most):
    monkeypatch.setattr(images, "MOST_AVERAGED", most)
    random = np.random.default_rng(5)
    sides = [
        (64, 64),
        (96, 64),
        (65, 33),
        (32, 77),
        (128, 96),
        (375, 500),
        *random.integers(32, 300, (40, 2)),
    ]
    for height, width in sides:
        image = random.integers(0, 256, (height, width, 3), np.uint8)
        expected = cv2.resize(image, (32, 32), interpolation=cv2.INTER_AREA)
        np.testing.assert_array_equal(images.resize(image, 32), expected)
