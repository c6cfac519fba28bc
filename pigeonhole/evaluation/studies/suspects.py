"""Pictures that look mislabelled, by the answers of networks that have not been trained on them.

A label that such a network gives almost no probability to is either wrong or the picture is hard. Which, and
how often, follows from all answers together.
"""

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from pigeonhole.data.fixes import Suspect
from pigeonhole.data.folders import Record
from pigeonhole.data.folds import deal
from pigeonhole.model.calibration import PRIOR_SPREAD, fit_temperature

if TYPE_CHECKING:
    import keras

    from pigeonhole.data.dataset import DataSet
    from pigeonhole.data.pixels import Pixels
    from pigeonhole.runs.records import Progress
    from pigeonhole.training.retraining import Retrainer

FOLDS = 5
CUT = 0.2  # the doubt from which a picture is listed: worth a look, and every second one is really wrong
NOISES = np.geomspace(0.01, 0.5, 25)  # shares of wrong labels; beforehand 1 to 2 % is as likely as 10 to 20 %
BLOCK_VALUES = 4_000_000  # computed at a time
TEMPERATURES = np.geomspace(0.2, 3, 31)


def find(
    probabilities: np.ndarray, labels: np.ndarray, names: Sequence[str], classes: Sequence[str]
) -> list[Suspect]:
    """The pictures whose label is wrong with a probability of at least `CUT`, the worst first.

    `probabilities` float [N, K], from networks not trained on the pictures: of `out_of_fold` for a data
    set, or one network's for its validation pictures alone. `labels` int [N], positions in `classes`. Rows of
    NaN are passed over.
    """
    judged = np.flatnonzero(np.isfinite(probabilities).all(axis=1))
    scores = dict(zip(judged, doubt(probabilities[judged], labels[judged]), strict=True))
    worst_first = sorted((row for row in judged if scores[row] >= CUT), key=lambda row: (-scores[row], row))
    others = np.where(np.arange(len(classes)) == labels[:, None], -1, probabilities)
    found = []
    for row in worst_first:
        given, suggested = int(labels[row]), int(others[row].argmax())
        confidences = float(probabilities[row, given]), float(probabilities[row, suggested])
        found.append(
            Suspect(str(names[row]), classes[given], classes[suggested], *confidences, float(scores[row]))
        )
    return found


def doubt(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The probability of each label to be wrong, float64 [N].

    `probabilities` float [N, K] and `labels` int [N] as for `find`. A share of the labels is taken to have
    been replaced by any other class, as in Patrini et al., "Making Deep Neural Networks Robust to Label
    Noise: a Loss Correction Approach" (CVPR 2017). How large a share, and what temperature the answers then
    need, is weighed by how likely it makes all the labels; each label's doubt follows by Bayes' rule.

    The order is that by self-confidence in Northcutt, Jiang and Chuang, "Confident Learning: Estimating
    Uncertainty in Dataset Labels" (JAIR 2021). The rules there for how many to list take a network's own
    mistakes for wrong labels: of 5,000 CIFAR-10 pictures with 250 labels changed, and networks 70 % right,
    they list 729 to 1,080, of which 20 to 24 % are changed. `CUT` lists 334, of which 51 % are.
    """
    of_label = np.stack([_of_label(probabilities, labels, each) for each in TEMPERATURES])
    num_others = probabilities.shape[1] - 1
    doubts = np.zeros(len(labels))
    for noise, weights in zip(NOISES, _weights(of_label, num_others), strict=True):
        right, wrong = _explanations(of_label, noise, num_others)
        doubts += weights @ (wrong / (right + wrong))
    return doubts


def _weights(of_label: np.ndarray, num_others: int) -> np.ndarray:
    """How likely each noise and temperature is after all labels were seen: float64 [noises, temperatures].

    `of_label` [temperatures, N]: each label's probability.
    """
    log_weights = np.stack(
        [np.log(sum(_explanations(of_label, noise, num_others))).sum(axis=1) for noise in NOISES]
    )
    log_weights -= 0.5 * (np.log(TEMPERATURES) / PRIOR_SPREAD) ** 2
    weights = np.exp(log_weights - log_weights.max())
    return weights / weights.sum()


def _explanations(of_label: np.ndarray, noise: float, num_others: int) -> tuple[np.ndarray, np.ndarray]:
    """How likely each label was to come about as the right one, and as a wrong one."""
    return (1 - noise) * of_label, noise * (1 - of_label) / num_others


def _of_label(probabilities: np.ndarray, labels: np.ndarray, temperature: float) -> np.ndarray:
    """Each row's probability of its label at another temperature, float64 [N]."""
    step = max(1, BLOCK_VALUES // probabilities.shape[1])
    parts = []
    for start in range(0, len(labels), step):
        powers = probabilities[start : start + step].astype(np.float64) ** (1 / temperature)
        own = powers[np.arange(len(powers)), labels[start : start + step]]
        parts.append(own / powers.sum(axis=1))
    return np.concatenate(parts) if parts else np.empty(0)


def out_of_fold(
    retrainer: "Retrainer",
    data: "DataSet",
    groups: Sequence[Sequence[Record]],
    folds: int = FOLDS,
    on_step: Callable[[int, "Progress"], None] = lambda fold, progress: None,
) -> np.ndarray:
    """What networks that never saw a picture, nor a copy of it, say to it: float32 [N, K] probabilities.

    `groups`: the records of one picture together, as `duplicates.groups` returns them. Each of the `folds`
    networks is trained on all folds but one, and asked about that one, and about its pictures mirrored if it
    was trained on such; they have one temperature in common. A picture with no other of its class in the
    other folds cannot be judged: its row is NaN. `on_step` is told the fold, from 0, and its training's
    progress.
    """
    group_of = {record.entry.name: number for number, members in enumerate(groups) for record in members}
    numbers = np.array([group_of[name] for name in data.names])
    fold_of = deal(data.label_indices, numbers, folds, retrainer.seed)
    logits = np.full((data.num_examples, len(data.class_names)), np.nan, np.float32)
    for fold in np.unique(fold_of):
        rows, others = np.flatnonzero(fold_of == fold), np.flatnonzero(fold_of != fold)
        rows = rows[np.isin(data.label_indices[rows], data.label_indices[others])]
        if not len(rows):
            continue
        model = retrainer.train(data.select(others), functools.partial(on_step, int(fold)))
        mirrors = retrainer.recipe_for(len(others)).augmentation.mirrors
        logits[rows] = _logits(model, data.select(rows).images, mirrors)
    return _calibrated(logits, data.label_indices)


def seconds(retrainer: "Retrainer", num_pictures: int, folds: int = FOLDS) -> float:
    """How long `out_of_fold` will take."""
    return folds * retrainer.seconds(round(num_pictures * (folds - 1) / folds))


def _logits(model: "keras.Model", images: "np.ndarray | Pixels", mirrors: bool) -> np.ndarray:
    from pigeonhole.training.retraining import outputs

    logits = outputs(model, images).logits
    return (logits + outputs(model, _Mirrored(images)).logits) / 2 if mirrors else logits


class _Mirrored:
    """The pictures turned left to right as they are read."""

    def __init__(self, images: "np.ndarray | Pixels"):
        self.shape = images.shape
        self._images = images

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, rows: slice) -> np.ndarray:
        return self._images[rows][:, :, ::-1]


def _calibrated(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    from scipy.special import softmax

    known = ~np.isnan(logits[:, 0])
    return softmax(logits / fit_temperature(logits[known], labels[known]), axis=1)
