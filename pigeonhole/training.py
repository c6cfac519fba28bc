"""The compiled training step, the loop around it, learning-rate schedules, validation and early stop.

Whatever is random in step number t (which pictures, how each is varied, which units drop out) is a function
of (seed, t) alone, so that a run repeats bit for bit and can be taken up at any step.
"""

import functools
import math
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from pigeonhole.augment import augment, mix
from pigeonhole.layers import dropout_feed
from pigeonhole.recipes import Recipe

EVALUATION_PIXELS = 500 * 32 * 32  # in one batch; larger ones are no faster and only take memory
MOST_VALIDATIONS = 40
_VARY = 1  # keeps the pictures' variations apart from the shuffle, which is keyed by (seed, epoch)


@dataclass(frozen=True)
class Score:
    """How a network did on `total` pictures: `right` of them, at a mean cross-entropy of `loss` (nats)."""

    right: int
    total: int
    loss: float

    @property
    def accuracy(self) -> float:
        return self.right / self.total


class Batch(NamedTuple):
    """`images` uint8 [n, S, S, C] and `labels` int32 [n] of one step.

    `share` (0.5 to 1) of each image is its label's picture, the rest is that of the reversed batch.
    """

    images: np.ndarray
    labels: np.ndarray
    share: float


@dataclass(frozen=True)
class Progress:
    """What one finished step tells: its number (from 1), its rate, its loss and how many it got right."""

    step: int
    total_steps: int
    learning_rate: float
    loss: float
    right: int
    pictures: int


@dataclass(frozen=True)
class Checkup:
    """The state at a validation: training figures since the one before, and ALL validation pictures.

    `valid_logits`: float32 [n, K], what the network said to each validation picture.
    """

    epoch: float
    step: int
    learning_rate: float
    train: Score
    valid: Score
    seconds: float
    pictures_per_second: float
    is_best: bool
    valid_logits: np.ndarray = field(repr=False, compare=False)


def balanced_weights(label_indices: np.ndarray, num_classes: int) -> np.ndarray:
    """float32 [K]: loss weights by which every class counts the same, 1 on average over the pictures."""
    counts = np.bincount(label_indices, minlength=num_classes)
    return (len(label_indices) / (num_classes * np.maximum(counts, 1))).astype(np.float32)


def learning_rate(recipe: Recipe, step: int, total_steps: int) -> float:
    """The rate of step number `step` (from 0) of `total_steps`.

    `constant`, or `one-cycle` (Smith and Topin, 2018): from a twentieth of the peak up to it over the first
    quarter, then down to nothing along half a cosine.
    """
    if recipe.schedule == "constant":
        return recipe.learning_rate
    done, rise = step / max(total_steps, 1), 0.25
    if done < rise:
        return recipe.learning_rate * (0.05 + 0.95 * done / rise)
    return recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * (done - rise) / (1 - rise)))


def make_optimizer(recipe: Recipe, model: keras.Model) -> keras.optimizers.Optimizer:
    """The recipe's optimizer for the model's weights; decay spares biases and batch-norm weights."""
    if recipe.optimizer == "adam":
        optimizer = keras.optimizers.Adam(recipe.learning_rate)
    else:
        optimizer = keras.optimizers.AdamW(
            recipe.learning_rate, weight_decay=recipe.weight_decay, beta_2=0.99
        )
        optimizer.exclude_from_weight_decay(var_names=["bias", "beta", "gamma"])
    optimizer.build(model.trainable_variables)
    return optimizer


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


class Trainer:
    """Trains `model` on `train` by `recipe`, looking at all of `valid` as it goes.

    `train` and `valid` are `dataset.DataSet`s; without `valid` there is only `learn`. `class_weights`:
    float32 [K], the weight of each class in the loss, or None. `total_steps` may be changed until `run`
    begins.
    """

    def __init__(self, model, train, valid, recipe: Recipe, seed: int, class_weights=None):
        self.model = model
        self.train = train
        self.valid = valid
        self.recipe = recipe
        self.seed = seed
        self.steps_per_epoch = math.ceil(train.num_examples / recipe.batch_size)
        self.total_steps = max(1, round(recipe.epochs * self.steps_per_epoch))
        self.best_weights: list[np.ndarray] | None = None
        self.best: Checkup | None = None
        self._steps_done, self._rate = 0, 0.0
        self._order = functools.lru_cache(maxsize=2)(train.order)
        self._optimizer = make_optimizer(recipe, model)
        self._step = _compile_step(model, self._optimizer, recipe, class_weights)
        self._answer = _compile_answer(model)

    def run(self, on_step: Callable[[Progress], None] = lambda progress: None) -> Iterator[Checkup]:
        """Train to the end, yielding at each validation; the caller may stop at any point.

        `best_weights` (as `model.get_weights()`) and `best` always hold the best validated state so far: most
        validation pictures right, at equality the later, since a falling rate settles what was learnt.
        """
        without_gain = 0
        for steps_done in self._advance(on_step):
            if not self._is_checkup(steps_done):
                continue
            before = self.best
            checkup = self.check_up()
            gained = before is None or checkup.valid.right > before.valid.right
            without_gain = 0 if gained else without_gain + 1
            yield checkup
            if self.recipe.patience and without_gain >= self.recipe.patience:
                return

    def learn(self, on_step: Callable[[Progress], None] = lambda progress: None) -> None:
        """Train to the end without a look at any validation picture."""
        for _ in self._advance(on_step):
            pass

    def _advance(self, on_step: Callable[[Progress], None]) -> Iterator[int]:
        """Train step by step, yielding how many are done."""
        self._started = time.perf_counter()
        self._since = _Tally()
        for step, batch in self._batches():
            self._rate = learning_rate(self.recipe, step, self.total_steps)
            loss, right = self._train_on(step, self._rate, batch)
            self._since.add(loss, right, len(batch.labels))
            self._steps_done = step + 1
            on_step(Progress(step + 1, self.total_steps, self._rate, loss, right, len(batch.labels)))
            yield step + 1

    def check_up(self) -> Checkup:
        """Validate the present weights, and keep them if they are the best so far."""
        tally, speed = self._since, self._since.speed()
        logits = self.logits(self.valid)
        valid = score(logits, self.valid.label_indices)
        is_best = self.best is None or valid.right >= self.best.valid.right
        checkup = Checkup(
            epoch=self._steps_done / self.steps_per_epoch,
            step=self._steps_done,
            learning_rate=self._rate,
            train=tally.score(),
            valid=valid,
            seconds=time.perf_counter() - self._started,
            pictures_per_second=speed,
            is_best=is_best,
            valid_logits=logits,
        )
        if is_best:
            self.best, self.best_weights = checkup, self.model.get_weights()
        self._since = _Tally()
        return checkup

    def logits(self, data) -> np.ndarray:
        """float32 [n, K]: what the model says to all pictures of `data`, without augmentation or dropout."""
        return np.concatenate([self._answer(images) for images in batches(data.images)])

    def fit_to(self, seconds: float) -> None:
        """Set `total_steps` so that this measurement, training and validation together fill `seconds`.

        Measures the first steps on the real data and then puts every weight back.
        """
        started = time.perf_counter()
        variables = [*self.model.variables, *self._optimizer.variables]
        before = [variable.numpy() for variable in variables]
        times = []
        for step, batch in self._batches(last=min(8, self.total_steps)):
            moment = time.perf_counter()
            self._train_on(step, 0.0, batch)
            times.append(time.perf_counter() - moment)
        for variable, value in zip(variables, before, strict=True):
            variable.assign(value)
        self.logits(self.valid)  # the first call compiles
        moment = time.perf_counter()
        self.logits(self.valid)
        validation = time.perf_counter() - moment
        used = time.perf_counter() - started
        per_step = float(np.median(times[2:] or times))
        left = max(seconds - used, 0.0)
        per_epoch = per_step * self.steps_per_epoch + validation
        epochs = left / per_epoch
        if epochs > MOST_VALIDATIONS:
            epochs = max(left - MOST_VALIDATIONS * validation, 0.0) / (per_step * self.steps_per_epoch)
        self.total_steps = max(1, int(epochs * self.steps_per_epoch))

    def _batches(self, last: int | None = None) -> Iterator[tuple[int, Batch]]:
        """Every step's number and batch; the next batch is made while this one is computed on."""
        last = self.total_steps if last is None else last
        with ThreadPoolExecutor(1) as ahead:
            coming = ahead.submit(self._batch, 0)
            for step in range(last):
                batch = coming.result()
                if step + 1 < last:
                    coming = ahead.submit(self._batch, step + 1)
                yield step, batch

    def _batch(self, step: int) -> Batch:
        epoch, index = divmod(step, self.steps_per_epoch)
        first = index * self.recipe.batch_size
        rows = self._order(epoch)[first : first + self.recipe.batch_size]
        rng = np.random.default_rng([self.seed, _VARY, step])
        images = augment(self.train.images[rows], self.recipe.augmentation, rng)
        images, share = mix(images, rng) if self.recipe.mix else (images, 1.0)
        return Batch(images, self.train.label_indices[rows].astype(np.int32), share)

    def _train_on(self, step: int, rate: float, batch: Batch) -> tuple[float, int]:
        self._optimizer.learning_rate.assign(rate)
        seed = np.array([self.seed, step], np.int32)
        loss, right = self._step(batch.images, batch.labels, np.float32(batch.share), seed)
        return float(loss), int(right)

    def _is_checkup(self, steps_done: int) -> bool:
        if steps_done == self.total_steps:
            return True
        epochs = self.total_steps / self.steps_per_epoch
        every = max(1, math.ceil(epochs / MOST_VALIDATIONS)) * self.steps_per_epoch
        return steps_done % every == 0


class _Tally:
    """Sums losses and right answers over batches, and the time since it began."""

    def __init__(self):
        self._loss, self._right, self._total = 0.0, 0, 0
        self._started = time.perf_counter()

    def add(self, mean_loss: float, right: int, pictures: int) -> None:
        self._loss += mean_loss * pictures
        self._right += right
        self._total += pictures

    def score(self) -> Score:
        return Score(self._right, self._total, self._loss / self._total if self._total else math.nan)

    def speed(self) -> float:
        return self._total / max(time.perf_counter() - self._started, 1e-9)


def _compile_step(model, optimizer, recipe: Recipe, class_weights):
    num_classes = model.output.shape[-1]
    smoothing = recipe.label_smoothing
    weights = None if class_weights is None else tf.constant(class_weights, tf.float32)

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
        shown = tf.one_hot(labels, num_classes)
        shown = share * shown + (1 - share) * tf.reverse(shown, [0])
        targets = shown * (1 - smoothing) + smoothing / num_classes
        with tf.GradientTape() as tape, dropout_feed(seed=seed):
            logits = model(tf.cast(images, tf.float32), training=True)
            losses = tf.nn.softmax_cross_entropy_with_logits(targets, logits)
            if weights is not None:
                losses *= tf.linalg.matvec(shown, weights)
            loss = tf.reduce_mean(losses)
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        return loss, _count_right(logits, labels)

    return step


def _compile_answer(model):
    @tf.function(jit_compile=False, input_signature=[tf.TensorSpec(model.input.shape, tf.uint8)])
    def answer(images):
        return model(tf.cast(images, tf.float32), training=False)

    return answer


def _count_right(logits, labels):
    return tf.reduce_sum(tf.cast(tf.argmax(logits, -1, tf.int32) == labels, tf.int32))
