"""The two ways in which an answer can be in doubt, kept apart.

`torn`: the picture seems to show one of two classes, and the probabilities do not tell which. `stranger`: it
is like none of the classes, by the model's own rule (`unsure:0`); the probabilities then mean little.
"""

from collections.abc import Sequence

import numpy as np

COLUMN = "doubt"  # of tables
TORN, STRANGER = "torn", "stranger"  # these names are written into files and answers, and stay
# The best class over the second. Calibrated probabilities mean what they say: below two to one, the second
# class is right in more than a third of the cases in which it is one of the two.
ODDS = 2.0


def are_torn(probabilities: np.ndarray) -> np.ndarray:
    """bool [N] of calibrated probabilities float [N, K]: whether the second class is nearly as likely."""
    if probabilities.shape[1] < 2:
        return np.zeros(len(probabilities), bool)
    second, first = np.partition(probabilities, (-2, -1), axis=1)[:, -2:].T
    return first < ODDS * second


def kind(best_first: Sequence[float], unsure: bool) -> str | None:
    """TORN, STRANGER or None, of one answer's probabilities; a stranger is not called torn."""
    if unsure:
        return STRANGER
    return TORN if len(best_first) > 1 and best_first[0] < ODDS * best_first[1] else None
