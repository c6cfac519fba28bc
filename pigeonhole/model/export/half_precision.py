"""Large tables of an ONNX model stored in float16: half of the file for what need not be exact."""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import onnx

LEAST_BYTES = 100_000  # of a table; smaller ones are not worth two nodes
EXACT = "y_pred"


def store_halves(model: "onnx.ModelProto") -> None:
    """Store large float32 tables in float16 where they play no part in the probabilities.

    Such are those of the rule for `unsure`. They are cast back once, when the model is loaded: everything is
    computed in float32, with tables that are rounded to 11 bits.
    """
    from onnx import TensorProto, helper, numpy_helper

    graph = model.graph
    needed = _ancestors(graph)
    for table in [each for each in graph.initializer if each.name not in needed]:
        values = numpy_helper.to_array(table)
        if values.dtype != np.float32 or values.nbytes < LEAST_BYTES or not np.isfinite(values).all():
            continue
        scale = float(np.abs(values).max()) or 1.0  # float16 knows nothing below 6e-8
        half, large = f"{table.name}/half", f"{table.name}/scale"
        graph.initializer.append(numpy_helper.from_array((values / scale).astype(np.float16), half))
        graph.initializer.append(numpy_helper.from_array(np.array(scale, np.float32), large))
        graph.node.insert(0, helper.make_node("Mul", [f"{half}/cast", large], [table.name]))
        graph.node.insert(0, helper.make_node("Cast", [half], [f"{half}/cast"], to=TensorProto.FLOAT))
        graph.initializer.remove(table)


def _ancestors(graph: "onnx.GraphProto") -> set[str]:
    """The names of all values from which the probabilities follow."""
    producer = {output: node for node in graph.node for output in node.output}
    found, waiting = set(), [EXACT]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        if name in producer:
            waiting += [*producer[name].input, *_of_branches(producer[name])]
    return found


def _of_branches(node: "onnx.NodeProto") -> set[str]:
    """What the branches of a node take, from outside of them too."""
    taken = set()
    for attribute in node.attribute:
        for inner in attribute.g.node:
            taken |= {*inner.input, *_of_branches(inner)}
    return taken
