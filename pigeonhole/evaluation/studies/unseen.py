"""How often would a picture of a class that the network does not know be flagged? Classes left out tell."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from pigeonhole.data.parallel import available_cores, in_parallel
from pigeonhole.errors import PigeonholeError
from pigeonhole.features import strangers
from pigeonhole.features.neighbours import Rows
from pigeonhole.features.threads import one_thread
from pigeonhole.model import calibration, rejection
from pigeonhole.runs.records import Progress
from pigeonhole.training.retraining import Outputs, Retrainer, outputs

MOST_CLASSES = 10  # each costs a training
AT_ONCE = 4  # on features; each takes some 100 MB
ENOUGH, ENOUGH_OF_CLASS = 2000, 20  # pictures of known classes that distances are fitted to, and of each
MOST_PICTURES = 1000  # of a class left out: the classes differ by far more than these leave uncertain
FEWEST_CLASSES = 3


class Trial(NamedTuple):
    """What a rule made of one class left out: `caught` of `total` pictures, and how well it ranked them.

    `auroc`: the chance that it is less certain of a picture of that class than of one of a known class.
    """

    caught: int
    total: int
    auroc: float


@dataclass(frozen=True)
class Unseen:
    """How often pictures of classes that a network does not know are called unsure.

    rule             of `rejection.RULES`, the one with the highest AUROC, or `strangers.RULE`
    false_rejection  the share of pictures of known classes for which its threshold was set, 0..1
    classes          each class left out -> how many of its pictures were caught, and how many there were
    mean             of the classes' shares, 0..1
    low, high        the 95 % prediction interval for the share of another class, 0..1
    auroc            rule -> mean over the classes
    """

    rule: str
    false_rejection: float
    classes: dict[str, tuple[int, int]]
    mean: float
    low: float
    high: float
    auroc: dict[str, float]

    def lines(self) -> list[str]:
        """For people."""
        shares = {name: caught / total for name, (caught, total) in self.classes.items()}
        least, most = min(shares, key=shares.get), max(shares, key=shares.get)
        compared = ", ".join(f"{auroc:.3f} by {rule}" for rule, auroc in self.auroc.items())
        return [
            f"about {100 * self.mean:.0f} in 100 pictures of a class it has never seen would be flagged",
            f'"none of these" (95 % prediction interval {100 * self.low:.0f} to {100 * self.high:.0f}),',
            f"compared with {100 * self.false_rejection:g} in 100 of the classes it knows;",
            f"measured by leaving out {len(shares)} classes in turn: {100 * shares[least]:.0f} ({least}) "
            f"to {100 * shares[most]:.0f} ({most}) in 100",
            f"AUROC, known against unseen: {compared}",
        ]


def left_out(classes: list[str], seed: int) -> list[str]:
    """The classes to leave out in turn: all, or MOST_CLASSES of them drawn by the seed.

    Raises PigeonholeError where there are too few.
    """
    if len(classes) < FEWEST_CLASSES:
        raise PigeonholeError(
            "how often an unseen class would be caught is measured by leaving one class out, which takes at "
            f"least {FEWEST_CLASSES} classes, not {len(classes)}"
        )
    if len(classes) <= MOST_CLASSES:
        return list(classes)
    chosen = np.random.default_rng(seed).choice(len(classes), MOST_CLASSES, replace=False)
    return [classes[index] for index in sorted(chosen)]


def require(sets, seed: int = 0, false_rejection: float = rejection.FALSE_REJECTION) -> None:
    """Raise PigeonholeError where the `dataset.DataSets` are too small for `leave_one_out`."""
    needed = rejection.pictures_needed(false_rejection)
    for name in left_out(sets.classes, seed):
        if (pictures := np.count_nonzero(sets.valid.classes != name)) < needed:
            raise PigeonholeError(
                f"without {name} there are {pictures} validation pictures, and a threshold for a "
                f"false-rejection rate of {100 * false_rejection:g} % needs {needed}: add pictures or raise "
                "--validation-size"
            )


def seconds(retrainer: Retrainer, train, seed: int = 0) -> float:
    """How long `leave_one_out` will take with the training set `train`, a `dataset.DataSet`."""
    names = left_out(train.class_names, seed)
    return sum(retrainer.seconds(np.count_nonzero(train.classes != name)) for name in names)


def leave_one_out(
    retrainer: Retrainer,
    sets,
    seed: int = 0,
    false_rejection: float = rejection.FALSE_REJECTION,
    on_class: Callable[[str], None] = lambda name: None,
    on_step: Callable[[Progress], None] = lambda progress: None,
) -> Unseen:
    """Train without each class in turn and count how many of its pictures the network is unsure of.

    `sets`: the `dataset.DataSets`. Without the class, `train` is trained on and `valid` sets the threshold;
    its own pictures in both, up to MOST_PICTURES, are the unseen ones. `on_class` hears each name before its
    training. Raises PigeonholeError for fewer than three classes or too few validation pictures.
    """
    require(sets, seed, false_rejection)
    names = left_out(sets.classes, seed)
    trials: dict[str, dict[str, Trial]] = {rule: {} for rule in rejection.RULES}
    for name in names:
        on_class(name)
        known, held_out = _without(name, sets.train), _without(name, sets.valid)
        model = retrainer.train(known, on_step)
        unseen = _pictures_of(name, sets.everything, seed)
        for rule, trial in _try(model, known, held_out, unseen, false_rejection).items():
            trials[rule][name] = trial
    return _summary(trials, false_rejection)


def leave_one_out_of_features(
    features: Rows, labels: np.ndarray, folds: np.ndarray, last: slice, classes: list[str], seed: int = 0
) -> Unseen:
    """The same for strangers by frozen features: no training, but distances measured anew for each class, to
    as many pictures as `most_fitted` says.

    features  [n, D], whose columns `last` are the averaged last layer
    labels    int [n], positions in `classes`
    folds     int [n]; copies share a fold

    Certainties of known classes are out of fold. Raises PigeonholeError for fewer than three classes.
    """

    def without(name: str) -> Trial:
        own = labels == classes.index(name)
        rows = np.sort(np.random.default_rng(seed).permutation(np.flatnonzero(~own))[:most])
        fitted = strangers.fit(features[rows], labels[rows], folds[rows], last)
        chosen = np.random.default_rng(seed).permutation(np.flatnonzero(own))[:MOST_PICTURES]
        return _counted(fitted.known, fitted.certainty(features[np.sort(chosen)]), fitted.limit)

    most, present = most_fitted(len(classes)), np.unique(labels)
    names = [name for name in left_out(classes, seed) if classes.index(name) in present]
    with one_thread():
        trials = dict(zip(names, in_parallel(without, names, min(AT_ONCE, available_cores())), strict=True))
    return _summary({strangers.RULE: trials}, strangers.SHARE)


def most_fitted(classes: int) -> int:
    """The pictures of so many classes that distances are fitted to, of more a random part."""
    return min(max(ENOUGH, ENOUGH_OF_CLASS * classes), strangers.MOST_PICTURES)


def _without(name: str, data):
    """The data set of the other classes."""
    kept = [other for other in data.class_names if other != name]
    return data.select(np.flatnonzero(data.classes != name), kept)


def _pictures_of(name: str, data, seed: int):
    """uint8 [n, S, S, C]: the class's pictures, or as many as are wanted of them, drawn by the seed."""
    rows = np.flatnonzero(data.classes == name)
    chosen = np.random.default_rng(seed).permutation(rows)[:MOST_PICTURES]
    return data.select(np.sort(chosen)).images


def _try(model, known, held_out, unseen_images, false_rejection: float) -> dict[str, Trial]:
    """Each rule's trial, fitted to a model that was trained on `known` and not on `held_out`."""
    trained, valid = outputs(model, known.images), outputs(model, held_out.images)
    unseen = outputs(model, unseen_images)
    temperature = calibration.fit_temperature(valid.logits, held_out.label_indices)
    labels = known.label_indices
    rules = (
        rejection.fit(trained.features, labels, valid, temperature, false_rejection, rule)
        for rule in rejection.RULES
    )
    return {fitted.rule: _trial(fitted, valid, unseen) for fitted in rules}


def _trial(fitted: rejection.Rejection, known: Outputs, unseen: Outputs) -> Trial:
    certainties = rejection.certainty(fitted, *known), rejection.certainty(fitted, *unseen)
    return _counted(*certainties, fitted.threshold)


def _counted(sure: np.ndarray, unsure: np.ndarray, limit: float) -> Trial:
    """From the certainties of pictures of known classes, [n], and of the unseen one, [m]."""
    from sklearn.metrics import roc_auc_score

    auroc = roc_auc_score(np.repeat([1, 0], [len(sure), len(unsure)]), np.concatenate([sure, unsure]))
    return Trial(int(np.sum(unsure < limit)), len(unsure), float(auroc))


def _summary(trials: dict[str, dict[str, Trial]], false_rejection: float) -> Unseen:
    """About the rule that ranks best; the combined one where they are equal."""
    auroc = {
        rule: float(np.mean([trial.auroc for trial in of_class.values()]))
        for rule, of_class in trials.items()
    }
    rule = max(auroc, key=auroc.get)
    classes = {name: (trial.caught, trial.total) for name, trial in trials[rule].items()}
    caught, totals = np.array(list(classes.values())).T
    low, high = prediction_interval(caught, totals)
    return Unseen(rule, false_rejection, classes, float(np.mean(caught / totals)), low, high, auroc)


def prediction_interval(caught: np.ndarray, totals: np.ndarray) -> tuple[float, float]:
    """The 95 % interval for the share of yet another class, 0..1, from those of C classes, C at least 2.

    `caught`, `totals`: int [C]. Classes differ, and a share of some pictures is uncertain by itself: the
    spread of the shares seen holds both. It is taken after the arcsine transformation (Anscombe, 1948), by
    which the uncertain part has the same variance for every share. There a new value lies within
    t x s x sqrt(1 + 1/C) of the mean, with Student's t for C - 1 degrees of freedom; s is never below what
    chance alone makes, since few classes may be alike by luck. The interval is for a class of about as many
    pictures.
    """
    from scipy.stats import t

    angles = np.arcsin(np.sqrt((caught + 0.375) / (totals + 0.75)))
    chance = np.mean(1 / (4 * totals + 2))
    spread = np.sqrt(max(np.var(angles, ddof=1), chance) * (1 + 1 / len(angles)))
    reach = t.ppf(0.975, len(angles) - 1) * spread
    bounds = np.clip(angles.mean() + np.array([-reach, reach]), 0, np.pi / 2)
    pictures = totals.mean()
    low, high = np.clip((np.sin(bounds) ** 2 * (pictures + 0.75) - 0.375) / pictures, 0, 1)
    return float(low), float(high)
