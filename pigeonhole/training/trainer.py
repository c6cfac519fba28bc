"""The loop around the compiled step: validation, the best network so far, early stop, resuming."""

import itertools
import math
import sys
import time
from collections.abc import Callable, Iterator

import keras
import numpy as np

from pigeonhole.networks.recipes import Recipe
from pigeonhole.networks.whitening import Whiten, filters_for
from pigeonhole.runs.parts import Part
from pigeonhole.runs.records import Progress, Score, State, Validation
from pigeonhole.statistics import fewest_right
from pigeonhole.training import steps
from pigeonhole.training.batches import Batch, Batches, for_evaluation
from pigeonhole.training.failures import Diverged, Stuck, guessing_loss, has_not_moved
from pigeonhole.training.schedule import VALIDATING, Pace, Schedule, most_steps, sparing
from pigeonhole.training.tally import Tally, score

WARM_UP = 2  # steps: the first compiles, and allocates what all later ones use
FEWEST_MEASURED = 8  # steps
MEASURED, MOST_MEASURED = 0.05, 5.0  # the share of the time asked for, at most so many seconds
WHITENED = 2000  # pictures that tell what patches are like


class Trainer:
    """Trains `model` on `train` by `recipe`, validating on all of `valid` as it goes.

    `train` and `valid` are `dataset.DataSet`s; without `valid` (None) there is only `learn`. `workers`: a
    `workers.Workers`, in whose strategy's scope `model` and this object are made, where several train
    together. `total_steps` may be changed until `run` begins. `may_restart`: whether `run` raises Stuck where
    the loss has not moved after a fifth of the training. `keeps_by_loss`: whether the network of the lowest
    validation loss is kept, not that of the most right answers.
    """

    def __init__(self, model: keras.Model, train, valid, recipe: Recipe, seed: int, workers=None):
        self.model = model
        self.train = train
        self.valid = valid
        self.recipe = recipe
        self.seed = seed
        self.batches = Batches(train, recipe, seed, workers)
        self.steps_per_epoch = recipe.steps_per_epoch(train.num_examples)
        self.total_steps = max(1, round(recipe.length(train.num_examples)))
        self.may_restart = self.keeps_by_loss = False
        self.restarted_after: int | None = None  # the step after which a first attempt was given up
        self.earlier: tuple[Part, ...] = ()  # the training before it was lengthened, each time
        self.validations: list[Validation] = []
        self.best_weights: list[np.ndarray] | None = None
        self.best_logits: np.ndarray | None = None
        self.valid_logits: np.ndarray | None = None
        self._steps_done, self._seconds_before = 0, 0.0
        self._started = time.perf_counter()
        self._since = Tally()
        self._workers = workers
        self._set_filters()
        steps.fit_layers(model, recipe)
        weights = None
        if recipe.balanced:
            weights = steps.balanced_weights(train.label_indices, model.output.shape[-1])
        self._phases = steps.phases(model, recipe, weights, workers.compile_step if workers else None)
        self._is_frozen = False
        self._answer = steps.compile_answer(model)

    @property
    def best(self) -> Validation | None:
        """The validation whose network is kept: the best so far, or a later one as good but for chance.

        See `statistics.fewest_right` and `keeps_by_loss`.
        """
        return next((validation for validation in reversed(self.validations) if validation.is_kept), None)

    @property
    def steps_done(self) -> int:
        return self._steps_done

    @property
    def frozen_steps(self) -> int:
        """How many steps, at the beginning, only the head learns."""
        return self._schedule.frozen_steps

    @property
    def is_validation_due(self) -> bool:
        """Whether a validation belongs after the last step, and has not been made."""
        if self._steps_done <= (self.validations[-1].step if self.validations else 0):
            return False
        return self._schedule.validates_after(self._steps_done)

    def run(self, on_step: Callable[[Progress], None] = lambda progress: None) -> Iterator[Validation]:
        """Train to the end, yielding at each validation; the caller may stop at any point.

        `best_weights` (as `model.get_weights()`) and `best_logits` (float32 [n, K]) are those of the `best`
        of the `validations`, `valid_logits` those of the last one. After `restore` it goes on from there.
        Raises Diverged at the first loss that is not a number; what was best before is kept. Raises Stuck
        only where `may_restart`.
        """
        self._begin()
        if self.is_validation_due:  # it may have been stopped just before
            yield self.validate()
        self._require_progress()
        if self._is_at_end:
            return
        for _ in self._advance(on_step):
            if self.is_validation_due:
                yield self.validate()
                self._require_progress()
                if self._is_at_end:
                    return

    def learn(self, on_step: Callable[[Progress], None] = lambda progress: None) -> None:
        """Train to the end without any validation. Raises Diverged as `run` does."""
        self._begin()
        for _ in self._advance(on_step):
            pass

    def train_on(self, step: int, rate: float, batch: Batch) -> tuple[float, int]:
        """Train on one batch as step number `step`; its mean loss, and how many were right."""
        frozen = step < self.frozen_steps
        if frozen is not self._is_frozen:
            steps.freeze(self.model, frozen, self.recipe.frozen_until, self.recipe.frozen_depthwise)
            self._is_frozen = frozen
        phase = self._phases[frozen]
        phase.optimizer.learning_rate.assign(rate)
        return phase.step(batch, np.array([self.seed, step], np.int32))

    def validate(self) -> Validation:
        """Validate the present weights, and keep them if none before were better.

        Raises Diverged, and keeps nothing, where an answer or a weight is not a number.
        """
        tally, speed = self._since, self._since.speed()
        speeds = self._workers.gather(tally.speed_here()) if self._workers else ()
        self.valid_logits = self.logits(self.valid)
        # A weight that is not a number can hide behind a ReLU, which TensorFlow computes as 0.
        if not all(np.isfinite(values).all() for values in (self.valid_logits, *self.model.get_weights())):
            raise Diverged(self._steps_done, self.recipe.learning_rate)
        valid = score(self.valid_logits, self.valid.label_indices)
        validation = Validation(
            epoch=self._steps_done / self.steps_per_epoch,
            step=self._steps_done,
            learning_rate=self._schedule.rate(max(self._steps_done - 1, 0)),
            train=tally.score(),
            valid=valid,
            seconds=self._seconds,
            pictures_per_second=speed,
            is_kept=self._is_kept(valid),
            valid_right=self.valid_logits.argmax(axis=1) == self.valid.label_indices,
            workers=len(speeds) or 1,
            worker_speeds=tuple(speeds),
        )
        if validation.is_kept:
            self.best_logits, self.best_weights = self.valid_logits, self.model.get_weights()
        self.validations.append(validation)
        self._since = Tally()
        return validation

    def logits(self, data) -> np.ndarray:
        """float32 [n, K]: what the model says to all pictures of `data`, without augmentation or dropout."""
        if self._workers is None:
            return self._answers(data.images)
        logits = np.zeros([data.num_examples, self.model.output.shape[-1]], np.float32)
        here = np.array_split(np.arange(len(logits)), self._workers.count)[self._workers.index]
        if len(here):
            logits[here] = self._answers(data.images[here])
        return self._workers.united(logits)

    def state(self) -> State:
        """Everything to go on from, after the last finished step; a copy."""
        return State(
            step=self._steps_done,
            variables=[variable.numpy() for variable in self._variables],
            tally=self._since.figures(),
            seconds=self._seconds,
            validations=list(self.validations),
            best_weights=self.best_weights,
            best_logits=self.best_logits,
            valid_labels=self.valid.label_indices,
        )

    def restore(self, state: State) -> None:
        """Go on from `state` at the next `run`. Raises ValueError when it is of another network."""
        if [tuple(variable.shape) for variable in self._variables] != [
            each.shape for each in state.variables
        ]:
            raise ValueError("the state is of another network")
        self._assign(state.variables)
        self.validations = list(state.validations)
        self.best_weights, self.best_logits = state.best_weights, state.best_logits
        self._steps_done, self._seconds_before = state.step, state.seconds
        self._since = Tally(*state.tally)

    @property
    def is_cut_short(self) -> bool:
        """Whether it took fewer steps than the recipe asks for, and the loss fell to the last validation."""
        losses = [validation.valid.loss for validation in self.validations]
        usual = round(self.recipe.length(self.train.num_examples))
        return self.total_steps < usual and len(losses) > 1 and losses[-1] < min(losses[:-1])

    def fit_to(self, seconds: float) -> None:
        """Set `total_steps` so that this measurement, training and validation together fill `seconds`.

        Measures the first steps on the real data and then puts every weight back. Where validations would
        take more than a tenth of the time, there are fewer, unless the recipe says when or stops by them.
        """
        pace = self._pace(seconds)
        self.total_steps = most_steps(self.recipe, self.steps_per_epoch, pace)
        is_open = self.recipe.validate_every is None and self.recipe.patience is None
        if is_open and self.total_steps * pace.step < (1 - VALIDATING) * pace.seconds:
            self.recipe = sparing(self.recipe, sys.maxsize, pace)
            self.total_steps = most_steps(self.recipe, self.steps_per_epoch, pace)

    def fit_within(self, seconds: float) -> None:
        """As `fit_to`, but with no more steps than before, and with few validations where these take long."""
        pace = self._pace(seconds)
        self.recipe = sparing(self.recipe, self.total_steps, pace)
        self.total_steps = min(self.total_steps, most_steps(self.recipe, self.steps_per_epoch, pace))

    def _pace(self, seconds: float) -> Pace:
        """What steps and validations take, and what is left of `seconds` once that has been measured."""
        started = time.perf_counter()
        before = [variable.numpy() for variable in self._variables]
        per_step = self._step_seconds(enough=min(MEASURED * seconds, MOST_MEASURED))
        self._assign(before)
        validation = self._validation_seconds()
        return Pace(max(seconds - (time.perf_counter() - started), 0.0), per_step, validation)

    def _is_kept(self, valid: Score) -> bool:
        before = [validation.valid for validation in self.validations]
        if self.keeps_by_loss:
            return all(valid.loss <= each.loss for each in before)
        most = max(each.right for each in (valid, *before))
        return valid.right >= fewest_right(most, valid.total, self.recipe.settles)

    @property
    def _schedule(self) -> Schedule:
        return Schedule(self.recipe, self.total_steps, self.steps_per_epoch, self.earlier)

    @property
    def _variables(self) -> list:
        of_optimizers = (phase.optimizer.variables for phase in self._phases.values())
        return [*self.model.variables, *itertools.chain.from_iterable(of_optimizers)]

    def _assign(self, values: list[np.ndarray]) -> None:
        for variable, value in zip(self._variables, values, strict=True):
            variable.assign(value)

    @property
    def _seconds(self) -> float:
        return self._seconds_before + time.perf_counter() - self._started

    @property
    def _is_at_end(self) -> bool:
        """Whether the last validation ended the training, by its length or by the recipe's patience."""
        if self._steps_done <= self._steps_before:
            return False  # it did end there, but has been lengthened
        return self._steps_done >= self.total_steps or bool(
            self.recipe.patience and self._without_gain >= self.recipe.patience
        )

    @property
    def _steps_before(self) -> int:
        """How many steps were done before the training was lengthened the last time."""
        return self.earlier[-1].steps if self.earlier else 0

    @property
    def _without_gain(self) -> int:
        """How many validations ago the most pictures were right for the first time, of those since then."""
        since = [each for each in self.validations if each.step > self._steps_before]
        right = [validation.valid.right for validation in since]
        return len(right) - 1 - right.index(max(right)) if right else 0

    def _require_progress(self) -> None:
        if not self.may_restart:
            return
        guessing = guessing_loss(self.train.label_indices, self.model.output.shape[-1], self.recipe)
        if has_not_moved(self.validations, self.total_steps, guessing):
            raise Stuck(self._steps_done)

    def _begin(self) -> None:
        """Let the clocks run from now on: not the time between the making of this object and its use."""
        self._started = time.perf_counter()
        self._since.resume()

    def _advance(self, on_step: Callable[[Progress], None]) -> Iterator[int]:
        """Train step by step, yielding how many are done."""
        schedule = self._schedule
        for step, batch in self.batches.between(self._steps_done, self.total_steps):
            rate = schedule.rate(step)
            loss, right = self.train_on(step, rate, batch)
            if not math.isfinite(loss):
                raise Diverged(step, self.recipe.learning_rate)
            self._since.add(loss, right, batch.total, len(batch.labels))
            self._steps_done = step + 1
            on_step(Progress(step + 1, self.total_steps, rate, loss, right, batch.total))
            yield step + 1

    def _answers(self, images) -> np.ndarray:
        return np.concatenate([self._answer(part) for part in for_evaluation(images)])

    def _step_seconds(self, enough: float) -> float:
        """How long a step takes, by those of about `enough` seconds. It changes the weights."""
        first = self.frozen_steps  # from there on a step takes longest
        for step, batch in self.batches.between(first, sys.maxsize):
            self.train_on(step, 0.0, batch)
            measured = step + 1 - first - WARM_UP
            if measured <= 0:
                begun = time.perf_counter()
            elif measured >= FEWEST_MEASURED and (self._workers or time.perf_counter() - begun > enough):
                break  # several workers must make the same number of steps
        return (time.perf_counter() - begun) / measured

    def _validation_seconds(self) -> float:
        """How long a validation takes, by that of a part of the pictures."""
        part = next(for_evaluation(self.valid.images))
        self._answer(part)  # the first call compiles
        moment = time.perf_counter()
        self._answer(part).numpy()
        workers = self._workers.count if self._workers else 1
        return (time.perf_counter() - moment) * self.valid.num_examples / len(part) / workers

    def _set_filters(self) -> None:
        """Give the layers that whiten, unless they came with weights, filters for the pictures of this data.

        They fit the pictures as the first steps show them: what only the variation brings in counts, too.
        """
        for layer in self.model.layers:
            if isinstance(layer, Whiten) and not layer.has_filters:
                before = keras.Model(self.model.input, layer.input)
                pictures = self.batches.first_pictures(WHITENED)
                kernel = filters_for(before(images) for images in pictures)
                if self._workers and not self._workers.is_chief:
                    kernel = np.zeros_like(kernel)  # to the last bit those of the chief
                layer.set_filters(self._workers.united(kernel) if self._workers else kernel)
