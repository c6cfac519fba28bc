"""A picture with the content of one picture and the style of others.

After Gatys, Ecker and Bethge, "A Neural Algorithm of Artistic Style" (2015): the picture's own values are
changed until a network's layers answer to it as to the content, and the products of their channels, averaged
over space (Gram matrices), are those of the style. Nothing is trained, and nothing written.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from pigeonhole.art import optimizing
from pigeonhole.art.layered import LayeredNetwork, no_such_layer
from pigeonhole.art.recipes import Recipe
from pigeonhole.errors import PigeonholeError, UsageError
from pigeonhole.pictures import images

SMALLEST_SIDE = 16  # pixels
SMALLEST_SIZE = 64  # pixels of the shorter side, of the first of several sizes
TINY = 1e-12


class Losses(NamedTuple):
    """The three parts of the loss, each with its weight."""

    content: float
    style: float
    variation: float

    @property
    def total(self) -> float:
        return sum(self)


class Step(NamedTuple):
    """A picture on its way, float32 [h, w, 3] at one of the sizes. `number` counts through all of them."""

    number: int
    steps: int
    picture: np.ndarray
    losses: Losses


@dataclass(frozen=True)
class Pictures:
    """The content and the styles, uint8 [H, W, 3] RGB, and how much each style counts beside the others."""

    content: np.ndarray
    styles: Sequence[np.ndarray]
    shares: Sequence[float]


def gram(maps: tf.Tensor) -> tf.Tensor:
    """F^T F / (h * w * c) of a layer's output F [1, h, w, c]: float32 [c, c]."""
    channels = maps.shape[-1]
    flat = tf.reshape(maps, [-1, channels])
    return tf.matmul(flat, flat, transpose_a=True) / tf.cast(tf.size(maps), tf.float32)


def variation(picture: tf.Tensor) -> tf.Tensor:
    """The mean square of the differences between neighbouring rows, and between columns, added."""
    rows = picture[:, 1:] - picture[:, :-1]
    columns = picture[:, :, 1:] - picture[:, :, :-1]
    return tf.reduce_mean(tf.square(rows)) + tf.reduce_mean(tf.square(columns))


def within(shape: tuple[int, int], longest: int) -> tuple[int, int]:
    """Height and width of the same proportions, the longer `longest`."""
    ratio = longest / max(shape)
    return tuple(max(1, round(side * ratio)) for side in shape)


class Objective:
    """The loss of a picture of one size, float32 [1, H, W, 3], and its gradient."""

    def __init__(self, network: LayeredNetwork, recipe: Recipe, pictures: Pictures, seed: int = 0):
        """`pictures`: at this size. Raises UsageError for a layer that the network does not have."""
        self._network, self._recipe = network, recipe
        names = {layer.name for layer in network.names()}
        for flag, layers in (("content", recipe.content_layers), ("style", recipe.style_layers)):
            for name in layers:
                if name not in names:
                    raise no_such_layer(network, name, f"--{flag}-layers")
        self._content = tf.constant(pictures.content[np.newaxis], tf.float32)
        self._random = np.random.default_rng(seed)
        self._layers = list(dict.fromkeys([*recipe.content_layers, *recipe.style_layers]))
        self._targets = self._content_targets(self._content)
        self._scales = {
            name: self._scale(tf.math.reduce_variance(maps)) for name, maps in self._targets.items()
        }
        self._styles = [
            (share / sum(pictures.shares), self._style_targets(style))
            for share, style in zip(pictures.shares, pictures.styles, strict=True)
        ]
        self._compute = tf.function(self._value_and_gradient)

    def __call__(self, picture: np.ndarray) -> optimizing.Evaluated:
        """Seen at a place that changes from call to call, if the recipe says so."""
        shift = self._recipe.shift
        return self._evaluated(picture, self._random.integers(0, 2 * shift + 1, 2))

    def plainly(self, picture: np.ndarray) -> Losses:
        """The losses of the picture as it is."""
        return Losses(*self._evaluated(picture, np.array([self._recipe.shift] * 2)).parts)

    def _evaluated(self, picture: np.ndarray, place: np.ndarray) -> optimizing.Evaluated:
        try:
            parts, gradient = self._compute(tf.constant(picture, tf.float32), tf.constant(place))
        except tf.errors.ResourceExhaustedError as error:
            raise PigeonholeError(
                "there is not enough memory for this size; make it smaller: --size 256"
            ) from error
        parts = tuple(float(part) for part in parts)
        if not np.isfinite(sum(parts)):
            raise PigeonholeError(
                "the losses are no numbers any more; take smaller weights or a smaller --rate"
            )
        return optimizing.Evaluated(sum(parts), gradient.numpy(), parts)

    def _value_and_gradient(self, picture: tf.Tensor, place: tf.Tensor):
        with tf.GradientTape() as tape:
            tape.watch(picture)
            seen = self._placed(picture, place)
            targets = self._targets
            if self._recipe.shift:
                targets = self._content_targets(self._placed(self._content, place))
            outputs = dict(zip(self._layers, self._network.outputs(seen, self._layers), strict=True))
            parts = (
                self._recipe.content_weight * self._content_loss(outputs, targets),
                self._recipe.style_weight * self._style_loss(outputs),
                self._recipe.variation_weight * variation(picture),
            )
            loss = tf.add_n(parts)
        return parts, tape.gradient(loss, picture)

    def _placed(self, picture: tf.Tensor, place: tf.Tensor) -> tf.Tensor:
        """The picture moved by up to `shift` pixels, with its mirror image at the edges."""
        shift = self._recipe.shift
        if not shift:
            return picture
        height, width = picture.shape[1:3]
        padded = tf.pad(picture, [[0, 0], [shift, shift], [shift, shift], [0, 0]], "REFLECT")
        moved = padded[:, place[0] : place[0] + height, place[1] : place[1] + width]
        return tf.ensure_shape(moved, picture.shape)

    def _content_targets(self, content: tf.Tensor) -> dict[str, tf.Tensor]:
        names = list(self._recipe.content_layers)
        return dict(zip(names, self._network.outputs(content, names), strict=True)) if names else {}

    def _style_targets(self, style: np.ndarray) -> dict[str, tuple[tf.Tensor, tf.Tensor]]:
        """The Gram matrix of each layer, and what its loss is divided by."""
        names = list(self._recipe.style_layers)
        outputs = self._network.outputs(tf.constant(style[np.newaxis], tf.float32), names) if names else []
        matrices = [gram(maps) for maps in outputs]
        scales = [self._scale(tf.reduce_mean(tf.square(matrix))) for matrix in matrices]
        return dict(zip(names, zip(matrices, scales, strict=True), strict=True))

    def _scale(self, value: tf.Tensor) -> tf.Tensor:
        return value + TINY if self._recipe.relative else tf.constant(1.0)

    def _content_loss(self, outputs: Mapping[str, tf.Tensor], targets: Mapping[str, tf.Tensor]) -> tf.Tensor:
        loss = tf.constant(0.0)
        for name, weight in self._recipe.content_layers.items():
            difference = tf.reduce_mean(tf.square(outputs[name] - targets[name]))
            loss += weight * difference / self._scales[name]
        return loss

    def _style_loss(self, outputs: Mapping[str, tf.Tensor]) -> tf.Tensor:
        loss = tf.constant(0.0)
        for name, weight in self._recipe.style_layers.items():
            matrix = gram(outputs[name])
            for share, style in self._styles:
                target, scale = style[name]
                loss += share * weight * tf.reduce_mean(tf.square(matrix - target)) / scale
        return loss


class Stylizer:
    """The way to one picture. `seconds`: how long `steps` will take, measured at the largest size."""

    def __init__(self, network: LayeredNetwork, recipe: Recipe, pictures: Pictures, seed: int = 0):
        """Raises UsageError for a layer that the network does not have, or a picture that is too small."""
        self._network, self._recipe, self._seed = network, recipe, seed
        self._pictures = pictures
        for height, width in (picture.shape[:2] for picture in (pictures.content, *pictures.styles)):
            if min(height, width) < SMALLEST_SIDE:
                raise UsageError(
                    f"a picture of {width} x {height} pixels is too small: {SMALLEST_SIDE} a side are needed"
                )
        self.shapes = _sizes(pictures.content.shape[:2], recipe.sizes)
        # The largest takes most of the time, and is needed anyway
        started = time.perf_counter()
        self._last = self._objective(self.shapes[-1])
        self._last.plainly(self._start(self.shapes[-1]))
        traced = time.perf_counter()
        self._last.plainly(self._start(self.shapes[-1]))
        each = time.perf_counter() - traced
        pixels = [height * width for height, width in self.shapes]
        computing = (recipe.steps + 1) * each * sum(pixels) / pixels[-1]
        self.seconds = computing + (len(pixels) - 1) * (traced - started)

    def steps(self) -> Iterator[Step]:
        """The picture at the start of each size and after each step, with its losses."""
        recipe, total = self._recipe, self._recipe.steps * len(self.shapes)
        picture = self._start(self.shapes[0])
        for place, shape in enumerate(self.shapes):
            objective = self._last if shape == self.shapes[-1] else self._objective(shape)
            if place:
                picture = images.scaled(picture[0], *shape)[np.newaxis]
            for point in self._optimizer().points(objective, picture, recipe.steps):
                picture = point.picture
                yield Step(place * recipe.steps + point.number, total, picture[0], Losses(*point.parts))

    def _objective(self, shape: tuple[int, int]) -> Objective:
        styles = []
        for style in self._pictures.styles:
            own = within(style.shape[:2], max(shape))
            styles.append(images.stretched(style, *(shape if self._recipe.fitted_style else own)))
        content = images.stretched(self._pictures.content, *shape)
        pictures = Pictures(content, styles, self._pictures.shares)
        return Objective(self._network, self._recipe, pictures, self._seed)

    def _start(self, shape: tuple[int, int]) -> np.ndarray:
        if self._recipe.start == "content":
            return images.stretched(self._pictures.content, *shape)[np.newaxis].astype(np.float32)
        random = np.random.default_rng(self._seed)
        noise = random.normal(0, self._recipe.noise, (1, *shape, 3))
        return (noise + self._recipe.grey).astype(np.float32)

    def _optimizer(self) -> optimizing.Adam | optimizing.LBFGS:
        recipe = self._recipe
        if recipe.optimizer == "lbfgs":
            return optimizing.LBFGS(clipped=recipe.clipped)
        return optimizing.Adam(recipe.rate, recipe.last_rate, beta2=recipe.beta2, clipped=recipe.clipped)


def _sizes(shape: tuple[int, int], count: int) -> list[tuple[int, int]]:
    """Each twice the one before, up to `shape`; none whose shorter side has under 64 pixels but the last."""
    found = [shape]
    while len(found) < count and min(found[0]) / 2 >= SMALLEST_SIZE:
        found.insert(0, tuple(round(side / 2) for side in found[0]))
    return found
