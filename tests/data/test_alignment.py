import cv2
import numpy as np
import pytest

from pigeonhole.data.alignment import align, sketch
from tests.support.made_photos import as_jpeg, cropped, photo, scaled, square

MAKE = {
    "mirrored": lambda image: image[:, ::-1],
    "cropped to 80 % of each side": lambda image: cropped(image, 0.2),
    "cropped at a corner": lambda image: image[:192, :256],
    "cropped and mirrored": lambda image: image[-192:, :-257:-1],
    "half size, jpeg 30": lambda image: as_jpeg(scaled(image, 0.5), 30),
    "brighter": lambda image: cv2.convertScaleAbs(image, alpha=0.8, beta=40),
}


@pytest.mark.parametrize("kind", MAKE)
def test_changed_copies_agree_in_their_detail(kind):
    for seed in range(5):
        original, copy = (sketch(square(each, 128)) for each in (photo(seed), MAKE[kind](photo(seed))))
        for found in (align(original, copy), align(copy, original)):
            assert found.correlation > 0.85
            assert found.overlap > 0.5
            assert found.mirrored == ("mirrored" in kind)


def test_different_pictures_do_not():
    sketches = [sketch(square(photo(seed), 128)) for seed in range(12)]
    assert max(align(a, b).correlation for a in sketches for b in sketches if a is not b) < 0.6


def test_one_text_over_two_pictures_makes_no_copy():
    images = [square(photo(seed), 128) for seed in (0, 1)]
    for image in images:
        cv2.putText(image, "SAMPLE", (4, 70), cv2.FONT_HERSHEY_SIMPLEX, 1, (255, 255, 255), 3)
    assert align(*map(sketch, images)).correlation < 0.6


def test_flat_pictures_resemble_nothing():
    flat = sketch(np.full((64, 64, 3), 200, np.uint8))
    assert align(flat, flat).correlation == 0
    assert align(flat, sketch(square(photo(0)))).correlation < 0.3


def test_grey_pictures_are_read_too():
    image = square(photo(3), 64)
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None]
    assert align(sketch(image), sketch(grey)).correlation > 0.99
