"""Adam whose step is one pass over the weights.

Keras' own writes the step as some ten operations, each of which goes through all weights once more. Of a
network whose pictures are large, nearly all weights are those of the first dense layer, and one pass in place
of these saves a twentieth of a step.
"""

import keras
import tensorflow as tf


def step(variable, gradient, rate, moments: tuple, betas: tuple[float, float], epsilon: float, done) -> None:
    """Take the step that follows `done` others (Kingma and Ba, 2015) by TensorFlow's fused kernel.

    `variable`: a `tf.Variable` float32, `gradient` a tensor of its shape; `moments`: the `keras.Variable`s of
    the gradient's mean and that of its square, which are brought up to date too.
    """
    number = tf.cast(done + 1, tf.float32)
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
        epsilon=epsilon,
        grad=gradient,
    )


class Adam(keras.optimizers.Adam):
    """Keras' Adam, its variables and settings, by `step`; with a weight decay it is Keras' AdamW."""

    def update_step(self, gradient, variable, learning_rate):
        index = self._get_variable_index(variable)
        moments = self._momentums[index], self._velocities[index]
        betas = self.beta_1, self.beta_2
        step(variable, gradient, learning_rate, moments, betas, self.epsilon, self.iterations.value)
