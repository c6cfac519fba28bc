"""Networks by name, file and run: their layers answer as the network itself does, at any size."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from pigeonhole.art import layered, opening
from pigeonhole.data.sources.downloads import DownloadError
from pigeonhole.errors import PigeonholeError, UsageError
from pigeonhole.features import extractor
from pigeonhole.model.classifier import Classifier
from pigeonhole.networks import combining, registry
from pigeonhole.networks.averaging import Averaging
from tests.support import saved_runs
from tests.support import vgg_files as made_vgg


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0, 255, (1, height, width, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def bundled():
    return opening.open_network()


@pytest.fixture(scope="module")
def keras_vgg():
    return made_vgg.keras_network()


@pytest.mark.slow
def test_the_bundled_network_answers_as_the_extractor_does(bundled):
    pixels = picture(64, 64)
    (head,) = bundled.outputs(pixels, ["head_relu"])
    features = extractor.pretrained_model(64)(pixels).numpy()[:, extractor.HEAD_MEANS]
    np.testing.assert_allclose(head.numpy().mean(axis=(1, 2)), features, rtol=1e-4, atol=1e-5)


def test_values_before_and_after_the_relu(bundled):
    before, after = bundled.outputs(picture(50, 70), ["stem_bn", "stem_relu"])
    assert before.shape == (1, 25, 35, 32)
    assert before.numpy().min() < 0
    np.testing.assert_allclose(np.clip(before, 0, 6), after, atol=1e-6)


def test_layers_are_listed_with_their_channels(bundled):
    channels = dict(bundled.names())
    assert (channels["stem"], channels["block5_expand_bn"], channels["head"]) == (32, 240, 1280)
    for layer, output in zip(bundled.names(), bundled.outputs(picture(40, 40), [*channels]), strict=True):
        assert output.shape[-1] == layer.channels, layer


@pytest.mark.parametrize(
    "name", ["standard", *(pytest.param(name, marks=pytest.mark.slow) for name in ("deep", "classic_lrn"))]
)
def test_a_run_answers_as_its_classifier_does(tmp_path, name):
    size = 32
    saved_runs.save(tmp_path / "run", saved_runs.network(name=name, size=size))
    network = opening.open_network(str(tmp_path / "run"))
    pixels = np.random.default_rng(1).integers(0, 256, (1, size, size, 3), np.uint8)
    names = [layer.name for layer in network.names()]
    with Classifier.load(tmp_path / "run", engine="tensorflow") as classifier:
        expected = classifier.fetch(pixels, [f"{name}/output" for name in names])
    for one, other in zip(network.outputs(pixels.astype(np.float32), names), expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)


def test_a_run_takes_pictures_of_any_size_and_gives_their_gradient(tmp_path):
    saved_runs.save(tmp_path / "run", saved_runs.network(name="deep", size=32))
    network = opening.open_network(str(tmp_path / "run"))
    pixels = tf.constant(picture(70, 90))

    def objective(values):
        (maps,) = network.outputs(values, ["silu3"])
        return tf.reduce_mean(tf.square(maps))

    with tf.GradientTape() as tape:
        tape.watch(pixels)
        value = objective(pixels)
    gradient = tape.gradient(value, pixels)
    slope = float(tf.norm(gradient))
    step = 3 * gradient / slope  # over all of the picture, so that no single pool decides
    differences = objective(pixels + step) - objective(pixels - step)
    assert slope == pytest.approx(float(differences) / 6, rel=0.02)


@pytest.mark.slow
def test_a_grey_run_sees_the_luma(tmp_path):
    saved_runs.save(tmp_path / "run", saved_runs.network(name="standard", size=32, channels=1))
    network = opening.open_network(str(tmp_path / "run"))
    grey = np.repeat(picture(32, 32)[..., :1], 3, axis=3)
    (maps,) = network.outputs(grey, ["conv1"])
    (same,) = network.outputs(grey * [[[[0, 0, 0]]]] + grey[..., [1, 2, 0]], ["conv1"])
    np.testing.assert_allclose(maps, same, atol=1e-5)


@pytest.mark.slow
def test_a_run_that_resizes_and_mirrors_shows_the_picture_itself_to_its_network(tmp_path):
    averaging = Averaging(flip=True)
    parts = [
        combining.Part("a", saved_runs.network(size=(32, 16), averaging=averaging), 1.0),
        combining.Part("b", saved_runs.network(seed=1, size=32), 0.5),
    ]
    plain = saved_runs.save(tmp_path / "plain", saved_runs.network(size=16))
    saved_runs.save(tmp_path / "both", combining.combine(parts))
    both = opening.open_network(str(tmp_path / "both"))
    pixels = picture(48, 40)
    names = [layer.name for layer in both.names()]
    assert {"a_conv1", "b_conv1"} <= set(names)
    assert not [name for name in names if "resized" in name or "views" in name]
    (maps,) = both.outputs(pixels, ["a_relu3"])
    (expected,) = opening.open_network(str(plain)).outputs(pixels, ["relu3"])
    np.testing.assert_allclose(maps, expected, atol=1e-4)


@pytest.mark.slow
def test_a_keras_file_of_one_size_takes_another(tmp_path):
    model = saved_runs.network(name="standard", size=32)
    model.save(tmp_path / "own.keras")
    network = opening.open_network(str(tmp_path / "own.keras"))
    pixels = picture(32, 32)
    (maps,) = network.outputs(pixels, ["relu2"])
    expected = keras.Model(model.inputs, model.get_layer("relu2").output)([pixels])
    np.testing.assert_allclose(maps, expected, atol=1e-5)
    assert network.outputs(picture(64, 48), ["relu2"])[0].shape == (1, 16, 12, 64)


def agree(network: layered.LayeredNetwork, model: keras.Model) -> None:
    pixels = picture(64, 96)
    names = ["relu1_1", "relu2_1", "relu3_1", "relu4_2", "relu5_2"]
    theirs = [name.replace("relu", "block").replace("_", "_conv") for name in names]
    expected = keras.Model(model.inputs, [model.get_layer(name).output for name in theirs])(
        [keras.applications.vgg19.preprocess_input(pixels.copy())]
    )
    for one, other in zip(network.outputs(pixels, names), expected, strict=True):
        scale = np.abs(other).max()
        assert scale > 0.1
        np.testing.assert_allclose(one / scale, other / scale, atol=1e-4)


def test_the_mat_file_is_vgg19(tmp_path, keras_vgg):
    file = made_vgg.write_mat(tmp_path / "imagenet-vgg-verydeep-19.mat", keras_vgg)
    agree(opening.open_network(str(file)), keras_vgg)


@pytest.mark.slow
def test_the_weights_file_is_vgg19(tmp_path, keras_vgg):
    keras_vgg.save_weights(tmp_path / "vgg.weights.h5")
    agree(opening.open_network(str(tmp_path / "vgg.weights.h5")), keras_vgg)


def lose(weights):
    del weights["conv5_4"]


def shrink(weights):
    weights["conv3_1"][0] = weights["conv3_1"][0][..., :5]


def spoil(weights):
    weights["conv2_1"][0][0, 0, 0, 0] = np.nan


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "told"),
    [(lose, "it has no conv5_4"), (shrink, "conv3_1/kernel is"), (spoil, "conv2_1/kernel are no numbers")],
)
def test_a_mat_file_of_something_else_is_told(tmp_path, keras_vgg, change, told):
    file = made_vgg.write_mat(tmp_path / "vgg.mat", keras_vgg, change)
    with pytest.raises(PigeonholeError, match=told) as caught:
        opening.open_network(str(file))
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["x.mat", "x.h5", "x.keras"])
def test_rubbish_is_told(tmp_path, name):
    (tmp_path / name).write_bytes(b"rubbish" * 50)
    with pytest.raises(PigeonholeError, match=name) as caught:
        opening.open_network(str(tmp_path / name))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["missing.mat", "missing.h5", "missing.keras", "no_such_run"])
def test_what_is_not_there_is_told(name):
    with pytest.raises(UsageError, match=name):
        opening.open_network(name)


def test_weights_that_are_no_numbers(tmp_path):
    model = saved_runs.network()
    model.get_layer("conv2").weights[0].assign(np.full((3, 3, 32, 64), np.nan))
    with pytest.raises(PigeonholeError, match="conv2/kernel are no numbers"):
        layered.KerasNetwork(model, "mine")


def test_without_the_internet_the_user_is_told_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(registry, "_WEIGHTS_URL", "http://127.0.0.1:9/")  # nothing answers there
    with pytest.raises(DownloadError, match="add --network FILE"):
        opening.open_network("vgg19")


def test_an_unknown_layer_is_told(bundled):
    with pytest.raises(UsageError, match="--layer konv1: efficientnet_lite0 has no such layer; choose from"):
        bundled.outputs(picture(32, 32), ["konv1"])
    with pytest.raises(UsageError, match=r"block2_bn: .*; close to it: block2_"):
        bundled.outputs(picture(32, 32), ["block2_bn"])
