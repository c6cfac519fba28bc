"""Confidence that means what it says: temperature scaling, and how far confidence and accuracy are apart."""

from dataclasses import dataclass

import numpy as np

BINS = 15
PRIOR_SPREAD = 0.5  # standard deviation of ln T before any picture was seen: T within 0.37 to 2.7 in 95 %
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
    pictures would push it anywhere, towards 0 when all of them are right, so ln T has a normal prior around
    T = 1 that fifty pictures outweigh. Of no pictures at all the result is 1.
    """
    from scipy.optimize import minimize_scalar
    from scipy.special import logsumexp

    logits = logits.astype(np.float64)
    of_label = logits[np.arange(len(labels)), labels]

    def negative_log_posterior(log_temperature: float) -> float:
        inverse = np.exp(-log_temperature)
        loss = np.sum(logsumexp(logits * inverse, axis=1) - of_label * inverse)
        return float(loss + 0.5 * (log_temperature / PRIOR_SPREAD) ** 2)

    bounds = (-np.log(LIMIT), np.log(LIMIT))
    return float(np.exp(minimize_scalar(negative_log_posterior, bounds=bounds, method="bounded").x))


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
