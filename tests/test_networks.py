"""The networks have the layers, sizes and starting weights that they promise."""

import keras
import numpy as np
import pytest
import saved_runs

from pigeonhole import networks, recipes
from pigeonhole.layers import BatchNorm
from pigeonhole.whitening import Whiten


def test_every_network_has_a_recipe_and_the_other_way_round():
    assert set(networks.NETWORKS) == set(recipes.NETWORKS)


def test_tutorial_network_is_the_classic_one():
    keras.utils.set_random_seed(0)
    model = networks.build("tutorial", 128, 3, 2)
    order = [layer.name for layer in model.layers[2:]]
    blocks = [f"{kind}{number}" for number in (1, 2, 3) for kind in ("conv", "pool", "relu")]
    assert order == [*blocks, "flatten", "fc1", "fc2"]
    assert [model.get_layer(f"conv{number}").filters for number in (1, 2, 3)] == [32, 32, 64]
    assert model.count_params() == 896 + 9_248 + 18_496 + (16 * 16 * 64 * 128 + 128) + (128 * 2 + 2)
    for layer in model.layers:
        for weight in layer.weights:
            values = weight.numpy()
            if weight.name == "bias":
                assert (values == np.float32(0.05)).all()
            elif values.size > 500:
                assert np.abs(values).max() <= 0.1 + 1e-6  # truncated at two standard deviations
                assert values.std() == pytest.approx(0.05 * 0.88, rel=0.05)


def test_standard_network_has_three_convolutions_and_two_dense_layers():
    model = networks.build("standard", 32, 3, 10)
    kinds = [type(layer) for layer in model.layers]
    assert kinds.count(keras.layers.Conv2D) == 3 and kinds.count(keras.layers.Dense) == 2
    order = [layer.name for layer in model.layers]
    for number in (1, 2, 3):
        start = order.index(f"conv{number}")
        assert order[start + 1 : start + 4] == [f"pool{number}", f"bn{number}", f"relu{number}"]


@pytest.mark.parametrize("name, filters", [("deep", 128), ("wide", 256)])
@pytest.mark.parametrize("size, learnt, last_side", [(9, 6, 1), (32, 6, 3), (96, 7, 6)])
def test_deep_network_has_seven_convolutions_and_one_dense_layer(name, filters, size, learnt, last_side):
    model = networks.build(name, size, 3, 10)
    kinds = [type(layer) for layer in model.layers]
    assert kinds.count(keras.layers.Conv2D) == kinds.count(BatchNorm) == learnt
    assert kinds.count(Whiten) == 7 - learnt
    assert [layer.name for layer in model.layers if isinstance(layer, keras.layers.Dense)] == ["fc1"]
    assert model.get_layer("silu7").output.shape == (None, last_side, last_side, filters)
    assert model.layers[-1].input.shape == (None, filters)


def built(name: str, size: int, channels: int):
    """A parameter set; of the large networks one is enough for every day."""
    large = name in recipes.PRETRAINED and size != 33
    return pytest.param(name, size, channels, marks=[pytest.mark.slow] if large else [])


@pytest.mark.parametrize(
    "name, size, channels",
    [built(name, *shape) for name in recipes.NETWORKS for shape in ((32, 1), (33, 3), (64, 3))],
)
def test_any_size_and_channels_give_logits(name, size, channels):
    model = networks.build(name, size, channels, 7)
    logits = model(np.full((2, size, size, channels), 128, np.float32))
    assert logits.shape == (2, 7) and np.isfinite(np.array(logits)).all()
    has_dropout = any(type(layer).__name__ == "Dropout" for layer in model.layers)
    assert recipes.has_dropout(name) == has_dropout


def test_bfloat16_network_has_float32_weights_and_logits_near_float32s():
    exact = networks.build("standard", 32, 3, 4)
    fast = networks.build("standard", 32, 3, 4, "bfloat16")
    fast.set_weights(exact.get_weights())
    assert {str(weight.dtype) for weight in fast.weights} == {"float32"}
    pixels = np.random.default_rng(0).integers(0, 256, (16, 32, 32, 3)).astype(np.float32)
    assert fast(pixels).dtype == "float32"
    np.testing.assert_allclose(fast(pixels), exact(pixels), atol=0.1)
    assert keras.config.dtype_policy().name == "float32"


def test_layer_table_lists_shapes_and_parameters():
    rows = {name: rest for name, *rest in networks.layer_table(networks.build("tutorial", 32, 3, 5))}
    assert rows["conv1"] == ["32 x 32 x 3", "32 x 32 x 32", 896]
    assert rows["pool3"] == ["8 x 8 x 64", "4 x 4 x 64", 0]
    assert rows["fc2"] == ["128", "5", 645]
    assert sum(count for *_, count in rows.values()) == 161_130 - 1_290 + 645


@pytest.mark.parametrize("name", ["standard", "deep", "classic_lrn", "mobilenet_v3_small"])
def test_a_flip_averaged_network_answers_by_the_mean_over_both_views(name):
    plain, averaged = (saved_runs.network(name=name, size=32, flip_average=way) for way in (False, True))
    for variable in (*plain.variables, *averaged.variables):
        if variable.name in ("bias", "beta", "moving_mean"):  # beside which the picture would hardly count
            variable.assign(np.zeros(variable.shape))
    pixels = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3)).astype(np.float32)
    once = plain.predict(pixels, verbose=0)
    both = (once + plain.predict(pixels[:, :, ::-1], verbose=0)) / 2
    size = np.abs(both).max()
    np.testing.assert_allclose(averaged.predict(pixels, verbose=0), both, atol=1e-5 * size)
    assert np.abs(both - once).max() > 1e-3 * size
    assert [weight.path for weight in averaged.weights] == [weight.path for weight in plain.weights]


def test_a_flip_averaged_network_trains_on_pictures_as_they_are():
    plain = saved_runs.network(name="deep")
    averaged = saved_runs.network(name="deep", flip_average=True)
    averaged.set_weights(plain.get_weights())
    pixels = np.random.default_rng(0).integers(0, 256, (6, 16, 16, 3)).astype(np.float32)
    np.testing.assert_allclose(averaged(pixels, training=True), plain(pixels, training=True), atol=1e-5)


@pytest.mark.parametrize("flip_average", [False, True])
def test_a_copy_in_float32_is_the_same_network(flip_average):
    fast = networks.build("standard", 16, 3, 4, "bfloat16", flip_average)
    exact = networks.in_float32(fast, fast.get_weights())
    assert exact.compute_dtype == "float32" and exact.name == "standard"
    assert [layer.name for layer in exact.layers] == [layer.name for layer in fast.layers]
    for own, copied in zip(fast.get_weights(), exact.get_weights(), strict=True):
        np.testing.assert_array_equal(own, copied)
