"""The compiled training step, the loop around it, learning-rate schedules, validation and early stop.

Whatever is random in step number t (which pictures, how each is varied, which units drop out) is a function
of (seed, t) alone, so that a run repeats bit for bit and can be restored at any step.
"""

import functools
import itertools
import math
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from pigeonhole.data.augment import augment, mix
from pigeonhole.data.shards import Shard, whole
from pigeonhole.networks.averaging import Averaged
from pigeonhole.networks.distortion import Distort
from pigeonhole.networks.layers import Dropout, dropout_feed
from pigeonhole.networks.recipes import Recipe
from pigeonhole.networks.whitening import Whiten, filters_for
from pigeonhole.runs.records import Progress, Score, State, Validation
from pigeonhole.statistics import fewest_right
from pigeonhole.training.adam import Adam
from pigeonhole.training.muon import Muon

EVALUATION_PIXELS = 500 * 32 * 32  # in one batch; larger ones are no faster and only take memory
MOST_VALIDATIONS = 40
WARM_UP = 2  # steps: the first compiles, and allocates what all later ones use
FEWEST_MEASURED = 8  # steps
MEASURED, MOST_MEASURED = 0.05, 5.0  # the share of the time asked for, at most so many seconds
_VARY, _DRAW, _MIRROR = 1, 2, 3  # keep these draws apart from the shuffle, which is keyed by (seed, epoch)
_TENTH = 0.1
_WHITENED = 2000  # pictures that tell what patches are like


class Batch(NamedTuple):
    """`images` uint8 [n, S, S, C] and `labels` int32 [n] of one step; with several workers, of this one's
    `shards`, one after the other, of a batch of `total` pictures.

    `share` (0.5 to 1) of each image is its label's picture, the rest is that of the reversed batch.
    """

    images: np.ndarray
    labels: np.ndarray
    share: np.float32
    shards: list[Shard]
    total: int


def balanced_weights(label_indices: np.ndarray, num_classes: int) -> np.ndarray:
    """float32 [K]: loss weights by which every class counts the same, 1 on average over the pictures."""
    counts = np.bincount(label_indices, minlength=num_classes)
    return (len(label_indices) / (num_classes * np.maximum(counts, 1))).astype(np.float32)


def learning_rate(recipe: Recipe, step: int, total_steps: int) -> float:
    """The rate of step number `step` (from 0) of `total_steps`.

    `constant`; `exponential`: a tenth after every `decay_steps`, in jumps; `cosine` (Loshchilov and Hutter,
    2017): down to nothing along half a cosine; `one-cycle` (Smith and Topin, 2018): from a twentieth of the
    peak up to it over the first quarter, then down like that.
    """
    peak, done = recipe.learning_rate, step / max(total_steps, 1)
    if recipe.schedule == "constant":
        return peak
    if recipe.schedule == "exponential":
        return peak * _TENTH ** (step // (recipe.decay_steps or max(1, math.ceil(total_steps / 3))))
    if recipe.schedule == "cosine":
        return peak * _half_cosine(done)
    rise = 0.25
    if done < rise:
        return peak * (0.05 + 0.95 * done / rise)
    return peak * _half_cosine((done - rise) / (1 - rise))


def _half_cosine(done: float) -> float:
    return 0.5 * (1 + math.cos(math.pi * done))


def make_optimizer(recipe: Recipe, model: keras.Model) -> keras.optimizers.Optimizer:
    """The recipe's optimizer for the model's weights; decay spares biases and batch-norm weights.

    Adam's small constant is that of TensorFlow 1, by which the classic networks were published.
    """
    rate, decay = recipe.learning_rate, recipe.weight_decay
    if recipe.optimizer == "adam":
        optimizer = Adam(rate, epsilon=1e-8, weight_decay=decay or None)
    elif recipe.optimizer == "adamw":
        optimizer = Adam(rate, weight_decay=decay, beta_2=0.99)
    elif recipe.optimizer == "muon":
        optimizer = Muon(rate, weight_decay=decay)
    else:
        momentum = 0.9 if recipe.optimizer == "momentum" else 0.0
        optimizer = keras.optimizers.SGD(rate, momentum=momentum, weight_decay=decay or None)
    if decay:
        optimizer.exclude_from_weight_decay(var_names=["bias", "beta", "gamma"])
    optimizer.build(model.trainable_variables)
    return optimizer


def fit_layers(model: keras.Model, recipe: Recipe) -> None:
    """Have the model's random layers do in training what the recipe asks for."""
    for layer in model.layers:
        if isinstance(layer, Dropout) and not layer.whole_pictures and recipe.dropout is not None:
            layer.rate = recipe.dropout
        elif isinstance(layer, Distort):
            layer.active = recipe.augmentation.in_network


def batches(images) -> Iterator[np.ndarray]:
    """`images` uint8 [N, S, S, C], which may lie on disk, in parts fit for one evaluation each."""
    size = max(1, EVALUATION_PIXELS // images.shape[1] ** 2)
    for start in range(0, len(images), size):
        yield images[start : start + size]


def score(logits: np.ndarray, label_indices: np.ndarray) -> Score:
    """How well logits float32 [n, K] agree with the labels int64 [n]."""
    log_shares = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
    right = int((logits.argmax(axis=1) == label_indices).sum())
    losses = -log_shares[np.arange(len(label_indices)), label_indices]
    return Score(right, len(label_indices), float(losses.mean(dtype=np.float64)))


def freeze(model: keras.Model, frozen: bool) -> None:
    """Let everything in front of the head learn or not; what is frozen is in inference mode in training too.

    The head is the last layer, and the dropout before it if there is one. A compiled step keeps to what was
    set at its first call.
    """
    *base, _ = model.layers
    while base and isinstance(base[-1], Averaged | Dropout):
        base.pop()
    for layer in base:
        layer.trainable = not frozen


class Phase(NamedTuple):
    """A part of the training: the optimizer of what learns in it, and its compiled step."""

    optimizer: keras.optimizers.Optimizer
    step: Callable[[Batch, np.ndarray], tuple[float, int]]


class Trainer:
    """Trains `model` on `train` by `recipe`, looking at all of `valid` as it goes.

    `train` and `valid` are `dataset.DataSet`s; without `valid` there is only `learn`. `class_weights`:
    float32 [K], the weight of each class in the loss, or None. `workers`: a `workers.Workers`, in whose
    strategy's scope `model` and this object are made, where several train together. `total_steps` may be
    changed until `run` begins. Of these only the head learns in the first `frozen_steps`, by the recipe's
    `freeze`; then all do, and the schedule begins anew.
    """

    def __init__(self, model, train, valid, recipe: Recipe, seed: int, class_weights=None, workers=None):
        self.model = model
        self.train = train
        self.valid = valid
        self.recipe = recipe
        self.seed = seed
        self.steps_per_epoch = recipe.steps_per_epoch(train.num_examples)
        self.total_steps = max(1, round(recipe.length(train.num_examples)))
        self.validations: list[Validation] = []
        self.best_weights: list[np.ndarray] | None = None
        self.best_logits: np.ndarray | None = None
        self.valid_logits: np.ndarray | None = None
        self._steps_done, self._seconds_before = 0, 0.0
        self._started = time.perf_counter()
        self._since = _Tally()
        self._order = functools.lru_cache(maxsize=2)(train.order)
        self._mirrored_first = np.random.default_rng([seed, _MIRROR, 0]).random(train.num_examples) < 0.5
        self._workers = workers
        self._set_filters()
        fit_layers(model, recipe)
        forward = _forward(model, recipe, class_weights)
        compile_step = workers.compile_step if workers else _compile_step
        self._phases: dict[bool, Phase] = {}
        for frozen in (True, False) if recipe.freeze else (False,):
            freeze(model, frozen)
            optimizer = make_optimizer(recipe, model)
            self._phases[frozen] = Phase(optimizer, compile_step(model, optimizer, forward))
        self._is_frozen = False
        self._answer = _compile_answer(model)

    @property
    def best(self) -> Validation | None:
        """The validation whose network is kept: the best so far, or a later one as good but for chance.

        See `statistics.fewest_right`.
        """
        return next((validation for validation in reversed(self.validations) if validation.is_kept), None)

    @property
    def plan(self) -> dict[str, object]:
        """What settings.json says of the training: its recipe and its length."""
        return {
            "recipe": asdict(self.recipe),
            "total_steps": self.total_steps,
            "steps_per_epoch": self.steps_per_epoch,
        }

    @property
    def steps_done(self) -> int:
        return self._steps_done

    @property
    def frozen_steps(self) -> int:
        """How many steps, at the beginning, only the head learns."""
        return min(round(self.recipe.freeze * self.total_steps), self.total_steps - 1)

    def run(self, on_step: Callable[[Progress], None] = lambda progress: None) -> Iterator[Validation]:
        """Train to the end, yielding at each validation; the caller may stop at any point.

        `best_weights` (as `model.get_weights()`) and `best_logits` (float32 [n, K]) are those of the `best`
        of the `validations`, `valid_logits` those of the last one. After `restore` it goes on from there.
        """
        self._begin()
        if self.is_validation_due:  # it may have been stopped just before
            yield self.validate()
        if self._is_at_end:
            return
        for _ in self._advance(on_step):
            if self.is_validation_due:
                yield self.validate()
                if self._is_at_end:
                    return

    def learn(self, on_step: Callable[[Progress], None] = lambda progress: None) -> None:
        """Train to the end without a look at any validation picture."""
        self._begin()
        for _ in self._advance(on_step):
            pass

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
        for variable, value in zip(self._variables, state.variables, strict=True):
            variable.assign(value)
        self.validations = list(state.validations)
        self.best_weights, self.best_logits = state.best_weights, state.best_logits
        self._steps_done, self._seconds_before = state.step, state.seconds
        self._since = _Tally(*state.tally)

    @property
    def _variables(self) -> list:
        of_optimizers = (phase.optimizer.variables for phase in self._phases.values())
        return [*self.model.variables, *itertools.chain.from_iterable(of_optimizers)]

    @property
    def _seconds(self) -> float:
        return self._seconds_before + time.perf_counter() - self._started

    @property
    def _is_at_end(self) -> bool:
        """Whether the last validation ended the training, by its length or by the recipe's patience."""
        return self._steps_done >= self.total_steps or bool(
            self.recipe.patience and self._without_gain >= self.recipe.patience
        )

    @property
    def _without_gain(self) -> int:
        """How many validations ago the most pictures were right for the first time."""
        right = [validation.valid.right for validation in self.validations]
        return len(right) - 1 - right.index(max(right)) if right else 0

    def _begin(self) -> None:
        """Let the clocks run from now on: not the time between the making of this object and its use."""
        self._started = time.perf_counter()
        self._since.resume()

    def _advance(self, on_step: Callable[[Progress], None]) -> Iterator[int]:
        """Train step by step, yielding how many are done."""
        for step, batch in self._batches(self._steps_done, self.total_steps):
            rate = self._rate(step)
            loss, right = self._train_on(step, rate, batch)
            self._since.add(loss, right, batch.total, len(batch.labels))
            self._steps_done = step + 1
            on_step(Progress(step + 1, self.total_steps, rate, loss, right, batch.total))
            yield step + 1

    def validate(self) -> Validation:
        """Validate the present weights, and keep them if none before were better."""
        tally, speed = self._since, self._since.speed()
        speeds = self._workers.gather(tally.speed_here()) if self._workers else ()
        self.valid_logits = self.logits(self.valid)
        valid = score(self.valid_logits, self.valid.label_indices)
        most = max(valid.right, *(validation.valid.right for validation in self.validations), 0)
        is_kept = valid.right >= fewest_right(most, valid.total, self.recipe.settles)
        validation = Validation(
            epoch=self._steps_done / self.steps_per_epoch,
            step=self._steps_done,
            learning_rate=self._rate(max(self._steps_done - 1, 0)),
            train=tally.score(),
            valid=valid,
            seconds=self._seconds,
            pictures_per_second=speed,
            is_kept=is_kept,
            valid_right=self.valid_logits.argmax(axis=1) == self.valid.label_indices,
            workers=len(speeds) or 1,
            worker_speeds=tuple(speeds),
        )
        if is_kept:
            self.best_logits, self.best_weights = self.valid_logits, self.model.get_weights()
        self.validations.append(validation)
        self._since = _Tally()
        return validation

    def logits(self, data) -> np.ndarray:
        """float32 [n, K]: what the model says to all pictures of `data`, without augmentation or dropout."""
        if self._workers is None:
            return np.concatenate([self._answer(images) for images in batches(data.images)])
        logits = np.zeros([data.num_examples, self.model.output.shape[-1]], np.float32)
        here = np.array_split(np.arange(len(logits)), self._workers.count)[self._workers.index]
        if len(here):
            logits[here] = np.concatenate([self._answer(images) for images in batches(data.images[here])])
        return self._workers.united(logits)

    def fit_to(self, seconds: float) -> None:
        """Set `total_steps` so that this measurement, training and validation together fill `seconds`.

        Measures the first steps on the real data and then puts every weight back.
        """
        started = time.perf_counter()
        before = [variable.numpy() for variable in self._variables]
        first = self.frozen_steps  # from there on a step takes longest
        enough = min(MEASURED * seconds, MOST_MEASURED)
        for step, batch in self._batches(first, sys.maxsize):
            self._train_on(step, 0.0, batch)
            steps = step + 1 - first - WARM_UP
            if steps <= 0:
                begun = time.perf_counter()
            elif steps >= FEWEST_MEASURED and (self._workers or time.perf_counter() - begun > enough):
                break  # several workers must make the same number of steps
        per_step = (time.perf_counter() - begun) / steps
        for variable, value in zip(self._variables, before, strict=True):
            variable.assign(value)
        validation = self._validation_seconds()
        used = time.perf_counter() - started
        left = max(seconds - used, 0.0)
        per_epoch = per_step * self.steps_per_epoch + validation
        epochs = left / per_epoch
        if epochs > MOST_VALIDATIONS:
            epochs = max(left - MOST_VALIDATIONS * validation, 0.0) / (per_step * self.steps_per_epoch)
        self.total_steps = max(1, int(epochs * self.steps_per_epoch))

    def _set_filters(self) -> None:
        """Give the layers that whiten, unless they came with weights, filters for the pictures of this data.

        They fit the pictures as the first steps show them: what only the variation brings in counts, too.
        """
        for layer in self.model.layers:
            if isinstance(layer, Whiten) and not layer.has_filters:
                before = keras.Model(self.model.input, layer.input)
                kernel = filters_for(before(images) for images in self._first_pictures())
                if self._workers and not self._workers.is_chief:
                    kernel = np.zeros_like(kernel)  # to the last bit those of the chief
                layer.set_filters(self._workers.united(kernel) if self._workers else kernel)

    def _first_pictures(self) -> Iterator[np.ndarray]:
        """float32 [n, S, S, C]: the pictures of the first steps."""
        for step in range(math.ceil(_WHITENED / self.recipe.batch_size)):
            rows = self._rows(step)
            images, _ = self._varied(step, rows, whole(len(rows)))
            yield images.astype(np.float32)

    def _validation_seconds(self) -> float:
        """How long a validation takes, by that of a part of the pictures."""
        part = next(batches(self.valid.images))
        self._answer(part)  # the first call compiles
        moment = time.perf_counter()
        self._answer(part).numpy()
        workers = self._workers.count if self._workers else 1
        return (time.perf_counter() - moment) * self.valid.num_examples / len(part) / workers

    def _batches(self, first: int, end: int) -> Iterator[tuple[int, Batch]]:
        """Number and batch of each step from `first` to before `end`; the next batch is made while this one
        is computed on."""
        with ThreadPoolExecutor(1) as ahead:
            coming = ahead.submit(self._batch, first) if first < end else None
            for step in range(first, end):
                batch = coming.result()
                if step + 1 < end:
                    coming = ahead.submit(self._batch, step + 1)
                yield step, batch

    def _batch(self, step: int) -> Batch:
        rows = self._rows(step)
        shards = self._workers.shards(len(rows)) if self._workers else [whole(len(rows))]
        varied, shares = zip(*(self._varied(step, rows, shard) for shard in shards), strict=True)
        images = varied[0] if len(varied) == 1 else np.concatenate(varied)
        here = np.concatenate([rows[shard.positions] for shard in shards])
        labels = self.train.label_indices[here].astype(np.int32)
        return Batch(images, labels, np.float32(shares[0]), shards, len(rows))

    def _rows(self, step: int) -> np.ndarray:
        """Which training pictures this step shows, int64 [n]."""
        size = self.recipe.batch_size
        if self._draws_in_epochs:
            epoch, index = divmod(step, self.steps_per_epoch)
            order = self._order(epoch if self.recipe.draw == "epochs" else 0)
            return order[index * size : (index + 1) * size]
        rng = np.random.default_rng([self.seed, _DRAW, step])
        again = self.recipe.draw == "with-replacement"
        count = self.train.num_examples
        return rng.choice(count, size if again else min(size, count), replace=again)

    @property
    def _draws_in_epochs(self) -> bool:
        return self.recipe.draw in ("epochs", "same-order")

    def _varied(self, step: int, rows: np.ndarray, shard: Shard) -> tuple[np.ndarray, float]:
        """The shard's pictures as this step shows them, and the share of each that is its own."""
        rng = np.random.default_rng([self.seed, _VARY, step])
        chosen = self.train.images[rows[shard.positions]]
        images = augment(chosen, self.recipe.augmentation, rng, shard, self._mirrored(step, rows))
        return mix(images, rng, self.recipe.mix)

    def _mirrored(self, step: int, rows: np.ndarray) -> np.ndarray | None:
        """Which of these pictures are mirrored, bool [n]: each in every second epoch; None: by chance.

        So no picture is shown from one side only for long (Jordan, 2024: "alternating flip").
        """
        if not self._draws_in_epochs:
            return None
        return self._mirrored_first[rows] ^ bool(step // self.steps_per_epoch % 2)

    def _rate(self, step: int) -> float:
        """The learning rate of that step; each phase runs through the schedule once."""
        head, frozen = self.recipe.head_learning_rate, self.frozen_steps
        if step >= frozen:
            return learning_rate(self.recipe, step - frozen, self.total_steps - frozen)
        return learning_rate(self.recipe.with_given(learning_rate=head), step, frozen)

    def _train_on(self, step: int, rate: float, batch: Batch) -> tuple[float, int]:
        frozen = step < self.frozen_steps
        if frozen is not self._is_frozen:
            freeze(self.model, frozen)
            self._is_frozen = frozen
        phase = self._phases[frozen]
        phase.optimizer.learning_rate.assign(rate)
        return phase.step(batch, np.array([self.seed, step], np.int32))

    @property
    def is_validation_due(self) -> bool:
        """Whether the last step ended an epoch, or so many of them, or the training, without a validation."""
        if self._steps_done <= (self.validations[-1].step if self.validations else 0):
            return False
        epochs = self.total_steps / self.steps_per_epoch
        every = max(1, math.ceil(epochs / MOST_VALIDATIONS)) * self.steps_per_epoch
        return self._steps_done >= self.total_steps or self._steps_done % every == 0


class _Tally:
    """Sums losses and right answers over batches, and the time since it began."""

    def __init__(self, loss: float = 0.0, right: int = 0, total: int = 0, seconds: float = 0.0):
        self._loss, self._right, self._total, self._seconds = loss, right, total, seconds
        self._here = 0  # pictures that this process has computed on since it began
        self._started = time.perf_counter()

    def resume(self) -> None:
        """Count the time from now on, beside what was counted before."""
        self._started = time.perf_counter()

    def figures(self) -> tuple[float, int, int, float]:
        return self._loss, self._right, self._total, self._elapsed

    def add(self, mean_loss: float, right: int, pictures: int, here: int) -> None:
        """`pictures`: in the global batch; `here`: of them, how many this process computed on."""
        self._loss += mean_loss * pictures
        self._right += right
        self._total += pictures
        self._here += here

    def score(self) -> Score:
        return Score(self._right, self._total, self._loss / self._total if self._total else math.nan)

    def speed(self) -> float:
        return self._total / max(self._elapsed, 1e-9)

    def speed_here(self) -> float:
        """Pictures per second of this process."""
        return self._here / max(time.perf_counter() - self._started, 1e-9)

    @property
    def _elapsed(self) -> float:
        return self._seconds + time.perf_counter() - self._started


def _forward(model, recipe: Recipe, class_weights):
    """The function from pictures, labels and share to the loss of each picture, and how many are right."""
    num_classes = model.output.shape[-1]
    smoothing = recipe.label_smoothing
    weights = None if class_weights is None else tf.constant(class_weights, tf.float32)

    def forward(images, labels, share):
        shown = tf.one_hot(labels, num_classes)
        shown = share * shown + (1 - share) * tf.reverse(shown, [0])
        targets = shown * (1 - smoothing) + smoothing / num_classes
        logits = model(tf.cast(images, tf.float32), training=True)
        losses = tf.nn.softmax_cross_entropy_with_logits(targets, logits)
        if weights is not None:
            losses *= tf.linalg.matvec(shown, weights)
        return losses, _count_right(logits, labels)

    return forward


def _compile_step(model, optimizer, forward):
    @tf.function(
        jit_compile=False,
        input_signature=[
            tf.TensorSpec(model.input.shape, tf.uint8),
            tf.TensorSpec([None], tf.int32),
            tf.TensorSpec([], tf.float32),
            tf.TensorSpec([2], tf.int32),
        ],
    )
    def step(images, labels, share, seed):
        with tf.GradientTape() as tape, dropout_feed(seed=seed):
            losses, right = forward(images, labels, share)
            loss = tf.reduce_mean(losses)
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        return loss, right

    def on_batch(batch: Batch, seed: np.ndarray) -> tuple[float, int]:
        loss, right = step(batch.images, batch.labels, batch.share, seed)
        return float(loss), int(right)

    return on_batch


def _compile_answer(model):
    @tf.function(jit_compile=False, input_signature=[tf.TensorSpec(model.input.shape, tf.uint8)])
    def answer(images):
        return model(tf.cast(images, tf.float32), training=False)

    return answer


def _count_right(logits, labels):
    return tf.reduce_sum(tf.cast(tf.argmax(logits, -1, tf.int32) == labels, tf.int32))
