"""What a training tells and keeps: the outcome of a step, of a validation, and all that it goes on from."""

from dataclasses import dataclass, field, replace

import numpy as np


@dataclass(frozen=True)
class Score:
    """How a network did on `total` pictures: `right` of them, at a mean cross-entropy of `loss` (nats)."""

    right: int
    total: int
    loss: float

    @property
    def accuracy(self) -> float:
        return self.right / self.total


@dataclass(frozen=True)
class Validation:
    """The state at a validation: training figures since the one before, and ALL validation pictures.

    `valid_right`: bool [n], whether each validation picture was answered correctly. `worker_speeds`: pictures
    per second of each of the `workers`, where they are several.
    """

    epoch: float
    step: int
    learning_rate: float
    train: Score
    valid: Score
    seconds: float
    pictures_per_second: float
    is_kept: bool
    valid_right: np.ndarray = field(repr=False, compare=False)
    workers: int = 1
    worker_speeds: tuple[float, ...] = field(default=(), compare=False)


@dataclass(frozen=True)
class Attempt:
    """A way to train that was tried: what it reached on the pictures that all of them are compared by.

    `accuracy` 0..1; `log_loss` in nats; `weight`: how much it counts in the saved model, 0: it was left out;
    `seconds`: how long it trained, None where it is a head on features alone.
    """

    title: str
    accuracy: float
    log_loss: float
    weight: float
    seconds: float | None = None


@dataclass(frozen=True)
class NextStep:
    """What to do about something that was found.

    `action`: what, in the imperative. `why`: the finding, with its figures. `command`: where there is one.
    `gain`: by how much the accuracy is expected to rise, 0..1, None where that cannot be computed.
    """

    action: str
    why: str
    command: str | None = None
    gain: float | None = None


@dataclass(frozen=True)
class State:
    """All that a training needs to go on after step number `step` as if it had never stopped.

    `variables`: the model's and then the optimizer's. `tally`: loss, right answers, pictures and seconds
    since the last validation. `seconds`: of training so far. `best_weights` and `best_logits` (float32
    [n, K], for validation labels int64 [n]) are those of the best validation; None before the first.
    """

    step: int
    variables: list[np.ndarray]
    tally: tuple[float, int, int, float]
    seconds: float
    validations: list[Validation]
    best_weights: list[np.ndarray] | None
    best_logits: np.ndarray | None
    valid_labels: np.ndarray

    def without_validations(self) -> "State":
        """The same network, to be validated on other pictures than so far."""
        return replace(self, tally=(0.0, 0, 0, 0.0), validations=[], best_weights=None, best_logits=None)


@dataclass(frozen=True)
class Progress:
    """What one finished step tells: its number (from 1), its rate, its loss and how many it got right."""

    step: int
    total_steps: int
    learning_rate: float
    loss: float
    right: int
    pictures: int
