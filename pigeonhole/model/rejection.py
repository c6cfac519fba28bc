""" "None of these": how certain a network is of knowing a picture's class, and when it is unsure.

The limit is set by data: of pictures like those it was validated on, a stated share may be called unsure.
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from pigeonhole.model.relative_distance import RelativeDistance

if TYPE_CHECKING:
    import tensorflow as tf

FALSE_REJECTION = 0.05
COMBINED, SOFTMAX = RULES = ("energy and relative distance", "maximum softmax")


class Measure(Protocol):
    """What certainty is measured by."""

    def certainty(self, logits, features) -> "tf.Tensor":
        """float32 [N] from `logits` float32 [N, K] and `features` float32 [N, F], arrays or tensors."""


@dataclass(frozen=True)
class Energy:
    """Confidence before it is made to sum to one, with a distance in the penultimate layer.

    The log-sum-exp of the logits (Liu et al., "Energy-based Out-of-distribution Detection", 2020) plus the
    relative distance, each in its own standard deviations on validation pictures; the mean there is 0.
    """

    energy_scale: float
    distance_scale: float
    offset: float
    distance: RelativeDistance

    @staticmethod
    def fit(logits: np.ndarray, features: np.ndarray, distance: RelativeDistance) -> "Energy":
        """In balance on validation pictures, `logits` [N, K] and `features` [N, F]."""
        import tensorflow as tf

        energy = tf.reduce_logsumexp(logits, axis=1).numpy()
        advantage = distance.advantage(features).numpy()
        scales = [1 / (float(values.std()) or 1.0) for values in (energy, advantage)]
        offset = scales[0] * float(energy.mean()) + scales[1] * float(advantage.mean())
        return Energy(*scales, offset, distance)

    def certainty(self, logits, features) -> "tf.Tensor":
        import tensorflow as tf

        advantage = self.distance.advantage(features)
        energy = tf.reduce_logsumexp(logits, axis=1)
        return self.energy_scale * energy + self.distance_scale * advantage - self.offset


@dataclass(frozen=True)
class Softmax:
    """The highest calibrated probability, 0..1 (Hendrycks and Gimpel, 2017): the plain measure to beat."""

    temperature: float

    def certainty(self, logits, features) -> "tf.Tensor":
        import tensorflow as tf

        return tf.reduce_max(tf.nn.softmax(logits / self.temperature), axis=1)


@dataclass(frozen=True)
class Rejection:
    """Calls pictures unsure whose certainty is below `threshold`.

    `false_rejection`: at most this share of pictures of known classes, in expectation, 0..1. `threshold` is
    minus infinity, and no picture unsure, where there were too few validation pictures to promise that.
    """

    rule: str
    threshold: float
    false_rejection: float
    measure: Measure

    def describe(self) -> dict[str, str | float | None]:
        """For JSON: rule, threshold (None where nothing is ever unsure) and false-rejection rate."""
        threshold = self.threshold if np.isfinite(self.threshold) else None
        return {"rule": self.rule, "threshold": threshold, "false_rejection": self.false_rejection}


def fit(
    train_features: np.ndarray,
    train_labels: np.ndarray,
    valid: tuple[np.ndarray, np.ndarray],
    temperature: float,
    false_rejection: float = FALSE_REJECTION,
    rule: str = COMBINED,
) -> Rejection:
    """The rule for a network with these outputs on its training and its validation pictures.

    `train_features` float32 [M, F] and `train_labels` int [M] tell where the classes lie; `valid`, raw logits
    float32 [N, K] and features float32 [N, F], settle the balance and the threshold.
    `temperature` calibrates the logits. `rule`: one of RULES.

    The classes' places come from training pictures though the network has fitted itself to those: there are
    more of them, and on CIFAR-10 with classes left out that was better for unseen classes (AUROC 0.68 against
    0.66 with 8,000 training and 2,000 validation pictures, 0.59 against 0.53 with 500 and 125).
    """
    if rule == SOFTMAX:
        measure = Softmax(temperature)
    else:
        distance = RelativeDistance.fit(train_features, train_labels)
        measure = Energy.fit(*valid, distance)
    certainties = measure.certainty(*valid).numpy()
    return Rejection(rule, conformal_threshold(certainties, false_rejection), false_rejection, measure)


def conformal_threshold(certainties: np.ndarray, false_rejection: float) -> float:
    """The value below which a new certainty falls with a probability of at most `false_rejection`.

    `certainties` float [N] of pictures that are exchangeable with the new one. The new one's rank among them
    is any of the N + 1 with equal chance (split conformal prediction; Vovk, Gammerman and Shafer, 2005), so
    that the k-th lowest serves for k = floor((N + 1) x rate). Where k is 0, below `pictures_needed`, no value
    can promise that, and the result is minus infinity.
    """
    rank = int((len(certainties) + 1) * false_rejection + 1e-9)  # 20 x 0.05 shall be 1
    return float(np.sort(certainties)[rank - 1]) if rank else -np.inf


def pictures_needed(false_rejection: float) -> int:
    """The fewest validation pictures with which a threshold can promise the rate: 19 for 0.05."""
    return math.ceil(1 / false_rejection - 1e-9) - 1


def certainty(rejection: Rejection, logits: np.ndarray, features: np.ndarray) -> np.ndarray:
    """How certain the network is of pictures with these outputs [N, K] and [N, F]: float32 [N]."""
    return rejection.measure.certainty(logits, features).numpy()


def add_to_graph(
    rejection: Rejection, logits: "tf.Tensor", features: "tf.Tensor"
) -> tuple["tf.Tensor", "tf.Tensor"]:
    """Certainty float32 [N] and unsure bool [N], computed from `logits` [N, K] and `features` [N, F]."""
    certainties = rejection.measure.certainty(logits, features)
    return certainties, certainties < rejection.threshold
