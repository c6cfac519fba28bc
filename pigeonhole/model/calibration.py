"""Confidence that means what it says: temperature scaling, and how far confidence and accuracy are apart."""

from dataclasses import dataclass

import numpy as np

BINS = 15
PRIOR_SPREAD = 0.5  # standard deviation of ln T before any picture was seen: T within 0.37 to 2.7 in 95 %
FOLDS = 5  # to see whether a temperature helps with pictures that it was not fitted to
ENOUGH = 200  # pictures; a temperature fitted to fewer is trusted in part
MOST_LOGITS = 4_000_000  # to fit to; with 10 classes 400,000 pictures
LIMIT = 20.0  # no temperature beyond it, nor below one over it


@dataclass(frozen=True)
class Bin:
    """The answers whose confidence is above `low` and at most `high`: how many, and how good.

    `confidence` and `accuracy` are their means, 0..1, None where there is no such answer.
    """

    low: float
    high: float
    count: int
    confidence: float | None
    accuracy: float | None


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """The T by which logits are to be divided so that their softmax is calibrated, above 0.

    `logits` float [N, K] and `labels` int [N] of validation pictures. T is where the negative log-likelihood
    is least (Guo, Pleiss, Sun and Weinberger, "On Calibration of Modern Neural Networks", 2017). A handful of
    pictures would push it anywhere, so ln T has a normal prior around T = 1. Of fewer than `ENOUGH` pictures
    it is taken down further, by as much as temperatures fitted to four fifths of them differ. The result is 1
    where these do not make the labels of the other fifth likelier.
    """
    rows = max(ENOUGH, MOST_LOGITS // logits.shape[1])
    if len(labels) > rows:  # thousands of classes: a part of the pictures tells as much
        chosen = np.linspace(0, len(labels) - 1, rows).astype(np.int64)
        logits, labels = logits[chosen], labels[chosen]
    fold_of = np.empty(len(labels), np.int64)
    fold_of[np.argsort(labels, kind="stable")] = np.arange(len(labels)) % FOLDS  # each class in all alike
    parts, gain = [], 0.0
    for out in (fold_of == fold for fold in np.unique(fold_of)):
        parts.append(_fit(logits[~out], labels[~out]))
        gain += _loss(logits[out], labels[out], 0.0) - _loss(logits[out], labels[out], parts[-1])
    if gain <= 0:
        return 1.0
    fitted = _fit(logits, labels)
    doubt = min(1.0, (len(parts) - 1) * float(np.var(parts)) / fitted**2)  # the jackknife's variance
    return float(np.exp(fitted * (1 - max(0.0, 1 - len(labels) / ENOUGH) * doubt)))


def _fit(logits: np.ndarray, labels: np.ndarray) -> float:
    """ln T as the prior and these pictures have it."""
    from scipy.optimize import minimize_scalar

    def negative_log_posterior(log_temperature: float) -> float:
        prior = 0.5 * (log_temperature / PRIOR_SPREAD) ** 2
        return float(_loss(logits, labels, log_temperature) + prior)

    bounds = (-np.log(LIMIT), np.log(LIMIT))
    return float(minimize_scalar(negative_log_posterior, bounds=bounds, method="bounded").x)


def _loss(logits: np.ndarray, labels: np.ndarray, log_temperature: float) -> float:
    """The negative log-likelihood (nats) of all labels at this temperature."""
    from scipy.special import logsumexp

    logits = logits.astype(np.float64)
    inverse = np.exp(-log_temperature)
    return np.sum(logsumexp(logits * inverse, axis=1) - logits[np.arange(len(labels)), labels] * inverse)


def reliability(probabilities: np.ndarray, labels: np.ndarray, bins: int = BINS) -> list[Bin]:
    """How often answers of each confidence are right: `bins` bins of equal width, the least confident first.

    `probabilities` float [N, K]; `labels` int [N], positions among the K.
    """
    confidence = probabilities.max(axis=1).astype(np.float64)
    right = probabilities.argmax(axis=1) == labels
    position = np.clip(np.ceil(confidence * bins) - 1, 0, bins - 1)
    made = []
    for number in range(bins):
        inside = position == number
        count = int(inside.sum())
        means = (float(confidence[inside].mean()), float(right[inside].mean())) if count else (None, None)
        made.append(Bin(number / bins, (number + 1) / bins, count, *means))
    return made


def expected_calibration_error(probabilities: np.ndarray, labels: np.ndarray, bins: int = BINS) -> float:
    """The gap between confidence and accuracy, 0..1, the mean over the answers bin by bin.

    As `reliability` sorts them (Naeini, Cooper and Hauskrecht, "Obtaining Well Calibrated Probabilities Using
    Bayesian Binning", 2015). Even a perfectly calibrated model shows some error on few pictures.
    """
    filled = [each for each in reliability(probabilities, labels, bins) if each.count]
    return sum(each.count * abs(each.accuracy - each.confidence) for each in filled) / len(labels)
