"""The contract and the metadata of a model are believed by neither engine."""

import json
import math
import shutil

import numpy as np
import onnx
import pytest
import tensorflow as tf

from pigeonhole import Classifier
from pigeonhole.errors import PigeonholeError
from pigeonhole.model import golden
from pigeonhole.model.contract import Contract, class_names
from pigeonhole.pictures.images import Preprocessing
from pigeonhole.runs.run import Run
from tests.support import saved_runs

v1 = tf.compat.v1

NAN = math.nan
NO_EXAMPLES = "no pictures with their answers"  # of an ONNX file, which takes pictures of any size
DEEP = "[" * 100_000
RULE = {"rule": "maximum softmax", "threshold": 0.5, "false_rejection": 0.05}
CONTRACT = Contract("standard", Preprocessing(16), 1.5, "0" * 64, RULE)


def with_fields(**fields) -> str:
    return json.dumps(json.loads(CONTRACT.to_json()) | fields)


def test_a_contract_is_read_as_it_was_written():
    assert Contract.from_json(CONTRACT.to_json()) == CONTRACT
    assert Contract.from_json(with_fields(rejection=None, scale=1 / 255, channels=1)).rejection is None


WRONG = [
    *({"image_size": value} for value in (20000, 1e9, 32.0, 0, -1, True, None, "32", [32], NAN, 10**400)),
    *({"scale": value} for value in (NAN, math.inf, 0, -1, 1e30, "1", True, None)),
    *({"channels": value} for value in (2, 4, 3.0, True, "3", None)),
    *({"resize": value} for value in ("nearest", 1, None, ["area"])),
    *({"colour_order": value} for value in ("bgra", None, {})),
    *({"temperature": value} for value in (0, -1, NAN, "1", 1e9)),
    *({"golden": value} for value in ("", "0" * 63, "z" * 64, None, 0)),
    *({"network": value} for value in ("", 5, "a\nb", "x" * 1000, None)),
    *({"pigeonhole": value} for value in ("", 5, "\x1b[31m", None)),
    *({"format_version": value} for value in (0, -1, 2.0, "2", True, None, 10**30)),
    *(
        {"rejection": value}
        for value in (5, [], {}, RULE | {"threshold": "0"}, RULE | {"false_rejection": 2})
    ),
    *({"rejection": RULE | {name: NAN}} for name in ("threshold", "false_rejection")),
    {"more": 1},
]


@pytest.mark.parametrize("fields", WRONG, ids=lambda fields: ascii(fields)[:40])
def test_every_field_has_a_type_and_bounds(fields):
    with pytest.raises(PigeonholeError, match="the model") as caught:
        Contract.from_json(with_fields(**fields))
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 300


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "5", "null", DEEP, '{"a":' * 100_000, '{"format_version": 2}', "9" * 5000],
)
def test_what_is_no_contract_is_refused(text):
    with pytest.raises(PigeonholeError, match="the model's") as caught:
        Contract.from_json(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("names", [None, 5, "ab", [], ["a", 5], ["a", ""], ["a", "a"], {"a": 1}])
def test_class_names_are_different_texts(names):
    with pytest.raises(PigeonholeError, match="class names"):
        class_names(names)


# --- the same in the files of a run ---


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    return saved_runs.ready(tmp_path_factory.mktemp("runs") / "run", onnx=True)


def describe(run, name: str, change) -> None:
    """Change the text of that name, contract or classes, in the meta graph and in the ONNX file."""
    meta = v1.MetaGraphDef.FromString((run / "model.meta").read_bytes())
    (node,) = [node for node in meta.graph_def.node if node.name == name]
    node.attr.pop("_output_shapes")
    tensor = node.attr["value"].tensor
    values = [text.decode() for text in tensor.string_val]
    changed = change(values if name == "classes" else values[0])
    texts = changed if name == "classes" else [changed]
    node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(texts if name == "classes" else texts[0]))
    (run / "model.meta").write_bytes(meta.SerializeToString())
    model = onnx.load(run / Run.onnx_file.name)
    (entry,) = [entry for entry in model.metadata_props if entry.key == name]
    entry.value = json.dumps(changed) if name == "classes" else changed
    (run / Run.onnx_file.name).write_bytes(model.SerializeToString())


def field(name: str, value):
    return lambda text: json.dumps(json.loads(text) | {name: value})


@pytest.mark.parametrize("engine", ["onnx", "tensorflow"])
@pytest.mark.parametrize(
    "name, change, told",
    [
        (
            "contract",
            field("image_size", 20000),
            "image_size must be a whole number from 1 to 4096, not 20000",
        ),
        ("contract", field("image_size", 1e9), "image_size must be a whole number"),
        (
            "contract",
            field("image_size", 2048),
            f"pictures of 2048 x 2048 x 3, and the network takes 16 x 16 x 3|{NO_EXAMPLES}",
        ),
        (
            "contract",
            field("channels", 1),
            f"pictures of 16 x 16 x 1, and the network takes 16 x 16 x 3|{NO_EXAMPLES}",
        ),
        ("contract", field("scale", NAN), "NaN is no number"),
        ("contract", lambda text: DEEP, "is no JSON"),
        ("contract", field("format_version", 99), "format version 99"),
        ("classes", lambda names: names[:2], "2 class names, and the network gives 3 answers"),
        ("classes", lambda names: [*names, "more"], "4 class names, and the network gives 3 answers"),
        ("classes", lambda names: [names[0]] * 3, "twice"),
    ],
)
def test_neither_engine_loads_a_model_that_is_described_wrongly(
    original, tmp_path, engine, name, change, told
):
    run = saved_runs.editable(shutil.copytree(original, tmp_path / "run"))
    describe(run, name, change)
    with pytest.raises(PigeonholeError, match=told) as caught:
        Classifier.load(run, engine=engine)
    assert str(caught.value).startswith(str(run / "model.")) and "\n" not in str(caught.value)


def test_nan_is_drift():
    preprocessing = Preprocessing(16, scale=1 / 255)
    examples = golden.draw(preprocessing)
    golden.check_decoding(examples, preprocessing)
    spoilt = golden.Golden(examples.data, examples.pixels * np.float32("nan"))
    with pytest.raises(golden.DriftError, match="decoding drift"):
        golden.check_decoding(spoilt, preprocessing)


def _few(examples, expected):
    return golden.Golden((), examples.pixels[:0]), expected[:0]


def _other_size(examples, expected):
    return golden.Golden(examples.data, examples.pixels[:, :8]), expected


def _one_answer_for_all(examples, expected):
    return examples, expected[:1, :1]


def _doubles(examples, expected):
    return examples, expected.astype(np.float64)


@pytest.mark.parametrize("change", [_few, _other_size, _one_answer_for_all, _doubles])
def test_golden_examples_of_another_form_are_refused(change):
    examples = golden.draw(Preprocessing(16))
    changed, expected = change(examples, np.full((4, 3), 1 / 3, np.float32))
    contract = Contract("standard", Preprocessing(16), 1.0, changed.fingerprint(expected))
    with pytest.raises(PigeonholeError, match="golden examples are no pictures with their answers"):
        golden.replay(changed, expected, contract, lambda pixels: expected, "file")


def test_golden_examples_that_unpack_to_too_much_are_refused():
    huge = golden.Golden((b"",), np.zeros((1, 9000, 9000), np.uint8))
    text = golden.to_text(huge, np.zeros((1, 3), np.float32))
    assert len(text) < 1_000_000
    with pytest.raises(ValueError, match="too large"):
        golden.from_text(text, Preprocessing(16))


def test_a_golden_picture_that_is_far_too_large_is_not_decoded():
    import cv2

    examples = golden.draw(Preprocessing(16))
    bomb = cv2.imencode(".png", np.zeros((9000, 9000), np.uint8))[1].tobytes()
    with pytest.raises(golden.DriftError, match="larger than such examples are"):
        golden.check_decoding(golden.Golden((bomb, *examples.data[1:]), examples.pixels), Preprocessing(16))
