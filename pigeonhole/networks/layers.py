"""The Keras layers that the networks are built from and Keras does not offer in this form."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import keras
import tensorflow as tf


class SameShape(keras.layers.Layer):
    """A layer whose output has its input's shape, which Keras need not find out by tracing it.

    `arguments`: the attributes by which it is made again, by the names that its constructor has for them.
    """

    arguments: tuple[str, ...] = ()

    def get_config(self):
        return {**super().get_config(), **{name: getattr(self, name) for name in self.arguments}}

    def compute_output_shape(self, input_shape):
        return input_shape


@keras.saving.register_keras_serializable("pigeonhole")
class BatchNorm(SameShape):
    """Batch normalisation over all but the last axis by TensorFlow's fused kernel (Ioffe and Szegedy, 2015).

    Keras' own layer never uses the fused kernel and costs half the training speed on a processor. The input
    may be float32 or bfloat16; scale, offset and statistics are float32. As in every fused kernel the
    moving variance is Bessel-corrected. `scale`: whether each channel has a factor to be learnt.

    Where several replicas train together (`tf.distribute`), the statistics are those of the global batch.

    A frozen layer (`trainable` False) is in inference mode, in training too: by the statistics of the batch
    it would give the layers behind it other values than those that its weights were learnt with, and letting
    the moving ones follow would destroy what was learnt (Keras' guide "Transfer learning & fine-tuning").
    With the attribute `frozen_statistics` only the statistics are frozen: factor and offset are learnt.
    """

    arguments = ("momentum", "epsilon", "scale")

    def __init__(self, momentum: float = 0.9, epsilon: float = 1e-3, scale: bool = True, **options):
        super().__init__(**options)
        self.momentum = momentum
        self.epsilon = epsilon
        self.scale = scale
        self.frozen_statistics = False

    def build(self, input_shape):
        def weight(name: str, start: str, trainable: bool = True):
            return self.add_weight(
                shape=(input_shape[-1],),
                initializer=start,
                name=name,
                trainable=trainable,
                autocast=False,
                aggregation="none" if trainable else "only_first_replica",  # all replicas have the same
            )

        self.gamma = weight("gamma", "ones") if self.scale else None
        self.beta = weight("beta", "zeros")
        self.moving_mean = weight("moving_mean", "zeros", trainable=False)
        self.moving_variance = weight("moving_variance", "ones", trainable=False)

    def call(self, inputs, training: bool = False):
        training = training and self.trainable and not self.frozen_statistics
        replicas = tf.distribute.get_replica_context()
        if training and replicas and replicas.num_replicas_in_sync > 1:
            return self._call_together(inputs, replicas)
        unused = tf.zeros(0)  # in training the kernel takes the batch's own statistics
        result = tf.raw_ops.FusedBatchNormV3(
            x=inputs,
            scale=self._factors(),
            offset=self.beta.value,
            mean=unused if training else self.moving_mean.value,
            variance=unused if training else self.moving_variance.value,
            epsilon=self.epsilon,
            is_training=training,
        )
        if training:
            self._follow(self.moving_mean, result.batch_mean)
            self._follow(self.moving_variance, result.batch_variance)
        return result.y

    def _call_together(self, inputs, replicas):
        """By the mean and variance over all replicas' values, with one exchange of sums and counts.

        The moving mean, which all have in common, is taken off before squaring: where the values lie far
        from zero, the difference of large squares would lose the variance.
        """
        values = tf.cast(inputs, tf.float32)
        channels = values.shape[-1]
        centre = tf.identity(self.moving_mean.value)
        off_centre = tf.reshape(values - centre, [-1, channels])
        count = tf.cast(tf.shape(off_centre)[:1], tf.float32)
        sums = [tf.reduce_sum(off_centre, 0), tf.reduce_sum(tf.square(off_centre), 0), count]
        if (counted := _counted.get()) is not None:
            sums = [counted * part for part in sums]
        sums = replicas.all_reduce(tf.distribute.ReduceOp.SUM, tf.concat(sums, 0))
        total, total_of_squares, count = tf.split(sums, [channels, channels, 1])
        mean = total / count
        variance = tf.maximum(total_of_squares / count - tf.square(mean), 0.0)
        self._follow(self.moving_mean, centre + mean)
        self._follow(self.moving_variance, variance * count / tf.maximum(count - 1.0, 1.0))
        scale = tf.math.rsqrt(variance + self.epsilon) * self._factors()
        return tf.cast(values * scale + (self.beta.value - (centre + mean) * scale), inputs.dtype)

    def as_affine(self):
        """Factor and offset, float32 [C], which in inference mode make the outputs of the inputs."""
        factor = self._factors() * tf.math.rsqrt(self.moving_variance.value + self.epsilon)
        return factor, self.beta.value - self.moving_mean.value * factor

    def _factors(self):
        return tf.ones_like(self.beta.value) if self.gamma is None else self.gamma.value

    def _follow(self, moving, batch) -> None:
        moving.assign(moving.value * self.momentum + batch * (1.0 - self.momentum))


@keras.saving.register_keras_serializable("pigeonhole")
class Standardise(SameShape):
    """Each picture at mean 0 and standard deviation 1 over all its values, so that exposure plays no part.

    Computes in float32 whatever the precision. A plain picture becomes zeros: the deviation counts as at
    least `least` levels.
    """

    arguments = ("least",)

    def __init__(self, least: float = 1.0, **options):
        super().__init__(**{**options, "dtype": "float32"})
        self.least = least

    def call(self, inputs):
        mean, variance = tf.nn.moments(inputs, axes=[1, 2, 3], keepdims=True)
        return (inputs - mean) * tf.math.rsqrt(tf.maximum(variance, self.least**2))


@keras.saving.register_keras_serializable("pigeonhole")
class LocalResponse(SameShape):
    """Local response normalisation across channels (Krizhevsky et al., 2012): inputs [N, H, W, C] divided by
    (`bias` + `alpha` times the sum of the squares of the `radius` channels to either side) ** `beta`.

    Computes in float32 whatever the precision.
    """

    def __init__(self, radius: int, bias: float, alpha: float, beta: float, **options):
        super().__init__(**{**options, "dtype": "float32"})
        self.settings = {"bias": bias, "alpha": alpha, "beta": beta}
        self.radius = radius

    def get_config(self):
        return {**super().get_config(), "radius": self.radius, **self.settings}

    def call(self, inputs):
        return tf.nn.local_response_normalization(inputs, self.radius, **self.settings)


# Each thread has its own of these: the replicas of one machine take turns in threads.
_counted: ContextVar[tf.Tensor | None] = ContextVar("counted", default=None)


@contextmanager
def counting(counted) -> Iterator[None]:
    """Within this block, inputs enter the statistics of the replicas' global batch times `counted`.

    `counted`: float32 scalar, 0 where a replica computes on a blank picture because it has none, else 1.
    """
    before = _counted.set(counted)
    try:
        yield
    finally:
        _counted.reset(before)


_dropout_feed: ContextVar[dict | None] = ContextVar("dropout_feed", default=None)


@contextmanager
def dropout_feed(keep_probability=None, seed=None, rows=None, total=None) -> Iterator[None]:
    """Within this block, every layer that is called draws what is random (`uniform`) from these tensors.

    `keep_probability`: float32 scalar that replaces the rate of `Dropout` layers (the saved graph's
    `keep_prob:0`). `seed`: int32 [2]; the same seed gives the same draws, so that a step's can be keyed by
    its number and nothing has to be saved to resume. Without it every run of the graph draws afresh.
    `rows`: int32 [n], where the layers' n inputs stand in a batch of `total` (int32 scalar), if they are only
    a part of it: each then gets what it would get among all.
    """
    draws = {"seed": seed, "rows": rows, "total": total}
    before = _dropout_feed.set({"keep_probability": keep_probability, "draws": draws})
    try:
        yield
    finally:
        _dropout_feed.reset(before)


def uniform(shape, index: int):
    """float32 of `shape`, 0 <= value < 1, a row for each picture, from the `dropout_feed` that is in force.

    `index` tells the layers of one network apart, so that they draw differently from one seed.
    """
    draws = (_dropout_feed.get() or {}).get("draws", {})
    if draws.get("seed") is None:
        return tf.random.uniform(shape)
    seed = tf.random.fold_in(draws["seed"], index)
    if draws["rows"] is None:
        return tf.random.stateless_uniform(shape, seed)
    whole = tf.concat([draws["total"][None], shape[1:]], 0)
    return tf.gather(tf.random.stateless_uniform(whole, seed), draws["rows"])


@keras.saving.register_keras_serializable("pigeonhole")
class Dropout(SameShape):
    """Dropout (Srivastava et al., 2014) whose masks and keep probability come from `dropout_feed`.

    Active when training, at its own `rate`, and whenever the feed names a keep probability; else identity.
    `index`: as in `uniform`. `whole_pictures`: each picture keeps or loses all of its values, by which a
    branch beside a shortcut is left out at random ("stochastic depth", Huang et al., 2016). A frozen layer is
    in inference mode.
    """

    arguments = ("rate", "index", "whole_pictures")

    def __init__(self, rate: float, index: int = 0, whole_pictures: bool = False, **options):
        super().__init__(**options)
        self.rate = rate
        self.index = index
        self.whole_pictures = whole_pictures

    def call(self, inputs, training: bool = False):
        keep = (_dropout_feed.get() or {}).get("keep_probability")
        if keep is None:
            if not (training and self.trainable and self.rate):
                return inputs
            keep = 1.0 - self.rate
        keep = tf.convert_to_tensor(keep, tf.float32)
        shape = tf.shape(inputs)
        if self.whole_pictures:
            shape = tf.concat([shape[:1], tf.ones_like(shape[1:])], 0)
        mask = tf.cast(uniform(shape, self.index) < keep, inputs.dtype)
        return inputs * mask / tf.cast(keep, inputs.dtype)
