"""The optimizers: Adam in one pass over the weights, Muon for convolutions; the one a recipe names."""

import keras
import tensorflow as tf
from keras import ops

from pigeonhole.networks.recipes import Recipe

_MUON_STEP = 1.6  # learning rates, in root mean square over the weights of a kernel


def make_optimizer(recipe: Recipe, model: keras.Model) -> keras.optimizers.Optimizer:
    """The recipe's optimizer for the model's weights. Decay spares biases and batch-norm weights.

    Adam's small constant is that of TensorFlow 1, with which the classic networks were published.
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


class Adam(keras.optimizers.Adam):
    """Keras' Adam with its variables and settings, by `_adam_step`; with a weight decay it is Keras' AdamW.

    Keras' own step is about ten operations, and each of them reads all weights again. One pass instead saves
    a twentieth of a step where pictures are large, since nearly all weights are then in one dense layer.
    """

    def update_step(self, gradient, variable, learning_rate):
        index = self._get_variable_index(variable)
        moments = self._momentums[index], self._velocities[index]
        betas = self.beta_1, self.beta_2
        _adam_step(self, variable, gradient, learning_rate, moments, betas)


def _adam_step(optimizer, variable, gradient, rate, moments: tuple, betas: tuple[float, float]) -> None:
    """One step of Adam (Kingma and Ba, 2015) by TensorFlow's fused kernel.

    `variable`: a `tf.Variable` float32, `gradient` a tensor of its shape. `moments`: the `keras.Variable`s of
    the gradient's mean and of its square's; the step updates them too.
    """
    number = tf.cast(optimizer.iterations.value + 1, tf.float32)
    mean, mean_square = moments
    tf.raw_ops.ResourceApplyAdam(
        var=variable.handle,
        m=mean.value.handle,
        v=mean_square.value.handle,
        beta1_power=tf.pow(betas[0], number),
        beta2_power=tf.pow(betas[1], number),
        lr=rate,
        beta1=betas[0],
        beta2=betas[1],
        epsilon=optimizer.epsilon,
        grad=gradient,
    )


class Muon(keras.optimizers.Muon):
    """Muon (Jordan, "Muon: An optimizer for hidden layers in neural networks", 2024) for convolutions.

    A step for the kernel of a convolution [H, W, C, F] is its momentum with all singular values brought near
    1, as of the matrix [H*W*C, F]: so the filters learn every direction at the same pace, not only the few
    in which the gradient is strongest. It is scaled so that each weight changes by about 1.6 times the
    learning rate (root mean square), whatever the shape (after Liu et al., "Muon is scalable for LLM
    training", 2025). Everything else, dense layers too, learns by AdamW at the same rate: a dense layer's
    matrix is so large in a small network that bringing it into this form takes longer than it is worth.

    Keras' own Muon leaves convolutions to AdamW, and takes dense layers instead.
    """

    def __init__(self, learning_rate: float, weight_decay: float = 0.0):
        super().__init__(
            learning_rate,
            weight_decay=weight_decay,
            adam_weight_decay=weight_decay,
            adam_beta_2=0.99,
            momentum=0.8,
            rms_rate=None,  # Keras' scale goes by the first two axes, as a matrix has no others
        )

    def _should_use_adamw(self, variable) -> bool:
        return len(variable.shape) != 4 or variable.shape[-1] == 1  # a depthwise kernel is no matrix

    def _adamw_update_step(self, gradient, variable, learning_rate, m, v):
        betas = self.adam_beta_1, self.adam_beta_2
        _adam_step(self, variable, gradient, learning_rate, (m, v), betas)

    def zeropower_via_newtonschulz5(self, x, steps: int):
        matrix = ops.reshape(x, (-1, x.shape[-1]))
        even = super().zeropower_via_newtonschulz5(matrix, steps)
        return ops.reshape(even, x.shape) * (_MUON_STEP * max(matrix.shape) ** 0.5)
