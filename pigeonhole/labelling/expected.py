"""The accuracy to expect of the whole heap, from labels that were not chosen at random.

The pictures that are proposed for a label are hard ones: answers out of fold for these alone would make a
head that has 97 % of the heap right look like one of 80 %. So the labels tell how often an answer of some
certainty is right, and the certainty of the answers for the other pictures tells how many of those are.

The heads out of fold lack some of the labels that were chosen for what they teach, and so are worse than the
head is. That is allowed for by a share of how much more certain the answers for the other pictures are. The
constants were chosen on held-out parts of training pictures (docs/labelling.md).
"""

from typing import NamedTuple

import numpy as np

from pigeonhole.statistics import wilson_interval

FEWEST = 10  # judged pictures, copies counted once
MOST_CERTAIN = 7.0  # log-odds; what is beyond is not told apart
# Before any label is seen, the certainty is taken at its word, give or take these standard deviations.
SHIFT, SLOPE = 0.5, 0.25
LEARNT = 0.2  # of the difference in certainty, what the head has learnt from the pictures that are judged
STEPS = 25


class Accuracy(NamedTuple):
    """Share of pictures like those of the heap that are answered right, 0..1, and the range it may be in.

    `low` and `high` would be a 95 % interval if the labelled pictures were drawn at random. Where they were
    proposed, the truth is more often outside, mostly above: see docs/labelling.md.
    `total`: the judged pictures that it was found by, those that are copies of one another counted once.
    `labelled`: the share of these alone that is answered right, as a training by the labels measures it.
    """

    value: float
    low: float
    high: float
    total: int
    labelled: float


def log_odds(probabilities: np.ndarray) -> np.ndarray:
    """How certain each answer is: log-odds float64 [n] of the likeliest class, of probabilities [n, K]."""
    best = np.clip(probabilities.max(axis=1).astype(np.float64), 1e-6, 1 - 1e-6)
    return np.clip(np.log(best / (1 - best)), -MOST_CERTAIN, MOST_CERTAIN)


def accuracy(
    right: np.ndarray, certainty: np.ndarray, groups: np.ndarray, others: np.ndarray, weights: np.ndarray
) -> Accuracy | None:
    """Of a heap of m judged and u other pictures; None while there are too few judged ones.

    right, certainty, groups  [m]: is the answer out of fold right, its `log_odds`, and what copies share
    others, weights           [u]: `log_odds` of the answers for the other pictures, and how much each counts

    A logistic regression of `right` on the certainty (Platt, 1999) is averaged over the other pictures. Its
    uncertainty is that of the normal distribution at its maximum. The judged pictures, hard ones, count by
    what they are of the heap: alone once all are judged. The interval is Wilson's for as many pictures as
    have the same standard error, which are never more than were judged.
    """
    counts = np.bincount(np.unique(groups, return_inverse=True)[1]) if len(groups) else np.zeros(0)
    total = len(counts)
    if total < FEWEST:
        return None
    own = 1 / counts[np.unique(groups, return_inverse=True)[1]]
    labelled = float(np.average(right, weights=own))
    coefficients, covariance = _logistic(certainty, right.astype(np.float64), own)
    if len(others):
        gap = np.average(others, weights=weights) - np.average(certainty, weights=own)
        coefficients = coefficients + np.array([LEARNT * max(gap, 0), 0])
    inputs = np.column_stack([np.ones(len(others)), others])
    expected = _sigmoid(inputs @ coefficients)
    own = own * own.sum() / (own.sum() + weights.sum())
    size = own.sum() + weights.sum()
    value = float((own @ right + weights @ expected) / size)
    slope = (weights * expected * (1 - expected)) @ inputs / size
    variance = slope @ covariance @ slope + value * (1 - value) * (own @ own) / size**2
    spread = max(value * (1 - value), 1 / (4 * total**2))
    equal = float(min(total, spread / max(variance, spread / total)))
    return Accuracy(value, *wilson_interval(value * equal, equal), total, labelled)


def _logistic(certainty: np.ndarray, right: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Shift and slope by Newton's method, and their covariance [2, 2]."""
    inputs = np.column_stack([np.ones(len(certainty)), certainty])
    usual, precision = np.array([0.0, 1.0]), np.diag([SHIFT**-2, SLOPE**-2])
    found = usual
    for _ in range(STEPS):
        share = _sigmoid(inputs @ found)
        gradient = inputs.T @ (weights * (share - right)) + precision @ (found - usual)
        hessian = (inputs.T * (weights * share * (1 - share))) @ inputs + precision
        found = found - np.linalg.solve(hessian, gradient)
    return found, np.linalg.inv(hessian)


def _sigmoid(values: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-values))
