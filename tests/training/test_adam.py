"""Adam in one pass: the steps of Keras' own."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from pigeonhole.training.adam import Adam

SHAPES = [(20, 10), (7,), (3, 3, 4, 8)]
SETTINGS = {"learning_rate": 0.01, "beta_1": 0.8, "beta_2": 0.99, "epsilon": 1e-5}


def learnt(optimizer: keras.optimizers.Optimizer, steps: int = 5) -> list[np.ndarray]:
    """Weights and optimizer's variables after some steps from ones, by gradients that change."""
    random = np.random.default_rng(1)
    weights = [keras.Variable(np.ones(shape, np.float32), name="kernel") for shape in SHAPES]
    optimizer.build(weights)
    for _ in range(steps):
        gradients = [tf.constant(random.normal(size=shape), tf.float32) for shape in SHAPES]
        optimizer.apply(gradients, weights)
    return [variable.numpy() for variable in (*weights, *optimizer.variables)]


@pytest.mark.parametrize("decay", [None, 0.3])
def test_steps_and_state_are_those_of_keras(decay):
    theirs = keras.optimizers.AdamW if decay else keras.optimizers.Adam
    expected = learnt(theirs(**SETTINGS, weight_decay=decay))
    found = learnt(Adam(**SETTINGS, weight_decay=decay))
    assert abs(found[0] - 1).min() > 1e-4, "every weight has moved"
    for mine, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-5, atol=1e-6)
