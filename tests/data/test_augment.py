"""Variations keep shape, dtype and determinism, and each setting does what its name says and no more."""

import numpy as np
import pytest

from pigeonhole.data.augment import augment, mix
from pigeonhole.data.augmentation import NONE, Augmentation
from pigeonhole.data.shards import shard


def pictures(channels: int = 3, count: int = 8, side: int = 16) -> np.ndarray:
    return np.random.default_rng(7).integers(0, 256, (count, side, side, channels), np.uint8)


def rng(seed: int = 3) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_nothing_asked_changes_nothing():
    images = pictures()
    assert np.array_equal(augment(images, NONE, rng()), images)


def test_flip_mirrors_about_half_and_leaves_the_rest_exact():
    images = pictures(count=64)
    varied = augment(images, Augmentation(flip=True), rng())
    mirrored = [np.array_equal(after, before[:, ::-1]) for before, after in zip(images, varied, strict=True)]
    same = [np.array_equal(after, before) for before, after in zip(images, varied, strict=True)]
    assert all(a != b for a, b in zip(mirrored, same, strict=True))
    assert 16 <= sum(mirrored) <= 48


def test_flip_mirrors_those_that_it_is_told_to():
    images = pictures(count=4)
    chosen = np.array([True, False, False, True])
    varied = augment(images, Augmentation(flip=True), rng(), mirrored=chosen)
    np.testing.assert_array_equal(varied, np.where(chosen[:, None, None, None], images[:, :, ::-1], images))
    assert np.array_equal(augment(images, Augmentation(rotate=1e-9), rng(), mirrored=chosen), images)


def test_shift_moves_by_whole_pixels_within_the_limit():
    images = pictures(count=64)
    seen = set()
    for before, after in zip(images, augment(images, Augmentation(shift=0.125), rng()), strict=True):
        found = [
            (dy, dx)
            for dy in range(-2, 3)
            for dx in range(-2, 3)
            if np.array_equal(after[2:-2, 2:-2], before[2 + dy : 14 + dy, 2 + dx : 14 + dx])
        ]
        assert len(found) == 1
        seen.add(found[0])
    assert len(seen) > 8


def test_crop_keeps_no_less_than_the_stated_area():
    gradient = np.tile(np.arange(64, dtype=np.uint8) * 4, (200, 64, 1))[..., None]
    varied = augment(np.ascontiguousarray(gradient), Augmentation(crop=0.25), rng())
    spans = (varied[:, :, -1].mean((1, 2)) - varied[:, :, 0].mean((1, 2))) / (63 * 4)
    assert spans.min() > 0.49 and spans.min() < 0.6 and spans.max() > 0.93


def test_rotation_turns_about_the_centre():
    image = np.zeros((1, 33, 33, 1), np.uint8)
    image[0, 16, :] = 255
    varied = [augment(image, Augmentation(rotate=30), rng(seed))[0, :, :, 0] for seed in range(20)]
    rows = [int(picture[:, 28].argmax()) - int(picture[:, 4].argmax()) for picture in varied]
    assert all(picture[16, 16] > 200 for picture in varied)
    assert max(rows) > 5 and min(rows) < -5 and max(map(abs, rows)) <= 14


def test_colour_varies_levels_and_not_places():
    flat = np.full((32, 8, 8, 3), 100, np.uint8)
    varied = augment(flat, Augmentation(colour=0.3), rng())
    assert (varied == varied[:, :1, :1]).all()
    assert np.unique(varied[:, 0, 0], axis=0).shape[0] > 16
    mild = augment(flat, Augmentation(colour=0.05), rng())
    assert np.abs(mild.astype(int) - 100).max() < np.abs(varied.astype(int) - 100).max()


@pytest.mark.parametrize("channels", [1, 3])
def test_same_generator_same_pictures(channels):
    how = Augmentation(flip=True, shift=0.1, crop=0.5, aspect=0.2, rotate=10, colour=0.2)
    images = pictures(channels)
    first, again, other = (augment(images, how, rng(seed)) for seed in (1, 1, 2))
    assert first.shape == images.shape and first.dtype == np.uint8
    assert np.array_equal(first, again) and not np.array_equal(first, other)


@pytest.mark.parametrize("channels", [1, 3])
def test_mix_takes_the_stated_share_from_the_picture_itself(channels):
    """Of a black picture and a light one, the mean level tells the share, the pixels how they were mixed."""
    images = np.zeros((2, 20, 20, channels), np.uint8)
    images[1] = 200
    pasted = 0
    for seed in range(40):
        mixed, share = mix(images, rng(seed))
        assert mixed.dtype == np.uint8 and mixed.shape == images.shape and 0.5 <= share <= 1
        assert mixed[0].mean() == pytest.approx(200 * (1 - share), abs=0.51)
        assert mixed[1].mean() == pytest.approx(200 * share, abs=0.51)
        pasted += set(np.unique(mixed)) <= {0, 200}
    assert 10 <= pasted <= 30


def test_mix_leaves_some_batches_as_they_are():
    images = pictures()
    untouched = 0
    for seed in range(40):
        mixed, share = mix(images, rng(seed), chance=0.5)
        untouched += mixed is images and share == 1
    assert 10 <= untouched <= 30
    assert mix(images, rng(1), chance=0)[0] is images


def test_mix_follows_its_generator_and_leaves_its_input_alone():
    images = pictures()
    before = images.copy()
    (first, share), (again, same) = mix(images, rng(1)), mix(images, rng(1))
    assert np.array_equal(first, again) and share == same
    assert np.array_equal(images, before)


@pytest.mark.parametrize("count", [1, 7, 8])
def test_a_shard_is_varied_and_mixed_as_it_would_be_in_its_batch(count):
    images = pictures(count=count)
    how = Augmentation(flip=True, crop=0.5, rotate=10, colour=0.1)
    for seed in range(4):  # mix blends or cuts
        whole_rng = rng(seed)
        expected, share = mix(augment(images, how, whole_rng), whole_rng)
        for part in (shard(count, index, 3) for index in range(3)):
            part_rng = rng(seed)
            varied = augment(images[part.positions], how, part_rng, part)
            mixed, its_share = mix(varied, part_rng)
            np.testing.assert_array_equal(mixed, expected[part.positions])
            assert its_share == share
