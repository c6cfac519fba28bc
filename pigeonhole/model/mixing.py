"""How much each of several networks counts in a weighted geometric mean of their probabilities.

Weights are fitted to the log-loss on pictures that none of the networks has learnt from. A network that does
not lower it beyond chance counts nothing.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import log_softmax

CHOOSING = 2_000  # pictures by which networks are left out; of more, a part
FOLDS = 5  # to see what the weights do to pictures that they were not fitted to
PRIOR = 2.0  # pictures' worth of belief that all count alike
NEWTON_STEPS, MOST_STEP = 30, 1.0
ENOUGH_GAIN = 1.0  # standard errors of the mean loss that a network must take off to stay


class Mixture(NamedTuple):
    """`weights`: float64 [C], 0 or more, one for each of C networks; 0: it is left out.

    `out_of_fold`: float32 [n, K], logits of the mean for each picture, by weights fitted without it.
    """

    weights: np.ndarray
    out_of_fold: np.ndarray


def fit(logits: Sequence[np.ndarray], labels: np.ndarray, single: bool = False) -> Mixture:
    """Weights for C networks with these `logits`, each float [n, K], for pictures of classes int [n].

    `single`: all but the one with the least loss are left out.

    The choice of networks is made again without each fifth of the pictures, so that the answers out of fold
    owe nothing to it.
    """
    log_probabilities = np.stack([log_softmax(np.asarray(each, np.float64), axis=1) for each in logits])
    out_of_fold = np.empty(log_probabilities.shape[1:], np.float32)
    folds, choose = _folds(labels), _best if single else _chosen
    for fold in range(FOLDS):
        held_out = folds == fold
        if held_out.all() or not held_out.any():
            continue
        weights = choose(log_probabilities[:, ~held_out], labels[~held_out])
        out_of_fold[held_out] = np.einsum("c,cnk->nk", weights, log_probabilities[:, held_out])
    return Mixture(choose(log_probabilities, labels), out_of_fold)


def _best(log_probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The weights [C] that leave only the network of least loss."""
    losses = [_held_out_losses(each[np.newaxis], labels).mean() for each in log_probabilities]
    best = [int(np.argmin(losses))]
    weights = np.zeros(len(log_probabilities))
    weights[best] = _fitted(log_probabilities[best], labels)
    return weights


def _chosen(log_probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The weights [C] once all networks are left out that do not lower the loss beyond chance."""
    some = np.argsort(labels, kind="stable")[:: math.ceil(len(labels) / CHOOSING)]
    chosen_by = log_probabilities[:, some]
    kept = list(range(len(log_probabilities)))
    while len(kept) > 1:
        with_all = _held_out_losses(chosen_by[kept], labels[some])
        excess = {}
        for candidate in kept:
            rest = [each for each in kept if each != candidate]
            difference = _held_out_losses(chosen_by[rest], labels[some]) - with_all
            error = difference.std() / np.sqrt(len(difference)) or 1e-12
            excess[candidate] = difference.mean() / error
        worst = min(excess, key=excess.get)
        if excess[worst] > ENOUGH_GAIN:
            break
        kept.remove(worst)
    weights = np.zeros(len(log_probabilities))
    weights[kept] = _fitted(log_probabilities[kept], labels)
    return weights


def _held_out_losses(log_probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """float64 [n]: of each picture, by weights fitted to the other folds."""
    losses = np.zeros(len(labels))
    folds = _folds(labels)
    for fold in np.unique(folds):
        held_out = folds == fold
        rest = ~held_out if not held_out.all() else held_out
        weights = _fitted(log_probabilities[:, rest], labels[rest])
        mean = log_softmax(np.einsum("c,cnk->nk", weights, log_probabilities[:, held_out]), axis=1)
        losses[held_out] = -mean[np.arange(held_out.sum()), labels[held_out]]
    return losses


def _fitted(log_probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The weights [C] of least loss, drawn a little towards equal ones that sum to 1, by Newton's method.

    The loss is convex. A weight that would become negative stays at 0.
    """
    count = len(log_probabilities)
    equal = np.full(count, 1 / count)
    of_label = log_probabilities[:, np.arange(len(labels)), labels]
    weights = equal
    for _ in range(NEWTON_STEPS):
        shares = np.exp(log_softmax(np.einsum("c,cnk->nk", weights, log_probabilities), axis=1))
        expected = np.einsum("nk,cnk->cn", shares, log_probabilities)
        centred = log_probabilities - expected[:, :, None]
        gradient = (expected - of_label).sum(axis=1) + PRIOR * (weights - equal)
        curvature = np.einsum("nk,cnk,dnk->cd", shares, centred, centred) + PRIOR * np.eye(count)
        free = (weights > 0) | (gradient < 0)
        step = np.zeros(count)
        step[free] = np.linalg.solve(curvature[np.ix_(free, free)], gradient[free])
        weights = np.maximum(0, weights - step * min(1, MOST_STEP / max(np.abs(step).max(), 1e-12)))
        if np.abs(step).max() < 1e-4:
            break
    return weights


def _folds(labels: np.ndarray) -> np.ndarray:
    """int [n]: the fold of each picture; the classes are spread over them evenly."""
    folds = np.empty(len(labels), np.int64)
    folds[np.argsort(labels, kind="stable")] = np.arange(len(labels)) % FOLDS
    return folds
