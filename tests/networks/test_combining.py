"""Several networks as one against the weighted geometric mean of their probabilities."""

import keras
import numpy as np
import pytest

from pigeonhole.networks.averaging import Averaging
from pigeonhole.networks.building import build
from pigeonhole.networks.combining import COMBINED, Part, combine


@pytest.fixture(scope="module")
def parts() -> list[Part]:
    keras.utils.set_random_seed(1)
    standard = build("standard", (64, 32), 3, 4, averaging=Averaging(flip=True))
    other = build("mobilenet_v3_small", 64, 3, 4)
    return [Part("standard", standard, 0.7), Part("mobilenet", other, 0.4)]


def test_it_answers_by_the_weighted_geometric_mean(parts):
    pixels = np.random.default_rng(0).uniform(0, 255, (5, 64, 64, 3)).astype(np.float32)
    logs = [keras.ops.log_softmax(part.model(pixels)) for part in parts]
    expected = keras.ops.softmax(0.7 * logs[0] + 0.4 * logs[1])
    combined = combine(parts)
    assert combined.name == COMBINED
    np.testing.assert_allclose(keras.ops.softmax(combined(pixels)), expected, atol=1e-5)


def test_its_last_layer_is_dense_on_all_penultimate_layers(parts):
    combined = combine(parts)
    widths = [part.model.layers[-1].input.shape[-1] for part in parts]
    assert combined.layers[-1].input.shape[-1] == sum(widths)
    assert "standard_conv1" in {layer.name for layer in combined.layers}


def test_one_part_alone_is_that_network_times_its_weight(parts):
    pixels = np.random.default_rng(2).uniform(0, 255, (3, 64, 64, 3)).astype(np.float32)
    alone = combine([parts[0]])
    np.testing.assert_allclose(alone(pixels), 0.7 * parts[0].model(pixels).numpy(), atol=1e-5)
