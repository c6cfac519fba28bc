import numpy as np
import pytest

from pigeonhole.model import golden
from pigeonhole.pictures import images

PREPROCESSING = images.Preprocessing(32)


@pytest.fixture(scope="module")
def examples():
    return golden.draw(PREPROCESSING)


def test_drawn_files_cover_the_ways_through_decoding(examples):
    facts = [images.inspect(data) for data in examples.data]
    assert {fact.format for fact in facts} == {"jpeg", "png"}
    oddities = {oddity for fact in facts for oddity in fact.oddities}
    assert {"turned by EXIF", "grey"} <= oddities
    sides = [side for fact in facts for side in (fact.width, fact.height)]
    assert min(sides) < 32 < max(sides)
    assert any(side % 2 for side in sides)
    assert examples.pixels.shape == (len(facts), 32, 32, 3)


def test_drawing_is_the_same_every_time(examples):
    again = golden.draw(PREPROCESSING)
    assert again.data == examples.data
    np.testing.assert_array_equal(again.pixels, examples.pixels)


@pytest.mark.parametrize("size", [1, 2, 28, 224])
def test_any_image_size(size):
    assert golden.draw(images.Preprocessing(size)).pixels.shape[1:] == (size, size, 3)


def test_grey_models_and_other_scales():
    preprocessing = images.Preprocessing(32, channels=1, scale=1 / 255)
    examples = golden.draw(preprocessing)
    assert examples.pixels.shape[-1] == 1
    golden.check_decoding(examples, preprocessing)
    shifted = golden.Golden(examples.data, examples.pixels + np.float32(3 / 255))
    with pytest.raises(golden.DriftError):
        golden.check_decoding(shifted, preprocessing)


@pytest.mark.parametrize(
    "other",
    [
        images.Preprocessing(32, resize="bilinear"),
        images.Preprocessing(32, colour_order="bgr"),
        images.Preprocessing(32, scale=1 / 255),
    ],
)
def test_another_rule_is_drift(examples, other):
    with pytest.raises(golden.DriftError, match=r"decoding drift.*opencv"):
        golden.check_decoding(examples, other)


def test_missed_exif_turn_is_drift(examples):
    unturned = [
        examples.data[0].replace(
            b"\x12\x01\x03\x00\x01\x00\x00\x00\x06", b"\x12\x01\x03\x00\x01\x00\x00\x00\x01"
        )
    ]
    assert unturned[0] != examples.data[0]
    with pytest.raises(golden.DriftError):
        golden.check_decoding(golden.Golden((*unturned, *examples.data[1:]), examples.pixels), PREPROCESSING)


def test_file_that_no_longer_decodes_is_drift(examples):
    broken = golden.Golden((b"\xff\xd8gone", *examples.data[1:]), examples.pixels)
    with pytest.raises(golden.DriftError, match="cannot be decoded"):
        golden.check_decoding(broken, PREPROCESSING)


def test_tolerances(examples):
    pixels = examples.pixels.astype(np.int16)
    golden.check_decoding(golden.Golden(examples.data, pixels + 2), PREPROCESSING)
    with pytest.raises(golden.DriftError):
        golden.check_decoding(golden.Golden(examples.data, pixels + 3), PREPROCESSING)
    shares = np.float32([[0.25, 0.75]])
    golden.check_numerics(shares, shares + np.float32(golden.PROBABILITY_TOLERANCE / 2))
    with pytest.raises(golden.DriftError, match=r"numerical drift.*tensorflow"):
        golden.check_numerics(shares, shares + np.float32(golden.PROBABILITY_TOLERANCE * 2))


def test_fingerprint_covers_pictures_pixels_and_answers(examples):
    shares = np.float32([[0.25, 0.75]])
    fingerprints = {
        examples.fingerprint(shares),
        examples.fingerprint(shares + np.float32(0.01)),
        golden.Golden(examples.data[1:], examples.pixels).fingerprint(shares),
        golden.Golden(examples.data, examples.pixels + 1).fingerprint(shares),
    }
    assert len(fingerprints) == 4


@pytest.mark.parametrize(
    ("expected", "now", "said"),
    [
        (np.nan, np.nan, "its training failed; train again with a lower --learning-rate"),
        (0.5, np.nan, "the model's answers are no numbers: its weights or graph were changed"),
    ],
)
def test_answers_that_are_no_numbers_are_not_the_libraries_fault(expected, now, said):
    with pytest.raises(golden.DriftError) as caught:
        golden.check_numerics(np.full((4, 2), expected, np.float32), np.full((4, 2), now, np.float32))
    assert said in str(caught.value) and "tensorflow" not in str(caught.value)
