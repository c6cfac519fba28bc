"""Features of any network: where it is looked at, and that they are what the layers there compute."""

import keras
import numpy as np
import pytest

from pigeonhole.networks import building, depths
from pigeonhole.networks.registry import NETWORKS, PRETRAINED
from tests.support import saved_runs
from tests.support.published_networks import SMALL


def looked_at(classifier: keras.Model) -> tuple[list[str], slice]:
    """The layers whose outputs the features are made of, each once, and the columns of the last one."""
    features, last = depths.pooled(classifier)
    parts = features._keras_history.operation.input
    before = [each._keras_history.operation for each in parts]
    pools = (keras.layers.GlobalAveragePooling2D, keras.layers.GlobalMaxPooling2D)
    names = [
        each.input._keras_history.operation.name if isinstance(each, pools) else each.name for each in before
    ]
    assert features.shape == (None, sum(part.shape[-1] for part in parts))
    return list(dict.fromkeys(names)), last


def test_each_size_in_space_is_looked_at_where_it_ends_and_the_penultimate_layer_behind_them():
    names, last = looked_at(building.build("standard", 32, 3, 4))
    assert names == ["relu1", "relu2", "relu3", "fc1"]
    assert last == slice(2 * (32 + 64 + 128), 2 * (32 + 64 + 128) + 256)


def test_a_penultimate_layer_that_is_a_mean_or_maximum_itself_is_not_taken_twice():
    names, last = looked_at(building.build("deep", 32, 3, 4))
    assert names == ["silu1", "silu3", "silu5", "silu7"]
    assert last == slice(2 * (24 + 32 + 64) + 128, 2 * (24 + 32 + 64 + 128))  # the maxima


@pytest.mark.slow
def test_a_published_network_is_looked_at_behind_its_activations():
    names, last = looked_at(building.build(SMALL, 64, 3, 4))
    assert names == ["activation1", "relu3", "activation2", "activation12", "activation18"]
    assert last.stop - last.start == 576


def test_branches_are_not_looked_at_alone():
    pixels = keras.Input((16, 16, 3))
    whole = keras.layers.Conv2D(8, 3, padding="same", activation="relu", name="whole")(pixels)
    one = keras.layers.Conv2D(4, 3, padding="same", activation="relu", name="one")(whole)
    other = keras.layers.Conv2D(5, 3, padding="same", activation="relu", name="other")(whole)
    both = keras.layers.Concatenate(name="both")([one, other])
    smaller = keras.layers.Conv2D(6, 3, 2, activation="relu", name="smaller")(both)
    beside = keras.layers.Conv2D(6, 3, 2, activation="relu", name="beside")(both)
    flat = keras.layers.GlobalAveragePooling2D(name="mean")(keras.layers.Add(name="sum")([smaller, beside]))
    names, last = looked_at(keras.Model(pixels, keras.layers.Dense(2)(flat)))
    assert names == ["both", "sum"] and last == slice(18, 24)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name in PRETRAINED)) for name in NETWORKS]
)
def test_every_network_can_be_looked_at(name):
    side = max(NETWORKS[name].smallest_side, 48)
    names, last = looked_at(building.build(name, side, 3, 2))
    assert len(names) >= 3 and 0 <= last.start < last.stop


def test_the_features_are_pooled_over_space():
    model = saved_runs.network(size=16)
    features, last = depths.pooled(model)
    images = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3)).astype(np.float32)
    found = keras.Model(model.input, features)(images).numpy()
    maps = keras.Model(model.input, model.get_layer("relu2").output)(images).numpy()
    np.testing.assert_allclose(found[:, 64:128], maps.mean(axis=(1, 2)), atol=1e-5)
    np.testing.assert_allclose(found[:, 128:192], maps.max(axis=(1, 2)), atol=1e-5)
    kernel, bias = model.layers[-1].get_weights()
    np.testing.assert_allclose(found[:, last] @ kernel + bias, model(images), atol=1e-4)
