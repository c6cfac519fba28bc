"""More pictures, or better ones? Networks trained on parts of the data tell what more of it would bring."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from pigeonhole.errors import PigeonholeError

if TYPE_CHECKING:
    from pigeonhole.runs.records import Progress
    from pigeonhole.training.retraining import Retrainer

# Of the training pictures, and how many networks on each. An eighth is often so few that the error does not
# fall by its later law yet: it made the forecast for CIFAR-10 worse.
PARTS = ((1 / 4, 2), (1 / 2, 2))
FEWEST = 2  # pictures of a class, on average, in the smallest part
NARROW = 0.04  # width of an interval of accuracies below which tenths of points are said
LITTLE_GAIN = 0.01  # of the accuracy, by twice as many pictures

_DRAWS = 4000
# What is held possible before anything is measured: shares of the error that no number of pictures removes,
# exponents (0.07 to 0.35 over many problems in Hestness et al. 2017, 0.5 and more in theory), and standard
# deviations between two trainings on as many pictures.
_FLOORS = np.linspace(0, 0.95, 20)
_EXPONENTS = np.geomspace(0.08, 1.25, 20)
_USUAL_EXPONENT, _EXPONENT_FACTOR = 0.35, 1.8
_NOISES = np.geomspace(0.002, 0.06, 8)


class Forecast(NamedTuple):
    """An accuracy to be expected, 0..1, and the 95 % prediction interval for a network's true one."""

    accuracy: float
    low: float
    high: float

    def __str__(self) -> str:
        digits = int(self.high - self.low < NARROW)
        values = (f"{100 * value:.{digits}f}" for value in self)
        return "{} % (95 % {} to {} %)".format(*values)


@dataclass(frozen=True)
class PowerLaw:
    """What is known of err(n) = e (f + (1 - f) (n / reference)^-c), as draws from the posterior, float [D].

    e   `error`, that of `reference` pictures
    f   `floor`, the share of it that stays however many there are
    c   `exponent`
    `noise` is the standard deviation between two trainings.
    """

    reference: float
    error: np.ndarray
    floor: np.ndarray
    exponent: np.ndarray
    noise: np.ndarray

    def accuracies(self, pictures: float) -> np.ndarray:
        """float [D]: draws of the mean accuracy of networks trained on so many pictures."""
        shrunk = (pictures / self.reference) ** -self.exponent
        return 1 - np.minimum(1, self.error * (self.floor + (1 - self.floor) * shrunk))

    def forecast(self, pictures: float) -> Forecast:
        """The accuracy of one network trained on so many pictures."""
        noise = self.noise * np.random.default_rng(0).standard_normal(len(self.noise))
        draws = self.accuracies(pictures)
        low, high = np.quantile(np.clip(draws + noise, 0, 1), (0.025, 0.975))
        return Forecast(float(np.median(draws)), float(low), float(high))


class Outlook(NamedTuple):
    """What twice as many pictures of every class would do for one class: the share of its pictures right."""

    class_name: str
    pictures: int  # of the class, trained on
    now: float
    doubled: Forecast
    gain: float  # expected


@dataclass(frozen=True)
class Curve:
    """Accuracy by number of training pictures.

    sizes       numbers of training pictures, ascending
    accuracies  mean share of the pictures right at each size, of those not trained on
    total       how many those were
    outlooks    one for each class that has such pictures, the largest expected gain first
    pictures    that the model learns from which the curve is about; forecasts are for multiples of it
    learner     what is fitted to more and more pictures, in words; empty: the network that was trained
    """

    sizes: tuple[int, ...]
    accuracies: tuple[float, ...]
    total: int
    outlooks: tuple[Outlook, ...]
    pictures: int
    law: PowerLaw = field(repr=False, compare=False)
    learner: str = ""

    def forecast(self, pictures: int) -> Forecast:
        """What a network trained on so many pictures would reach on new ones of the same kind."""
        return self.law.forecast(pictures)

    @property
    def gain(self) -> float:
        """What twice as many pictures are expected to add to the accuracy."""
        return float(np.median(self.law.accuracies(2 * self.pictures) - self.law.accuracies(self.pictures)))

    def lines(self) -> list[str]:
        """For people."""
        measured = ", ".join(
            f"{size:,}: {100 * accuracy:.1f} %"
            for size, accuracy in zip(self.sizes, self.accuracies, strict=True)
        )
        forecasts = [
            f"with {words} as many ({factor * self.pictures:,}): {self.forecast(factor * self.pictures)}"
            for words, factor in (("twice", 2), ("four times", 4))
        ]
        right = "right by number of training pictures"
        of_what = f"{self.learner}, {right}" if self.learner else f"{right}, of {self.total:,} not trained on"
        return [
            f"{of_what}: {measured}",
            *forecasts,
            self._advice(),
        ]

    def _advice(self) -> str:
        if self.gain < LITTLE_GAIN:
            return "more pictures of the same kind would bring little; look at labels and mistakes instead"
        most = self.outlooks[0]
        return (
            f"most to gain, probably: about {most.pictures:,} more pictures of {most.class_name!r}, of which "
            f"{100 * most.now:.0f} % are right: {most.doubled} with twice as many of every class"
        )

    def to_json(self) -> dict[str, object]:
        """For programs: what was measured, and forecasts for two and four times as many pictures."""
        return {
            "sizes": list(self.sizes),
            "accuracies": list(self.accuracies),
            "validation_pictures": self.total,
            "forecast": [
                {"pictures": pictures, **_json(self.forecast(pictures))}
                for pictures in (2 * self.pictures, 4 * self.pictures)
            ],
            "classes": [
                {
                    "class": outlook.class_name,
                    "pictures": outlook.pictures,
                    "recall": outlook.now,
                    "doubled": _json(outlook.doubled),
                }
                for outlook in self.outlooks
            ],
        }


def _json(forecast: Forecast) -> dict[str, object]:
    return {"accuracy": forecast.accuracy, "interval_95": [forecast.low, forecast.high]}


def part_sizes(train) -> list[int]:
    """The number of pictures of each training that `measure` makes, the smallest first.

    Raises PigeonholeError where the set is too small to be divided.
    """
    require(train.num_examples, len(train.class_names))
    return [round(part * train.num_examples) for part, networks in PARTS for _ in range(networks)]


def require(pictures: int, classes: int) -> None:
    """Raise PigeonholeError where so few training pictures of so many classes cannot be divided."""
    needed = round(FEWEST * classes / PARTS[0][0])
    if pictures < needed:
        raise PigeonholeError(
            f"a learning curve of {classes} classes takes at least {needed} training pictures, not "
            f"{pictures}; add pictures or leave --learning-curve out"
        )


def seconds(retrainer: "Retrainer", train) -> float:
    """How long `measure` will take."""
    return sum(retrainer.seconds(size) for size in part_sizes(train))


def measure(
    retrainer: "Retrainer",
    train,
    valid,
    right_with_all: np.ndarray,
    on_step: Callable[[int, "Progress"], None] = lambda number, progress: None,
) -> Curve:
    """Train on parts of `train`, try each network on all of `valid`, and carry the curve on.

    `train`, `valid`: `dataset.DataSet`s. `right_with_all`: bool [n], which validation pictures the network
    that was trained on all of `train` has right. Each part holds the same share of every class; of one
    repetition the smaller lie inside the larger. `on_step` hears the training's number, from 0, and its
    progress. Raises PigeonholeError as `part_sizes` does.
    """
    from pigeonhole.training.retraining import outputs

    sizes, right = part_sizes(train), []
    for number, size in enumerate(sizes):
        repetition = number - sizes.index(size)
        rows = stratified_order(train.label_indices, retrainer.seed + repetition)[:size]
        model = retrainer.train(train.select(rows), lambda progress, number=number: on_step(number, progress))
        right.append(outputs(model, valid.images).logits.argmax(axis=1) == valid.label_indices)
    return carry_on(
        [*sizes, train.num_examples],
        np.array([*right, right_with_all]),
        valid.label_indices,
        np.bincount(train.label_indices, minlength=len(train.class_names)),
        train.class_names,
    )


def stratified_order(labels: np.ndarray, seed: int) -> np.ndarray:
    """The indices of `labels` int [N], shuffled so that the first n hold n / N of every class, rounded."""
    order = np.random.default_rng(seed).permutation(len(labels))
    position = np.empty(len(labels))
    for label in np.unique(labels):
        members = order[labels[order] == label]
        position[members] = (np.arange(len(members)) + 0.5) / len(members)
    return order[np.argsort(position[order], kind="stable")]


def carry_on(
    sizes: Sequence[int],
    right: np.ndarray,
    labels: np.ndarray,
    pictures_of_class: Sequence[int],
    classes: Sequence[str],
) -> Curve:
    """The curve through what T networks, each trained on `sizes[t]` pictures, had right of the same pictures.

    `right` bool [T, n]; `labels` int [n], positions in `classes`; `pictures_of_class` int [K], that the model
    learns from which the curve is about.
    """
    pictures = int(np.sum(pictures_of_class))
    distinct = sorted(set(sizes))
    accuracies = [float(right[np.equal(sizes, size)].mean()) for size in distinct]
    outlooks = [
        _outlook(
            classes[label], int(pictures_of_class[label]), pictures, fit(sizes, right[:, labels == label])
        )
        for label in np.unique(labels)
    ]
    outlooks.sort(key=lambda outlook: -outlook.gain)
    return Curve(
        tuple(distinct), tuple(accuracies), len(labels), tuple(outlooks), pictures, fit(sizes, right)
    )


def _outlook(class_name: str, of_class: int, pictures: int, law: PowerLaw) -> Outlook:
    now, doubled = law.accuracies(pictures), law.accuracies(2 * pictures)
    gain = float(np.median(doubled - now))
    return Outlook(class_name, of_class, float(np.median(now)), law.forecast(2 * pictures), gain)


def fit(sizes: Sequence[int], right: np.ndarray) -> PowerLaw:
    """The posterior of a power law with a floor, from `right` bool [T, n] of networks on `sizes[t]` pictures.

    The error falls as a power of the number of pictures, down to a floor (Hestness et al. 2017, "Deep
    learning scaling is predictable, empirically"; Viering and Loog 2022, "The shape of learning curves").
    With few points floor and exponent cannot be told apart, so that no best fit is taken: all that agree with
    the points are kept, as often as they deserve. The same validation pictures are hard for all networks, so
    their errors by chance are not independent: the covariance is taken from `right` itself.
    """
    reference = float(np.exp(np.mean(np.log(sizes))))
    covariance = _sampling_covariance(right)
    relative = np.asarray(sizes)[:, np.newaxis, np.newaxis] / reference
    shapes = _FLOORS[:, np.newaxis] + (1 - _FLOORS[:, np.newaxis]) * relative**-_EXPONENTS  # [T, F, E]
    shapes = shapes.reshape(len(sizes), -1)
    prior = -0.5 * (np.log(_EXPONENTS / _USUAL_EXPONENT) / np.log(_EXPONENT_FACTOR)) ** 2
    prior = np.tile(prior, len(_FLOORS))
    errors = 1 - right.mean(axis=1)
    fits = [_fit_level(errors, shapes, covariance + noise**2 * np.eye(len(sizes))) for noise in _NOISES]
    level, spread, evidence = (np.stack(part) for part in zip(*fits, strict=True))  # each [noises, F E]
    weights = np.exp(evidence + prior - np.max(evidence + prior)).ravel()
    random = np.random.default_rng(0)
    cells = random.choice(weights.size, _DRAWS, p=weights / weights.sum())
    error = level.flat[cells] + spread.flat[cells] * random.standard_normal(_DRAWS)
    noise, floor, exponent = np.unravel_index(cells, (len(_NOISES), len(_FLOORS), len(_EXPONENTS)))
    return PowerLaw(reference, np.clip(error, 0, 1), _FLOORS[floor], _EXPONENTS[exponent], _NOISES[noise])


def _sampling_covariance(right: np.ndarray) -> np.ndarray:
    """[T, T]: how the T accuracies would vary, and together, over other pictures drawn like these n.

    One picture that all have right and one that none has are added, lest none wrong of few be held for
    certainty.
    """
    extended = np.column_stack([right, np.ones(len(right)), np.zeros(len(right))])
    return np.atleast_2d(np.cov(extended)) / extended.shape[1]


def _fit_level(
    errors: np.ndarray, shapes: np.ndarray, covariance: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each curve shape, [T, shapes], the level that fits the errors [T], its standard deviation, and the
    log of the evidence (least squares with correlated errors, flat prior)."""
    precision = np.linalg.inv(covariance)
    information = np.einsum("ts,tu,us->s", shapes, precision, shapes)
    level = shapes.T @ precision @ errors / information
    unexplained = errors @ precision @ errors - level**2 * information
    evidence = -0.5 * (unexplained + np.linalg.slogdet(covariance)[1] + np.log(information))
    return level, information**-0.5, evidence
