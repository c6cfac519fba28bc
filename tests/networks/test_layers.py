"""The fused batch norm against Keras' own, and dropout against its definition."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from pigeonhole.networks.layers import BatchNorm, Dropout, LocalResponse, Standardise, dropout_feed


def pictures(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(3, 2, (8, 5, 5, 4)).astype(np.float32)


def test_batch_norm_agrees_with_keras_in_training_and_inference():
    ours, theirs = BatchNorm(momentum=0.9), keras.layers.BatchNormalization(momentum=0.9)
    for seed in range(3):
        np.testing.assert_allclose(
            ours(pictures(seed), training=True), theirs(pictures(seed), training=True), atol=1e-5
        )
    np.testing.assert_allclose(ours.moving_mean, theirs.moving_mean, atol=1e-5)
    bessel = 200 / 199  # 8 x 5 x 5 values a channel; the fused kernel corrects the variance that it hands on
    before = 0.9**3
    np.testing.assert_allclose(
        np.asarray(ours.moving_variance) - before,
        bessel * (np.asarray(theirs.moving_variance) - before),
        rtol=1e-4,
    )
    theirs.moving_variance.assign(ours.moving_variance)
    np.testing.assert_allclose(ours(pictures(9)), theirs(pictures(9)), atol=1e-5)


def test_batch_norm_takes_bfloat16_and_keeps_float32_weights():
    layer = BatchNorm(dtype="mixed_bfloat16")
    after = layer(tf.cast(pictures(), tf.bfloat16), training=True)
    assert after.dtype == tf.bfloat16
    assert {str(weight.dtype) for weight in layer.weights} == {"float32"}


def test_batch_norm_without_scale_learns_none_and_agrees_with_keras():
    ours = BatchNorm(momentum=0.9, scale=False)
    theirs = keras.layers.BatchNormalization(momentum=0.9, scale=False)
    np.testing.assert_allclose(ours(pictures(), training=True), theirs(pictures(), training=True), atol=1e-5)
    assert [weight.name for weight in ours.trainable_weights] == ["beta"]


def test_local_response_is_its_formula():
    values = pictures()
    padded = np.pad(np.square(values, dtype=np.float64), [(0, 0)] * 3 + [(1, 1)])
    sums = padded[..., :-2] + padded[..., 1:-1] + padded[..., 2:]
    layer = LocalResponse(1, bias=2.0, alpha=0.1, beta=0.75, dtype="mixed_bfloat16")
    after = layer(values)
    assert after.dtype == tf.float32
    np.testing.assert_allclose(after, values / (2 + 0.1 * sums) ** 0.75, rtol=1e-5)


def test_dropout_keeps_the_stated_share_and_the_mean():
    ones = tf.ones([200, 200])
    dropped = Dropout(0.3)(ones, training=True).numpy()
    assert np.mean(dropped > 0) == pytest.approx(0.7, abs=0.01)
    assert dropped.mean() == pytest.approx(1, abs=0.02)
    assert np.unique(dropped).size == 2


def test_dropout_is_the_identity_at_inference():
    ones = tf.ones([10, 10])
    assert np.array_equal(Dropout(0.5)(ones), ones)
    with dropout_feed(keep_probability=tf.constant(1.0)):
        assert np.array_equal(Dropout(0.5)(ones), ones)


def test_the_fed_keep_probability_replaces_the_rate():
    with dropout_feed(keep_probability=tf.constant(0.9)):
        dropped = Dropout(0.2)(tf.ones([200, 200])).numpy()
    assert np.mean(dropped > 0) == pytest.approx(0.9, abs=0.01)


def test_masks_follow_the_seed_and_differ_between_layers():
    ones = tf.ones([50, 50])

    def mask(seed: int, index: int) -> np.ndarray:
        with dropout_feed(seed=tf.constant([1, seed])):
            return Dropout(0.5, index=index)(ones, training=True).numpy()

    assert np.array_equal(mask(7, 1), mask(7, 1))
    assert not np.array_equal(mask(7, 1), mask(8, 1))
    assert not np.array_equal(mask(7, 1), mask(7, 2))


def test_rows_of_a_batch_get_the_masks_that_they_would_get_in_it():
    seed, rows = tf.constant([1, 7]), [0, 3, 4, 8]
    with dropout_feed(seed=seed):
        whole = Dropout(0.5, index=1)(tf.ones([9, 20]), training=True).numpy()
    with dropout_feed(seed=seed, rows=tf.constant(rows), total=tf.constant(9)):
        part = Dropout(0.5, index=1)(tf.ones([4, 20]), training=True).numpy()
        none = Dropout(0.5, index=1)
    np.testing.assert_array_equal(part, whole[rows])
    with dropout_feed(seed=seed, rows=tf.zeros([0], tf.int32), total=tf.constant(9)):
        assert none(tf.ones([0, 20]), training=True).shape == (0, 20)


def test_the_feed_ends_with_its_block():
    with dropout_feed(keep_probability=tf.constant(0.5)):
        pass
    assert np.array_equal(Dropout(0.5)(tf.ones([9, 9])), tf.ones([9, 9]))


def test_standardise_takes_exposure_and_contrast_away():
    image = np.random.default_rng(0).integers(0, 120, (1, 9, 9, 3)).astype(np.float32)
    both = np.array(Standardise()(np.concatenate([image, 2 * image + 10])))
    np.testing.assert_allclose(both[0], both[1], atol=1e-5)
    np.testing.assert_allclose([both[0].mean(), both[0].std()], [0, 1], atol=1e-5)


def test_standardise_leaves_nothing_of_a_plain_picture_and_stays_float32():
    layer = Standardise(dtype="mixed_bfloat16")
    plain = layer(np.full((1, 4, 4, 3), 77, np.float32))
    assert plain.dtype == tf.float32 and not np.array(plain).any()


def test_standardise_divides_by_no_less_than_it_is_told():
    faint = np.random.default_rng(0).normal(9, 0.1, (2, 8, 8, 3)).astype(np.float32)
    np.testing.assert_allclose(np.std(Standardise(least=0.05)(faint), axis=(1, 2, 3)), 1, rtol=1e-3)
    np.testing.assert_allclose(np.std(Standardise(least=0.5)(faint), axis=(1, 2, 3)), 0.2, rtol=0.1)
    tensorflows = tf.image.per_image_standardization(faint)
    np.testing.assert_allclose(Standardise(least=(8 * 8 * 3) ** -0.5)(faint), tensorflows, atol=1e-4)
