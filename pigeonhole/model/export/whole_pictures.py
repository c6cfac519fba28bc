"""Whole pictures of any size by the same input `x` of an ONNX model as those of the network's size."""

import numpy as np
import onnx

from pigeonhole.networks.resizing import LUMA

PREFIX = "picture_"  # of all names that are added
SQUARE = f"{PREFIX}square"  # what the network is given: the pictures at its size
# One axis of the rule of `networks.resizing.weights`, in the same words; all lengths in parts of 1 / (2 S).
_WEIGHTS = """
    AXIS_length = Cast <to = 1> (AXIS_side)
    AXIS_wide = Max (AXIS_length, size)
    AXIS_width = Mul (AXIS_wide, two)
    AXIS_centre = Mul (AXIS_length, odd)
    AXIS_before = Sub (AXIS_centre, AXIS_wide)
    AXIS_inside = Max (AXIS_before, zero)
    AXIS_whole = Mul (AXIS_length, twice)
    AXIS_last = Sub (AXIS_whole, AXIS_width)
    AXIS_start = Min (AXIS_inside, AXIS_last)
    AXIS_end = Add (AXIS_start, AXIS_width)
    AXIS_number = Range (zero, AXIS_length, one)
    AXIS_value = Mul (AXIS_number, twice)
    AXIS_next = Add (AXIS_value, twice)
    AXIS_from = Max (AXIS_start, AXIS_value)
    AXIS_to = Min (AXIS_end, AXIS_next)
    AXIS_shared = Sub (AXIS_to, AXIS_from)
    AXIS_covered = Relu (AXIS_shared)
    AXIS_weights = Div (AXIS_covered, AXIS_width)
"""
_RESIZED = """
    lines = Reshape (x, by_line)
    rows = MatMul (row_weights, lines)
    rows_shape = Concat <axis = 0> (n, side, column_side, depth)
    unfolded = Reshape (rows, rows_shape)
    by_channel = Transpose <perm = [0, 1, 3, 2]> (unfolded)
    across = Transpose <perm = [1, 0]> (column_weights)
    averaged = MatMul (by_channel, across)
    levels = Transpose <perm = [0, 1, 3, 2]> (averaged)
    rgb = Round (levels)
"""
_GREY = """
    parts = Mul (rgb, luma)
    sum = ReduceSum <keepdims = 1> (parts, channel_axis)
    grey = Round (sum)
"""
_FRONT = """
<ir_version: 8, opset_import: ["" : OPSET]>
front (float[N, H, W, DEPTH] x) => (float[N, SIZE, SIZE, CHANNELS] square) {
    shape = Shape (x)
    seen = Shape <start = 1> (x)
    same = Equal (seen, wanted)
    same_numbers = Cast <to = 7> (same)
    same_all = ReduceMin <keepdims = 0> (same_numbers)
    fits = Cast <to = 9> (same_all)
    picture = If (fits) <
        then_branch = as_it_is () => (float[N, SIZE, SIZE, CHANNELS] given) { given = Identity (x) },
        else_branch = resized () => (float[N, SIZE, SIZE, CHANNELS] RESULT) {
            n, row_side, column_side, depth = Split <axis = 0> (shape)
            ROW COLUMN RESIZED
        }>
    square = Reshape (picture, square_shape)
}
"""


def add(model: onnx.ModelProto, size: int, channels: int) -> None:
    """Let the input `x` of `model`, float32 [N, size, size, `channels`], also take whole pictures.

    Then `x` is float32 [N, H, W, 3], N pictures of one size in RGB, 0..255, which become [N, size, size,
    `channels`] by the rule of `pictures.images` (`networks.resizing.whole_picture`). What has the network's
    size already is passed on as it is. One input and not two: JavaScript's and Java's runtimes cannot leave
    out an input that has a default value.
    """
    opset = next(entry.version for entry in model.opset_import if entry.domain == "")
    front = onnx.parser.parse_model(_text(size, channels, opset))
    front.graph.initializer.extend(
        onnx.numpy_helper.from_array(value, name) for name, value in _constants(size, channels).items()
    )
    _prefix_names(front.graph)
    for node in model.graph.node:
        node.input[:] = [SQUARE if name == "x" else name for name in node.input]
    nodes = [*front.graph.node, *model.graph.node]
    del model.graph.node[:], model.graph.input[:]
    model.graph.node.extend(nodes)
    model.graph.input.extend(front.graph.input)
    model.graph.initializer.extend(front.graph.initializer)


def _prefix_names(graph: onnx.GraphProto) -> None:
    """All but `x`, also where a branch refers to what is outside of it (which `onnx.compose` leaves)."""
    for value in (*graph.output, *graph.initializer):
        value.name = PREFIX + value.name
    for node in graph.node:
        node.input[:] = [name if name == "x" else PREFIX + name for name in node.input]
        node.output[:] = [PREFIX + name for name in node.output]
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                _prefix_names(attribute.g)


def _text(size: int, channels: int, opset: int) -> str:
    resized = _RESIZED + (_GREY if channels == 1 else "")
    text = _FRONT.replace("RESIZED", resized)
    for mark, axis in (("ROW", "row"), ("COLUMN", "column")):
        text = text.replace(mark, _WEIGHTS.replace("AXIS", axis))
    for mark, value in {
        "OPSET": opset,
        "SIZE": size,
        "CHANNELS": channels,
        "DEPTH": "C" if channels == 1 else channels,
        "RESULT": "grey" if channels == 1 else "rgb",
    }.items():
        text = text.replace(mark, str(value))
    return text


def _constants(size: int, channels: int) -> dict[str, np.ndarray]:
    numbers = {"zero": 0, "one": 1, "two": 2, "size": size, "twice": 2 * size}
    of_grey = {"luma": np.array(LUMA, np.float32), "channel_axis": np.array([3], np.int64)}
    return {
        **{name: np.array(value, np.float32) for name, value in numbers.items()},
        "odd": (2 * np.arange(size, dtype=np.float32) + 1)[:, None],
        "wanted": np.array([size, size, channels], np.int64),
        "side": np.array([size], np.int64),
        "square_shape": np.array([-1, size, size, channels], np.int64),
        "by_line": np.array([0, 0, -1], np.int64),
        **(of_grey if channels == 1 else {}),
    }
