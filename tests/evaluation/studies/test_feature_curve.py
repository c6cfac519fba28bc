import numpy as np
import pytest

from pigeonhole.errors import PigeonholeError
from pigeonhole.evaluation.studies import feature_curve

CLASSES = ["cat", "dog", "owl"]


def pictures(count: int, noise: float = 3.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Classes that a linear head can tell better the more pictures it has seen."""
    random = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    centres = np.random.default_rng(99).normal(0, 1, (3, 40))
    return (centres[labels] + random.normal(0, noise, (count, 40))).astype(np.float32), labels


def test_the_curve_rises_and_forecasts_what_more_pictures_bring():
    features, labels = pictures(400)
    curve = feature_curve.measure(features, labels, np.arange(400) // 3 % 4, CLASSES)
    assert curve.sizes == (75, 150, 300)
    assert curve.total == curve.pictures == 400
    assert curve.accuracies[0] < curve.accuracies[2]
    more, more_labels = pictures(1600, seed=1)
    truth = feature_curve.measure(more, more_labels, np.arange(1600) // 3 % 4, CLASSES).accuracies
    forecast = curve.forecast(1200)
    assert forecast.low < truth[2] < forecast.high
    assert forecast.accuracy > curve.accuracies[2]


def test_no_picture_is_judged_by_a_head_that_has_seen_it():
    """The classes cannot be told: whoever has seen the pictures would know better."""
    features, _ = pictures(240)
    labels = np.random.default_rng(1).integers(0, 3, 240)
    curve = feature_curve.measure(features, labels, np.arange(240) % 5, CLASSES)
    assert max(curve.accuracies) < 0.45


def test_copies_that_share_a_fold_tell_nothing_about_each_other():
    features, _ = pictures(120)
    labels = np.random.default_rng(1).integers(0, 3, 120)
    twice = np.concatenate([features, features]), np.concatenate([labels, labels]), np.arange(240) % 120 % 5
    assert max(feature_curve.measure(*twice, CLASSES).accuracies) < 0.5


def test_a_class_that_a_small_part_lacks_is_no_error():
    features, labels = pictures(60)
    labels[:] = np.where(np.arange(60) < 2, 2, np.arange(60) % 2)
    curve = feature_curve.measure(features, labels, np.arange(60) % 5, CLASSES)
    assert np.isfinite(curve.forecast(120)).all()


def test_too_few_pictures_are_refused():
    features, labels = pictures(23)
    with pytest.raises(PigeonholeError, match="3 classes takes at least 24 training pictures, not 23"):
        feature_curve.measure(features, labels, np.arange(23) % 5, CLASSES)
