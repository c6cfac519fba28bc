"""Accuracy by number of labels, and what more of them would bring."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from pigeonhole.data.folds import deal
from pigeonhole.errors import PigeonholeError
from pigeonhole.evaluation.studies import feature_curve
from pigeonhole.evaluation.studies.learning_curve import LITTLE_GAIN, Forecast
from pigeonhole.features import cross_validation

MOST_FOLDS = 5


class Outlook(NamedTuple):
    """What twice as many labels are expected to bring.

    gain      in accuracy, 0..1
    doubled   the accuracy to expect then
    little    whether that is hardly worth it
    sentence  for people
    """

    gain: float
    doubled: Forecast
    little: bool
    sentence: str


def outlook(
    coordinates: np.ndarray, labels: np.ndarray, groups: np.ndarray, classes: Sequence[str], seed: int = 0
) -> Outlook | None:
    """By heads fitted to parts of the labelled pictures; None where there are too few. Takes seconds.

    coordinates  float32 [n, d]
    labels       int [n], positions in `classes`, -1 for none
    groups       int64 [n], equal for copies of one picture
    """
    rows = np.flatnonzero(labels >= 0)
    present, given = np.unique(labels[rows], return_inverse=True)
    if len(present) < 2:
        return None
    folds = min(MOST_FOLDS, cross_validation.num_folds(given, groups[rows]))
    dealt = deal(given, groups[rows], folds, seed)
    try:
        names = [classes[label] for label in present]
        curve = feature_curve.measure(coordinates[rows], given, dealt, names, seed)
    except PigeonholeError:
        return None
    twice = 2 * len(rows)
    gain, doubled = curve.gain, curve.forecast(twice)
    little = gain < LITTLE_GAIN
    points = f"{100 * max(0, gain):.1f} points"
    if little:
        sentence = f"More labels bring little now: twice as many ({twice:,}) would add about {points}."
    else:
        sentence = f"Twice as many labels ({twice:,}) would add about {points}, to {doubled}."
    return Outlook(gain, doubled, little, sentence)
