"""What more labels would bring."""

from typing import NamedTuple

import numpy as np

from pigeonhole.evaluation.studies.learning_curve import LITTLE_GAIN
from pigeonhole.labelling.expected import Accuracy
from pigeonhole.labelling.learner import Learner


class Outlook(NamedTuple):
    """What the second half of the labels has brought, and so the most to hope of twice as many.

    gain      in accuracy, 0..1
    sentence  for people
    """

    gain: float
    sentence: str


def outlook(learner: Learner, labels: np.ndarray, num_classes: int, now: Accuracy) -> Outlook | None:
    """By heads fitted to either half of the labels; None where they are too few.

    labels  int [n], -1 for none
    now     the accuracy with all of them

    All accuracies are those to expect of the whole heap, whichever pictures have labels.
    """
    half = np.random.default_rng(0).random(len(labels)) < 0.5
    found = [learner.fit(np.where(side, labels, -1), num_classes).accuracy for side in (half, ~half)]
    if not all(found):
        return None
    before = float(np.mean([accuracy.value for accuracy in found]))
    gain, count = now.value - before, int((labels >= 0).sum())
    if gain < LITTLE_GAIN:
        given = f"{100 * before:.1f} %"
        return Outlook(gain, f"More labels bring little now: half of the {count:,} give {given} as well.")
    # Of few labels the accuracy is rather expected too low, and so the gain too high: it is no forecast.
    most = f"{100 * min(gain, 1 - now.value):.1f} points"
    return Outlook(gain, f"Twice as many labels as these {count:,} may add up to {most}, or less.")
