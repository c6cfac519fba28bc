"""When a training does what: its learning rate at each step, its two phases, its validations."""

import bisect
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

from pigeonhole.networks.recipes import WHOLE_EPOCHS, Recipe
from pigeonhole.runs.parts import Part

MOST_VALIDATIONS = 40
FEWEST_VALIDATIONS = 10  # unless there are fewer steps
SPARED_VALIDATIONS = 3  # at least so many where they take more than a tenth of the time
VALIDATING = 0.1
_RISE = 0.25  # the share of a one-cycle in which the rate goes up
_TENTH = 0.1


@dataclass(frozen=True)
class Schedule:
    """A training of `total_steps`, `steps_per_epoch` of which show as many pictures as there are.

    `earlier`: the training before it was lengthened, each time. In the steps added the schedule runs anew,
    but for an exponential fall, which goes by the number of the step in the whole training.
    """

    recipe: Recipe
    total_steps: int
    steps_per_epoch: int
    earlier: tuple[Part, ...] = ()

    @property
    def frozen_steps(self) -> int:
        """How many steps, at the beginning, only the head learns."""
        _, first = next(self._parts())
        return min(round(first.recipe.freeze * first.total_steps), first.total_steps - 1)

    def rate(self, step: int) -> float:
        """The learning rate of step number `step` (from 0); each phase runs through the schedule once."""
        begin, part = self._part(step)
        recipe, frozen = part.recipe, self.frozen_steps
        if step < frozen:
            of_head = recipe.with_given(learning_rate=recipe.head_learning_rate)
            return learning_rate(of_head, step, frozen)
        if recipe.schedule != "exponential":
            frozen = max(frozen, begin)
        return learning_rate(recipe, step - frozen, part.total_steps - frozen)

    def validates_after(self, steps_done: int) -> bool:
        """Whether so many steps end the training or what lies between two validations."""
        begin, part = self._part(steps_done - 1)
        added = part.total_steps - begin
        between = steps_between(part.recipe, part.total_steps, added, self.steps_per_epoch)
        return steps_done >= part.steps or (steps_done - begin) % between == 0

    def _parts(self) -> Iterator[tuple[int, Part]]:
        """Each part of the training, and the step with which it begins."""
        begin = 0
        for part in (*self.earlier, Part(self.total_steps, self.total_steps, self.recipe)):
            yield begin, part
            begin = part.steps

    def _part(self, step: int) -> tuple[int, Part]:
        """The part to which step number `step` belongs, and its first step."""
        parts = list(self._parts())
        return next((each for each in parts if step < each[1].steps), parts[-1])


def steps_between(recipe: Recipe, total_steps: int, added: int, steps_per_epoch: int) -> int:
    """The steps from one validation to the next: what the recipe says, else an epoch, several of a long
    training, and less than one where the `added` steps, of `total_steps` in all, are few."""
    asked = recipe.validate_every
    if asked and asked.endswith("steps"):
        return int(asked.removesuffix("steps"))
    if asked and asked != WHOLE_EPOCHS:
        return max(1, round(float(asked.removesuffix("epochs")) * steps_per_epoch))
    every = max(1, math.ceil(total_steps / steps_per_epoch / MOST_VALIDATIONS)) * steps_per_epoch
    return every if asked else max(1, min(every, added // FEWEST_VALIDATIONS))


class Pace(NamedTuple):
    """The `seconds` that there are, and those of one step and of one validation."""

    seconds: float
    step: float
    validation: float


def most_steps(recipe: Recipe, steps_per_epoch: int, pace: Pace) -> int:
    """The most steps, at least 1, that the time is enough for with the validations of the recipe."""

    def seconds_of(count: int) -> float:
        validations = math.ceil(count / steps_between(recipe, count, count, steps_per_epoch))
        return count * pace.step + validations * pace.validation

    longest = max(1, int(pace.seconds / pace.step))
    return max(1, bisect.bisect_right(range(longest + 1), pace.seconds, key=seconds_of) - 1)


def sparing(recipe: Recipe, most: int, pace: Pace) -> Recipe:
    """The recipe with validations that take a tenth of the time, or are few, in a training of `most` steps or
    of as many as there is time for."""
    affordable = int(VALIDATING * min(most * pace.step, pace.seconds) / pace.validation)
    validations = min(max(affordable, SPARED_VALIDATIONS), FEWEST_VALIDATIONS)
    steps = min(most, (pace.seconds - validations * pace.validation) / pace.step)
    between = max(1, math.ceil(steps / validations))
    return replace(recipe, validate_every=f"{between}steps")


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
