"""The learning curve of a head on frozen features: in seconds, and no picture has to be set apart for it."""

from collections.abc import Sequence

import numpy as np

from pigeonhole.data.parallel import available_cores, in_parallel
from pigeonhole.evaluation.studies.learning_curve import PARTS, Curve, carry_on, require, stratified_order
from pigeonhole.features import axes, softmax_regression
from pigeonhole.features.neighbours import Rows
from pigeonhole.features.threads import one_thread

MOST_AXES = 400
PENALTIES = 10 ** np.array([0.5, -0.5, -1.5, -2.5])  # one is chosen for each part


def measure(
    features: Rows, labels: np.ndarray, folds: np.ndarray, classes: Sequence[str], seed: int = 0
) -> Curve:
    """Fit heads to parts of the pictures, ask each about the fold it has not seen, and carry the curve on.

    features  [n, D], those that the head sees
    labels    int [n], positions in `classes`
    folds     int [n]; copies share a fold

    Each part holds the same share of every class. All are judged by all pictures: for each part there is one
    head for each fold, fitted to as much of the others. Raises PigeonholeError where there are too few
    pictures.
    """
    require(len(labels), len(classes))
    parts = [(part, number) for part, repetitions in PARTS for number in range(repetitions)] + [(1.0, 0)]
    every = np.unique(folds)
    seen = np.zeros((len(labels), len(parts), len(every)), np.float32)
    for position, fold in enumerate(every):
        others = np.flatnonzero(folds != fold)
        for which, (part, number) in enumerate(parts):
            order = stratified_order(labels[others], seed + number)
            seen[others[order[: round(part * len(others))]], which, position] = 1
    sizes = [round(size) for size in seen.sum(axis=0).mean(axis=1)]
    right = _right(np.asarray(features[:], np.float32), labels, folds, seen)
    return carry_on(sizes, right, labels, np.bincount(labels, minlength=len(classes)), classes)


def _right(features: np.ndarray, labels: np.ndarray, folds: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """bool [T, n]: which pictures the heads of each part have right, each by the head that has not seen it.

    `seen` float32 [n, T, F], 1 for the pictures that the head of a part and a fold is fitted to.
    """
    count, num_parts, num_folds = seen.shape
    fold_of = np.unique(folds, return_inverse=True)[1]
    own = np.empty((num_parts, len(PENALTIES), count))
    best = np.empty((num_parts, len(PENALTIES), count), np.int64)

    def fit_and_ask(which: int) -> None:
        weights = np.repeat(seen[:, which], len(PENALTIES), axis=1)
        fitted = softmax_regression.fit(coordinates, labels, weights, np.tile(PENALTIES, num_folds))
        kernel, bias = (part.reshape(*part.shape[:-1], num_folds, -1) for part in fitted)
        for fold in range(num_folds):
            rows = np.flatnonzero(fold_of == fold)
            heads = softmax_regression.Regressions(kernel[..., fold, :], bias[..., fold, :])
            answers = heads.log_probabilities(coordinates[rows])
            own[which][:, rows] = answers[np.arange(len(rows)), labels[rows]].T
            best[which][:, rows] = answers.argmax(axis=1).T

    with one_thread():
        coordinates = axes.leading(features, MOST_AXES).coordinates(features)
        list(in_parallel(fit_and_ask, range(num_parts), available_cores()))
    losses = -np.maximum(own, -np.log(count)).sum(axis=2)  # a class that a part lacks counts as that rare
    return best[np.arange(num_parts), losses.argmin(axis=1)] == labels
