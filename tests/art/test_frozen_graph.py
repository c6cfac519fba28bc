"""Frozen graphs: those that `export` writes, and one built like the published network of deep dream."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from pigeonhole import Classifier
from pigeonhole.art import dream, frozen_graph, opening
from pigeonhole.art.dream import Settings
from pigeonhole.art.frozen_graph import Feeding
from pigeonhole.art.objectives import Goal, MeanOfChannels
from pigeonhole.errors import PigeonholeError, UsageError
from pigeonhole.jobs.exporting import ExportJob, Form
from pigeonhole.networks.averaging import Averaging
from tests.support import saved_runs

v1 = tf.compat.v1

PRE_RELU = "mixed4d_3x3_bottleneck_pre_relu"


def picture(side: int = 48, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0, 255, (side, side, 3)).astype(np.float32)


def published(folder: Path, more=lambda: None, weights: float = 1.0, name: str = "input") -> Path:
    """A small graph with the operations and the names of tensorflow_inception_graph.pb."""
    random = np.random.default_rng(0)

    def convolved(inputs, size, channels, name):
        kernel = np.tile(random.normal(0, 0.1, (1, 1, int(inputs.shape[-1]), channels)), (size, size, 1, 1))
        kernel = tf.constant(kernel * weights, tf.float32, name=f"{name}/w")
        found = tf.nn.conv2d(inputs, kernel, 1, "SAME", name=f"{name}/conv")
        return tf.nn.bias_add(found, tf.constant(random.normal(size=channels), tf.float32), name=name)

    with tf.Graph().as_default() as graph:
        pixels = v1.placeholder(tf.float32, name=name)
        kernel = tf.constant(np.tile(random.normal(0, 0.05, (1, 1, 3, 8)), (5, 5, 1, 1)), tf.float32)
        first = tf.nn.conv2d(pixels, kernel, 2, "SAME", name="conv2d0_pre_relu/conv")
        first = tf.nn.relu(tf.nn.bias_add(first, np.zeros(8, np.float32), name="conv2d0_pre_relu"), "conv2d0")
        first = tf.nn.local_response_normalization(first, 5, 1, 1e-4, 0.5, name="localresponsenorm0")
        one = tf.nn.relu(convolved(first, 1, 4, "mixed4d_1x1_pre_relu"))
        other = tf.nn.relu(convolved(first, 3, 6, PRE_RELU))
        tf.concat([one, other], 3, name="mixed4d")
        more()
        (folder / "graph.pb").write_bytes(graph.as_graph_def().SerializeToString())
    return folder / "graph.pb"


def value(file: Path, name: str, pixels: np.ndarray) -> np.ndarray:
    """What TensorFlow itself says of a tensor of the graph."""
    with tf.Graph().as_default() as graph:
        tf.graph_util.import_graph_def(v1.GraphDef.FromString(file.read_bytes()), name="")
    with v1.Session(graph=graph) as session:
        return session.run(f"{name}:0", {graph.get_operations()[0].name + ":0": pixels})


# --- as published ---


@pytest.fixture(scope="module")
def graph(tmp_path_factory) -> Path:
    return published(tmp_path_factory.mktemp("graph"))


def test_layers_are_the_convolutions_before_their_relu(graph):
    layers = frozen_graph.read(graph).names()
    assert layers == [("conv2d0_pre_relu", 8), ("mixed4d_1x1_pre_relu", 4), (PRE_RELU, 6)]


@pytest.mark.parametrize("name", [PRE_RELU, f"{PRE_RELU}:0", f"import/{PRE_RELU}:0", "mixed4d", "conv2d0:0"])
def test_every_name_leads_to_the_tensor_of_the_picture_less_the_mean(graph, name):
    (found,) = frozen_graph.read(graph).outputs(tf.constant(picture()[None]), [name])
    plain = name.removeprefix("import/").removesuffix(":0")
    np.testing.assert_allclose(found, value(graph, plain, picture()[None] - 117), rtol=1e-4, atol=1e-4)


def test_other_programs_feed_otherwise(graph):
    fed = frozen_graph.read(graph, feeding=Feeding("input:0", scale=1 / 127.5, mean=1.0))
    (found,) = fed.outputs(tf.constant(picture()[None]), ["mixed4d"])
    expected = value(graph, "mixed4d", picture()[None] / 127.5 - 1)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_the_published_example_climbs(graph):
    objective = MeanOfChannels(frozen_graph.read(graph), [Goal(PRE_RELU, (3,))])
    steps = list(dream.dream(dream.noise(size=64), objective, Settings(steps=15)))
    for octave in range(1, 5):
        values = [step.objective for step in steps if step.octave == octave]
        assert len(values) == 16 and values[-1] > values[0]


# --- as exported here ---


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> Path:
    run = saved_runs.ready(tmp_path_factory.mktemp("exported") / "run")
    form = Form("pb")
    with ExportJob([form], str(run)) as job:
        return job.export(form).place


def test_an_exported_graph_gives_the_values_of_its_run(exported):
    network = frozen_graph.read(exported)
    assert [layer.channels for layer in network.names()] == [32, 64, 128]
    pixels = picture(saved_runs.SIZE).round()
    with Classifier.load(exported.parents[1], engine="tensorflow") as classifier:
        (expected,) = classifier.fetch(pixels[None], ["conv2/output"])
    (found,) = network.outputs(tf.constant(pixels[None]), [network.names()[1].name])
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_an_exported_graph_dreams_at_sizes_that_it_was_not_trained_for(exported):
    network = frozen_graph.read(exported)
    objective = MeanOfChannels(network, [Goal(network.names()[2].name, (5,))])
    start = picture(80)
    steps = list(dream.dream(start, objective, Settings(octaves=3, tile=64)))
    for octave in range(1, 4):
        values = [step.objective for step in steps if step.octave == octave]
        assert values[-1] > values[0]
    change = steps[-1].picture - start
    noise = np.random.default_rng(1).normal(size=change.shape).astype(np.float32)
    noise *= np.linalg.norm(change) / np.linalg.norm(noise)
    before, dreamt, noisy = (objective(each)[0] for each in (start, steps[-1].picture, start + noise))
    assert dreamt - before > 5 * abs(noisy - before)


def test_a_network_that_mirrors_its_picture_is_shown_one_of_another_size(tmp_path):
    """By its graph and by its run, also where the size is known when the function is made."""
    run = saved_runs.save(tmp_path / "run", saved_runs.network(averaging=Averaging(flip=True)))
    form = Form("pb")
    with ExportJob([form], str(run)) as job:
        networks = [frozen_graph.read(job.export(form).place), opening.open_network(str(run))]
    plain = saved_runs.save(tmp_path / "plain", saved_runs.network())
    pixels = tf.constant(picture(saved_runs.SIZE + 10)[None, :, 5:])
    (expected,) = opening.open_network(str(plain)).outputs(pixels, ["conv2"])
    for network, name in zip(networks, (networks[0].names()[1].name, "conv2"), strict=True):
        (found,) = tf.function(network.outputs)(pixels, [name])
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


# --- what is none ---


def test_a_graph_that_writes_files_is_refused(tmp_path):
    file = published(tmp_path, lambda: tf.raw_ops.WriteFile(filename="x", contents="y", name="evil"))
    with pytest.raises(PigeonholeError, match="its node 'evil' is the operation WriteFile"):
        frozen_graph.read(file)


def test_weights_that_are_no_numbers_are_named(tmp_path):
    with pytest.raises(PigeonholeError, match=r"graph.pb: its weights mixed4d_1x1_pre_relu/w are no numbers"):
        frozen_graph.read(published(tmp_path, weights=np.nan))


def test_variables_are_not_frozen(tmp_path):
    file = published(tmp_path, lambda: v1.get_variable("w2", [3], use_resource=False))
    with pytest.raises(PigeonholeError, match="not frozen, its weights are variables: w2"):
        frozen_graph.read(file)


def test_of_several_inputs_the_right_one_must_be_named(tmp_path):
    file = published(tmp_path, lambda: v1.placeholder(tf.float32, [None, 8, 8, 3], name="mask"))
    with pytest.raises(UsageError, match=r"which tensor takes the pictures.*input, mask"):
        frozen_graph.read(file)
    with pytest.raises(UsageError, match="--input-tensor inputs: no such tensor; likely ones: input, mask"):
        frozen_graph.read(file, feeding=Feeding("inputs"))
    assert len(frozen_graph.read(file, feeding=Feeding("input")).names()) == 3


@pytest.mark.parametrize("content", [b"", b"text that is no graph", b"\x08\x01"])
def test_other_files_are_no_graphs(tmp_path, content):
    (tmp_path / "other.pb").write_bytes(content)
    with pytest.raises(PigeonholeError, match=r"other.pb: (damaged or )?not a frozen graph"):
        frozen_graph.read(tmp_path / "other.pb")


def test_a_graph_without_convolutions_says_so(tmp_path):
    with tf.Graph().as_default() as graph:
        tf.identity(v1.placeholder(tf.float32, [None, 8], name="x"))
        pixels = v1.placeholder(tf.float32, [None, 8, 8, 3], name="pixels")
        tf.nn.relu(pixels)
    (tmp_path / "dense.pb").write_bytes(graph.as_graph_def().SerializeToString())
    with pytest.raises(PigeonholeError, match=r"dense.pb: has no convolution"):
        frozen_graph.read(tmp_path / "dense.pb")


def test_a_layer_that_is_not_there_and_those_close_to_it(graph):
    with pytest.raises(UsageError, match=f"no such layer.*{PRE_RELU}"):
        MeanOfChannels(frozen_graph.read(graph), [Goal("mixed4d_3x3_pre_relu")])
