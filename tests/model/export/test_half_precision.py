"""Large tables in float16 change nothing but what they may."""

import numpy as np
import onnx
import onnxruntime
import pytest

from pigeonhole.model.export import half_precision

SIDE = 200  # 160 kB a table
PICTURES = np.random.default_rng(0).normal(size=(50, SIDE)).astype(np.float32)


def model(scale: float) -> onnx.ModelProto:
    """y_pred and certainty by a table each, behind a branch that takes a third."""
    text = f"""
        <ir_version: 8, opset_import: ["" : 17]>
        agraph (float[N, {SIDE}] x) => (float[N, {SIDE}] y_pred, float[N, {SIDE}] certainty)
        <bool yes = {{1}}> {{
            inner = If (yes) <
                then_branch = a () => (float[N, {SIDE}] b) {{ b = MatMul (x, table0) }},
                else_branch = c () => (float[N, {SIDE}] d) {{ d = Identity (x) }}>
            y_pred = MatMul (inner, table1)
            certainty = MatMul (inner, table2)
        }}"""
    made = onnx.parser.parse_model(text)
    random = np.random.default_rng(1)
    for number in range(3):
        values = random.normal(0, scale, (SIDE, SIDE)).astype(np.float32)
        made.graph.initializer.append(onnx.numpy_helper.from_array(values, f"table{number}"))
    return made


def asked(made: onnx.ModelProto) -> list[np.ndarray]:
    onnx.checker.check_model(made, full_check=True)
    return onnxruntime.InferenceSession(made.SerializeToString()).run(
        ["y_pred", "certainty"], {"x": PICTURES}
    )


@pytest.mark.parametrize("scale", [1.0, 1e-9, 1e7])
def test_only_what_is_not_behind_the_probabilities_is_halved(scale):
    made = model(scale)
    before, size = asked(made), made.ByteSize()
    half_precision.store_halves(made)
    after = asked(made)
    np.testing.assert_array_equal(after[0], before[0])
    error = np.abs(after[1] - before[1]).max() / np.abs(before[1]).max()
    assert 0 < error < 1e-3
    assert size - made.ByteSize() == pytest.approx(2 * SIDE * SIDE, rel=0.02)


def test_small_tables_and_what_are_no_numbers_stay(monkeypatch):
    made = model(1.0)
    table = made.graph.initializer[-1]
    values = onnx.numpy_helper.to_array(table).copy()
    values[0, 0] = np.inf
    table.CopyFrom(onnx.numpy_helper.from_array(values, table.name))
    before = made.SerializeToString()
    half_precision.store_halves(made)
    assert made.SerializeToString() == before
    made = model(1.0)
    before = made.SerializeToString()
    monkeypatch.setattr(half_precision, "LEAST_BYTES", 4 * SIDE * SIDE + 1)
    half_precision.store_halves(made)
    assert made.SerializeToString() == before
