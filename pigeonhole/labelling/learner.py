"""A classifier that is fitted anew after each decision: logistic regression on a few axes of the features.

`features.head` looks for the best head in some seconds. This one looks at 128 axes and few penalties, so that
5,000 labels take it half a second.
"""

from typing import NamedTuple

import numpy as np

from pigeonhole.data.folds import deal
from pigeonhole.features import cross_validation, softmax_regression
from pigeonhole.features.softmax_regression import Regressions
from pigeonhole.features.threads import one_thread
from pigeonhole.labelling import expected
from pigeonhole.labelling.expected import Accuracy

PENALTIES = 10.0 ** np.array([0.5, -0.5, -1.5])
FIRST_PENALTY = 1  # its position, where too few labels tell
FEWEST_TO_CHOOSE = 10  # labels out of fold that choose the penalty
FEW = 1_000  # labels, which are fitted to closely
CLOSE, COARSE = 1e-5, 1e-4  # nats per picture
MOST_FOLDS = 5
# With more labels, a random part of them chooses the penalty and there are fewer folds: a third of the time.
MANY, CHOOSING, FOLDS_OF_MANY = 2_000, 1_000, 3


class Fitted(NamedTuple):
    """What a fitted learner says to all n pictures.

    probabilities  float32 [n, K]
    rows           int64 [m], the labelled pictures, ascending
    out_of_fold    float32 [m, K], probabilities by heads that have seen neither the picture nor a copy of it
    judged         bool [m], False where those heads have seen no picture of its class: they cannot be right
    accuracy       to expect of pictures like these, see `labelling.expected`; None for too few labels
    head           what the probabilities are by; None where all pictures get the same answer
    """

    probabilities: np.ndarray
    rows: np.ndarray
    out_of_fold: np.ndarray
    judged: np.ndarray
    accuracy: Accuracy | None
    head: Regressions | None = None

    def answers(self, coordinates: np.ndarray) -> np.ndarray:
        """Probabilities float32 [m, K] of further pictures, by their coordinates [m, d]. There is a head."""
        with one_thread():
            found = _answers(self.head, coordinates, len(self.rows), self.probabilities.shape[1])
        return np.exp(found[..., 0])

    def log_odds(self, coordinates: np.ndarray, position: int) -> np.ndarray:
        """float32 [m], of a class against all others, for pictures at these coordinates [m, d]. There is a
        head."""
        with one_thread():
            found = _answers(self.head, coordinates, len(self.rows), self.probabilities.shape[1])[..., 0]
        others = np.delete(found, position, axis=1)
        return found[:, position] - np.logaddexp.reduce(others, axis=1)

    def padded(self, count: int) -> "Fitted":
        """The same, for so many pictures: of those that are more, nothing is known."""
        new, classes = count - len(self.probabilities), self.probabilities.shape[1]
        unknown = np.full((new, classes), 1 / classes, np.float32)
        return self._replace(probabilities=np.concatenate([self.probabilities, unknown]))


class Learner:
    """Fits heads to the labels so far. It keeps nothing but the pictures; calls may overlap.

    coordinates  float32 [n, d], see `labelling.coordinates`
    groups       int64 [n], equal for copies of one picture; None: there are none
    """

    def __init__(self, coordinates: np.ndarray, groups: np.ndarray | None = None, seed: int = 0):
        self._coordinates = np.asarray(coordinates, np.float32)
        self._groups = np.arange(len(coordinates)) if groups is None else np.asarray(groups, np.int64)
        self._seed = seed

    def fit(self, labels: np.ndarray, num_classes: int) -> Fitted:
        """Fit a head to the labelled pictures. `labels` int [n], 0..num_classes-1, or -1 for none.

        Where fewer than two classes have a label, all pictures get the same answer.
        """
        rows = np.flatnonzero(labels >= 0)
        given = np.asarray(labels, np.int64)[rows]
        if len(np.unique(given)) < 2:
            return self._without_head(rows, given, num_classes)
        known = self._coordinates[rows]
        folds = self._folds(rows, given)
        with one_thread():
            penalties = self._penalties(known, given, folds)
            answers, position = _out_of_fold(known, given, folds, num_classes, penalties)
            every = np.ones((len(rows), 1), np.float32)
            fitted = softmax_regression.fit(known, given, every, penalties[[position]], _tolerance(given))
            probabilities = np.exp(_answers(fitted, self._coordinates, len(rows), num_classes)[..., 0])
        judged = cross_validation.judged(given, folds)
        out_of_fold = np.exp(answers)
        accuracy = self._accuracy(probabilities, rows[judged], out_of_fold[judged], given[judged])
        return Fitted(probabilities, rows, out_of_fold, judged, accuracy, fitted)

    def _accuracy(
        self, probabilities: np.ndarray, judged: np.ndarray, answers: np.ndarray, given: np.ndarray
    ) -> Accuracy | None:
        others = np.ones(len(self._groups), bool)
        others[judged] = False
        others &= ~np.isin(self._groups, self._groups[judged])
        group_of = np.unique(self._groups[others], return_inverse=True)[1]
        return expected.accuracy(
            answers.argmax(axis=1) == given,
            expected.log_odds(answers),
            self._groups[judged],
            expected.log_odds(probabilities[others]),
            1 / np.bincount(group_of)[group_of],
        )

    def _folds(self, rows: np.ndarray, given: np.ndarray) -> np.ndarray:
        groups = self._groups[rows]
        most = MOST_FOLDS if len(given) <= MANY else FOLDS_OF_MANY
        folds = min(most, cross_validation.num_folds(given, groups))
        return deal(given, groups, folds, self._seed)

    def _penalties(self, known: np.ndarray, given: np.ndarray, folds: np.ndarray) -> np.ndarray:
        """Those to choose from."""
        if len(given) <= MANY:
            return PENALTIES
        some = np.random.default_rng(self._seed).permutation(len(given))[:CHOOSING]
        present, labels = np.unique(given[some], return_inverse=True)
        if len(present) < 2:
            return PENALTIES
        _, position = _out_of_fold(known[some], labels, folds[some], len(present), PENALTIES)
        return PENALTIES[[position]]

    def _without_head(self, rows: np.ndarray, given: np.ndarray, num_classes: int) -> Fitted:
        counts = np.bincount(given, minlength=num_classes) + 1 / max(1, num_classes)
        shares = (counts / max(1, counts.sum())).astype(np.float32)
        probabilities = np.tile(shares, (len(self._coordinates), 1))
        return Fitted(probabilities, rows, probabilities[rows], np.zeros(len(rows), bool), None)


def _answers(heads: Regressions, coordinates: np.ndarray, seen: int, num_classes: int) -> np.ndarray:
    """Log-probabilities float32 [m, K, P] of P heads that were fitted to so many pictures."""
    found = heads.log_probabilities(coordinates)
    missing = num_classes - found.shape[1]
    found = np.pad(found, ((0, 0), (0, missing), (0, 0)), constant_values=-np.inf)
    each = [cross_validation.with_unseen(found[..., number], seen) for number in range(found.shape[2])]
    return np.stack(each, axis=2)


def _out_of_fold(
    known: np.ndarray, given: np.ndarray, folds: np.ndarray, num_classes: int, penalties: np.ndarray
) -> tuple[np.ndarray, int]:
    """Log-probabilities float32 [m, K] out of fold, and the position of the best penalty for all of them.

    The penalty for a fold is chosen by the others.
    """
    every, fold_of = np.unique(folds, return_inverse=True)
    if len(every) < 2:  # each class has one picture and its copies: nobody else can answer for it
        return np.full((len(given), num_classes), -np.log(num_classes), np.float32), FIRST_PENALTY
    outside = (fold_of[:, None] != np.arange(len(every))).astype(np.float32)
    weights = np.repeat(outside, len(penalties), axis=1)
    fitted = softmax_regression.fit(known, given, weights, np.tile(penalties, len(every)), _tolerance(given))
    kernel, bias = (part.reshape(*part.shape[:-1], len(every), -1) for part in fitted)
    answers = np.empty((len(given), num_classes, len(penalties)), np.float32)
    for fold in range(len(every)):
        inside = np.flatnonzero(fold_of == fold)
        heads = Regressions(kernel[..., fold, :], bias[..., fold, :])
        answers[inside] = _answers(heads, known[inside], len(given) - len(inside), num_classes)
    judged = cross_validation.judged(given, folds)
    losses = -answers[np.arange(len(given)), given] * judged[:, None]  # [m, P]
    chosen = np.empty((len(given), num_classes), np.float32)
    for fold in range(len(every)):
        inside = fold_of == fold
        chosen[inside] = answers[inside][..., _best(losses[~inside], judged[~inside])]
    return chosen, _best(losses, judged)


def _tolerance(given: np.ndarray) -> float:
    return CLOSE if len(given) <= FEW else COARSE


def _best(losses: np.ndarray, judged: np.ndarray) -> int:
    """The position of the penalty of the least loss, of losses [m, P]."""
    if losses.shape[1] == 1:
        return 0
    return int(losses.sum(axis=0).argmin()) if judged.sum() >= FEWEST_TO_CHOOSE else FIRST_PENALTY
