"""When a training does what: its learning rate at each step, its two phases, its validations."""

import math
from dataclasses import dataclass

from pigeonhole.networks.recipes import Recipe

MOST_VALIDATIONS = 40
_RISE = 0.25  # the share of a one-cycle in which the rate goes up
_TENTH = 0.1


@dataclass(frozen=True)
class Schedule:
    """A training of `total_steps`, `steps_per_epoch` of which show as many pictures as there are."""

    recipe: Recipe
    total_steps: int
    steps_per_epoch: int

    @property
    def frozen_steps(self) -> int:
        """How many steps, at the beginning, only the head learns."""
        return min(round(self.recipe.freeze * self.total_steps), self.total_steps - 1)

    def rate(self, step: int) -> float:
        """The learning rate of step number `step` (from 0); each phase runs through the schedule once."""
        frozen = self.frozen_steps
        if step >= frozen:
            return learning_rate(self.recipe, step - frozen, self.total_steps - frozen)
        of_head = self.recipe.with_given(learning_rate=self.recipe.head_learning_rate)
        return learning_rate(of_head, step, frozen)

    def validates_after(self, steps_done: int) -> bool:
        """Whether so many steps end the training, an epoch or, of a long training, several epochs."""
        epochs = self.total_steps / self.steps_per_epoch
        every = max(1, math.ceil(epochs / MOST_VALIDATIONS)) * self.steps_per_epoch
        return steps_done >= self.total_steps or steps_done % every == 0


def learning_rate(recipe: Recipe, step: int, total_steps: int) -> float:
    """The rate of step number `step` (from 0) of `total_steps`.

    `constant`; `exponential`: a tenth after every `decay_steps`, in jumps; `cosine` (Loshchilov and Hutter,
    2017): down to zero along half a cosine; `one-cycle` (Smith and Topin, 2018): from a twentieth of the
    peak up to it over the first quarter, then down like that.
    """
    peak, done = recipe.learning_rate, step / max(total_steps, 1)
    if recipe.schedule == "constant":
        return peak
    if recipe.schedule == "exponential":
        return peak * _TENTH ** (step // (recipe.decay_steps or max(1, math.ceil(total_steps / 3))))
    if recipe.schedule == "cosine":
        return peak * _half_cosine(done)
    if done < _RISE:
        return peak * (0.05 + 0.95 * done / _RISE)
    return peak * _half_cosine((done - _RISE) / (1 - _RISE))


def _half_cosine(done: float) -> float:
    return 0.5 * (1 + math.cos(math.pi * done))
