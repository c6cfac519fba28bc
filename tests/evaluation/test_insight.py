"""What a saved network has learnt is read from its graph; where it looks is where an object was planted."""

import keras
import numpy as np
import pytest

from pigeonhole.errors import UsageError
from pigeonhole.evaluation import insight
from pigeonhole.model.classifier import Classifier
from pigeonhole.networks import building, summary
from pigeonhole.networks.averaging import Averaging
from tests.support import saved_runs

SIDE, OBJECT = 20, 5


@pytest.fixture(
    scope="module", params=[Averaging(), Averaging(flip=True, shift=True)], ids=["plain", "averaging"]
)
def model(request):
    return saved_runs.network(averaging=request.param)


@pytest.fixture(scope="module")
def classifier(model, tmp_path_factory):
    with Classifier.load(saved_runs.save(tmp_path_factory.mktemp("run"), model)) as loaded:
        yield loaded


def pixels(count: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (count, saved_runs.SIZE, saved_runs.SIZE, 3), np.uint8)


def test_layers_are_those_of_the_network_in_its_order(classifier, model):
    rows = [(name, after, count) for name, _, after, count in summary.rows(model)]
    found = classifier.layers
    assert [(each.name, " x ".join(map(str, each.shape)), each.parameters) for each in found] == rows
    assert sum(each.parameters for each in found) == model.count_params()


def test_layers_tell_their_kernels(classifier, model):
    kernels = {layer.name: tuple(layer.kernel.shape) for layer in model.layers if hasattr(layer, "kernel")}
    assert {each.name: each.kernel for each in classifier.layers if each.kernel} == kernels


def test_filters_are_the_weights(classifier, model):
    assert insight.convolutions(classifier) == ["conv1", "conv2", "conv3"]
    for name in insight.convolutions(classifier):
        np.testing.assert_array_equal(insight.filters(classifier, name), model.get_layer(name).kernel.numpy())


@pytest.mark.parametrize("name", ["conv2", "relu2"])
def test_feature_maps_are_the_layers_outputs(classifier, model, name):
    pictures = pixels(3)
    plain = saved_runs.network()  # the first view of a picture is the picture
    inner = keras.Model(plain.inputs, plain.get_layer(name).output)
    expected = inner([pictures.astype(np.float32)]).numpy()
    (maps,) = insight.feature_maps(classifier, pictures, [name])
    np.testing.assert_allclose(maps, expected, atol=1e-3)
    assert (maps.min() >= 0) == (name == "relu2")


def test_each_convolution_is_shown_behind_its_activation_too(classifier):
    for number in (1, 2, 3):
        shown = insight.mapped_layers(classifier, f"conv{number}")
        assert shown == [f"conv{number}", f"relu{number}"]
    assert {layer.name for layer in classifier.layers if layer.activation} == {"conv1", "conv2", "conv3"}


def test_a_convolution_without_an_activation_is_shown_alone(tmp_path):
    model = saved_runs.network(name="classic_dropout", size=32)
    with Classifier.load(saved_runs.save(tmp_path / "run", model)) as linear:
        assert [insight.mapped_layers(linear, name) for name in insight.convolutions(linear)] == [
            ["conv1"],
            ["conv2"],
            ["conv3"],
        ]


@pytest.mark.parametrize("name", ["conv4", "fc1", "relu1", "relu4", ""])
def test_a_layer_that_is_no_convolution_is_refused_with_the_choices(classifier, name):
    with pytest.raises(UsageError, match=f"--layer {name}: .*choose from conv1, conv2, conv3"):
        insight.filters(classifier, name)
    if name != "relu1":
        with pytest.raises(UsageError, match="choose from"):
            insight.feature_maps(classifier, pixels(1), [name])


def planted(count: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Noise with a red (0) or blue (1) square somewhere: pictures, classes, and the squares' corners."""
    random = np.random.default_rng(seed)
    pictures = random.integers(80, 176, (count, SIDE, SIDE, 3)).astype(np.uint8)
    labels = random.integers(0, 2, count)
    corners = random.integers(0, SIDE - OBJECT + 1, (count, 2))
    for picture, label, (top, left) in zip(pictures, labels, corners, strict=True):
        picture[top : top + OBJECT, left : left + OBJECT] = ((240, 30, 30), (30, 30, 240))[label]
    return pictures, labels, corners


@pytest.fixture(scope="module")
def looker(tmp_path_factory):
    """A classifier that has learnt to tell red squares from blue ones, wherever they are."""
    keras.utils.set_random_seed(0)
    model = building.build("standard", SIDE, 3, 2)
    pictures, labels, _ = planted(600, seed=0)
    model.compile(keras.optimizers.Adam(2e-3), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(pictures.astype(np.float32), labels, batch_size=30, epochs=4, verbose=0)
    with Classifier.load(saved_runs.save(tmp_path_factory.mktemp("looker"), model)) as loaded:
        yield loaded


def test_it_looks_at_the_planted_object(looker):
    pictures, labels, corners = planted(30, seed=1)
    assert (looker.predict_pixels(pictures)[:, :2].argmax(axis=1) == labels).mean() > 0.95
    heat = insight.occlusion(looker, pictures, labels)
    assert heat.shape == (30, SIDE, SIDE) and heat.dtype == np.float32
    assert heat.min() == 0 and np.all(heat.max(axis=(1, 2)) == 1)
    peaks = np.stack([np.unravel_index(one.argmax(), one.shape) for one in heat])
    distance = np.abs(peaks - (corners + (OBJECT - 1) / 2)).max(axis=1)
    assert (distance <= OBJECT / 2 + 1).mean() >= 0.9


def test_what_speaks_against_a_class_gives_it_no_heat(looker):
    pictures, labels, corners = planted(10, seed=2)
    heat = insight.occlusion(looker, pictures, 1 - labels)
    for one, (top, left) in zip(heat, corners, strict=True):
        assert one[top + OBJECT // 2, left + OBJECT // 2] < 0.5


@pytest.fixture(scope="module")
def narrow_minded(tmp_path_factory):
    """A classifier that looks at one pixel only, (8, 8), and is sure beyond float32 when it is lit."""
    start = keras.Input((20, 20, 1), name="x")
    outputs = keras.Model(start, keras.layers.Dense(3)(keras.layers.Flatten()(start)))
    kernel, bias = np.zeros((20, 20, 3), np.float32), np.zeros(3, np.float32)
    kernel[8, 8, 0] = 0.2
    outputs.layers[-1].set_weights([kernel.reshape(400, 3), bias])
    with Classifier.load(saved_runs.save(tmp_path_factory.mktemp("narrow"), outputs)) as loaded:
        yield loaded


def test_heat_lies_where_the_answer_comes_from_and_nowhere_else(narrow_minded):
    pictures = np.zeros((2, 20, 20, 1), np.uint8)
    pictures[0, 8, 8] = 255  # the second picture has nothing to lose
    assert narrow_minded.predict_pixels(pictures)[0, 0] == 1
    heat = insight.occlusion(narrow_minded, pictures, np.array([0, 0]))
    assert heat[0, 8, 8] == 1
    touched = np.argwhere(heat[0] > 0)
    assert 0 < np.abs(touched - 8).max() <= 3  # the patch is a fifth of 20 pixels wide
    assert not heat[1].any()


def test_photos_are_covered_by_larger_patches_at_fewer_places(tmp_path):
    start = keras.Input((120, 120, 1), name="x")
    mean = keras.layers.GlobalAveragePooling2D()(start)
    asked = []
    with Classifier.load(saved_runs.save(tmp_path, keras.Model(start, keras.layers.Dense(3)(mean)))) as model:
        picture = np.zeros((1, 120, 120, 1), np.uint8)
        insight.occlusion(model, picture, np.array([0]), lambda: asked.append(1))
    assert len(asked) == 9 * 9  # a quarter wide, half over one another; a fifth would be 11 x 11


@pytest.mark.parametrize("count", [1, 3])
def test_the_onnx_file_shows_the_same_heat_as_the_meta_graph(tmp_path, count):
    run = saved_runs.ready(tmp_path / "run", onnx=True)
    shown, classes = pixels(count), np.arange(count)
    with Classifier.load(run, engine="tensorflow") as slow, Classifier.load(run, engine="onnx") as fast:
        heat = insight.occlusion(slow, shown, classes)
        np.testing.assert_allclose(insight.occlusion(fast, shown, classes), heat, atol=1e-4)
    assert len({one.tobytes() for one in heat}) == count, "each picture has its own"


def test_rounding_that_hangs_on_the_batch_is_no_heat():
    def log_odds(covered: np.ndarray) -> np.ndarray:
        return np.full(len(covered), 7.1215754 - 1e-5 * (len(covered) > 1), np.float32)

    assert not insight.occluded(log_odds, np.full((1, SIDE, SIDE, 3), 90, np.uint8)).any()


def test_heat_of_another_class_is_another(narrow_minded):
    pictures = np.zeros((1, 20, 20, 1), np.uint8)
    pictures[0, 8, 8] = 255
    assert not insight.occlusion(narrow_minded, pictures, np.array([1])).any()


def test_no_pictures_give_no_heat(narrow_minded):
    assert insight.occlusion(narrow_minded, np.zeros((0, 20, 20, 1), np.uint8), np.zeros(0, int)).shape == (
        0,
        20,
        20,
    )


def test_one_picture_is_shown_as_it_spoke_and_may_be_stopped(narrow_minded):
    picture = np.zeros((20, 20, 1), np.uint8)
    picture[8, 8] = 255
    asked = []
    lit = insight.spoke_for(narrow_minded, picture, 0, lambda: asked.append(1))
    assert lit.shape == (20, 20, 3) and 50 < len(asked) < 200
    tinted = np.ptp(lit.astype(int), axis=2) > 20
    assert tinted[8, 8] and not tinted[12:].any()

    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        insight.spoke_for(narrow_minded, picture, 0, stop)


def test_a_spotlight_shows_what_counted():
    for colour in ((200, 100, 0), (2, 2, 2), (255, 255, 255)):  # in dark and in light pictures alike
        image = np.full((2, 2, 3), colour, np.uint8)
        hot, cold, warm, _ = (
            insight.spotlight(image, np.array([[1.0, 0.0], [0.25, 0.0]])).reshape(4, 3).astype(int)
        )
        assert np.ptp(cold) == 0 and 40 <= cold[0] <= 168, "what played no part is grey"
        assert np.ptp(hot) > 100 and np.ptp(warm) > 40, "what counted is tinted"
        assert np.abs(hot - cold).max() > 60 and np.abs(hot - warm).max() > 60
