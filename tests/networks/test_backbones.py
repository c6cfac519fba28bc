"""The networks of keras.applications: ours compute what Keras' own do, train, are saved and exported."""

import importlib
import inspect
import re

import keras
import numpy as np
import onnxruntime
import pytest

from pigeonhole.data.dataset import DataSet
from pigeonhole.errors import UsageError
from pigeonhole.evaluation import insight
from pigeonhole.model import metagraph
from pigeonhole.model.classifier import Classifier
from pigeonhole.model.export import exporting
from pigeonhole.networks import backbones, building, summary
from pigeonhole.networks.averaging import Averaging
from pigeonhole.networks.registry import APPLICATIONS, NETWORKS
from pigeonhole.report import network as drawing
from pigeonhole.runs import search
from pigeonhole.training import steps
from pigeonhole.training.trainer import Trainer
from tests.support import saved_runs
from tests.support.published_networks import SIDE, SMALL, published, side_of
from tests.support.small_trainings import RECIPE, changed

OF_EACH = [
    SMALL,
    *(pytest.param(name, marks=pytest.mark.slow) for name in APPLICATIONS if name != SMALL),
]


def take_weights(model: keras.Model, source: keras.Model) -> keras.Model:
    values = backbones.values(source)
    assert len(values) == len(source.weights)
    for variable in model.weights:
        if not variable.path.startswith("fc/"):
            variable.assign(values[variable.path])
    return model


def module_of(name: str):
    """Keras' module that defines the network."""
    made_in = getattr(keras.applications, NETWORKS[name].application.function).__module__
    return importlib.import_module(f"keras.src.applications.{made_in.rpartition('.')[2]}")


def pixels(count: int, side: int = SIDE, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(7).integers(0, 256, (count, side, side, channels), np.uint8)


def pictures(count: int, seed: int) -> DataSet:
    """Bright and dark pictures."""
    random = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    images = random.integers(0, 120, (count, SIDE, SIDE, 3)) + 120 * labels[:, None, None, None]
    names = [f"{index}.png" for index in range(count)]
    return DataSet(images.astype(np.uint8), labels, names, ["dark", "bright"], seed=5)


@pytest.mark.parametrize("name", APPLICATIONS)
def test_its_imagenet_weights_are_the_file_that_keras_itself_takes(name):
    each, module = NETWORKS[name].application, module_of(name)
    if address := getattr(module, "WEIGHTS_PATH_NO_TOP", None):
        assert each.url == address
        _, _, without_top = inspect.getsource(module).rpartition("WEIGHTS_PATH_NO_TOP,")
        assert re.search('file_hash="(.*)"', without_top)[1] == each.md5
        return
    assert each.url.startswith(getattr(module, "BASE_WEIGHT_PATH", None) or module.BASE_WEIGHTS_PATH)
    assert each.md5 in {without_top for _, without_top in module.WEIGHTS_HASHES.values()}


@pytest.mark.parametrize("name", OF_EACH)
def test_it_computes_what_kerass_own_computes(name):
    """Given the picture as Keras says that the network is to be given it."""
    theirs = published(name)
    shown = pixels(6, side_of(name)).astype(np.float32)
    model = take_weights(building.build(name, side_of(name), 3, 5), theirs)
    features = keras.Model(model.inputs, model.layers[-1].input)
    expected = theirs(module_of(name).preprocess_input(shown.copy())).numpy()
    assert expected.std() > 0.01
    np.testing.assert_allclose(features(shown), expected, rtol=1e-3, atol=1e-4)


def test_the_preprocessing_is_that_of_the_weights():
    """-1 to 1; that of VGG-19 is tested with its files."""
    pixels = keras.Input((2, 2, 3))
    shown = np.full((1, 2, 2, 3), [0, 128, 255], np.float32)
    made = keras.Model(pixels, backbones._preprocessed("InceptionV3", pixels))(shown)
    np.testing.assert_allclose(made[0, 1, 1], [-1, 128 / 127.5 - 1, 1], atol=1e-4)


@pytest.mark.parametrize(
    "name, begins",
    [
        pytest.param(SMALL, "rescaling1 conv", marks=pytest.mark.slow),
        pytest.param("inception_v3", "scale conv2d1 batchnormalization1 activation1", marks=pytest.mark.slow),
    ],
)
def test_its_layers_are_named_alike_however_many_were_made_before(name, begins):
    first, again = (building.build(name, side_of(name), 3, 5) for _ in range(2))
    names = [layer.name for layer in first.layers]
    assert names == [layer.name for layer in again.layers]
    assert " ".join(names[1:]).startswith(begins)


@pytest.mark.slow
def test_grey_pictures_are_seen_as_colour_without_colour():
    grey, colour = (building.build(SMALL, SIDE, channels, 5) for channels in (1, 3))
    grey.set_weights(colour.get_weights())
    shown = pixels(4, channels=1).astype(np.float32)
    np.testing.assert_array_equal(grey(shown), colour(np.repeat(shown, 3, axis=3)))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "precision"),
    [(SMALL, "float32"), (SMALL, "bfloat16"), ("efficientnet_v2_b0", "float32")],
)
def test_it_trains_in_both_phases(name, precision):
    keras.utils.set_random_seed(0)
    model = building.build(name, SIDE, 3, 2, precision)
    trainer = Trainer(model, pictures(32, 0), pictures(8, 1), changed(epochs=2, freeze=0.5), 1)
    before = {variable.path: variable.numpy() for variable in model.variables}
    moved = []

    def look(progress):
        moved.append({each.path for each in model.variables if (each.numpy() != before[each.path]).any()})

    validations = list(trainer.run(look))
    assert moved[1] == {"fc/kernel", "fc/bias"}
    base = [path for path in before if not path.startswith("fc/")]
    still = [path for path in base if path not in moved[-1]]
    assert not still, still
    assert all(np.isfinite(validation.valid.loss) for validation in validations)


@pytest.mark.slow
@pytest.mark.parametrize("name", OF_EACH)
def test_it_is_saved_and_exported_and_answers_as_it_was_trained(name, tmp_path):
    side = side_of(name)
    model = take_weights(building.build(name, side, 3, len(saved_runs.CLASSES)), published(name))
    run = saved_runs.save(tmp_path / "run", model)
    shown = pixels(5, side).astype(np.float32)
    with metagraph.restore(search.find(run).prefix) as session:
        logits = session.run("logits:0", {"x:0": shown})
    np.testing.assert_allclose(logits, model(shown), rtol=1e-3, atol=1e-4)
    runtime = onnxruntime.InferenceSession(exporting.export(run))
    np.testing.assert_allclose(runtime.run(["logits"], {"x": shown})[0], logits, rtol=1e-3, atol=1e-4)
    with Classifier.load(run, engine="tensorflow") as classifier:
        found = classifier.layers
        assert sum(layer.parameters for layer in found) == model.count_params()
        shown_layers = insight.shown_convolutions(classifier)
        first = insight.mapped_layers(classifier, insight.convolutions(classifier)[0])
        assert len(first) == 2, "before and after its ReLU"
        assert len(shown_layers) == insight.MOST_SHOWN
        for layer in shown_layers:
            sheet = drawing.filters(layer, insight.filters(classifier, layer), channels=2)
            assert 0 < len(sheet.channels) <= 2
    drawn = drawing.blocks(found, (side, side, 3))
    assert len(drawn) < 15 and drawn[0].shape.startswith(str(side)) and drawn[-1].shape == "3"
    assert sum(block.parameters for block in drawn) == model.count_params()


def test_the_table_of_its_layers_fits_on_a_screen_and_loses_no_parameter():
    model = building.build(SMALL, SIDE, 3, 5)
    lines = summary.lines(model)
    assert len(lines) < summary.MOST_LINES
    counts = [int(line.split()[-1].replace(",", "")) for line in lines[1:]]
    assert sum(counts) == model.count_params()


def test_pictures_too_small_for_it_are_refused_before_any_is_read(tmp_path):
    from pigeonhole.commands import train

    with pytest.raises(UsageError, match="needs pictures of at least 32 pixels"):
        train.main(["--data", str(tmp_path), "--network", SMALL, "--image-size", "31"])


@pytest.mark.parametrize(
    "averaging", [pytest.param(Averaging(), marks=pytest.mark.slow), Averaging(flip=True)]
)
def test_its_head_alone_learns_while_the_rest_is_frozen(averaging):
    model = building.build(SMALL, SIDE, 3, 5, averaging=averaging)
    steps.freeze(model, True)
    learning = [layer.name for layer in model.layers if layer.trainable and layer.name != "average"]
    assert learning == ["dropout", "fc"]


def test_its_recipe_begins_with_the_head():
    usual = NETWORKS[SMALL].recipe(224, 800, all_grey=False, trained=True)
    assert NETWORKS[SMALL].usual_size(500) == NETWORKS[SMALL].usual_size(32) == 224
    assert 0 < usual.freeze < 0.5 and usual.head_learning_rate > usual.learning_rate
    assert RECIPE.freeze == 0
