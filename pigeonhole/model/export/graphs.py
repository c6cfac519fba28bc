"""The saved model's graph made ready to leave: weights frozen to constants, dropout taken out, names kept."""

from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from pigeonhole.model import metagraph

v1 = tf.compat.v1

INPUT = "x"
OUTPUTS = ("y_pred", "logits", "features")
REJECTION_OUTPUTS = ("certainty", "unsure")  # of a model with a rule for pictures of no class
DESCRIPTION = ("classes", "contract", "golden/bytes", "golden/pixels", "golden/probabilities")


def outputs(session: v1.Session) -> tuple[str, ...]:
    """The names of the model's outputs, one [N] or [N, ...] each."""
    has_rule = metagraph.read_contract(session).rejection is not None
    return OUTPUTS + REJECTION_OUTPUTS if has_rule else OUTPUTS


def inference_graph(session: v1.Session, names: Sequence[str] | None = None) -> v1.GraphDef:
    """What of the session's graph computes the tensors of these names, by default `outputs`, from `x`."""
    graph_def = session.graph.as_graph_def()
    variables = [node.name for node in graph_def.node if node.op == "VariableV2"]
    values = dict(zip(variables, session.run([f"{name}:0" for name in variables]), strict=True))
    bypass = _around_dropout(graph_def)
    frozen = v1.GraphDef(versions=graph_def.versions)
    for node in graph_def.node:
        if node.name in values:
            frozen.node.append(_constant(node.name, values[node.name]))
        else:
            node.input[:] = [bypass.get(name, name) for name in node.input]
            node.attr.pop("_gradient_op_type", None)  # of training, which a reader would ask for in vain
            frozen.node.append(node)
    return v1.graph_util.extract_sub_graph(frozen, list(names or outputs(session)))


def as_function(graph_def: v1.GraphDef, names: Sequence[str]) -> Callable[[tf.Tensor], dict[str, tf.Tensor]]:
    """The graph as a function of `x` float32 [N, S, S, C] to the tensors of these names."""

    def call(x: tf.Tensor) -> dict[str, tf.Tensor]:
        tensors = [f"{name}:0" for name in names]
        found = tf.graph_util.import_graph_def(graph_def, {f"{INPUT}:0": x}, tensors, name="")
        return dict(zip(names, found, strict=True))

    return call


def _around_dropout(graph_def: v1.GraphDef) -> dict[str, str]:
    """Each dropout layer's output -> its input; their names begin alike."""
    sources = {node.name: node.input[0] for node in graph_def.node if node.op == "Identity"}
    return {
        sources[name.removesuffix("/input") + "/output"]: source
        for name, source in sources.items()
        if name.endswith("/input") and name.removesuffix("/input") + "/output" in sources
    }


def _constant(name: str, value: np.ndarray) -> v1.NodeDef:
    node = v1.NodeDef(name=name, op="Const")
    node.attr["dtype"].type = tf.as_dtype(value.dtype).as_datatype_enum
    node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(value))
    return node
