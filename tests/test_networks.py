"""The networks have the layers, sizes and starting weights that they promise."""

import keras
import numpy as np
import pytest

from pigeonhole import networks, recipes
from pigeonhole.layers import BatchNorm


def test_every_network_has_a_recipe_and_the_other_way_round():
    assert set(networks.NETWORKS) == set(recipes.NETWORKS)


def test_tutorial_network_is_the_classic_one():
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


def test_deep_network_has_seven_normalised_convolutions_and_one_small_dense_layer():
    model = networks.build("deep", 32, 3, 10)
    kinds = [type(layer) for layer in model.layers]
    assert kinds.count(keras.layers.Conv2D) == kinds.count(BatchNorm) == 7
    assert [layer.name for layer in model.layers if isinstance(layer, keras.layers.Dense)] == ["fc1"]
    assert model.get_layer("relu7").output.shape == (None, 4, 4, 128) and model.layers[-1].input.shape == (
        None,
        128,
    )
    assert networks.build("deep", 96, 3, 10).get_layer("relu7").output.shape == (None, 6, 6, 128)


@pytest.mark.parametrize("name", recipes.NETWORKS)
@pytest.mark.parametrize("size, channels", [(32, 1), (33, 3), (64, 3)])
def test_any_size_and_channels_give_logits(name, size, channels):
    model = networks.build(name, size, channels, 7)
    logits = model(np.full((2, size, size, channels), 128, np.float32))
    assert logits.shape == (2, 7) and np.isfinite(np.array(logits)).all()


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
