"""The optimizer Muon for networks of convolutions."""

import keras
from keras import ops

from pigeonhole.training import adam

_STEP = 1.6  # learning rates, in root mean square over the weights of a kernel


class Muon(keras.optimizers.Muon):
    """Muon (Jordan, "Muon: An optimizer for hidden layers in neural networks", 2024) for convolutions.

    A step for the kernel of a convolution [H, W, C, F] is its momentum with all singular values brought near
    1, as of the matrix [H*W*C, F]: so the filters learn every direction at the same pace, not only the few
    which the gradient is strongest in. It is scaled so that each weight changes by about 1.6 times the
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
        adam.step(variable, gradient, learning_rate, (m, v), betas, self.epsilon, self.iterations.value)

    def zeropower_via_newtonschulz5(self, x, steps: int):
        matrix = ops.reshape(x, (-1, x.shape[-1]))
        even = super().zeropower_via_newtonschulz5(matrix, steps)
        return ops.reshape(even, x.shape) * (_STEP * max(matrix.shape) ** 0.5)
