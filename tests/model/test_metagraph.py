import json
import os
import shutil
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from pigeonhole.errors import PigeonholeError
from pigeonhole.model import golden, metagraph, rejection
from pigeonhole.pictures.images import REDUCED, Preprocessing
from pigeonhole.runs import search
from pigeonhole.runs.run import Run
from tests.support import saved_runs

v1 = tf.compat.v1

PIXELS = np.random.default_rng(1).uniform(0, 255, (6, saved_runs.SIZE, saved_runs.SIZE, 3)).astype(np.float32)
LABELS = np.eye(3, dtype=np.float32)[[0, 1, 2, 0, 1, 1]]


@pytest.fixture(scope="module")
def model():
    return saved_runs.network()


@pytest.fixture(scope="module")
def saved(model, tmp_path_factory) -> Path:
    return saved_runs.save(tmp_path_factory.mktemp("runs") / "run", model, temperature=2.0)


@pytest.fixture(scope="module")
def session(saved):
    """Restored by TensorFlow alone, as any other program would."""
    with tf.Graph().as_default():
        session = v1.Session()
        v1.train.import_meta_graph(str(saved / "model.meta")).restore(session, str(saved / "model"))
    yield session
    session.close()


@pytest.fixture
def run(saved, tmp_path) -> Path:
    """A copy of the saved run, to be damaged."""
    return saved_runs.editable(shutil.copytree(saved, tmp_path / "run"))


def test_named_tensors_have_the_documented_types_and_shapes(session):
    documented = {
        "x": (tf.float32, [None, 16, 16, 3]),
        "y_true": (tf.float32, [None, 3]),
        "y_true_cls": (tf.int64, [None]),
        "y_pred": (tf.float32, [None, 3]),
        "y_pred_cls": (tf.int64, [None]),
        "logits": (tf.float32, [None, 3]),
        "features": (tf.float32, [None, session.graph.get_tensor_by_name("fc2/kernel:0").shape[0]]),
        "cost": (tf.float32, []),
        "accuracy": (tf.float32, []),
        "keep_prob": (tf.float32, []),
        "global_step": (tf.int64, []),
        "classes": (tf.string, [3]),
        "contract": (tf.string, []),
    }
    for name, (dtype, shape) in documented.items():
        tensor = session.graph.get_tensor_by_name(f"{name}:0")
        assert (tensor.dtype.base_dtype, tensor.shape.as_list()) == (dtype, shape), name


def test_answers_equal_the_keras_model(model, session):
    logits, classes = session.run(["logits:0", "y_pred_cls:0"], {"x:0": PIXELS})
    np.testing.assert_allclose(logits, model.predict_on_batch(PIXELS), atol=1e-6)
    assert logits.std(axis=0).max() > 1e-2  # else the comparison would say nothing
    np.testing.assert_array_equal(classes, logits.argmax(axis=1))


def test_temperature_softens_probabilities_and_leaves_the_cost_alone(session):
    logits, probabilities, cost, accuracy = session.run(
        ["logits:0", "y_pred:0", "cost:0", "accuracy:0"], {"x:0": PIXELS, "y_true:0": LABELS}
    )
    shares = np.exp(logits / 2)
    np.testing.assert_allclose(probabilities, shares / shares.sum(axis=1, keepdims=True), atol=1e-6)
    raw = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert cost == pytest.approx(-np.log(raw[LABELS == 1]).mean(), abs=1e-5)
    assert accuracy == pytest.approx((logits.argmax(axis=1) == LABELS.argmax(axis=1)).mean())


def test_keep_prob_drives_the_dropout(session):
    def ask(**feeds):
        return session.run("logits:0", {"x:0": PIXELS, **feeds})

    np.testing.assert_array_equal(ask(), ask(**{"keep_prob:0": 1.0}))
    assert np.abs(ask(**{"keep_prob:0": 0.5}) - ask(**{"keep_prob:0": 0.5})).max() > 1e-4


def test_layers_are_readable_by_name(model, session):
    for variable in model.variables:
        np.testing.assert_array_equal(session.run(f"{variable.path}:0"), variable.numpy())
    features, logits, relu = session.run(["features:0", "logits:0", "relu1/output:0"], {"x:0": PIXELS})
    kernel, bias = model.get_layer("fc2").get_weights()
    np.testing.assert_allclose(features @ kernel + bias, logits, atol=1e-5)
    assert relu.min() == 0
    for layer in model.layers[1:]:
        assert session.graph.get_tensor_by_name(f"{layer.name}/output:0").shape[1:] == layer.output.shape[1:]


def test_checkpoint_holds_the_weights_the_step_and_nothing_else(model, saved, session):
    names = set(tf.train.load_checkpoint(str(saved / "model")).get_variable_to_shape_map())
    assert names == {variable.path for variable in model.variables} | {"global_step"}
    assert session.run("global_step:0") == 7


def test_classes_and_contract_are_inside(saved, session):
    assert tuple(name.decode() for name in session.run("classes:0")) == saved_runs.CLASSES
    contract = json.loads(session.run("contract:0"))
    assert contract["golden"] and contract["pigeonhole"] and contract["format_version"] == 3
    expected = {"image_size": 16, "channels": 3, "resize": "area", "colour_order": "rgb", "scale": 1.0}
    assert contract.items() >= {**expected, "temperature": 2.0, "network": "standard"}.items()
    assert (saved / "labels.txt").read_text("utf-8").splitlines() == list(saved_runs.CLASSES)


@pytest.mark.parametrize("name", rejection.RULES)
def test_unsure_is_what_the_rule_says(tmp_path, name):
    model = saved_runs.network()
    rule = saved_runs.rule(model, name)
    run = saved_runs.save(tmp_path / "run", model, rejection=rule)
    pixels = np.random.default_rng(5).integers(0, 256, (40, 16, 16, 3), np.uint8)
    with metagraph.restore(search.find(run).prefix) as session:
        names = ("logits", "features", "certainty", "unsure")
        logits, features, certainty, unsure = session.run([f"{n}:0" for n in names], {"x:0": pixels})
        contract = metagraph.read_contract(session)
    np.testing.assert_allclose(certainty, rejection.certainty(rule, logits, features), rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(unsure, certainty < rule.threshold)
    assert 5 < unsure.sum() < 35 and unsure.dtype == bool
    assert contract.rejection == {"rule": name, "threshold": rule.threshold, "false_rejection": 0.5}


def test_a_model_of_the_first_format_answers_still_and_takes_the_pixels_that_it_was_trained_with(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(metagraph, "Preprocessing", partial(Preprocessing, resize=REDUCED))
    run = saved_runs.editable(saved_runs.save(tmp_path / "run"))
    _edit_constant(run, "contract", b'"format_version": 3', b'"format_version": 1')
    _edit_constant(run, "contract", b', "rejection": null', b"")
    _edit_constant(run, "contract", b'"reduced"', b'"area"')
    with metagraph.restore(search.find(run).prefix) as session:
        contract = metagraph.read_contract(session)
    assert contract.rejection is None
    assert contract.preprocessing == Preprocessing(16, resize=REDUCED)
    _edit_constant(run, "contract", b'"format_version": 1', b'"format_version": 2')
    _edit_constant(run, "contract", b"}", b', "rejection": null}')
    with metagraph.restore(search.find(run).prefix) as session:
        assert metagraph.read_contract(session).preprocessing == Preprocessing(16, resize=REDUCED)


def test_run_holds_the_documented_files_and_nothing_aside(saved):
    files = {"model.meta", "model.index", "model.data-00000-of-00001", "checkpoint", "labels.txt"}
    files |= {"sha256.txt"}
    assert {file.name for file in saved.iterdir()} == files


def test_finished_run_is_never_overwritten(run):
    before = {file.name: file.read_bytes() for file in run.iterdir()}
    with pytest.raises(PigeonholeError, match="finished run"):
        saved_runs.save(run)
    assert {file.name: file.read_bytes() for file in run.iterdir()} == before


def test_bfloat16_model_is_refused(tmp_path):
    from pigeonhole.networks import building

    with pytest.raises(ValueError, match="float32"):
        saved_runs.save(tmp_path / "run", building.build("standard", 16, 3, 3, "bfloat16"))


def test_moved_run_restores_and_any_folder_name_will_do(model, tmp_path):
    saved = saved_runs.save(tmp_path / "été [1] *" / "run", model)
    moved = saved.rename(tmp_path / "[a-z] ?")
    with metagraph.restore(search.find(moved).prefix) as session:
        assert metagraph.read_classes(session) == saved_runs.CLASSES


KILLED_SAVES = """
import os, signal, sys
from pathlib import Path
sys.path[:0] = sys.argv[2:]
from pigeonhole import quiet
quiet.import_tensorflow()
from tests.support import saved_runs

def save_until(moment, folder):
    count = 0
    def hook(event, arguments):
        nonlocal count
        if event == "os.rename" and [".saving" in os.fspath(path) for path in arguments[:2]] == [True, False]:
            count += 1  # a file takes its place
            if count == moment:
                os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(hook)
    saved_runs.save(folder)

for moment in range(1, 7):
    child = os.fork()
    if not child:
        save_until(moment, Path(sys.argv[1]) / str(moment))
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL")
@pytest.mark.slow
def test_kill_at_any_instant_leaves_no_loadable_mixture(tmp_path):
    places = [str(Path(__file__).parents[2])]
    done = subprocess.run(
        [sys.executable, "-c", KILLED_SAVES, str(tmp_path), *places], capture_output=True, text=True
    )
    *killed, last = [int(status) for status in done.stdout.split()]
    assert killed == [-signal.SIGKILL] * 5, done.stderr  # before each of the five files took its place
    assert last == 0
    for moment in range(1, 6):
        run = tmp_path / str(moment)
        assert not Run(run).has_model
        with pytest.raises(PigeonholeError, match="not finished"):
            search.find(run)
        saved_runs.save(run)
    for run in tmp_path.iterdir():
        metagraph.restore(search.find(run).prefix).close()


# --- partial restores ---


def _truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 3)


def _flip_a_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)


@pytest.mark.parametrize("name", ["model.meta", "model.index", "model.data-00000-of-00001", "checkpoint"])
@pytest.mark.parametrize("damage", [Path.unlink, _truncate, lambda path: path.write_bytes(b"")])
def test_missing_or_truncated_file_is_refused_in_one_line(run, name, damage):
    damage(run / name)
    with pytest.raises(PigeonholeError) as caught:
        metagraph.restore(search.find(run).prefix)
    assert str(run) in str(caught.value) and "\n" not in str(caught.value)


def test_flipped_bit_in_the_weights_is_refused(run):
    _flip_a_bit(run / "model.data-00000-of-00001")
    with pytest.raises(PigeonholeError, match="model"):
        metagraph.restore(search.find(run).prefix)


def test_checkpoint_that_points_elsewhere_is_refused(run, saved):
    for elsewhere in ("../other/model", str(saved / "model")):
        (run / "checkpoint").write_text(f'model_checkpoint_path: "{elsewhere}"\n')
        with pytest.raises(PigeonholeError, match="points elsewhere"):
            search.find(run)


def _rewrite_weights(run: Path, change) -> None:
    """Replace the run's checkpoint by one with `change(values)`, leaving its graph alone."""
    reader = tf.train.load_checkpoint(str(run / "model"))
    values = change({name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()})
    with tf.Graph().as_default(), v1.Session() as session:
        variables = [v1.Variable(value, name=name, use_resource=False) for name, value in values.items()]
        session.run([variable.initializer for variable in variables])
        v1.train.Saver(variables).save(session, str(run / "model"), write_meta_graph=False, write_state=False)


@pytest.mark.parametrize(
    "change",
    [
        lambda values: {name: value for name, value in values.items() if name != "bn2/gamma"},
        lambda values: {name: value[:-1] if name == "bn2/gamma" else value for name, value in values.items()},
    ],
    ids=["lacking", "other shape"],
)
def test_checkpoint_that_does_not_fit_the_graph_is_refused(run, change):
    _rewrite_weights(run, change)
    with pytest.raises(PigeonholeError, match="cannot be restored"):
        metagraph.restore(search.find(run).prefix)


@pytest.mark.parametrize("lucky", [False, True], ids=["unrestored", "initialised by luck"])
@pytest.mark.parametrize("use_resource", [False, True], ids=["reference", "resource"])
def test_variable_that_the_saver_leaves_out_is_refused(tmp_path, lucky, use_resource):
    prefix = str(tmp_path / "model")
    with tf.Graph().as_default() as graph, v1.Session() as session:
        covered = v1.get_variable("covered", [2], use_resource=use_resource)
        v1.get_variable("forgotten", [2], use_resource=use_resource, collections=[])
        saver = v1.train.Saver([covered])
        if lucky:
            everything = [
                operation for operation in graph.get_operations() if operation.name.endswith("Assign")
            ]
            both = tf.group(
                graph.get_operation_by_name(saver.saver_def.restore_op_name), *everything, name="save/all"
            )
            saver.saver_def.restore_op_name = both.name
        session.run(covered.initializer)
        saver.save(session, prefix)
    with pytest.raises(PigeonholeError, match=r"partial model, 1 of its 2 variables.*forgotten"):
        metagraph.restore(Path(prefix))


# --- golden examples ---


def _edit_constant(run: Path, name: str, old: bytes, new: bytes) -> None:
    meta = v1.MetaGraphDef.FromString((run / "model.meta").read_bytes())
    (tensor,) = [node.attr["value"].tensor for node in meta.graph_def.node if node.name == name]
    field = "string_val" if tensor.string_val else "tensor_content"
    if field == "string_val":
        tensor.string_val[0] = tensor.string_val[0].replace(old, new)
    else:
        tensor.tensor_content = tensor.tensor_content[:-4] + new
    (run / "model.meta").write_bytes(meta.SerializeToString())


def test_other_preprocessing_than_at_training_is_decoding_drift(run):
    _edit_constant(run, "contract", b'"area"', b'"bilinear"')
    with pytest.raises(golden.DriftError, match=r"model\.meta: decoding drift.*opencv"):
        metagraph.restore(search.find(run).prefix)


def test_other_weights_than_those_saved_are_numerical_drift(run):
    _rewrite_weights(run, lambda values: {**values, "fc2/bias": values["fc2/bias"] + np.float32([0.5, 0, 0])})
    with pytest.raises(golden.DriftError, match=r"model\.meta: numerical drift.*tensorflow"):
        metagraph.restore(search.find(run).prefix)


def test_changed_golden_examples_are_refused(run):
    _edit_constant(run, "golden/probabilities", b"", b"\0\0\0\0")
    with pytest.raises(PigeonholeError, match=r"model\.meta: .*golden examples are not those"):
        metagraph.restore(search.find(run).prefix)


def test_newer_format_is_refused_by_name(run):
    _edit_constant(run, "contract", b'"format_version": 3', b'"format_version": 99')
    with pytest.raises(PigeonholeError, match="format version 99"):
        metagraph.restore(search.find(run).prefix)
