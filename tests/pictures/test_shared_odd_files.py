"""The files of shared/odd, which was collected from real programs, get the verdicts of its README."""

from pathlib import Path

import numpy as np
import pytest

from pigeonhole.pictures import images

ODD = Path(__file__).parents[3] / "shared" / "odd"
RIGHT = {  # file -> tolerance in levels of 255
    "planar16.tif": 1,
    "argb1555_imagemagick.bmp": 10,  # five bits a colour
    "rgb565_v3.bmp": 10,
    "cmyk16.tif": 1,
    "five_bands.tif": 1,
    "reduced_page_first.tif": 1,
}
GREY = {"two_channels_16.tif": 2, "grey4.tif": 17}
REFUSED = {
    "damaged_lzw.tif": "damaged TIFF",
    "damaged_deflate.tif": "damaged TIFF",
    "half_then_eoi.jpg": "damaged JPEG",
    "zero_block.jpg": "damaged JPEG",
    "dnglike.dng": "raw photo",
    "grey_alpha.tif": "grey TIFF with transparency",
}

pytestmark = pytest.mark.skipif(not ODD.is_dir(), reason=f"needs the development files in {ODD.name}/")


def decoded(name: str) -> np.ndarray:
    return images.decode((ODD / name).read_bytes()).astype(int)


@pytest.mark.parametrize("name", RIGHT)
def test_right_pixels(name):
    assert np.abs(decoded(name) - decoded("the_picture.png")).max() <= RIGHT[name]


@pytest.mark.parametrize("name", GREY)
def test_right_greys(name):
    found = decoded(name)
    assert (found[..., 0] == found[..., 1]).all()
    grey = decoded("the_picture.png") @ (0.299, 0.587, 0.114)
    first = decoded("the_picture.png")[..., 0]
    nearest = min(np.abs(found[..., 0] - wanted).max() for wanted in (grey, first))
    assert nearest <= GREY[name]


@pytest.mark.parametrize("name", REFUSED)
def test_refused_with_a_true_reason(name):
    with pytest.raises(images.ImageError, match=REFUSED[name]):
        decoded(name)


def test_bilevel_tiles_are_black_and_white():
    found = decoded("bilevel_tiled.tif")
    assert set(np.unique(found)) == {0, 255} and 0.2 < found.mean() / 255 < 0.8


def test_the_first_exif_segment_counts():
    assert decoded("two_exif.jpg").shape == (61, 47, 3)


def test_runs_past_the_end_of_a_row():
    found = decoded("rle8_width61.bmp")
    assert found.shape == (40, 61, 3) and abs(found.mean() - decoded("the_picture.png").mean()) < 10


def test_every_file_has_a_verdict():
    seen = {*RIGHT, *GREY, *REFUSED, "bilevel_tiled.tif", "two_exif.jpg", "rle8_width61.bmp"}
    dark = {"12bit_in_16.tif", "planar_16_values_to_4080.tif"}  # used as they are, see test_preflight
    assert {path.name for path in ODD.iterdir()} == seen | dark | {"the_picture.png", "README"}
