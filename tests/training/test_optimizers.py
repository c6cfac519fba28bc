"""Adam in one pass takes the steps of Keras' own; Muon its own for convolutions, and AdamW's otherwise."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf

from pigeonhole.training.optimizers import Adam, Muon, make_optimizer
from tests.support.small_trainings import changed

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


@pytest.mark.parametrize(
    "optimizer, first, second",
    [  # of a weight 1 with gradients 0.5 and 0.25, at rate 0.1, by the papers' formulae
        ("sgd", 1 - 0.05, 1 - 0.05 - 0.025),
        ("momentum", 1 - 0.05, 1 - 0.05 - (0.045 + 0.025)),
        ("adam", 1 - 0.1, 1 - 0.1 - 0.1 * (0.07 / 0.19) / (0.00031225 / 0.001999) ** 0.5),
        ("adamw", 1 - 0.1, 1 - 0.1 - 0.1 * (0.07 / 0.19) / (0.0031 / 0.0199) ** 0.5),
        ("muon", 1 - 0.1, 1 - 0.1 - 0.1 * (0.07 / 0.19) / (0.0031 / 0.0199) ** 0.5),  # but for convolutions
    ],
)
@pytest.mark.parametrize("decay", [0.0, 0.3])
def test_optimizers_take_the_steps_of_their_formulae(optimizer, first, second, decay):
    weight, bias = (keras.Variable([1.0], name=name) for name in ("kernel", "bias"))
    model = SimpleNamespace(trainable_variables=[weight, bias])
    made = make_optimizer(changed(optimizer=optimizer, learning_rate=0.1, weight_decay=decay), model)
    lost, expected = 0.0, [first, second]
    for gradient, value in zip((0.5, 0.25), expected, strict=True):
        lost += 0.1 * decay * float(weight[0])
        made.apply([tf.constant([gradient])] * 2, [weight, bias])
        assert float(weight[0]) == pytest.approx(value - lost, abs=2e-6)
        assert float(bias[0]) == pytest.approx(value, abs=2e-6), "decay spares biases"


# --- Muon ---

RATE = 0.01


def stepped(shape: tuple[int, ...], gradients: list[np.ndarray], decay: float = 0.0) -> list[np.ndarray]:
    """What each step adds to a weight of ones whose gradients these are."""
    weight = keras.Variable(np.ones(shape, np.float32), name="kernel")
    optimizer = Muon(RATE, weight_decay=decay)
    optimizer.build([weight])
    values = [weight.numpy()]
    for gradient in gradients:
        optimizer.apply([tf.constant(gradient, tf.float32)], [weight])
        values.append(weight.numpy())
    return list(np.diff(values, axis=0))


@pytest.mark.parametrize("shape", [(3, 3, 8, 16), (3, 3, 1, 16), (5, 5, 3, 32)])
def test_all_directions_of_a_kernel_are_learnt_at_about_the_same_pace(shape):
    left, _, right = np.linalg.svd(np.random.default_rng(1).normal(size=shape).reshape(-1, shape[-1]), False)
    strengths = np.geomspace(1, 0.05, len(right))
    gradient = (left * strengths @ right).reshape(shape)
    (change,) = stepped(shape, [gradient])
    longest = max(left.shape[0], right.shape[1])
    paces = left.T @ change.reshape(-1, shape[-1]) @ right.T / (RATE * 1.6 * longest**0.5)
    assert np.diag(paces).min() > -1.3 and np.diag(paces).max() < -0.6, "downhill, 20 times nearer together"
    np.testing.assert_allclose(paces, np.diag(np.diag(paces)), atol=1e-3)
    assert np.sqrt((change**2).mean()) / RATE == pytest.approx(1.6, rel=0.3)


def test_the_size_of_the_gradient_does_not_matter_and_its_past_does():
    shape, random = (3, 3, 4, 8), np.random.default_rng(2)
    first, second = random.normal(size=(2, *shape))
    once, then = stepped(shape, [first, second])
    np.testing.assert_allclose(stepped(shape, [first * 1e3])[0], once, rtol=1e-3, atol=1e-6)
    nesterov = second + 0.8 * (second + 0.8 * first)
    np.testing.assert_allclose(then, stepped(shape, [nesterov])[0], rtol=1e-3, atol=1e-6)


def test_decay_takes_its_share_of_a_kernel_too():
    shape = (3, 3, 4, 8)
    gradient = np.random.default_rng(3).normal(size=shape)
    (plain,), (decayed,) = (stepped(shape, [gradient], decay) for decay in (0.0, 0.5))
    np.testing.assert_allclose(decayed, plain - RATE * 0.5, atol=1e-6)


@pytest.mark.parametrize("shape", [(20, 10), (7,), (3, 3, 4, 1)])
def test_dense_layers_biases_and_depthwise_kernels_learn_by_adamw(shape):
    gradients = list(np.random.default_rng(4).normal(size=(3, *shape)))
    weight = keras.Variable(np.ones(shape, np.float32), name="kernel")
    adamw = keras.optimizers.AdamW(RATE, weight_decay=0.3, beta_2=0.99)
    before = weight.numpy()
    for gradient in gradients:
        adamw.apply([tf.constant(gradient, tf.float32)], [weight])
    np.testing.assert_allclose(sum(stepped(shape, gradients, 0.3)), weight.numpy() - before, atol=1e-6)
