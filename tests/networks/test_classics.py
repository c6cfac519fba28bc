"""The classic networks are those that were published: layers, sizes, starting weights, and what they give."""

import json

import keras
import numpy as np
import onnxruntime
import pytest

from pigeonhole.commands import train
from pigeonhole.errors import UsageError
from pigeonhole.model import metagraph
from pigeonhole.model.classifier import Classifier
from pigeonhole.model.export import exporting
from pigeonhole.networks import building
from pigeonhole.networks.distortion import Distort
from pigeonhole.networks.layers import LocalResponse
from pigeonhole.networks.registry import NETWORKS
from pigeonhole.runs import search
from pigeonhole.runs.run import Run
from pigeonhole.training import steps
from tests.support import saved_runs
from tests.support.drawn_folders import draw_patches

NAMES = [name for name in NETWORKS if name.startswith("classic_")]
PARAMETERS = {
    "classic_tiny": 93_038,
    "classic_dropout": 713_930,
    "classic_augmented": 731_786,
    "classic_mnist": 266_585,
    "classic_lrn": 1_068_298,
}
ORDER = {
    "classic_tiny": "scale conv1 relu1 pool1 conv2 relu2 pool2 conv3 relu3 pool3 flatten dropout1 fc1 fc2",
    "classic_dropout": "scale conv1 pool1 conv2 pool2 conv3 pool3 flatten dropout1 fc1 dropout2 fc2 fc3",
    "classic_augmented": "scale distort conv1 bn1 relu1 pool1 conv2 relu2 pool2 flatten fc1 fc2 fc3",
    "classic_mnist": "scale conv1 relu1 pool1 conv2 relu2 pool2 flatten fc1 fc2",
    "classic_lrn": "distort standardise conv1 relu1 pool1 norm1 conv2 relu2 pool2 norm2 flatten fc1 fc2 fc3",
}
SHAPES = {  # of what each block gives
    "classic_tiny": {"pool1": (27, 27, 4), "pool2": (20, 20, 3), "pool3": (15, 15, 2), "fc1": (200,)},
    "classic_dropout": {"conv1": (16, 16, 32), "pool1": (8, 8, 32), "pool3": (2, 2, 128), "fc1": (1024,)},
    "classic_augmented": {"distort": (24, 24, 3), "pool1": (12, 12, 64), "pool2": (6, 6, 64), "fc1": (256,)},
    "classic_mnist": {"conv1": (28, 28, 25), "pool1": (14, 14, 25), "pool2": (7, 7, 50), "fc1": (100,)},
    "classic_lrn": {"distort": (24, 24, 3), "norm1": (12, 12, 64), "norm2": (6, 6, 64), "fc1": (384,)},
}
LINEAR = {"classic_tiny", "classic_dropout"}  # no activation in their dense layers
STARTS = {  # kernels' deviation, and what biases begin with: a value, or such a deviation
    "classic_tiny": (0.05, None, None),
    "classic_dropout": (0.05, 0.05, 0.05),
    "classic_mnist": (0.1, 0.0, 0.1),
    "classic_lrn": (0.05, 0.0, 0.0),
}
TRUNCATED = 0.88  # of its nominal deviation has a normal distribution that is cut at two of them


def build(name: str, **options) -> keras.Model:
    size = options.pop("size", NETWORKS[name].usual_size(32))
    return building.build(name, size, NETWORKS[name].channels, 10, **options)


@pytest.mark.parametrize("name", NAMES)
def test_size_and_order_are_the_published_ones(name):
    model = build(name)
    assert model.count_params() == PARAMETERS[name]
    assert [layer.name for layer in model.layers[1:]] == ORDER[name].split()
    for layer, shape in SHAPES[name].items():
        assert model.get_layer(layer).output.shape[1:] == shape
    for layer in model.layers:
        if layer.name.startswith("fc"):
            is_last = layer is model.layers[-1]
            linear = is_last or name in LINEAR
            assert layer.activation is (keras.activations.linear if linear else keras.activations.relu)
        elif layer.name.startswith("conv"):
            assert layer.activation is keras.activations.linear


@pytest.mark.parametrize("name", STARTS)
def test_weights_begin_as_published(name):
    keras.utils.set_random_seed(0)
    deviation, of_convolutions, of_dense = STARTS[name]
    for layer in build(name).layers:
        biases = of_convolutions if layer.name.startswith("conv") else of_dense
        for weight in layer.weights:
            values = weight.numpy()
            begins = deviation if weight.name == "kernel" else biases
            assert begins is not None, "there are no biases"
            assert np.abs(values).max() <= 2 * begins + 1e-6
            if begins and values.size > 90:
                assert values.std() == pytest.approx(begins * TRUNCATED, rel=0.25)
                assert abs(values.mean()) < 4 * begins / values.size**0.5


def test_the_augmented_networks_weights_follow_from_their_inputs():
    keras.utils.set_random_seed(0)
    model = build("classic_augmented")
    for name, inputs in (("conv2", 5 * 5 * 64), ("fc1", 6 * 6 * 64), ("fc2", 256)):
        kernel, bias = (weight.numpy() for weight in model.get_layer(name).weights)
        assert kernel.std() == pytest.approx((2 / inputs) ** 0.5, rel=0.03)
        assert np.abs(kernel).max() > 3 * kernel.std(), "the normal distribution is not cut"
        assert not bias.any()
    kernel = model.get_layer("fc3").weights[0].numpy()
    assert np.abs(kernel).max() <= (6 / (128 + 10)) ** 0.5
    assert [weight.name for weight in model.get_layer("bn1").weights] == [
        "beta",
        "moving_mean",
        "moving_variance",
    ]


def test_settings_inside_the_layers_are_the_published_ones():
    tiny, dropout = build("classic_tiny"), build("classic_dropout")
    assert tiny.get_layer("dropout1").rate == 0, "computed and then discarded, as published"
    assert [dropout.get_layer(f"dropout{number}").rate for number in (1, 2)] == [0.5, 0.5]
    norm = build("classic_lrn").get_layer("norm2")
    assert isinstance(norm, LocalResponse) and norm.radius == 5
    assert norm.settings == {"bias": 2.0, "alpha": 1e-3, "beta": 0.75}
    assert [str(step) for step in build("classic_lrn").get_layer("distort").steps] == [
        "Flip()",
        "Brightness(most=63)",
        "Contrast(low=0.2, high=1.8)",
    ]
    distort = build("classic_augmented").get_layer("distort")
    assert isinstance(distort, Distort) and distort.random_crop
    assert [str(step) for step in distort.steps] == [
        "Flip()",
        "Hue(most=0.05)",
        "Contrast(low=0.3, high=1.0)",
        "Brightness(most=0.2)",
        "Saturation(low=0.0, high=2.0)",
        "Clip(low=0.0, high=1.0)",
    ]


def test_the_tiny_networks_dropout_takes_half_of_what_the_last_pool_gives():
    keras.utils.set_random_seed(0)
    model = build("classic_tiny")
    recipe = NETWORKS["classic_tiny"].recipe(32, 1000, all_grey=False)
    steps.fit_layers(model, recipe.with_given(dropout=0.5))
    drop = model.get_layer("dropout1")
    assert drop.input is model.get_layer("flatten").output and drop.output is model.get_layer("fc1").input
    pixels = np.random.default_rng(0).uniform(0, 255, (8, 32, 32, 3)).astype(np.float32)
    before, after = map(np.array, keras.Model(model.inputs, [drop.input, drop.output])(pixels, training=True))
    assert before.shape == (8, 450) and (lit := before > 0).mean() > 0.2
    kept = after != 0
    assert 0.45 < kept[lit].mean() < 0.55
    np.testing.assert_allclose(after[kept], 2 * before[kept])


def test_the_networks_without_activations_are_linear_but_for_their_pools():
    """Twice the picture gives twice the answer, where the biases are taken away."""
    model = build("classic_dropout")
    for layer in model.layers:
        for weight in layer.weights:
            if weight.name == "bias":
                weight.assign(np.zeros(weight.shape))
    pixels = np.random.default_rng(0).uniform(0, 100, (3, 32, 32, 3)).astype(np.float32)
    np.testing.assert_allclose(model(2 * pixels), 2 * np.array(model(pixels)), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    "name",
    [name if name == "classic_augmented" else pytest.param(name, marks=pytest.mark.slow) for name in NAMES],
)
def test_the_saved_network_answers_alike_everywhere(name, tmp_path):
    size = NETWORKS[name].usual_size(32)
    model = saved_runs.network(name=name, size=size, channels=NETWORKS[name].channels)
    run = saved_runs.save(tmp_path / "run", model)
    exporting.export(run)
    pixels = np.random.default_rng(1).integers(0, 256, (3, *model.input.shape[1:])).astype(np.float32)
    expected = np.array(model(pixels))
    scale = np.abs(expected).max()
    with metagraph.restore(search.find(run).prefix) as session:
        logits, shares = session.run(["logits:0", "y_pred:0"], {"x:0": pixels})
        if "relu1" in ORDER[name]:
            before = "bn1" if "bn1" in ORDER[name] else "conv1"
            maps, behind = session.run([f"{before}/output:0", "relu1/output:0"], {"x:0": pixels})
            np.testing.assert_array_equal(behind, np.maximum(maps, 0))
    np.testing.assert_allclose(logits / scale, expected / scale, atol=1e-5)
    runtime = onnxruntime.InferenceSession(run / "model.onnx")
    again, its_shares = runtime.run(["logits", "y_pred"], {"x": pixels})
    np.testing.assert_allclose(again / scale, expected / scale, atol=1e-5)
    np.testing.assert_allclose(its_shares, shares, atol=1e-4)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return draw_patches(tmp_path_factory.mktemp("pictures") / "training data", 12)


@pytest.mark.parametrize(
    "name",
    [name if name == "classic_augmented" else pytest.param(name, marks=pytest.mark.slow) for name in NAMES],
)
def test_each_trains_from_folders_and_answers_from_its_run(name, data, tmp_path, capsys):
    flags = ["--data", data, "--output", tmp_path / "runs", "--no-cache", "--precision", "float32"]
    flags += ["--no-report", "--network", name, "--steps", 3, "--name", "run", "--learning-rate", "1e-4"]
    assert train.main([*map(str, flags)]) == 0
    run = tmp_path / "runs" / "run"
    assert (run / Run.onnx_file.name).is_file()
    said = capsys.readouterr().out
    ours = NETWORKS[name].provenance == "ours"
    assert ("settings: this program's defaults" in said) == ours
    assert (f"settings: those that {name} was published with" in said) != ours
    assert ", except learning rate 0.0001, steps 3" in said
    pictures = sorted(data.glob("*/00*.png"))
    with Classifier.load(run) as classifier:
        shares = classifier.predict(pictures)
        assert classifier.preprocessing.image_size == NETWORKS[name].usual_size(24)
        assert classifier.preprocessing.channels == NETWORKS[name].channels
    assert shares.shape == (len(pictures), 3) and np.isfinite(shares).all()
    settings = json.loads((run / "settings.json").read_text("utf-8"))
    assert settings["options"]["channels"] == NETWORKS[name].channels


@pytest.mark.slow
def test_a_run_with_other_settings_repeats_with_them_and_not_with_others(data, tmp_path, capsys):
    where = ["--output", str(tmp_path / "runs"), "--no-cache"]
    flags = ["--data", str(data), "--network", "classic_lrn", "--steps", "3", "--schedule", "exponential"]
    flags += ["--decay-steps", "2", "--weight-decay", "0.01", "--precision", "float32"]
    assert train.main([*flags, *where, "--name", "first"]) == 0
    first = str(tmp_path / "runs" / "first")
    page = (tmp_path / "runs" / "first" / "report.html").read_text("utf-8")
    assert "first layers: central crop 24 x 24, flip, brightness 63, contrast 0.2 to 1.8" in page
    assert train.main(["--repeat", first, *where, "--name", "second"]) == 0
    assert "identical to" in capsys.readouterr().out
    with pytest.raises(UsageError, match="--decay-steps was 2, now 1"):
        train.main(["--repeat", first, *where, "--decay-steps", "1"])


@pytest.mark.parametrize(
    "flags, told",
    [
        (["--network", "classic_tiny", "--image-size", "17"], "at least 18 pixels"),
        (["--network", "deep", "--image-size", "8"], "at least 9 pixels"),
        (["--network", "classic_lrn", "--dropout", "0.5"], "classic_lrn has no dropout layers"),
        (["--network", "classic_lrn", "--decay-steps", "5"], "belongs to --schedule exponential"),
    ],
)
def test_what_does_not_fit_the_network_is_refused_before_any_picture_is_read(flags, told, data):
    with pytest.raises(UsageError, match=told) as caught:
        train.main(["--data", str(data), *flags])
    assert "\n" not in str(caught.value)


def test_the_smallest_picture_is_just_large_enough():
    assert build("classic_tiny", size=18).get_layer("pool3").output.shape[1:] == (1, 1, 2)
    with pytest.raises(ValueError):
        build("classic_tiny", size=17)
