"""How much each of several networks counts in a weighted geometric mean of their probabilities.

Weights are fitted to the log-loss on pictures that none of the networks has learnt from. Where these are
few, the weights stay near to what the losses of the networks alone suggest. A network is left out where
pictures to which the weights were not fitted are answered better without it, by more than chance, or where
it hardly counts.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import log_softmax

CHOOSING = 2_000  # pictures by which networks are left out; of more, a part
FOLDS = 5  # to see what the weights do to pictures that they were not fitted to
# Pictures' worth of belief, where a picture counts by how unsure networks are of it: that a network is as
# sure as it should be, and that networks count by their losses once they are.
OWN_PRIOR, PRIOR = 10.0, 20.0
LUCK = 3.0  # nats of loss that a picture or two may bring by chance
LEAST_SHARE = 0.05  # of all weight; a network below it costs time and changes no answer
NEWTON_STEPS, MOST_STEP = 30, 1.0


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
    """The weights [C] once networks are left out that do harm or next to nothing.

    One does harm where the held-out loss is lower without it, by more than the standard error of that
    difference: a mean of good networks is worth more than a choice between them, so doubt keeps it.
    """
    some = np.argsort(labels, kind="stable")[:: math.ceil(len(labels) / CHOOSING)]
    chosen_by, of_class = log_probabilities[:, some], labels[some]
    kept = list(range(len(log_probabilities)))
    while len(kept) > 1:
        shares = _shares(chosen_by[kept], of_class)
        if shares.min() < LEAST_SHARE:
            kept.pop(int(shares.argmin()))
            continue
        with_all = _held_out_losses(chosen_by[kept], of_class)
        gains = {}
        for candidate in kept:
            rest = [each for each in kept if each != candidate]
            gains[candidate] = with_all - _held_out_losses(chosen_by[rest], of_class)
        worst = max(gains, key=lambda candidate: gains[candidate].mean())
        if gains[worst].mean() <= gains[worst].std() / math.sqrt(len(some)):
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
        mean = np.einsum("c,cnk->nk", weights, log_probabilities[:, held_out])
        losses[held_out] = _losses(mean, labels[held_out])
    return losses


def _fitted(log_probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The weights [C] of least loss, drawn towards those by which networks count by their own losses.

    These are the weights that make each network as sure as it should be, times a share: how much less its
    loss is than that of a guess, over the square of its loss.
    """
    own = _own(log_probabilities, labels)
    calibrated = own[:, None, None] * log_probabilities
    totals = np.array([_losses(each, labels).sum() for each in calibrated])
    guessed = len(labels) * math.log(log_probabilities.shape[2])
    shares = _of_sum_one(np.maximum(guessed - totals, 0) / (totals + LUCK) ** 2)
    return _drawn(log_probabilities, labels, own * shares, PRIOR)


def _own(log_probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """float64 [C]: the weight of each network alone, by which it is as sure as it should be."""
    alone = (each[np.newaxis] for each in log_probabilities)
    return np.array([_drawn(each, labels, np.ones(1), OWN_PRIOR)[0] for each in alone])


def _shares(log_probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """float64 [C], of sum 1: how much each network counts, however sure it is by itself."""
    own = _own(log_probabilities, labels)
    counts = np.divide(_fitted(log_probabilities, labels), own, out=np.zeros_like(own), where=own > 0)
    return _of_sum_one(counts)


def _of_sum_one(counts: np.ndarray) -> np.ndarray:
    """The shares [C] of counts of 0 or more; equal ones where all are 0."""
    return counts / counts.sum() if counts.any() else np.full(len(counts), 1 / len(counts))


def _losses(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """float64 [n]: the log-loss of each picture, for logits [n, K]."""
    return -log_softmax(logits, axis=1)[np.arange(len(labels)), labels]


def _drawn(
    log_probabilities: np.ndarray, labels: np.ndarray, towards: np.ndarray, prior: float
) -> np.ndarray:
    """The weights [C] of least loss and least distance from `towards`, by Newton's method.

    The loss is convex. A weight that would become negative stays at 0.
    """
    count = len(log_probabilities)
    of_label = log_probabilities[:, np.arange(len(labels)), labels]
    weights = towards
    for _ in range(NEWTON_STEPS):
        shares = np.exp(log_softmax(np.einsum("c,cnk->nk", weights, log_probabilities), axis=1))
        expected = np.einsum("nk,cnk->cn", shares, log_probabilities)
        centred = log_probabilities - expected[:, :, None]
        gradient = (expected - of_label).sum(axis=1) + prior * (weights - towards)
        curvature = np.einsum("nk,cnk,dnk->cd", shares, centred, centred) + prior * np.eye(count)
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
