import json
import os
import sys
from pathlib import Path

import keras
import numpy as np
import onnx
import onnxruntime
import pytest
import tensorflow as tf

from pigeonhole.errors import PigeonholeError
from pigeonhole.model import metagraph, rejection
from pigeonhole.model.export import exporting
from pigeonhole.networks.averaging import Averaging
from pigeonhole.runs import search
from tests.support import saved_runs

OUTPUTS = ["y_pred", "logits", "features"]


@pytest.fixture(scope="module", params=["standard", "tutorial", "averaging"])
def run(request, tmp_path_factory):
    if request.param == "averaging":
        model = saved_runs.network(averaging=Averaging(flip=True, shift=True))
    else:
        model = saved_runs.network(name=request.param)
    run = saved_runs.save(tmp_path_factory.mktemp("runs") / "run", model, temperature=1.5)
    assert exporting.export(run) == run / "model.onnx"
    return run


def test_answers_equal_the_meta_graph_for_any_number_of_pictures(run):
    runtime = onnxruntime.InferenceSession(run / "model.onnx")
    with metagraph.restore(search.find(run).prefix) as session:
        for count in (1, 5):
            pixels = np.random.default_rng(count).uniform(0, 255, (count, 16, 16, 3)).astype(np.float32)
            expected = session.run([f"{name}:0" for name in OUTPUTS], {"x:0": pixels})
            for answer, wanted in zip(runtime.run(OUTPUTS, {"x": pixels}), expected, strict=True):
                np.testing.assert_allclose(answer, wanted, atol=1e-5)


@pytest.mark.parametrize(
    "rule",
    [
        each if each == rejection.COMBINED else pytest.param(each, marks=pytest.mark.slow)
        for each in rejection.RULES
    ],
)
def test_the_rule_for_pictures_of_no_class_is_exported_too(tmp_path, rule):
    model = saved_runs.network()
    run = saved_runs.save(tmp_path / "run", model, rejection=saved_runs.rule(model, rule))
    runtime = onnxruntime.InferenceSession(exporting.export(run))
    names = [*OUTPUTS, "certainty", "unsure"]
    assert [value.name for value in runtime.get_outputs()] == names
    pixels = np.random.default_rng(3).integers(0, 256, (40, 16, 16, 3)).astype(np.float32)
    *_, certainty, unsure = runtime.run(names, {"x": pixels})
    with metagraph.restore(search.find(run).prefix) as session:
        expected = session.run(["certainty:0", "unsure:0"], {"x:0": pixels})
    np.testing.assert_allclose(certainty, expected[0], atol=1e-4)
    np.testing.assert_array_equal(unsure, expected[1])
    assert 5 < unsure.sum() < 35


def test_dropout_is_taken_out(run):
    types = {node.op_type for node in onnx.load(run / "model.onnx").graph.node}
    assert "Conv" in types
    assert not [name for name in types if "Random" in name or "Dropout" in name or name == "Less"]


def test_metadata_and_shapes_tell_how_to_use_it(run):
    runtime = onnxruntime.InferenceSession(run / "model.onnx")
    metadata = runtime.get_modelmeta().custom_metadata_map
    assert json.loads(metadata["classes"]) == list(saved_runs.CLASSES)
    with metagraph.restore(search.find(run).prefix) as session:
        assert metadata["contract"] == metagraph.read_contract(session).to_json()
    assert [(value.name, value.shape) for value in runtime.get_inputs()] == [("x", ["N", "H", "W", 3])]
    assert [value.name for value in runtime.get_outputs()] == OUTPUTS
    assert runtime.get_outputs()[0].shape == ["N", 3]


class NoConversion(keras.layers.Layer):
    def call(self, inputs):
        return tf.raw_ops.SoftplusGrad(gradients=inputs, features=inputs)


class SlightNoise(keras.layers.Layer):
    """Too little for another processor to be told from, too much for the same weights in another format."""

    def call(self, inputs):
        return inputs + 1e-3 * tf.random.uniform(tf.shape(inputs))


@pytest.mark.parametrize(
    "layer, reason", [(NoConversion, "SoftplusGrad"), (SlightNoise, "other probabilities")]
)
def test_file_that_cannot_be_right_is_not_written_and_the_run_stays(tmp_path, layer, reason):
    pixels = keras.Input((8, 8, 3), name="x")
    hidden = keras.layers.Flatten(name="flatten")(keras.layers.Rescaling(1 / 255, name="scale")(pixels))
    model = keras.Model(pixels, layer(name="odd")(keras.layers.Dense(3, name="fc")(hidden)), name="odd")
    run = saved_runs.save(tmp_path / "run", model)
    before = {file.name for file in run.iterdir()}
    with pytest.raises(PigeonholeError, match=reason) as caught:
        exporting.export(run)
    assert "\n" not in str(caught.value)
    assert {file.name for file in run.iterdir()} == before
    metagraph.restore(search.find(run).prefix).close()


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads Linux' account of memory")
def test_thousands_of_classes_leave_no_copies_of_the_graph_in_memory(tmp_path):
    """The converter makes some fifty copies of the weights, which refer to each other in circles."""
    classes = 5000
    model = saved_runs.network(classes=classes)
    fitted = metagraph.Fitted(7, rejection=saved_runs.rule(model))
    metagraph.save(model, [f"class {number}" for number in range(classes)], tmp_path / "run", fitted)
    exporting.export(saved_runs.save(tmp_path / "small"))  # loads the converter
    before = resident_megabytes()
    exporting.export(tmp_path / "run")
    assert resident_megabytes() - before < 250


def resident_megabytes() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def test_what_the_converter_s_native_side_writes_is_not_seen(tmp_path, capfd, monkeypatch):
    from tf2onnx import tf_loader

    optimize = tf_loader.tf_optimize

    def speaking(*given: object):
        os.write(2, b"Starting new session\n")  # as it does at times
        return optimize(*given)

    monkeypatch.setattr(tf_loader, "tf_optimize", speaking)
    run = saved_runs.save(tmp_path / "run", saved_runs.network())
    assert exporting.export(run).is_file()
    assert capfd.readouterr() == ("", "")
