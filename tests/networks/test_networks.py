"""The networks have the layers, sizes and starting weights that they promise."""

import keras
import numpy as np
import pytest

from pigeonhole.networks import building, summary
from pigeonhole.networks.averaging import Averaging, Variants
from pigeonhole.networks.layers import BatchNorm, Dropout
from pigeonhole.networks.registry import NETWORKS, PRETRAINED
from pigeonhole.networks.whitening import Whiten
from tests.support import saved_runs


def test_tutorial_network_is_the_classic_one():
    keras.utils.set_random_seed(0)
    model = building.build("tutorial", 128, 3, 2)
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
    model = building.build("standard", 32, 3, 10)
    kinds = [type(layer) for layer in model.layers]
    assert kinds.count(keras.layers.Conv2D) == 3 and kinds.count(keras.layers.Dense) == 2
    order = [layer.name for layer in model.layers]
    for number in (1, 2, 3):
        start = order.index(f"conv{number}")
        assert order[start + 1 : start + 4] == [f"pool{number}", f"bn{number}", f"relu{number}"]


@pytest.mark.parametrize("name, filters", [("deep", 128), ("wide", 256)])
@pytest.mark.parametrize("size, learnt, last_side", [(9, 6, 1), (32, 6, 3), (96, 7, 6)])
def test_deep_network_has_seven_convolutions_and_one_dense_layer(name, filters, size, learnt, last_side):
    model = building.build(name, size, 3, 10)
    kinds = [type(layer) for layer in model.layers]
    assert kinds.count(keras.layers.Conv2D) == kinds.count(BatchNorm) == learnt
    assert kinds.count(Whiten) == 7 - learnt
    assert [layer.name for layer in model.layers if isinstance(layer, keras.layers.Dense)] == ["fc1"]
    assert model.get_layer("silu7").output.shape == (None, last_side, last_side, filters)
    assert model.layers[-1].input.shape == (None, filters)


def built(name: str, size: int, channels: int):
    """A parameter set; of the large networks one is enough for every day."""
    large = name in PRETRAINED and (size, name) != (33, "mobilenet_v3_small")
    return pytest.param(name, size, channels, marks=[pytest.mark.slow] if large else [])


@pytest.mark.parametrize(
    "name, size, channels",
    [built(name, *shape) for name in NETWORKS for shape in ((32, 1), (33, 3), (64, 3))],
)
def test_any_size_and_channels_give_logits(name, size, channels):
    size = max(size, NETWORKS[name].smallest_side)
    model = building.build(name, size, channels, 7)
    logits = model(np.full((2, size, size, channels), 128, np.float32))
    assert logits.shape == (2, 7) and np.isfinite(np.array(logits)).all()
    replaced = [each.name for each in model.layers if isinstance(each, Dropout) and not each.whole_pictures]
    assert replaced == list(NETWORKS[name].dropout)


def bounded() -> list:
    """Networks with a smallest side; of the large ones one is enough for every day.

    Below that of VGG it would still compute, since its pools round up: it is the published network's.
    """
    bounded = [network.name for network in NETWORKS.values() if network.smallest_side > 1]
    names = [name for name in bounded if name != "vgg19"]
    large = set(PRETRAINED) - {"mobilenet_v3_small"}
    return [pytest.param(name, marks=[pytest.mark.slow] if name in large else []) for name in names]


@pytest.mark.parametrize("name", bounded())
def test_below_the_smallest_side_nothing_is_left_behind_the_layers(name):
    side = NETWORKS[name].smallest_side
    building.build(name, side, 3, 2)
    with pytest.raises(ValueError):
        building.build(name, side - 1, 3, 2)


def test_bfloat16_network_has_float32_weights_and_logits_near_float32s():
    exact = building.build("standard", 32, 3, 4)
    fast = building.build("standard", 32, 3, 4, "bfloat16")
    fast.set_weights(exact.get_weights())
    assert {str(weight.dtype) for weight in fast.weights} == {"float32"}
    pixels = np.random.default_rng(0).integers(0, 256, (16, 32, 32, 3)).astype(np.float32)
    assert fast(pixels).dtype == "float32"
    np.testing.assert_allclose(fast(pixels), exact(pixels), atol=0.1)
    assert keras.config.dtype_policy().name == "float32"


def test_layer_table_lists_shapes_and_parameters():
    rows = {name: rest for name, *rest in summary.rows(building.build("tutorial", 32, 3, 5))}
    assert rows["conv1"] == ["32 x 32 x 3", "32 x 32 x 32", 896]
    assert rows["pool3"] == ["8 x 8 x 64", "4 x 4 x 64", 0]
    assert rows["fc2"] == ["128", "5", 645]
    assert sum(count for *_, count in rows.values()) == 161_130 - 1_290 + 645


@pytest.mark.parametrize(
    "name",
    [
        "standard",
        "classic_lrn",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("deep", "mobilenet_v3_small")),
    ],
)
def test_a_network_of_several_variants_answers_by_their_mean(name):
    asked_for = [Averaging(), Averaging(flip=True), Averaging(shift=True), Averaging(flip=True, shift=True)]
    plain, *averaged = (saved_runs.network(name=name, size=32, averaging=each) for each in asked_for)
    for variable in (variable for model in (plain, *averaged) for variable in model.variables):
        if variable.name in ("bias", "beta", "moving_mean"):  # beside which the picture would hardly count
            variable.assign(np.zeros(variable.shape))
    pixels = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3)).astype(np.float32)
    wider = np.pad(pixels, [(0, 0), (1, 1), (1, 1), (0, 0)], "reflect")
    shifted = (wider[:, 2:, 2:], wider[:, :-2, :-2])

    def both(images):
        return (np.asarray(plain(images)) + np.asarray(plain(images[:, :, ::-1]))) / 2

    once = np.asarray(plain(pixels))
    means = [
        both(pixels),
        once / 2 + sum(np.asarray(plain(images)) for images in shifted) / 4,
        both(pixels) / 2 + sum(both(images) for images in shifted) / 4,
    ]
    size = np.abs(once).max()
    for model, mean in zip(averaged, means, strict=True):
        np.testing.assert_allclose(model(pixels), mean, atol=1e-5 * size)
        assert np.abs(mean - once).max() > 1e-3 * size
        assert [weight.path for weight in model.weights] == [weight.path for weight in plain.weights]
    assert np.abs(means[0] - means[2]).max() > 1e-3 * size


def test_photos_are_shifted_by_as_large_a_part_of_their_side():
    pixels = np.random.default_rng(0).integers(0, 256, (2, 96, 96, 1)).astype(np.float32)
    first, up, down = Variants(Averaging(shift=True))(pixels).numpy()[:3]
    np.testing.assert_array_equal(first, pixels[0])
    np.testing.assert_array_equal(up[:93, :93], pixels[0, 3:, 3:])
    np.testing.assert_array_equal(down[3:, 3:], pixels[0, :93, :93])


def test_a_network_of_several_variants_trains_on_pictures_as_they_are():
    plain = saved_runs.network(name="deep")
    averaged = saved_runs.network(name="deep", averaging=Averaging(flip=True, shift=True))
    averaged.set_weights(plain.get_weights())
    pixels = np.random.default_rng(0).integers(0, 256, (6, 16, 16, 3)).astype(np.float32)
    np.testing.assert_allclose(averaged(pixels, training=True), plain(pixels, training=True), atol=1e-5)


@pytest.mark.parametrize("averaging", [Averaging(), Averaging(flip=True), Averaging(flip=True, shift=True)])
def test_a_copy_in_float32_is_the_same_network(averaging):
    fast = building.build("standard", 16, 3, 4, "bfloat16", averaging)
    exact = building.in_float32(fast, fast.get_weights())
    pixels = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3)).astype(np.float32)
    np.testing.assert_allclose(exact(pixels), fast(pixels), atol=0.1 * np.abs(exact(pixels)).max())
    assert exact.compute_dtype == "float32" and exact.name == "standard"
    assert [layer.name for layer in exact.layers] == [layer.name for layer in fast.layers]
    for own, copied in zip(fast.get_weights(), exact.get_weights(), strict=True):
        np.testing.assert_array_equal(own, copied)
