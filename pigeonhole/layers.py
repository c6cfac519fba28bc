"""The Keras layers that the networks are built from and Keras does not offer in this form."""

from collections.abc import Iterator
from contextlib import contextmanager

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable("pigeonhole")
class BatchNorm(keras.layers.Layer):
    """Batch normalisation over all but the last axis by TensorFlow's fused kernel (Ioffe and Szegedy, 2015).

    Keras' own layer never uses the fused kernel and costs half the training speed on a processor. The input
    may be float32 or bfloat16; scale, offset and statistics are float32. As in every fused kernel the
    moving variance is Bessel-corrected.
    """

    def __init__(self, momentum: float = 0.9, epsilon: float = 1e-3, **options):
        super().__init__(**options)
        self.momentum = momentum
        self.epsilon = epsilon

    def build(self, input_shape):
        def weight(name: str, start: str, trainable: bool = True):
            return self.add_weight(
                shape=(input_shape[-1],), initializer=start, name=name, trainable=trainable, autocast=False
            )

        self.gamma = weight("gamma", "ones")
        self.beta = weight("beta", "zeros")
        self.moving_mean = weight("moving_mean", "zeros", trainable=False)
        self.moving_variance = weight("moving_variance", "ones", trainable=False)

    def call(self, inputs, training: bool = False):
        unused = tf.zeros(0)  # in training the kernel takes the batch's own statistics
        result = tf.raw_ops.FusedBatchNormV3(
            x=inputs,
            scale=self.gamma.value,
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

    def _follow(self, moving, batch) -> None:
        moving.assign(moving.value * self.momentum + batch * (1.0 - self.momentum))

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "momentum": self.momentum, "epsilon": self.epsilon}


@keras.saving.register_keras_serializable("pigeonhole")
class Standardise(keras.layers.Layer):
    """Each picture at mean 0 and standard deviation 1 over all its values, so that exposure plays no part.

    Computes in float32 whatever the precision. A plain picture becomes zeros: the deviation counts as at
    least one level.
    """

    def __init__(self, **options):
        super().__init__(**{**options, "dtype": "float32"})

    def call(self, inputs):
        mean, variance = tf.nn.moments(inputs, axes=[1, 2, 3], keepdims=True)
        return (inputs - mean) * tf.math.rsqrt(tf.maximum(variance, 1.0))

    def compute_output_shape(self, input_shape):
        return input_shape


_dropout_feed: dict = {}


@contextmanager
def dropout_feed(keep_probability=None, seed=None) -> Iterator[None]:
    """Within this block, every `Dropout` layer that is called draws from these tensors.

    `keep_probability`: float32 scalar that replaces the layers' own rate (the saved graph's `keep_prob:0`).
    `seed`: int32 [2]; the same seed gives the same masks, so that a step's masks can be keyed by its number
    and nothing has to be saved to resume. Without it the masks are drawn afresh at every run of the graph.
    """
    _dropout_feed.update(keep_probability=keep_probability, seed=seed)
    try:
        yield
    finally:
        _dropout_feed.clear()


@keras.saving.register_keras_serializable("pigeonhole")
class Dropout(keras.layers.Layer):
    """Dropout (Srivastava et al., 2014) whose masks and keep probability come from `dropout_feed`.

    Active when training, at its own `rate`, and whenever the feed names a keep probability; else identity.
    `index` tells the layers of one network apart, so that they draw different masks from one seed.
    """

    def __init__(self, rate: float, index: int = 0, **options):
        super().__init__(**options)
        self.rate = rate
        self.index = index

    def call(self, inputs, training: bool = False):
        keep = _dropout_feed.get("keep_probability")
        if keep is None:
            if not training or not self.rate:
                return inputs
            keep = 1.0 - self.rate
        keep = tf.convert_to_tensor(keep, tf.float32)
        mask = tf.cast(self._uniform(tf.shape(inputs)) < keep, inputs.dtype)
        return inputs * mask / tf.cast(keep, inputs.dtype)

    def _uniform(self, shape):
        seed = _dropout_feed.get("seed")
        if seed is None:
            return tf.random.uniform(shape)
        return tf.random.stateless_uniform(shape, tf.random.fold_in(seed, self.index))

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "rate": self.rate, "index": self.index}
