"""The head on frozen features: fitted to all pictures, judged out of fold."""

from pathlib import Path

import numpy as np
import pytest
from scipy.special import log_softmax
from sklearn.datasets import load_digits

from pigeonhole.errors import PigeonholeError
from pigeonhole.evaluation import measures
from pigeonhole.evaluation.evaluation import Evaluation
from pigeonhole.evaluation.studies import suspects
from pigeonhole.features import head
from pigeonhole.features.head import Head, Options
from pigeonhole.model.calibration import expected_calibration_error
from pigeonhole.statistics import wilson_interval


def fit(features: np.ndarray, labels, groups=None, **options) -> Head:
    """A head for features [n, D] of pictures that are their own mirror images."""
    groups = np.arange(len(labels)) if groups is None else groups
    return head.fit(features, features, np.asarray(labels), groups, Options(**options))


def noise(n: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, width)).astype(np.float32)


def right(fitted: Head, labels) -> np.ndarray:
    return fitted.log_probabilities.argmax(axis=1) == labels


@pytest.fixture(scope="module")
def digits() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pixels of 1,000 digits, of their mirror images, and the labels."""
    images, labels = load_digits(return_X_y=True)
    images = images[:1000].reshape(-1, 8, 8)
    flat = (each.reshape(len(each), -1).astype(np.float16) for each in (images, images[:, :, ::-1]))
    return *flat, labels[:1000]


@pytest.fixture(scope="module")
def fitted(digits) -> Head:
    plain, mirrored, labels = digits
    return head.fit(plain, mirrored, labels, np.arange(len(labels)))


def test_out_of_fold_answers_are_honest_and_mirrored_digits_are_no_help(digits, fitted):
    plain, mirrored, labels = digits
    images, every = load_digits(return_X_y=True)
    new, new_labels = images[1000:].astype(np.float32), every[1000:]
    answers = fitted.answer(new, np.zeros_like(new))
    assert not fitted.mirror_average
    accuracy, expected = np.mean(answers.argmax(axis=1) == new_labels), right(fitted, labels).mean()
    assert 0.9 < accuracy <= expected + 0.03
    low, high = wilson_interval(int(right(fitted, labels).sum()), len(labels))
    assert low < expected < high
    # other writers, so not within the interval; but the head itself knows the pictures that it was fitted to
    assert np.mean(fitted.answer(plain, mirrored).argmax(axis=1) == labels) > expected
    assert fitted.judged.all()


def test_kernel_and_bias_are_all_that_answers(digits, fitted):
    plain, mirrored, _ = digits
    own = log_softmax(plain.astype(np.float32) @ fitted.kernel + fitted.bias, axis=1)
    np.testing.assert_allclose(fitted.answer(plain, mirrored), own, atol=1e-5)
    assert fitted.kernel.dtype == fitted.bias.dtype == np.float32
    assert fitted.kernel.shape == (64, 10)
    assert fitted.setting.startswith(("standardised features, penalty", "little scaled features, penalty"))


def test_answers_with_the_mirror_image_are_the_means_of_both():
    random = np.random.default_rng(0)
    labels = np.arange(200) % 2
    sides = random.standard_normal((2, 200, 30)).astype(np.float32) * 3
    sides[:, :, 0] += 4 * labels
    chosen = head.fit(*sides, labels, np.arange(200))
    assert chosen.mirror_average
    assert "averaged with the mirror image" in chosen.setting
    logits = [each @ chosen.kernel + chosen.bias for each in sides]
    np.testing.assert_allclose(chosen.answer(*sides), log_softmax(sum(logits) / 2, axis=1), atol=1e-4)


def test_pictures_alone_are_enough():
    labels = np.arange(200) % 2
    plain = noise(200, 30) + 2 * np.eye(30, dtype=np.float32)[labels]
    chosen = head.fit(plain, None, labels, np.arange(200), Options(last=slice(0, 10)))
    assert not chosen.mirror_average and "mirror image" not in chosen.setting
    own = log_softmax(plain @ chosen.kernel + chosen.bias, axis=1)
    np.testing.assert_allclose(chosen.answer(plain, None), own, atol=1e-4)
    assert np.mean(own.argmax(axis=1) == labels) > 0.85


def test_the_last_layer_can_win_alone():
    labels = np.arange(90) % 3
    features = noise(90, 900) * 5
    features[:, 600:] = noise(90, 300, seed=1) + 2 * np.eye(300, dtype=np.float32)[labels]
    with_last = fit(features, labels, last=slice(600, 900))
    assert with_last.setting.startswith("standardised features of the last layer, averaged")
    assert (with_last.kernel[:600] == 0).all() and with_last.kernel[600:].any(axis=1).all()
    assert right(with_last, labels).mean() > right(fit(features, labels), labels).mean()


def test_the_answers_serve_all_that_judges_a_network(digits, fitted):
    plain, _, labels = digits
    answers = fitted.log_probabilities
    judged = Evaluation(
        root=Path("digits"),
        classes=tuple("0123456789"),
        names=[str(number) for number in range(len(labels))],
        labels=labels,
        images=np.zeros((len(labels), 8, 8, 1), np.uint8),
        logits=answers,
        probabilities=np.exp(answers),
        features=plain,
        unsure=np.zeros(len(labels), bool),
        digests=[""] * len(labels),
    )
    figures = measures.measure(judged)
    assert figures.accuracy == right(fitted, labels).mean()
    assert figures.interval == wilson_interval(figures.right, 1000)
    assert figures.confusion.sum() == 1000
    # calibrated as it is: the penalty was chosen by log-loss
    assert expected_calibration_error(np.exp(answers), labels) < 0.03


def test_wrong_labels_are_found_by_the_answers(digits):
    plain, mirrored, labels = digits
    flipped = np.random.default_rng(0).permutation(1000)[:50]
    given = labels.copy()
    given[flipped] = (given[flipped] + 3) % 10
    answers = np.exp(head.fit(plain, mirrored, given, np.arange(1000)).log_probabilities)
    found = np.flatnonzero(suspects.doubt(answers, given) > suspects.CUT)
    hits = len(set(found) & set(flipped))
    assert hits >= 0.7 * len(flipped) and hits >= 0.9 * len(found)


def test_copies_stay_together_and_flatter_nobody():
    features, labels = np.repeat(noise(60, 200), 4, axis=0), np.repeat(np.arange(60) % 2, 4)
    groups = np.repeat(np.arange(60), 4)
    fitted = fit(features, labels, groups)
    assert all(len(set(fitted.folds[groups == group])) == 1 for group in range(60))
    assert right(fitted, labels).mean() < 0.7
    assert right(fit(features, labels), labels).mean() > 0.9  # as if copies were new pictures


@pytest.mark.parametrize("width", [5, 400])
def test_choosing_among_settings_flatters_no_answer(width):
    """Features that tell nothing: right by chance, and no more sure than the shares of the classes."""
    shares, losses = [], []
    for seed in range(12):
        labels = np.random.default_rng(100 + seed).permutation(np.arange(90) % 3)
        fitted = fit(noise(90, width, seed), labels, seed=seed)
        shares.append(right(fitted, labels).mean())
        losses.append(-fitted.log_probabilities[np.arange(90), labels].mean())
    error = np.std(shares, ddof=1) / np.sqrt(len(shares))
    assert np.mean(shares) < 1 / 3 + 2 * error
    assert np.log(3) - 0.005 < np.mean(losses) < np.log(3) + 0.05


def test_weighted_classes_are_answered_more_often():
    labels = np.r_[np.zeros(180, int), np.ones(20, int)]
    features = noise(200, 3)
    features[:, 0] += labels
    found = [
        fit(features, labels, class_weights=weights).log_probabilities.argmax(axis=1)
        for weights in (None, np.array([200 / 360, 200 / 40]))
    ]
    recalls = [np.mean(each[labels == 1] == 1) for each in found]
    assert recalls[0] < 0.4 and recalls[1] > recalls[0] + 0.2


def test_two_classes_of_three_pictures():
    labels = np.array([0, 1, 0, 1, 0, 1])
    features = noise(6, 50)
    features[labels == 1] += 3
    fitted = fit(features, labels)
    assert sorted(fitted.folds) == [0, 0, 1, 1, 2, 2]
    assert right(fitted, labels).all()


def test_a_class_of_one_picture_cannot_be_judged_but_is_learnt():
    labels = np.r_[np.arange(40) % 2, 2]
    features = noise(41, 20) + 3 * np.eye(20, dtype=np.float32)[labels]
    fitted = fit(features, labels)
    assert fitted.judged.tolist() == [True] * 40 + [False]
    assert np.isfinite(fitted.log_probabilities).all()
    np.testing.assert_allclose(np.exp(fitted.log_probabilities).sum(axis=1), 1, atol=1e-4)
    assert -6 < fitted.log_probabilities[-1, 2] < -2
    assert fitted.answer(features, features)[-1].argmax() == 2


@pytest.mark.parametrize("features", [np.full((30, 40), 7.0), np.zeros((30, 1))], ids=["constant", "zero"])
def test_pictures_that_look_alike_are_answered_with_the_shares(features):
    labels = np.r_[np.zeros(20, int), np.ones(10, int)]
    fitted = fit(features.astype(np.float16), labels)
    answers = np.exp(fitted.answer(features, features))
    np.testing.assert_allclose(answers, [[2 / 3, 1 / 3]] * 30, atol=1e-3)
    assert right(fitted, labels).mean() == pytest.approx(2 / 3)


def test_many_classes_of_two_pictures():
    labels = np.repeat(np.arange(100), 2)
    centres = noise(100, 60)
    fitted = fit(centres[labels] + 0.5 * noise(200, 60, seed=1), labels)
    assert sorted(np.bincount(fitted.folds)) == [100, 100]
    assert right(fitted, labels).mean() > 0.9


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_features_that_are_not_finite_are_refused(value):
    features = noise(1500, 4)
    features[1234, 2] = value
    with pytest.raises(PigeonholeError, match="picture 1,235 are not finite"):
        fit(features, np.arange(1500) % 2)


def test_what_cannot_be_judged_is_refused():
    with pytest.raises(PigeonholeError, match="two classes"):
        fit(noise(5, 3), [0] * 5)
    with pytest.raises(PigeonholeError, match="only one picture, apart from copies"):
        fit(noise(4, 3), [0, 0, 1, 1], groups=np.array([5, 5, 7, 7]))


@pytest.mark.parametrize("labels", [[0, 0, 2, 2], [0, 0, 1, 1, 1]], ids=["class without picture", "too many"])
def test_arrays_that_do_not_fit_are_refused(labels):
    with pytest.raises(ValueError):
        fit(noise(4, 3), labels)


@pytest.mark.parametrize("weights", [[1.0], [1.0, 0.0], [1.0, np.nan]])
def test_class_weights_must_be_positive(weights):
    with pytest.raises(ValueError, match="class weights"):
        fit(noise(6, 3), [0, 1] * 3, class_weights=np.array(weights))


def test_the_same_seed_gives_the_same_bits(digits, fitted):
    plain, mirrored, labels = digits
    again = head.fit(plain, mirrored, labels, np.arange(len(labels)))
    assert (again.kernel == fitted.kernel).all()
    assert (again.log_probabilities == fitted.log_probabilities).all()
    other = head.fit(plain, mirrored, labels, np.arange(len(labels)), Options(seed=1))
    assert (other.folds != fitted.folds).any()
