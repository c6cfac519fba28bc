"""Answers of models that were neither fitted to the picture nor chosen by it."""

import numpy as np

FEW, MANY = 400, 20_000  # pictures
MOST_FOLDS, FOLDS, LEAST_FOLDS = 10, 5, 3  # up to FEW pictures, between, above MANY


def num_folds(labels: np.ndarray, groups: np.ndarray) -> int:
    """How many folds suit labels int [n] and groups int [n], equal for copies; 2 to 10.

    No more than the middle one of the classes has pictures: with more folds, a picture's own class would be
    rarer among the others than the classes that it is told from. A few small classes change nothing.
    """
    classes_of_groups = np.unique(np.stack([labels, groups]), axis=1)[0]
    middle = int(np.median(np.unique(classes_of_groups, return_counts=True)[1]))
    most = MOST_FOLDS if len(labels) <= FEW else FOLDS if len(labels) <= MANY else LEAST_FOLDS
    return max(2, min(most, middle))


def judged(labels: np.ndarray, folds: np.ndarray) -> np.ndarray:
    """bool [n]: whether another fold holds a picture of the same class, without which none can be right."""
    places = np.unique(np.stack([labels, folds]), axis=1)[0]
    return np.bincount(places, minlength=labels.max() + 1)[labels] > 1


def pairs(folds: int) -> list[tuple[int, int]]:
    """Pairs of folds such that each fold is in up to four, with others each time; none where there are two.

    A model that was fitted without both can answer either one in choosing for the other. The usual way, to
    choose for a fold by models that were fitted to it, flatters: of 40 pictures of two classes and features
    without meaning 52 % seemed to be answered right, now 49.8 % (with standard errors of 0.9 and 0.7 %).
    """
    if folds < 3:
        return []
    return sorted({tuple(sorted((one, (one + gap) % folds))) for one in range(folds) for gap in (1, 2)})


def best(losses: np.ndarray) -> tuple[int, ...]:
    """The position of the least loss."""
    return tuple(int(each) for each in np.unravel_index(np.argmin(losses), losses.shape))


def with_unseen(log_probabilities: np.ndarray, rows: int) -> np.ndarray:
    """Give classes of probability 0 a little of it, as much as fits a class never seen in so many rows.

    `log_probabilities` [n, K], with minus infinity for those classes in all rows alike.
    """
    unseen = np.isneginf(log_probabilities)
    share = 1 / (rows + log_probabilities.shape[1])
    rest = np.log1p(-share * unseen.sum(axis=1, keepdims=True))
    return np.where(unseen, np.log(share), log_probabilities + rest).astype(np.float32)
