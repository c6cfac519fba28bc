"""A network with its normalisations folded is the same function of the same variables."""

from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf

from pigeonhole.data.dataset import DataSet
from pigeonhole.networks import building, recipes
from pigeonhole.networks.folding import folded, normalised
from pigeonhole.networks.layers import BatchNorm, Dropout, dropout_feed
from pigeonhole.training import steps
from pigeonhole.training.trainer import Trainer

SIDE, CLASSES = 48, 3
RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.integers(0, 256, (4, SIDE, SIDE, 3)).astype(np.float32)
LITE, MOBILE = "efficientnet_lite0", "mobilenet_v3_small"


def model_of(network: str, precision: str = "float32") -> keras.Model:
    """With weights and statistics that are no round numbers, and nothing that is random in training."""
    keras.utils.set_random_seed(0)
    model = building.build(network, SIDE, 3, CLASSES, precision)
    for weight in model.weights:
        if weight.name in ("gamma", "moving_variance"):
            weight.assign(RANDOM.uniform(0.5, 1.5, weight.shape))
        elif weight.name in ("beta", "moving_mean"):
            weight.assign(RANDOM.normal(0, 0.1, weight.shape))
    for layer in model.layers:
        if isinstance(layer, BatchNorm):
            layer.frozen_statistics = True
        elif isinstance(layer, Dropout):
            layer.rate = 0.0
    return model


def learnt(function: keras.Model, model: keras.Model) -> tuple[np.ndarray, list[np.ndarray]]:
    """The logits [n, K], and the gradients of what is trainable in the model."""
    with tf.GradientTape() as tape:
        logits = function(IMAGES, training=True)
        loss = tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(np.eye(CLASSES)[[0, 1, 2, 0]], logits))
    return logits.numpy(), [each.numpy() for each in tape.gradient(loss, model.trainable_variables)]


@pytest.mark.parametrize("network", [LITE, MOBILE])
def test_answers_and_gradients_are_the_same(network):
    model = model_of(network)
    assert len(list(normalised(model))) == sum(isinstance(each, BatchNorm) for each in model.layers)
    expected, gradients = learnt(model, model)
    logits, others = learnt(folded(model), model)
    np.testing.assert_allclose(logits, expected, rtol=1e-3, atol=1e-4)
    for variable, gradient, other in zip(model.trainable_variables, gradients, others, strict=True):
        size = np.abs(gradient).max()
        assert size > 0, variable.path
        np.testing.assert_allclose(other, gradient, atol=1e-3 * size, err_msg=variable.path)


def test_in_half_precision_the_answers_are_as_near_as_those_of_the_network_itself():
    model = model_of(LITE, "bfloat16")
    exact = model_of(LITE)
    exact.set_weights(model.get_weights())
    expected = exact(IMAGES).numpy()
    own, other = (np.abs(each(IMAGES, training=True) - expected).max() for each in (model, folded(model)))
    assert 0 < other < 2 * own


def test_a_change_of_the_weights_is_seen_by_both():
    model = model_of(LITE)
    fast = folded(model)
    before = fast(IMAGES).numpy()
    for _, norm in normalised(model):
        norm.beta.assign_add(tf.fill(norm.beta.shape, 0.1))
    assert not np.allclose(fast(IMAGES), before, atol=1e-2)
    np.testing.assert_allclose(fast(IMAGES), model(IMAGES), rtol=1e-3, atol=1e-4)


def test_what_else_takes_a_convolutions_output_keeps_it_apart():
    pixels = keras.Input((SIDE, SIDE, 3))
    hidden = keras.layers.Conv2D(4, 3, use_bias=False)(pixels)
    both = keras.layers.Add()([hidden, BatchNorm()(hidden)])
    with_bias = BatchNorm()(keras.layers.Conv2D(4, 1)(both))
    model = keras.Model(pixels, with_bias)
    assert not list(normalised(model))
    np.testing.assert_array_equal(folded(model)(IMAGES), model(IMAGES))


def test_depthwise_kernels_and_the_factors_behind_them_stay_as_they_are():
    model = model_of(LITE)
    steps.freeze(model, False, "block4_add", depthwise=True)
    learning = {variable.path for variable in model.trainable_variables}
    above = {layer.name for layer in model.layers[[each.name for each in model.layers].index("block4_add") :]}
    expected = {
        weight.path
        for weight in model.weights
        if weight.path.partition("/")[0] in above and "/moving_" not in weight.path
    }
    depthwise = {path for path in expected if path.endswith(("depthwise/kernel", "depthwise_bn/gamma"))}
    assert len(depthwise) == 22 and learning == expected - depthwise
    steps.freeze(model, False)
    assert depthwise < {variable.path for variable in model.trainable_variables}


def test_a_training_by_frozen_statistics_is_folded_and_keeps_what_the_recipe_freezes():
    data = DataSet(IMAGES.astype(np.uint8), np.arange(4) % 3, [*"0123"], [*"abc"])
    usual = replace(recipes.fine_tuned(SIDE, 4, all_grey=False), learning_rate=1e-2, schedule="constant")
    model = model_of(LITE)
    run = Trainer(model, data, None, replace(usual, steps=2, epochs=None), seed=0)
    before = {weight.path: weight.numpy() for weight in model.weights}
    run.learn()
    same = {weight.path for weight in model.weights if np.array_equal(weight, before[weight.path])}
    kernels = {path for path in before if path.endswith("/kernel")}
    assert {path for path in kernels if "depthwise" in path} < same
    assert {"block15_expand/kernel", "block15_project/kernel", "head/kernel", "fc/kernel"} <= kernels - same
    operations = traced(steps.loss_of(model, run.recipe, None))
    assert "Conv2D" in operations and not [each for each in operations if "BatchNorm" in each]


def traced(loss) -> set[str]:
    """The kinds of operations that the loss of a batch takes."""
    specs = (
        tf.TensorSpec([None, SIDE, SIDE, 3], tf.uint8),
        tf.TensorSpec([None], tf.int32),
        tf.TensorSpec([]),
    )
    with dropout_feed(seed=np.zeros(2, np.int32)):
        graph = tf.function(loss).get_concrete_function(*specs).graph
    return {operation.type for operation in graph.get_operations()}
