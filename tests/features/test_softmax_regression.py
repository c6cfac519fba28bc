"""Many logistic regressions at once: each is the one that scikit-learn fits alone."""

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from pigeonhole.features import softmax_regression

PENALTIES = np.array([1.0, 0.1, 0.01])


@pytest.fixture(scope="module")
def digits() -> tuple[np.ndarray, np.ndarray]:
    images, labels = load_digits(return_X_y=True)
    spread = np.where(images.std(axis=0) > 0, images.std(axis=0), 1)
    return ((images - images.mean(axis=0)) / spread).astype(np.float32), labels


def test_each_is_scikit_learns_with_its_own_rows_weights_and_penalty(digits):
    rows, labels = digits
    weights = np.ones((len(rows), 3), np.float32)
    weights[::2, 1] = 0
    weights[:, 2] = 1 + labels
    fitted = softmax_regression.fit(rows, labels, weights, PENALTIES, tolerance=1e-9)
    for number, penalty in enumerate(PENALTIES):
        weight = weights[:, number].astype(np.float64)
        alone = LogisticRegression(C=1 / (penalty * weight.sum()), max_iter=2000, tol=1e-9)
        with threadpool_limits(1):
            alone.fit(rows.astype(np.float64), labels, sample_weight=weight)
        assert np.abs(fitted.kernel[..., number] - alone.coef_.T).max() < 1e-3
        answers = fitted.log_probabilities(rows)[..., number]
        assert np.abs(answers - alone.predict_log_proba(rows.astype(np.float64))).max() < 0.03


def test_the_usual_tolerance_is_near_enough(digits):
    rows, labels = digits
    weights = np.ones((len(rows), 3), np.float32)
    fits = (softmax_regression.fit(rows, labels, weights, PENALTIES, each) for each in (1e-4, 1e-9))
    usual, exact = (fit.log_probabilities(rows)[np.arange(len(rows)), labels].mean(axis=0) for fit in fits)
    assert np.abs(usual - exact).max() < 3e-3


def test_they_do_not_depend_on_being_fitted_together(digits, monkeypatch):
    rows, labels = digits
    weights = np.ones((len(rows), 3), np.float32)
    together = softmax_regression.fit(rows, labels, weights, PENALTIES)
    monkeypatch.setattr(softmax_regression, "MOST_VALUES", 1)
    alone = softmax_regression.fit(rows, labels, weights, PENALTIES)
    np.testing.assert_allclose(together.kernel, alone.kernel, atol=1e-4)


def test_a_class_without_a_row_gets_no_probability(digits):
    rows, labels = digits
    weights = np.stack([labels != 3, labels >= 0], axis=1).astype(np.float32)
    fitted = softmax_regression.fit(rows, labels, weights, PENALTIES[:2])
    answers = np.exp(fitted.log_probabilities(rows))
    assert (answers[:, 3, 0] == 0).all()
    assert (fitted.kernel[:, 3, 0] == 0).all()
    np.testing.assert_allclose(answers.sum(axis=1), 1, atol=1e-5)
    assert answers[labels == 3, 3, 1].mean() > 0.5


@pytest.mark.parametrize("columns", [0, 4])
def test_rows_that_say_nothing_give_the_shares_of_the_classes(columns):
    labels = np.array([0, 0, 0, 1])
    rows = np.zeros((4, columns), np.float32)
    fitted = softmax_regression.fit(rows, labels, np.ones((4, 1), np.float32), PENALTIES[:1])
    np.testing.assert_allclose(np.exp(fitted.log_probabilities(rows))[:, :, 0], [[0.75, 0.25]] * 4, atol=1e-5)


def test_almost_no_penalty_on_rows_that_a_plane_separates_still_ends():
    labels = np.arange(40) % 2
    rows = np.random.default_rng(0).standard_normal((40, 100)).astype(np.float32)
    fitted = softmax_regression.fit(rows, labels, np.ones((40, 1), np.float32), np.array([1e-9]))
    assert np.isfinite(fitted.kernel).all()
    assert (fitted.log_probabilities(rows)[..., 0].argmax(axis=1) == labels).all()
