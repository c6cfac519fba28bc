"""Ways in which a training fails though nothing is wrong with the program or the files."""

from collections.abc import Sequence

import numpy as np

from pigeonhole.errors import PigeonholeError
from pigeonhole.networks.recipes import Recipe
from pigeonhole.runs.records import Validation

LOOKED_AT = 0.2  # the share of a training after which its loss must have moved
FEWEST_STEPS = 32  # until then; fewer do not tell
MOVED = 0.99  # of the loss by guessing: a mean over so many pictures varies by less
_LOWER = 0.1  # of the rate that was too high


class Diverged(PigeonholeError):
    """The loss, or an answer to a validation picture, is no longer a number: the weights have grown without
    limit, and no later step mends that. `step`: the last one of which all was well; `rate`: the highest
    learning rate."""

    def __init__(self, step: int, rate: float):
        super().__init__(
            f"the loss is no longer a number after step {step:,}; train with a lower learning rate, "
            f"such as --learning-rate {_LOWER * rate:.1g}"
        )


class Stuck(Exception):
    """The loss has not moved since the training began; other settings may do better. `step`: so far."""

    def __init__(self, step: int):
        super().__init__(f"the loss has not moved after step {step:,}")
        self.step = step


def has_not_moved(validations: Sequence[Validation], total_steps: int, guessing: float) -> bool:
    """Whether the last of the `validations` is the first after a fifth of a training of `total_steps`, and
    the training loss since a tenth has been no better than `guessing`, the loss of the classes' shares."""
    done, fifth = [each.step for each in validations], total_steps * LOOKED_AT
    is_time = done and done[-1] >= fifth and (len(done) == 1 or done[-2] < fifth)
    if not is_time or fifth < FEWEST_STEPS:
        return False
    recent = [each.train for each in validations if each.step > fifth / 2]
    pictures = sum(score.total for score in recent)
    return sum(score.loss * score.total for score in recent) >= MOVED * guessing * pictures > 0


def guessing_loss(label_indices: np.ndarray, num_classes: int, recipe: Recipe) -> float:
    """The mean loss (nats) under `recipe` of answering every picture with the classes' shares."""
    shares = np.bincount(label_indices, minlength=num_classes) / len(label_indices)
    if recipe.balanced:
        shares = (shares > 0) / np.count_nonzero(shares)
    shares = shares * (1 - recipe.label_smoothing) + recipe.label_smoothing / num_classes
    present = shares[shares > 0]
    return float(-(present * np.log(present)).sum())
