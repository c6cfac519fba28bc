"""Whether a restore gives every variable of a graph its value."""

from collections.abc import Container, Iterator, Sequence
from pathlib import Path

import tensorflow as tf

from pigeonhole.errors import PigeonholeError

v1 = tf.compat.v1

VARIABLES = frozenset({"Variable", "VariableV2", "VarHandleOp"})


def check(graph: tf.Graph, saver: v1.train.Saver, prefix: Path) -> None:
    """Every variable must get its value from the checkpoint; one initialised otherwise is unrestored."""
    present = {operation.name for operation in graph.get_operations() if operation.type in VARIABLES}
    if missing := sorted(present - set(_restored_names(graph, saver.saver_def.restore_op_name))):
        raise PigeonholeError(
            f"{prefix}: a partial model, {len(missing)} of its {len(present)} variables are not restored: "
            f"{_some(missing)}"
        )


def _restored_names(graph: tf.Graph, restore_name: str) -> Iterator[str]:
    """The variables that the restore operation assigns from the checkpoint."""
    for operation in ancestors(graph.get_operation_by_name(restore_name)):
        if operation.type not in ("Assign", "AssignVariableOp"):
            continue
        if any(source.type == "RestoreV2" for source in ancestors(operation.inputs[1].op)):
            yield operation.inputs[0].op.name


def ancestors(operation: tf.Operation, fed: Container[str] = ()) -> Iterator[tf.Operation]:
    """The operation and everything that must run before it when the tensors named in `fed` are given."""
    waiting, seen = [operation], {operation}
    while waiting:
        operation = waiting.pop()
        yield operation
        inputs = {tensor.op for tensor in operation.inputs if tensor.name not in fed}
        before = inputs | set(operation.control_inputs)
        waiting.extend(before - seen)
        seen |= before


def _some(names: Sequence[str], limit: int = 5) -> str:
    return ", ".join(names[:limit]) + (", ..." if len(names) > limit else "")
