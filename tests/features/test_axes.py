"""Principal axes: what they keep, what they leave out, and that a kernel can be carried back."""

import numpy as np
import pytest

from pigeonhole.features import axes


def features(n: int, width: int, seed: int = 0) -> np.ndarray:
    """float32 [n, width], correlated, of different means and spreads."""
    random = np.random.default_rng(seed)
    mixed = random.standard_normal((n, width)) @ random.standard_normal((width, width))
    return (mixed * np.geomspace(0.1, 10, width) + 5).astype(np.float32)


@pytest.mark.parametrize(("n", "width"), [(400, 30), (20, 30)], ids=["more pictures", "more features"])
@pytest.mark.parametrize("exponent", [1, 0.25])
def test_all_axes_keep_all_distances(n, width, exponent, monkeypatch):
    monkeypatch.setattr(axes, "DOUBT", 0)
    given = features(n, width)
    found = axes.leading(given, 100, exponent).coordinates(given)
    scaled = given / given.std(axis=0) ** exponent / np.median(given.var(axis=0)) ** ((1 - exponent) / 2)
    distances = [np.linalg.norm(each[:, None] - each[None], axis=-1) for each in (found, scaled)]
    np.testing.assert_allclose(*distances, atol=0.05)
    assert found.shape[1] <= min(n - 1, width)


def test_axes_are_uncorrelated_and_the_largest_come_first():
    given = features(400, 30)
    found = axes.leading(given, 10).coordinates(given)
    covariance = np.cov(found.T)
    assert found.shape == (400, 10)
    np.testing.assert_allclose(covariance, np.diag(covariance.diagonal()), atol=1e-3)
    assert (np.diff(covariance.diagonal()) < 0).all()


def test_a_kernel_for_coordinates_is_one_for_features():
    given, new = features(50, 30), features(7, 30, seed=1)
    found = axes.leading(given, 12)
    kernel, bias = np.random.default_rng(0).standard_normal((12, 3)), np.array([0.0, 1.0, 2.0])
    unfolded, shifted = found.unfold(kernel, bias)
    np.testing.assert_allclose(new @ unfolded + shifted, found.coordinates(new) @ kernel + bias, atol=1e-3)


def test_constant_features_count_for_nothing():
    given = features(50, 30)
    given[:, :4] = [0, 1, 1 / 3, 1e6]
    found = axes.leading(given, 100)
    assert (found.directions[:4] == 0).all()
    assert found.directions.shape[1] == 26
    assert axes.leading(np.full((50, 30), 1 / 3, np.float32), 100).directions.shape == (30, 0)


def test_a_feature_that_few_pictures_hardly_show_does_not_outweigh_all_others_later():
    given, new = (
        np.random.default_rng(seed).standard_normal((12, 300)).astype(np.float32) for seed in (0, 1)
    )
    given[:, 200:] *= 1e-3
    sizes = [
        np.square(axes.leading(given, 100).coordinates(each)).sum(axis=1).mean() for each in (given, new)
    ]
    assert sizes[1] < 3 * sizes[0]
