"""A model restored from its meta graph, as a TensorFlow session. It has every named tensor of the graph."""

import re
from collections.abc import Sequence
from functools import cached_property
from math import prod

import numpy as np

from pigeonhole import quiet
from pigeonhole.model.interface import ForeignCheckpoint, Interface, Layer
from pigeonhole.runs.run import Run

_OUTPUT, _KERNEL = "/output", "/kernel"
_ACTIVATION = re.compile(r"re_?lu|silu|activation")  # in the name of such a layer
# Behind these comes what other layers have computed as well.
_FURTHER = {"Conv2D", "DepthwiseConv2dNative", "MatMul", "Add", "AddV2", "ConcatV2"}


class TensorFlow:
    """The engine around a `session` that holds the restored graph."""

    name = "tensorflow"

    def __init__(self, session, interface: Interface, layers: tuple[Layer, ...] | None = None):
        """`layers`: those of a checkpoint of another program; None: the graph names its own."""
        self._session = session
        self.interface = interface
        self._foreign_layers = layers

    def run(self, names: Sequence[str], pixels: np.ndarray) -> list[np.ndarray]:
        """The tensors of these names, such as `y_pred` or `conv1/output`, for pictures [N, S, S, C]."""
        feeds = {self.interface.input: pixels, **self.interface.feeds}
        return self._session.run([_tensor(name) for name in names], feeds)

    def has(self, name: str) -> bool:
        """Whether the graph holds an operation of this name."""
        return name.partition(":")[0] in self._operations

    @cached_property
    def layers(self) -> tuple[Layer, ...]:
        """The named layers, in the graph's order; of another program's checkpoint the convolutions.

        The output of each is `LAYER/output` and its weights are variables such as `LAYER/kernel`.
        """
        if self._foreign_layers is not None:
            return self._foreign_layers
        from pigeonhole.model.coverage import VARIABLES

        operations = self._operations.items()
        weights = {name: tuple(each.outputs[0].shape) for name, each in operations if each.type in VARIABLES}
        return tuple(_layer(each, weights) for name, each in operations if name.endswith(_OUTPUT))

    def close(self) -> None:
        """Free the model's memory."""
        self._session.close()

    @cached_property
    def _operations(self) -> dict:
        return {operation.name: operation for operation in self._session.graph.get_operations()}


def load(run: Run, threads: int | None, foreign: ForeignCheckpoint | None) -> TensorFlow:
    """The model of `run`, or the best network so far of an interrupted one."""
    quiet.import_tensorflow()
    from pigeonhole.model import foreign_layers, metagraph, unfinished
    from pigeonhole.model.foreign import interface

    with unfinished.model(run) as complete:
        session = metagraph.restore(complete, threads)
    try:
        asked = interface(session, foreign or ForeignCheckpoint(), run)
        is_foreign = metagraph.read_contract(session) is None
        layers = foreign_layers.name_convolutions(session.graph, asked) if is_foreign else None
        return TensorFlow(session, asked, layers)
    except BaseException:
        session.close()
        raise


def _tensor(name: str) -> str:
    return name if ":" in name else f"{name}:0"


def _layer(output, weights: dict[str, tuple[int, ...]]) -> Layer:
    """The layer whose result the operation `output` names; `weights`: the shape of each, by its name."""
    name, shape = output.name.removesuffix(_OUTPUT), tuple(output.outputs[0].shape[1:])
    own = [size for weight, size in weights.items() if weight.startswith(f"{name}/")]
    kernel = weights.get(name + _KERNEL)
    is_convolution = kernel is not None and len(kernel) == 4
    return Layer(name, shape, sum(map(prod, own)), kernel, _activation(output) if is_convolution else None)


def _activation(output) -> str | None:
    """The nearest activation layer that what `output` names goes through by itself, if there is one."""
    reached, seen = [output.inputs[0]], {output.name}
    for tensor in reached:  # which grows meanwhile
        for operation in tensor.consumers():
            if operation.name in seen:
                continue
            seen.add(operation.name)
            name = operation.name.removesuffix(_OUTPUT)
            if name != operation.name and _ACTIVATION.search(name):
                return name
            if operation.type not in _FURTHER:
                reached += operation.outputs
    return None
