"""One training step as compiled by TensorFlow: the loss, what learns, and the answer without training."""

from collections.abc import Callable
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from pigeonhole.networks.averaging import Averaged
from pigeonhole.networks.distortion import Distort
from pigeonhole.networks.folding import folded, normalised
from pigeonhole.networks.layers import BatchNorm, Dropout, dropout_feed
from pigeonhole.networks.recipes import Recipe
from pigeonhole.training.batches import Batch
from pigeonhole.training.optimizers import make_optimizer


class Phase(NamedTuple):
    """A part of the training: the optimizer of what learns in it, and its compiled step."""

    optimizer: keras.optimizers.Optimizer
    step: Callable[[Batch, np.ndarray], tuple[float, int]]


def phases(model: keras.Model, recipe: Recipe, class_weights, compile_step=None) -> dict[bool, Phase]:
    """Frozen or not -> that phase of a training by `recipe`; the frozen one only where the recipe has it.

    `class_weights`: as in `loss_of`. `compile_step`: that of `workers.Workers`, where several train together.
    """
    loss, made = loss_of(model, recipe, class_weights), {}
    for frozen in (True, False) if recipe.freeze else (False,):
        freeze(model, frozen, recipe.frozen_until, recipe.frozen_depthwise)
        optimizer = make_optimizer(recipe, model)
        made[frozen] = Phase(optimizer, (compile_step or _compile_step)(model, optimizer, loss))
    return made


def freeze(model: keras.Model, frozen: bool, until: str | None = None, depthwise: bool = False) -> None:
    """Let everything in front of the head learn or not; what is frozen is in inference mode in training too.

    The head is the last layer, and the dropout before it if there is one. The layers up to the one named
    `until` never learn, and with `depthwise` no depthwise convolution does, nor the factors behind it: their
    gradients take a fifth of a step. A compiled step keeps to what was set at its first call.
    """
    *base, _ = model.layers
    while base and isinstance(base[-1], Averaged | Dropout):
        base.pop()
    lower = [layer.name for layer in base].index(until) + 1 if until else 0
    for position, layer in enumerate(base):
        layer.trainable = not frozen and position >= lower
    for convolution, norm in normalised(model):
        if isinstance(convolution, keras.layers.DepthwiseConv2D):
            convolution.trainable &= not depthwise
            if norm.gamma is not None:
                norm.gamma.trainable = convolution.trainable


def fit_layers(model: keras.Model, recipe: Recipe) -> None:
    """Have the layers that do something else in training do what the recipe asks for."""
    for layer in model.layers:
        if isinstance(layer, Dropout) and not layer.whole_pictures and recipe.dropout is not None:
            layer.rate = recipe.dropout
        elif isinstance(layer, Distort):
            layer.active = recipe.augmentation.in_network
        elif isinstance(layer, BatchNorm):
            layer.frozen_statistics = recipe.frozen_statistics


def balanced_weights(label_indices: np.ndarray, num_classes: int) -> np.ndarray:
    """float32 [K]: loss weights by which every class counts the same, 1 on average over the pictures."""
    counts = np.bincount(label_indices, minlength=num_classes)
    return (len(label_indices) / (num_classes * np.maximum(counts, 1))).astype(np.float32)


def loss_of(model: keras.Model, recipe: Recipe, class_weights: np.ndarray | None):
    """The function from a batch's pictures, labels and share to the loss of each picture, float32 [n], and
    the number of right answers.

    `class_weights`: float32 [K], the weight of each class in the loss, or None.
    """
    num_classes = model.output.shape[-1]
    forward = folded(model) if recipe.frozen_statistics else model
    smoothing = recipe.label_smoothing
    weights = None if class_weights is None else tf.constant(class_weights, tf.float32)

    def loss(images, labels, share):
        shown = tf.one_hot(labels, num_classes)
        shown = share * shown + (1 - share) * tf.reverse(shown, [0])
        targets = shown * (1 - smoothing) + smoothing / num_classes
        logits = forward(tf.cast(images, tf.float32), training=True)
        losses = tf.nn.softmax_cross_entropy_with_logits(targets, logits)
        if weights is not None:
            losses *= tf.linalg.matvec(shown, weights)
        return losses, tf.reduce_sum(tf.cast(tf.argmax(logits, -1, tf.int32) == labels, tf.int32))

    return loss


def _compile_step(model: keras.Model, optimizer: keras.optimizers.Optimizer, loss_of_batch):
    """A function of a `Batch` and (seed, step) int32 [2] that trains; its mean loss, how many are right."""

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
            losses, right = loss_of_batch(images, labels, share)
            loss = tf.reduce_mean(losses)
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        return loss, right

    def on_batch(batch: Batch, seed: np.ndarray) -> tuple[float, int]:
        loss, right = step(batch.images, batch.labels, batch.share, seed)
        return float(loss), int(right)

    return on_batch


def compile_answer(model: keras.Model):
    """The function from pictures uint8 [n, S, S, C] to logits float32 [n, K], without dropout."""

    @tf.function(jit_compile=False, input_signature=[tf.TensorSpec(model.input.shape, tf.uint8)])
    def answer(images):
        return model(tf.cast(images, tf.float32), training=False)

    return answer
