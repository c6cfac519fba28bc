"""Distortions are TensorFlow's own single-picture functions, within their ranges and keyed by the seed."""

import numpy as np
import pytest
import tensorflow as tf

from pigeonhole.data.shards import shard
from pigeonhole.networks import building, distortion
from pigeonhole.networks.distortion import Brightness, Clip, Contrast, Distort, Flip, Hue, Saturation
from pigeonhole.networks.layers import dropout_feed

STEPS = (Flip(), Hue(0.05), Contrast(0.3, 1.0), Brightness(0.2), Saturation(0.0, 2.0), Clip(0.0, 1.0))


def pictures(
    count: int = 8, side: int = 12, channels: int = 3, low: float = 0, high: float = 1
) -> np.ndarray:
    return np.random.default_rng(7).uniform(low, high, (count, side, side, channels)).astype(np.float32)


def distorted(images: np.ndarray, seed: int = 1, part=None, side: int = 8, **options) -> np.ndarray:
    layer = Distort(side, options.pop("steps", STEPS), random_crop=options.pop("random_crop", True))
    feed = {"seed": tf.constant([seed, 5])}
    if part is not None:
        feed |= {"rows": tf.constant(part.positions, tf.int32), "total": tf.constant(part.total)}
    with dropout_feed(**feed):
        return np.array(layer(images, training=True))


@pytest.mark.parametrize("chance", [0.0, 0.3, 0.999])
def test_each_step_is_tensorflows_own_at_the_same_draw(chance):
    images = pictures(low=-0.2, high=1.2)  # as brightness leaves them
    inside = np.clip(images, 0, 1)
    chances = np.full((len(images), 1, 1, 1), chance, np.float32)
    spread = 2 * chance - 1
    pairs = [
        (Hue(0.05)(inside, chances), tf.image.adjust_hue(inside, 0.05 * spread)),
        (Contrast(0.3, 1.0)(images, chances), tf.image.adjust_contrast(images, 0.3 + 0.7 * chance)),
        (Brightness(63)(images, chances), tf.image.adjust_brightness(images, 63 * spread)),
        (Saturation(0.0, 2.0)(images, chances), tf.image.adjust_saturation(images, 2 * chance)),
        (Flip()(images, chances), tf.image.flip_left_right(images) if chance < 0.5 else images),
    ]
    for ours, theirs in pairs:
        np.testing.assert_allclose(ours, theirs, atol=2e-5, rtol=1e-5)


def test_each_picture_has_its_own_draw():
    images = np.repeat(pictures(1), 200, axis=0)
    chances = np.random.default_rng(0).uniform(0, 1, (200, 1, 1, 1)).astype(np.float32)
    means = np.array(Brightness(0.2)(images, chances)).mean((1, 2, 3)) - images.mean()
    np.testing.assert_allclose(means, (2 * chances[:, 0, 0, 0] - 1) * 0.2, atol=1e-5)


def test_draws_fill_the_published_ranges_and_stay_in_them():
    flat = np.full((400, 8, 8, 3), 100, np.float32)
    shifts = distorted(flat, steps=(Brightness(63),))[:, 0, 0, 0] - 100
    assert -63 <= shifts.min() < -55 and 55 < shifts.max() <= 63
    stripes = np.full((400, 8, 8, 1), 50, np.float32)
    stripes[:, ::2] = 150
    contrasts = np.ptp(distorted(stripes, steps=(Contrast(0.2, 1.8),)), axis=(1, 2, 3)) / 100
    assert 0.2 <= contrasts.min() < 0.25 and 1.75 < contrasts.max() <= 1.8 + 1e-5


def test_crops_are_exact_parts_from_everywhere():
    side = 5
    ramp = np.arange(side * side, dtype=np.float32).reshape(1, side, side, 1)
    cut = distorted(np.repeat(ramp, 400, axis=0), side=3, steps=())
    corners = cut[:, 0, 0, 0]
    offsets = np.array([[0, 1, 2], [side, side + 1, side + 2], [2 * side, 2 * side + 1, 2 * side + 2]])
    np.testing.assert_array_equal(cut[..., 0], corners[:, None, None] + offsets)
    assert set(corners) == {row * side + column for row in range(3) for column in range(3)}


def test_about_every_second_picture_is_mirrored():
    images = np.repeat(pictures(1, side=8), 200, axis=0)
    after = distorted(images, steps=(Flip(),), random_crop=False)
    mirrored = (after == images[:, :, ::-1]).all((1, 2, 3))
    assert ((after == images).all((1, 2, 3)) != mirrored).all()
    assert 60 <= mirrored.sum() <= 140


@pytest.mark.parametrize("active, training", [(True, False), (False, True), (False, False)])
def test_outside_of_training_only_the_centre_is_cut_out(active, training):
    layer = Distort(8, STEPS, random_crop=True)
    layer.active = active
    images = pictures()
    with dropout_feed(seed=tf.constant([1, 2])):
        np.testing.assert_array_equal(layer(images, training=training), images[:, 2:10, 2:10])


def test_the_seed_decides_and_another_decides_otherwise():
    first, again, other = (distorted(pictures(), seed) for seed in (1, 1, 2))
    assert np.array_equal(first, again) and not np.array_equal(first, other)
    assert first.shape == (8, 8, 8, 3) and first.min() >= 0 and first.max() <= 1


def test_without_a_seed_every_call_draws_afresh():
    layer = Distort(8, STEPS, random_crop=True)
    first, second = (np.array(layer(pictures(), training=True)) for _ in range(2))
    assert not np.array_equal(first, second)


@pytest.mark.parametrize("count", [1, 7])
def test_a_shard_is_distorted_as_it_would_be_in_its_batch(count):
    images = pictures(count)
    expected = distorted(images)
    for part in (shard(count, index, 3) for index in range(3)):
        np.testing.assert_array_equal(distorted(images[part.positions], part=part), expected[part.positions])


@pytest.mark.parametrize(("name", "most"), [("classic_augmented", 0.2 * 255), ("classic_lrn", 63)])
def test_what_a_training_sees_is_shown_as_pictures(name, most):
    """A plain picture gets brighter or darker within the published range, and nothing else."""
    model = building.build(name, 32, 3, 2)
    grey = np.full((200, 32, 32, 3), 128, np.uint8)
    shown = distortion.varied(model, grey, seed=0)
    assert shown.shape == (200, 24, 24, 3) and shown.dtype == np.uint8
    assert (shown == shown[:, :1, :1, :1]).all()
    moved = shown[:, 0, 0, 0].astype(int) - 128
    assert -most - 1 <= moved.min() < -most + 6 and most - 6 < moved.max() <= most + 1
    np.testing.assert_array_equal(distortion.varied(model, grey, seed=0), shown)


def test_grey_stays_grey_and_three_equal_channels_mean_the_same():
    grey = pictures(channels=1)
    alone, tripled = distorted(grey), distorted(np.repeat(grey, 3, axis=3))
    np.testing.assert_allclose(np.repeat(alone, 3, axis=3), tripled, atol=1e-5)
