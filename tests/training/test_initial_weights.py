"""Starting weights: taken over exactly, by name, from a run or a weights file; anything else is refused."""

import functools
import hashlib
import http.server
import threading
from dataclasses import replace
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf
from keras.src.legacy.saving import legacy_h5_format

from pigeonhole.errors import PigeonholeError, UsageError
from pigeonhole.networks import building, registry
from pigeonhole.training import initial_weights, weights_source
from tests.support import saved_runs
from tests.support.published_networks import SIDE, SMALL, published, side_of

FORMATS = ("start.weights.h5", "start.keras", "start.h5")


@pytest.fixture(scope="module")
def trained() -> keras.Model:
    return saved_runs.network(seed=3)


@pytest.fixture(scope="module")
def run(trained, tmp_path_factory) -> Path:
    """A run with the classes cat, dog and été 北, in this order."""
    return saved_runs.save(tmp_path_factory.mktemp("runs") / "run", trained)


def read(named: str | Path, network: str = "standard") -> initial_weights.InitialWeights:
    return initial_weights.read(weights_source.find(str(named), network), network)


def started(run: Path, *classes: str) -> tuple[keras.Model, list[np.ndarray]]:
    """A network for these classes that has got the run's weights, and the head that it had before."""
    model = building.build("standard", saved_runs.SIZE, 3, len(classes))
    before = model.layers[-1].get_weights()
    read(run).put_into(model, classes)
    return model, before


def same_base(one: keras.Model, other: keras.Model) -> bool:
    pairs = zip(one.layers[:-1], other.layers[:-1], strict=True)
    return all(
        np.array_equal(a, b)
        for first, second in pairs
        for a, b in zip(first.get_weights(), second.get_weights(), strict=True)
    )


def test_with_the_same_classes_the_whole_network_is_taken(run, trained):
    model, _ = started(run, *saved_runs.CLASSES)
    for mine, theirs in zip(model.get_weights(), trained.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_with_other_classes_the_head_is_new(run, trained):
    model, before = started(run, "fish", "bird")
    assert same_base(model, trained)
    for mine, fresh in zip(model.layers[-1].get_weights(), before, strict=True):
        np.testing.assert_array_equal(mine, fresh)


def test_classes_of_the_same_name_keep_their_rows_wherever_they_stand(run, trained):
    model, (fresh_kernel, fresh_bias) = started(run, "été 北", "bird", "cat", "fish")
    assert same_base(model, trained)
    kernel, bias = model.layers[-1].get_weights()
    trained_kernel, trained_bias = trained.layers[-1].get_weights()
    np.testing.assert_array_equal(kernel[:, [0, 2]], trained_kernel[:, [2, 0]])
    np.testing.assert_array_equal(bias[[0, 2]], trained_bias[[2, 0]])
    np.testing.assert_array_equal(kernel[:, [1, 3]], fresh_kernel[:, [1, 3]])
    np.testing.assert_array_equal(bias[[1, 3]], fresh_bias[[1, 3]])


def test_it_says_how_many_classes_are_known(run):
    assert read(run).describe(["cat", "bird"]) == f"{run}, which knows 1 of the 2 classes"
    assert read(run).describe(["bird"]) == str(run)


def test_a_run_of_another_network_or_size_is_refused(run):
    with pytest.raises(UsageError, match="is a run of --network standard, not tutorial"):
        read(run, "tutorial")
    larger = building.build("standard", 2 * saved_runs.SIZE, 3, 3)
    with pytest.raises(PigeonholeError, match=r"fc1/kernel is \[512, 256\], not \[2048, 256\]; .* 16 pixels"):
        read(run).put_into(larger, saved_runs.CLASSES)
    grey = building.build("standard", saved_runs.SIZE, 1, 3)
    with pytest.raises(PigeonholeError, match="and 3 channels"):
        read(run).put_into(grey, saved_runs.CLASSES)


def test_a_weight_that_is_missing_is_named(run, trained):
    start = read(run)
    part = replace(start, values={name: value for name, value in start.values.items() if name != "bn2/beta"})
    with pytest.raises(PigeonholeError, match="has no bn2/beta"):
        part.put_into(trained, saved_runs.CLASSES)


@pytest.mark.parametrize(
    "named, network, told",
    [
        ("nowhere", "standard", "--weights nowhere: no such run"),
        ("nowhere.weights.h5", SMALL, "--weights nowhere.weights.h5: no such file"),
        ("imagnet", SMALL, "--weights imagnet: no such run or file; did you mean imagenet"),
        ("imagenet", "standard", "choose a --network from efficientnet_lite0"),
    ],
)
def test_what_is_not_there_is_named(named, network, told):
    with pytest.raises(UsageError, match=told):
        weights_source.find(named, network)


def test_published_weights_are_downloaded_once_and_checked(tmp_path, monkeypatch):
    content = bytes(range(256)) * 100
    checksum = hashlib.md5(content).hexdigest()
    (tmp_path / "web").mkdir()
    (tmp_path / "web" / "small.h5").write_bytes(content)
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=tmp_path / "web")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setattr(registry, "_WEIGHTS_URL", f"http://127.0.0.1:{server.server_port}/")
    application = replace(registry.NETWORKS[SMALL].application, path="small.h5", md5=checksum)
    entry = replace(registry.NETWORKS[SMALL], application=application)
    monkeypatch.setitem(registry.NETWORKS, SMALL, entry)
    kept = tmp_path / "keras" / "models" / "small.h5"
    assert weights_source.find("imagenet", SMALL).path == kept and kept.read_bytes() == content
    server.shutdown()
    server.server_close()
    assert weights_source.find("imagenet", SMALL).path == kept
    kept.write_bytes(b"another file")
    with pytest.raises(PigeonholeError, match=r"small\.h5 is not the published file: .*--weights"):
        weights_source.find("imagenet", SMALL)
    kept.unlink()
    with pytest.raises(PigeonholeError, match=r"small\.h5 cannot be reached .*add --weights FILE"):
        weights_source.find("imagenet", SMALL)


def test_an_unfinished_run_is_refused(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "step-0000000007.npz").touch()
    with pytest.raises(PigeonholeError, match="this training is not finished"):
        weights_source.find(str(tmp_path), "standard")


def test_a_checkpoint_of_another_program_is_refused(tmp_path):
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        variable = tf.compat.v1.get_variable("weights", [3], use_resource=False)
        session.run(variable.initializer)
        tf.compat.v1.train.Saver().save(session, str(tmp_path / "model"))
    with pytest.raises(PigeonholeError, match="is no run of this program"):
        read(tmp_path)


def test_the_digest_is_of_what_is_read_and_of_nothing_else(tmp_path, trained):
    run = saved_runs.save(tmp_path / "run", trained)
    first = weights_source.find(str(run), None).digest()
    (run / "model.onnx").write_bytes(b"made later")
    (run / "report.html").write_text("made later")
    assert weights_source.find(str(run), None).digest() == first
    saved_runs.save(run, saved_runs.network(seed=4), replace=True)
    assert weights_source.find(str(run), None).digest() != first


@pytest.fixture(scope="module")
def theirs() -> keras.Model:
    return published(SMALL)


@pytest.fixture(scope="module")
def ours() -> keras.Model:
    return building.build(SMALL, SIDE, 3, 3)


@pytest.mark.parametrize("name", FORMATS)
def test_a_weights_file_is_taken_in_each_of_keras_formats(theirs, ours, name, tmp_path):
    file = tmp_path / name
    (theirs.save_weights if name.endswith(".weights.h5") else theirs.save)(file)
    for variable in ours.weights:
        variable.assign(np.zeros(variable.shape))
    read(file, SMALL).put_into(ours, ["a", "b", "c"])
    expected = {variable.path: variable.numpy() for variable in theirs.weights}
    for variable in ours.weights:
        if variable.path.startswith("fc/"):
            assert not variable.numpy().any(), "the head of a weights file is not ours"
        else:
            np.testing.assert_array_equal(variable.numpy(), expected[variable.path])


@pytest.mark.slow
def test_a_weights_file_may_hold_the_head_of_a_thousand_classes(ours, tmp_path):
    keras.utils.set_random_seed(1)
    whole = keras.applications.MobileNetV3Small(weights=None)
    whole.save_weights(tmp_path / "top.weights.h5")
    read(tmp_path / "top.weights.h5", SMALL).put_into(ours, ["a", "b", "c"])
    np.testing.assert_array_equal(ours.get_layer("conv").kernel, whole.get_layer("conv").kernel)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["inception_v3", "vgg19"])
def test_a_weights_file_is_taken_in_the_format_that_keras_publishes(name, tmp_path):
    """Whose layers have no names that count, but an order."""
    theirs = published(name)
    with h5py.File(tmp_path / "published.h5", "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, theirs)
    model = building.build(name, side_of(name), 3, 3)
    read(tmp_path / "published.h5", name).put_into(model, ["a", "b", "c"])
    shown = np.random.default_rng(0).uniform(0, 255, (2, *model.input.shape[1:])).astype(np.float32)
    module = getattr(keras.applications, name)
    features = keras.Model(model.inputs, model.layers[-1].input)
    expected = theirs(module.preprocess_input(shown.copy()))
    np.testing.assert_allclose(features(shown), expected, rtol=1e-3, atol=1e-4)


def test_a_weights_file_with_a_hole_is_refused(theirs, tmp_path):
    bias = theirs.get_layer("conv_bn").beta
    before = bias.numpy()
    bias.assign(np.full(bias.shape, np.nan))
    theirs.save_weights(tmp_path / "hole.weights.h5")
    bias.assign(before)
    with pytest.raises(PigeonholeError, match="conv_bn/beta is missing"):
        read(tmp_path / "hole.weights.h5", SMALL)


def test_a_small_file_of_another_network_is_refused_before_the_head_is_built(tmp_path, monkeypatch):
    keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(2)]).save_weights(
        tmp_path / "o.weights.h5"
    )
    real, built = keras.applications.MobileNetV3Small, []

    def seen(**options):
        built.append(options["include_top"])
        return real(**options)

    monkeypatch.setattr(keras.applications, "MobileNetV3Small", seen)
    with pytest.raises(PigeonholeError, match=r"o\.weights\.h5: holds no weights of"):
        read(tmp_path / "o.weights.h5", SMALL)
    assert built == [False]


@pytest.mark.slow
def test_a_weights_file_that_does_not_fit_is_one_clear_line(theirs, tmp_path):
    theirs.save_weights(tmp_path / "small.weights.h5")
    (tmp_path / "broken.h5").write_bytes(b"no such format")
    for named, network in (("small.weights.h5", "efficientnet_v2_b0"), ("broken.h5", SMALL)):
        with pytest.raises(PigeonholeError, match=f"holds no weights of {network}") as caught:
            read(tmp_path / named, network)
        assert "\n" not in str(caught.value)
    with pytest.raises(UsageError, match="for --network standard name a run"):
        read(tmp_path / "small.weights.h5")
