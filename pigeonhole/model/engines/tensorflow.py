"""A model restored from its meta graph, as a TensorFlow session. It has every named tensor of the graph."""

from collections.abc import Sequence
from functools import cached_property
from math import prod

import numpy as np

from pigeonhole import quiet
from pigeonhole.model.interface import ForeignCheckpoint, Interface, Layer
from pigeonhole.runs.run import Run

_OUTPUT, _KERNEL = "/output", "/kernel"


class TensorFlow:
    """The engine around a `session` that holds the restored graph."""

    name = "tensorflow"

    def __init__(self, session, interface: Interface):
        self._session = session
        self.interface = interface

    def run(self, names: Sequence[str], pixels: np.ndarray) -> list[np.ndarray]:
        """The tensors of these names, such as `y_pred` or `conv1/output`, for pictures [N, S, S, C]."""
        feeds = {self.interface.input: pixels, **self.interface.feeds}
        return self._session.run([_tensor(name) for name in names], feeds)

    def has(self, name: str) -> bool:
        """Whether the graph holds an operation of this name."""
        return name.partition(":")[0] in self._operations

    @cached_property
    def layers(self) -> tuple[Layer, ...]:
        """The named layers, in the graph's order; none in a checkpoint of another program.

        The output of each is `LAYER/output` and its weights are variables such as `LAYER/kernel`.
        """
        from pigeonhole.model.coverage import VARIABLES

        operations = self._operations.items()
        weights = {name: tuple(each.outputs[0].shape) for name, each in operations if each.type in VARIABLES}
        return tuple(
            _layer(name.removesuffix(_OUTPUT), tuple(each.outputs[0].shape[1:]), weights)
            for name, each in operations
            if name.endswith(_OUTPUT)
        )

    def close(self) -> None:
        """Free the model's memory."""
        self._session.close()

    @cached_property
    def _operations(self) -> dict:
        return {operation.name: operation for operation in self._session.graph.get_operations()}


def load(run: Run, threads: int | None, foreign: ForeignCheckpoint | None) -> TensorFlow:
    """The model of `run`, or the best network so far of an interrupted one."""
    quiet.import_tensorflow()
    from pigeonhole.model import metagraph, unfinished
    from pigeonhole.model.foreign import interface

    with unfinished.model(run) as complete:
        session = metagraph.restore(complete, threads)
    try:
        return TensorFlow(session, interface(session, foreign or ForeignCheckpoint()))
    except BaseException:
        session.close()
        raise


def _tensor(name: str) -> str:
    return name if ":" in name else f"{name}:0"


def _layer(name: str, shape: tuple[int, ...], weights: dict[str, tuple[int, ...]]) -> Layer:
    own = [size for weight, size in weights.items() if weight.startswith(f"{name}/")]
    return Layer(name, shape, sum(map(prod, own)), weights.get(name + _KERNEL))
