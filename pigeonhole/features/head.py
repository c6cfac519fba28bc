"""A classifier on frozen features: logistic regression, its settings chosen by cross-validation.

It is fitted to all pictures, and each picture also has an answer by a head that was not fitted to it. So no
picture has to be set apart for validation. `statistics`, `evaluation.measures` and `studies.suspects` take
these answers as they take those of a network for validation pictures.

What was tried and is not here, because it was never better: mirror images as further training pictures, as
good as averaging for twice the time, and a temperature, which the penalty makes superfluous.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields, replace
from functools import partial
from os import cpu_count
from typing import NamedTuple, Protocol

import numpy as np

from pigeonhole.data.folds import deal
from pigeonhole.errors import PigeonholeError
from pigeonhole.features import axes, cross_validation, softmax_regression
from pigeonhole.features.axes import Axes
from pigeonhole.features.softmax_regression import Regressions
from pigeonhole.features.threads import one_thread

# Where the features tell nothing, the first leaves the shares of the classes as the answer.
PENALTIES = 10.0 ** np.array([3, 1, 0, -1, -2, -3])
NEAR = 10 ** np.array([0.5, 0, -0.5, -1])  # tried in the end, relative to the best of those
CHOOSING = 600  # pictures that choose the setting and a first penalty; or, if that is more, ...
CHOOSING_SHARE, MOST_CHOOSING = 0.05, 2_500  # ... a share of the pictures, up to a limit
CHOOSING_CLASSES = 40  # the most classes that they are of
SAMPLE = 5_000  # pictures by which axes are found
FEW_AXES, MANY_AXES = 800, 1_600
MANY = 20_000  # pictures; for more, MANY_AXES and fewer trials are worth it
BLOCK = 1_024  # pictures read at a time


class Rows(Protocol):
    """Features [n, D] in memory or on disk; indexing by a slice or an integer array gives an array."""

    shape: tuple[int, ...]

    def __getitem__(self, index: slice | np.ndarray) -> np.ndarray: ...


class Setting(NamedTuple):
    """What a head sees: are features averaged with the mirror image's, and how far are they standardised?

    `last_alone`: only the averaged last layer.
    """

    mirror_average: bool
    exponent: float
    last_alone: bool = False

    def __str__(self) -> str:
        which = "features of the last layer" if self.last_alone else "features"
        scale = "standardised" if self.exponent == 1 else "little scaled"
        return f"{scale} {which}{', averaged with the mirror image' if self.mirror_average else ''}"


def settings(with_mirror_images: bool, with_last: bool) -> list[Setting]:
    """Those that are tried."""
    averages = (True, False) if with_mirror_images else (False,)
    found = [Setting(average, exponent) for average in averages for exponent in (1, 0.25)]
    return [*found, Setting(averages[0], 1, last_alone=True)] if with_last else found


@dataclass(frozen=True)
class Options:
    """How to fit.

    class_weights  float [K], how much a picture of each class counts; None: all alike
    seed           decides the folds
    last           the columns of the averaged last layer, which are tried alone too; None: not tried
    """

    class_weights: np.ndarray | None = None
    seed: int = 0
    last: slice | None = None


@dataclass(frozen=True)
class Head:
    """A fitted head for D features and K classes, and its out-of-fold answers for the n pictures.

    kernel, bias       float32 [D, K] and [K]: logits are features @ kernel + bias
    mirror_average     whether features are to be averaged with the mirror image's, which averages the logits
    setting            what was chosen, in words
    log_probabilities  float32 [n, K], out of fold; the setting for a fold was chosen without it
    folds              int64 [n]; copies share a fold
    judged             bool [n], False where no other fold holds the picture's class: it cannot be right
    """

    kernel: np.ndarray
    bias: np.ndarray
    mirror_average: bool
    setting: str
    log_probabilities: np.ndarray
    folds: np.ndarray
    judged: np.ndarray

    def answer(self, plain: Rows, mirrored: Rows | None) -> np.ndarray:
        """Log-probabilities float32 [m, K] for the features [m, D] of m pictures."""
        from scipy.special import log_softmax

        parts = [
            log_softmax(block @ self.kernel + self.bias, axis=1)
            for block in _blocks(plain, mirrored, self.mirror_average)
        ]
        return np.concatenate(parts).astype(np.float32)


def fit(
    plain: Rows, mirrored: Rows | None, labels: np.ndarray, groups: np.ndarray, options: Options = Options()
) -> Head:
    """Choose the setting and the penalty by cross-validation, and fit a head to all pictures.

    plain, mirrored  float [n, D], the features of the pictures and of their mirror images, if there are any
    labels           int [n], 0..K-1; each class has a picture
    groups           int [n], equal for copies of one picture

    A part of the pictures chooses settings and a first penalty, all of them then choose among these settings
    and among penalties near that one.
    A class with no picture in another fold has a small probability there.
    Raises PigeonholeError where there is but one class, where no class has two pictures that are not copies,
    and for features that are not finite.
    """
    labels, groups = np.asarray(labels, np.int64), np.asarray(groups)
    _check(plain, mirrored, labels, groups)
    folds = deal(labels, groups, cross_validation.num_folds(labels, groups), options.seed)
    by_class = np.ones(labels.max() + 1) if options.class_weights is None else options.class_weights
    if len(by_class) <= labels.max() or not (np.isfinite(by_class).all() and np.min(by_class) > 0):
        raise ValueError(f"class weights must be above 0, one for each class, not {by_class}")
    weights = np.asarray(by_class, np.float32)[labels]
    with one_thread():
        pictures = _Pictures(plain, mirrored, labels, weights, folds, np.arange(len(labels)))
        return _Fitting(pictures, options.last).head()


def _check(plain: Rows, mirrored: Rows | None, labels: np.ndarray, groups: np.ndarray) -> None:
    shapes = {rows.shape for rows in (plain, mirrored) if rows is not None}
    if len(shapes) > 1 or not len(labels) == len(groups) == plain.shape[0]:
        raise ValueError(f"features of shapes {shapes}, {len(labels)} labels, {len(groups)} groups")
    counts = np.bincount(labels)
    if len(counts) < 2:
        raise PigeonholeError("a classifier needs pictures of at least two classes")
    if not counts.all():
        raise ValueError(f"no picture of class {int(np.argmin(counts))}")
    if len(np.unique(np.stack([labels, groups]), axis=1)[0]) == len(counts):
        raise PigeonholeError(
            "each class has only one picture, apart from copies; add a second one to judge by"
        )


@dataclass(frozen=True)
class _Pictures:
    """The features of n pictures and what is known of each: label, weight, fold, number among all."""

    plain: Rows
    mirrored: Rows | None
    labels: np.ndarray
    weights: np.ndarray
    folds: np.ndarray
    numbers: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def select(self, rows: np.ndarray) -> "_Pictures":
        """The pictures in these rows, their features in memory."""
        parts = (getattr(self, each.name) for each in fields(self))
        return _Pictures(*(None if part is None else part[rows] for part in parts))

    def blocks(self, mirror_average: bool) -> Iterator[np.ndarray]:
        """As `_blocks`. Raises PigeonholeError for a feature that is not finite."""
        start = 0
        for block in _blocks(self.plain, self.mirrored, mirror_average):
            if not (finite := np.isfinite(block).all(axis=1)).all():
                number = self.numbers[start + int(np.argmin(finite))] + 1
                raise PigeonholeError(
                    f"the features of picture {number:,} are not finite numbers; compute them anew"
                )
            yield block
            start += len(block)


def _blocks(plain: Rows, mirrored: Rows | None, average: bool) -> Iterator[np.ndarray]:
    """float32 [m, D], block by block: the plain features, or their averages with the mirrored ones."""
    for start in range(0, plain.shape[0], BLOCK):
        rows = slice(start, start + BLOCK)
        block = np.asarray(plain[rows], np.float32)
        yield (block + np.asarray(mirrored[rows], np.float32)) / 2 if average else block


class _Trial(NamedTuple):
    """A setting with S penalties, fitted without each of Q sets of folds: problem q * S + s without set q."""

    setting: Setting
    pictures: _Pictures
    axes: Axes
    coordinates: np.ndarray
    penalties: np.ndarray
    regressions: Regressions

    def answers(self, without: int, rows: np.ndarray, penalties: slice) -> np.ndarray:
        """Log-probabilities [m, K, S] of the regressions that were fitted without this set of folds."""
        count = len(self.penalties)
        chosen = slice(without * count, without * count + count)
        kernel, bias = (each[..., chosen][..., penalties] for each in self.regressions)
        return Regressions(kernel, bias).log_probabilities(self.coordinates[rows])

    def loss(self, without: int, fold: int) -> np.ndarray:
        """The sums float64 [S] of the log-loss (nats) of a fold's pictures, weighted."""
        rows = np.flatnonzero(self.pictures.folds == fold)
        own = self.answers(without, rows, slice(None))[np.arange(len(rows)), self.pictures.labels[rows]]
        return -(self.pictures.weights[rows] @ np.where(np.isneginf(own), 0, own)).astype(np.float64)


class _Fitting:
    """One cross-validation, and the head that it leads to."""

    def __init__(self, pictures: _Pictures, last: slice | None):
        self._pictures, self._last = pictures, last
        self._settings = settings(pictures.mirrored is not None, last is not None)
        self._num_folds = int(pictures.folds.max()) + 1

    def head(self) -> Head:
        """The head fitted to all pictures, with the answers out of fold."""
        pictures, folds = self._pictures, range(self._num_folds)
        some = self._some()
        with ThreadPoolExecutor(cpu_count()) as pool:
            losses = np.stack(list(pool.map(partial(self._survey, some), self._settings)))
        overall, centre = cross_validation.best(losses.sum(axis=(2, 3)))
        # For very many pictures the choice flatters no more, and a further trial takes long.
        few = len(pictures) <= MANY
        picks = [
            cross_validation.best(losses[:, :, fold].sum(axis=2))[0] if few else overall for fold in folds
        ]
        tried = sorted({*picks, overall})
        with ThreadPoolExecutor(cpu_count()) as pool:
            found = pool.map(
                lambda number: self._try(
                    pictures, self._settings[number], [(fold,) for fold in folds], PENALTIES[centre] * NEAR
                ),
                tried,
            )
            trials = dict(zip(tried, found, strict=True))
        tables = {
            number: np.stack([trial.loss(fold, fold) for fold in folds], axis=1)
            for number, trial in trials.items()
        }
        answers = np.empty((len(pictures), int(pictures.labels.max()) + 1), np.float32)
        for fold, number in enumerate(picks):
            (best,) = cross_validation.best(np.delete(tables[number], fold, axis=1).sum(axis=1))
            rows = np.flatnonzero(pictures.folds == fold)
            found = trials[number].answers(fold, rows, slice(best, best + 1))[..., 0]
            answers[rows] = cross_validation.with_unseen(found, len(pictures) - len(rows))
        (best,) = cross_validation.best(tables[overall].sum(axis=1))
        return self._fit(trials[overall], best, answers)

    def _some(self) -> _Pictures:
        """The pictures that choose the setting: of some classes, and of each class and fold its share."""
        pictures = self._pictures
        num_classes = int(pictures.labels.max()) + 1
        classes = np.unique(np.linspace(0, num_classes - 1, CHOOSING_CLASSES).astype(np.int64))
        count = min(max(CHOOSING, int(CHOOSING_SHARE * len(pictures))), MOST_CHOOSING)
        rows = np.flatnonzero(np.isin(pictures.labels, classes))
        rows = rows[np.lexsort((pictures.folds[rows], pictures.labels[rows]))]
        chosen = rows[np.unique(np.linspace(0, len(rows) - 1, count).astype(np.int64))]
        first_of_each = rows[np.unique(pictures.labels[rows], return_index=True)[1]]
        some = pictures.select(np.union1d(chosen, first_of_each))
        return replace(some, labels=np.searchsorted(classes, some.labels))

    def _survey(self, pictures: _Pictures, setting: Setting) -> np.ndarray:
        """The losses float64 [S, F, F] of the second fold by regressions that were fitted to neither.

        Zero for the pairs that were not tried. Where there are but two folds, the first is fitted to.
        """
        losses = np.zeros((len(PENALTIES), self._num_folds, self._num_folds))
        if pairs := cross_validation.pairs(self._num_folds):
            trial = self._try(pictures, setting, pairs, PENALTIES)
            for number, (one, other) in enumerate(pairs):
                losses[:, one, other] = trial.loss(number, other)
                losses[:, other, one] = trial.loss(number, one)
        else:
            trial = self._try(pictures, setting, [(0,), (1,)], PENALTIES)
            losses[:, 0, 1], losses[:, 1, 0] = trial.loss(1, 1), trial.loss(0, 0)
        return losses

    def _try(
        self, pictures: _Pictures, setting: Setting, without: list[tuple[int, ...]], penalties: np.ndarray
    ) -> _Trial:
        """Fit a setting with each of the penalties, without each of these sets of folds."""
        found = self._axes(pictures, setting)
        coordinates = np.empty((len(pictures), found.directions.shape[1]), np.float32)
        for number, block in enumerate(pictures.blocks(setting.mirror_average)):
            coordinates[number * BLOCK : (number + 1) * BLOCK] = found.coordinates(
                block[:, self._columns(setting)]
            )
        outside = ~np.stack([np.isin(pictures.folds, each) for each in without], axis=1)
        weights = np.repeat(outside * pictures.weights[:, None], len(penalties), axis=1)
        fitted = softmax_regression.fit(
            coordinates, pictures.labels, weights, np.tile(penalties, len(without))
        )
        return _Trial(setting, pictures, found, coordinates, penalties, fitted)

    def _columns(self, setting: Setting) -> slice:
        return self._last if setting.last_alone and self._last is not None else slice(None)

    def _axes(self, pictures: _Pictures, setting: Setting) -> Axes:
        rows = np.unique(np.linspace(0, len(pictures) - 1, SAMPLE).astype(np.int64))
        sample = pictures if len(rows) == len(pictures) else pictures.select(rows)
        blocks = sample.blocks(setting.mirror_average)
        features = np.concatenate([block[:, self._columns(setting)] for block in blocks])
        most = MANY_AXES if len(pictures) > MANY else FEW_AXES
        return axes.leading(features, most, setting.exponent)

    def _fit(self, trial: _Trial, best: int, answers: np.ndarray) -> Head:
        """The head for one of the trial's penalties."""
        pictures, penalty = self._pictures, trial.penalties[best : best + 1]
        fitted = softmax_regression.fit(
            trial.coordinates, pictures.labels, pictures.weights[:, None], penalty
        )
        part, bias = trial.axes.unfold(fitted.kernel[..., 0], fitted.bias[:, 0])
        kernel = np.zeros((pictures.plain.shape[1], part.shape[1]), np.float32)
        kernel[self._columns(trial.setting)] = part
        return Head(
            kernel=kernel,
            bias=bias,
            mirror_average=trial.setting.mirror_average,
            setting=f"{trial.setting}, penalty {penalty[0]:.2g}",
            log_probabilities=answers,
            folds=pictures.folds,
            judged=cross_validation.judged(pictures.labels, pictures.folds),
        )
