"""Every form that a model can be exported to gives its answers, and tells what it is."""

import io
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import flatbuffers
import keras
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema
from flatbuffers.number_types import Int8Flags, Uint8Flags, Uint32Flags
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from pigeonhole.errors import PigeonholeError
from pigeonhole.model import metagraph
from pigeonhole.model.classifier import Classifier
from pigeonhole.model.export import exporting, keras_graph, litert, litert_metadata, saved_model
from pigeonhole.model.export.exporter import EXPORTERS, WRAPPED, Source, exporter_of, place_of
from pigeonhole.networks import resizing
from pigeonhole.networks.averaging import Averaging
from pigeonhole.networks.registry import NETWORKS
from pigeonhole.runs.run import Run
from tests.support import saved_runs

FORMS = [form for form in EXPORTERS if form not in WRAPPED]
PIXELS = np.random.default_rng(5).integers(0, 256, (40, 16, 16, 3), np.uint8)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A run whose graph has all that a graph can have: dropout, variants of each picture, a rule."""
    model = saved_runs.network(averaging=Averaging(flip=True, shift=True))
    folder = saved_runs.save(
        tmp_path_factory.mktemp("runs") / "run", model, temperature=1.5, rejection=saved_runs.rule(model)
    )
    session = metagraph.restore(Run(folder).prefix)
    yield Source(Run(folder), session)
    session.close()


@pytest.fixture(scope="module")
def made(source, tmp_path_factory):
    """Each form's exporter and place, written when it is first asked for."""
    folder, places = tmp_path_factory.mktemp("forms"), {}

    def make(form: str, int8: bool = False):
        exporter = exporter_of(form)
        place = folder / place_of(exporter, int8)
        if place not in places:
            exporter.write(Source(source.run, source.session, PIXELS[:16] if int8 else None), place)
            places[place] = exporter.load(place)
        return place, places[place]

    return make


@pytest.fixture(scope="module")
def expected(source):
    return source.session.run("y_pred:0", {"x:0": PIXELS})


@pytest.mark.parametrize("form", FORMS)
def test_a_form_gives_the_models_answers(made, expected, form):
    _, answer = made(form)
    for count in (1, 5):
        np.testing.assert_allclose(answer(PIXELS[:count]), expected[:count], atol=1e-5)


@pytest.mark.parametrize("form", [form for form in FORMS if exporter_of(form).HAS_INT8])
def test_a_form_in_int8_is_smaller_and_answers_nearly_the_same(made, expected, form):
    (small, answer), (large, _) = made(form, int8=True), made(form)
    assert size(small) < 0.6 * size(large)
    given = answer(PIXELS)
    assert 1e-5 < np.abs(given - expected).max() < 0.25
    assert (given.argmax(1) == expected.argmax(1)).mean() > 0.9


CTRL_C = """
import faulthandler, os, signal, sys
from pathlib import Path
from pigeonhole.model.export import openvino_ir

faulthandler.enable()  # has a stack for signals
first, second = (openvino_ir.load(Path(sys.argv[1])) for _ in range(2))
del first
del second
signal.signal(signal.SIGINT, lambda *_: print("heard"))
os.kill(os.getpid(), signal.SIGINT)
"""


@pytest.mark.slow
def test_openvino_leaves_the_handling_of_signals_as_it_was(made):
    place, _ = made("openvino", False)
    done = subprocess.run(
        [sys.executable, "-c", CTRL_C, place],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (0, "heard\n"), done.stderr


def size(place) -> int:
    return sum(file.stat().st_size for file in ([place] if place.is_file() else place.rglob("*.*")))


def test_an_onnx_file_in_int8_replays_its_own_golden_answers(made):
    from pigeonhole.model.engines import onnx_runtime

    place, answer = made("onnx", int8=True)
    engine = onnx_runtime.restore(place)
    np.testing.assert_allclose(engine.run(["y_pred"], PIXELS)[0], answer(PIXELS), atol=1e-5)


def test_the_last_layer_and_the_rule_stay_in_float32_in_int8(source):
    from pigeonhole.model.export import onnx_file, quantizing

    model = quantizing.quantized(onnx_file.convert(source.session), PIXELS[:8])
    produced = {output: node for node in model.graph.node for output in node.output}
    rounded = {
        node.op_type
        for node in model.graph.node
        if any(produced[name].op_type == "DequantizeLinear" for name in node.input if name in produced)
    }
    assert {"Conv", "MatMul"} <= rounded  # the dense layer before the last holds most weights
    logits = produced["logits"]
    while logits.op_type != "MatMul":
        logits = produced[logits.input[0]]
    assert not [name for name in logits.input if name in produced and "Dequantize" in produced[name].op_type]


def test_a_frozen_graph_has_the_public_names(made, source):
    place, _ = made("pb")
    graph_def = tf.compat.v1.GraphDef.FromString(place.read_bytes())
    with tf.Graph().as_default() as graph, tf.compat.v1.Session(graph=graph) as session:
        tf.graph_util.import_graph_def(graph_def, name="")
        names = ("y_pred", "logits", "features", "certainty", "unsure")
        found = session.run([f"{name}:0" for name in names], {"x:0": PIXELS})
        assert metagraph.read_classes(session) == saved_runs.CLASSES
        assert metagraph.read_contract(session) == source.contract
    wanted = source.session.run([f"{name}:0" for name in names], {"x:0": PIXELS})
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)
    assert not [node.name for node in graph_def.node if node.op == "VariableV2"]
    assert not [node.name for node in graph_def.node if "_gradient_op_type" in node.attr]


def test_a_saved_model_names_its_outputs_and_carries_its_labels(made, source):
    place, _ = made("savedmodel")
    signature = tf.saved_model.load(os.fspath(place)).signatures["serving_default"]
    assert signature.structured_input_signature[1]["x"].shape.as_list() == [None, 16, 16, 3]
    names = {"y_pred", "logits", "features", "certainty", "unsure"}
    assert signature.structured_outputs.keys() == names
    extra = place / saved_model.EXTRA
    assert tuple((extra / "labels.txt").read_text("utf-8").splitlines()) == saved_runs.CLASSES
    assert json.loads((extra / "contract.json").read_text()) == json.loads(source.contract.to_json())


def test_a_saved_model_takes_a_whole_picture(made, source):
    place, _ = made("savedmodel")
    whole = tf.saved_model.load(os.fspath(place)).signatures[saved_model.WHOLE]
    for height, width in ((40, 30), (9, 50)):
        picture = saved_runs.picture(height, height, width)
        square = resizing.whole_picture(tf.constant(picture), 16, 3).numpy()
        expected = source.session.run("y_pred:0", {"x:0": square})
        np.testing.assert_allclose(whole(picture=tf.constant(picture))["y_pred"].numpy(), expected, atol=1e-5)


def test_the_weights_of_a_saved_model_are_stored_once(made):
    assert size(made("savedmodel")[0]) < 1.5 * size(made("pb")[0])


# Keras' own networks are deep, and take long to translate; `wide` is a `deep` with more filters.
OWN = {"tutorial", "standard", "deep"} | {name for name in NETWORKS if name.startswith("classic")}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in OWN else [pytest.mark.slow]) for name in NETWORKS]
)
def test_every_network_becomes_a_keras_model(name):
    """Translated from its graph, with all weights, whatever layers it has."""
    model = saved_runs.network(name=name, size=max(32, NETWORKS[name].smallest_side))
    graph_def = frozen(model)
    plain = keras_graph.build(graph_def, "y_pred")
    pixels = np.random.default_rng(1).integers(0, 256, (3, *model.input.shape[1:])).astype(np.float32)
    wanted = keras.ops.softmax(model(pixels, training=False))
    np.testing.assert_allclose(plain(pixels), wanted, atol=1e-5)
    assert not [layer for layer in plain.layers if type(layer).__module__.startswith("pigeonhole")]


def frozen(model: keras.Model) -> tf.compat.v1.GraphDef:
    answer = tf.function(lambda x: tf.nn.softmax(model(x, training=False), name="y_pred"))
    spec = tf.TensorSpec(model.input.shape, tf.float32, "x")
    concrete = convert_variables_to_constants_v2(answer.get_concrete_function(spec))
    return concrete.graph.as_graph_def()


@pytest.mark.slow
def test_a_keras_file_loads_without_this_project(made, tmp_path):
    place, answer = made("keras")
    np.save(tmp_path / "pixels.npy", PIXELS[:3])
    code = (
        "import sys, keras, numpy as np\n"
        "model = keras.models.load_model(sys.argv[1])\n"
        "assert not [name for name in sys.modules if name.startswith('pigeonhole')]\n"
        "np.save(sys.argv[3], model.predict(np.load(sys.argv[2]).astype('float32'), verbose=0))\n"
    )
    arguments = [place, tmp_path / "pixels.npy", tmp_path / "said.npy"]
    subprocess.run([sys.executable, "-I", "-c", code, *arguments], check=True, cwd=tmp_path)
    np.testing.assert_allclose(np.load(tmp_path / "said.npy"), answer(PIXELS[:3]), atol=1e-6)


def test_keras_has_no_layer_for_some_operations():
    with tf.Graph().as_default() as graph:
        x = tf.compat.v1.placeholder(tf.float32, [None, 4], "x")
        tf.math.cumsum(x, name="y_pred")
    with pytest.raises(PigeonholeError, match="no layer for the operation Cumsum"):
        keras_graph.build(graph.as_graph_def(), "y_pred")


def test_a_bundle_holds_all_that_a_receiver_needs(made, source):
    place, _ = made("bundle")
    with zipfile.ZipFile(place) as archive:
        names = {name.removeprefix(f"{source.run.name}/") for name in archive.namelist()}
        text = archive.read(f"{source.run.name}/README.txt").decode()
    assert {"model.meta", "model.index", "model.onnx", "labels.txt", "contract.json"} <= names
    assert not {"known_pictures.npz", "split.csv", "settings.json"} & names
    assert "16 x 16 pixels" in text and "red, green, blue" in text
    with Classifier.load(place) as classifier:
        assert classifier.classes == saved_runs.CLASSES


def test_litert_metadata_say_how_to_feed_it_and_what_comes_out(made):
    """Read back with the schema's numbers, not with the module's."""
    place, _ = made("litert")
    data = place.read_bytes()
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.read("labels.txt").decode().splitlines() == list(saved_runs.CLASSES)
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(data, 0))
    (entry,) = [each for each in model.metadata if each.name == b"TFLITE_METADATA"]
    told = bytes(model.buffers[entry.buffer].data)
    assert told[4:8] == b"M001"
    root = flatbuffers.table.Table(
        bytearray(told), flatbuffers.encode.Get(flatbuffers.packer.uoffset, told, 0)
    )
    (subgraph,) = tables(root, 3)
    ((picture,), (answer,)) = tables(subgraph, 2), tables(subgraph, 3)
    content = table(picture, 3)
    assert number(content, 0, Uint8Flags) == 2  # ImageProperties
    properties = union(content, 1)
    assert number(properties, 0, Int8Flags) == 1  # RGB
    image_size = table(properties, 1)
    assert [number(image_size, slot, Uint32Flags) for slot in (0, 1)] == [16, 16]
    (unit,) = tables(picture, 4)
    assert number(unit, 0, Uint8Flags) == 1  # NormalizationOptions
    assert [floats(union(unit, 1), slot) for slot in (0, 1)] == [[0.0], [1.0]]
    (labels,) = tables(answer, 6)
    assert text(labels, 0) == "labels.txt" and number(labels, 2, Int8Flags) == 2  # TENSOR_AXIS_LABELS


def test_a_grey_networks_metadata_say_so(source):
    from dataclasses import replace

    grey = replace(source.contract, preprocessing=replace(source.contract.preprocessing, channels=1))
    assert litert_metadata.metadata(grey, "labels.txt") != litert_metadata.metadata(
        source.contract, "labels.txt"
    )


def place_in(owner, slot: int) -> int:
    offset = owner.Offset(4 + 2 * slot)
    assert offset, slot
    return owner.Pos + offset


def table(owner, slot: int):
    place = place_in(owner, slot)
    return flatbuffers.table.Table(owner.Bytes, owner.Indirect(place))


union = table


def tables(owner, slot: int) -> list:
    offset = owner.Offset(4 + 2 * slot)
    start = owner.Vector(offset)
    return [
        flatbuffers.table.Table(owner.Bytes, owner.Indirect(start + 4 * number))
        for number in range(owner.VectorLen(offset))
    ]


def number(owner, slot: int, flags) -> int:
    return owner.Get(flags, place_in(owner, slot))


def floats(owner, slot: int) -> list[float]:
    return owner.GetVectorAsNumpy(flatbuffers.number_types.Float32Flags, owner.Offset(4 + 2 * slot)).tolist()


def text(owner, slot: int) -> str:
    return owner.String(place_in(owner, slot)).decode()


def test_the_same_model_makes_the_same_litert_file(made):
    place, _ = made("litert")
    assert litert.with_file(b"model", "a.txt", "b") == litert.with_file(b"model", "a.txt", "b")
    assert place.read_bytes()[4:8] == b"TFL3"


@pytest.mark.parametrize("is_folder", [False, True])
def test_what_fails_in_its_making_leaves_what_was_there(tmp_path, is_folder):
    place, beside = tmp_path / "model.x", tmp_path / "model.x.certificate.json"
    place.write_text("earlier")
    with pytest.raises(ValueError), exporting.making(place, beside) as aside:
        if is_folder:
            (aside / place.name).mkdir()
        (aside / place.name / "part" if is_folder else aside / place.name).write_text("half")
        (aside / beside.name).write_text("{}")
        raise ValueError
    assert [path.name for path in tmp_path.iterdir()] == ["model.x"]
    assert place.read_text() == "earlier"


def test_a_folder_takes_the_place_of_an_earlier_one(tmp_path):
    place = tmp_path / "model"
    for text_ in ("first", "second"):
        with exporting.making(place) as aside:
            (aside / "model").mkdir()
            (aside / "model" / text_).touch()
    assert [path.name for path in place.iterdir()] == ["second"]
    assert list(tmp_path.iterdir()) == [place]


def test_only_what_a_killed_process_left_is_removed(tmp_path):
    """Names that a form has while it is made may be a user's: `.openvino` in a home folder."""
    mine = [tmp_path / ".model", tmp_path / ".pigeonhole-export.notes"]
    for folder in mine:
        folder.mkdir()
        (folder / "x").write_text("mine")
    killed = tmp_path / f"{exporting.ASIDE}killed"
    killed.mkdir()
    (killed / "lock").touch()
    with exporting.making(tmp_path / "model") as aside, exporting.making(tmp_path / "model") as other:
        assert aside.is_dir() and other.is_dir() and not killed.exists()
        for each, said in ((other, "other"), (aside, "aside")):
            (each / "model").write_text(said)
    assert (tmp_path / "model").read_text() == "aside"
    assert sorted(tmp_path.iterdir()) == sorted([*mine, tmp_path / "model"])
    assert all((folder / "x").read_text() == "mine" for folder in mine)
