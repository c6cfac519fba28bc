"""Frozen TensorFlow graphs, `.pb`: what `export --to pb` writes, and the files of other programs.

The best known is `tensorflow_inception_graph.pb`, with which deep dream was published. Layers have the names
of their tensors: `mixed4d_3x3_bottleneck_pre_relu` is a convolution there with its bias, before its ReLU.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import tensorflow as tf

from pigeonhole.art.layered import GraphNetwork, Layer
from pigeonhole.errors import PigeonholeError, UsageError, first_line
from pigeonhole.model import graph_check
from pigeonhole.model.contract import Contract
from pigeonhole.pictures.images import Preprocessing
from pigeonhole.terminal import some

v1 = tf.compat.v1

SUFFIX = ".pb"
MEAN = 117.0  # of tensorflow_inception_graph.pb
_PREFIX = "import/"  # what the published program puts before each name
_CONVOLUTIONS = ("Conv2D", "DepthwiseConv2dNative")
# What may stand between a convolution and its ReLU: a layer is meant with all of it.
_COMPLETING = ("BiasAdd", "Add", "AddV2", "FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3",
               "BatchNormWithGlobalNormalization")  # fmt: skip
_PLACEHOLDERS = ("Placeholder", "PlaceholderV2", "PlaceholderWithDefault")
_VARIABLES = ("Variable", "VariableV2", "VarHandleOp")
# In a graph of this program: what gives pictures the network's one size, or shows them in variants.
_RESIZING = re.compile(r"network/([^/]*(?:resized|views))(_\d+)?/")


@dataclass(frozen=True)
class Feeding:
    """How another program's graph is fed, which it does not say: RGB 0..255 times `scale`, less `mean`, goes
    to the tensor `input`; None for the only placeholder that takes pictures."""

    input: str | None = None
    scale: float = 1.0
    mean: float = MEAN


class FrozenGraph(GraphNetwork):
    """The layers of a frozen graph: its convolutions, before their ReLU. Any other tensor [N, h, w, C] that
    follows from the picture may be named as well, and every name with `:0` or the prefix `import/`."""

    def __init__(self, graph_def: v1.GraphDef, graph: tf.Graph, feeding: "_Fed", title: str):
        over_space = [op for op in graph.get_operations() if _is_over_space(op, feeding.following)]
        tensors = {op.name: op.outputs[0].name for op in over_space}
        super().__init__(graph_def, tensors, feeding.replaced, feeding.preprocessing, title, feeding.mean)
        every = dict(super().names())
        layers = (_completed(op).name for op in over_space if op.type in _CONVOLUTIONS)
        self._layers = [Layer(name, every[name]) for name in layers if name in every]
        if not self._layers:
            raise PigeonholeError(f"{title}: has no convolution of pictures of any size")

    def names(self) -> list[Layer]:
        return list(self._layers)

    def outputs(self, picture: tf.Tensor, names: Sequence[str]) -> list[tf.Tensor]:
        return super().outputs(picture, [name.removeprefix(_PREFIX).removesuffix(":0") for name in names])


def read(file: Path, title: str | None = None, feeding: Feeding = Feeding()) -> FrozenGraph:
    """The graph in `file`, once graph_check has found that it only computes.

    `feeding` is for graphs of other programs; one that `export` wrote says itself what it takes. Raises
    UsageError where the input is not there or not clear, PigeonholeError for anything else than such a graph.
    """
    title = title or str(file)
    graph_def = graph_check.read_frozen(file)
    if variables := [node.name for node in graph_def.node if node.op in _VARIABLES]:
        raise PigeonholeError(f"{file}: not frozen, its weights are variables: {some(variables, 3)}")
    try:
        with tf.Graph().as_default() as graph:
            tf.graph_util.import_graph_def(graph_def, name="")
    except (ValueError, TypeError, KeyError, tf.errors.OpError) as error:
        raise PigeonholeError(f"{file}: damaged or not a graph ({first_line(error)})") from error
    contract = _contract(graph_def)
    fed = _fed(graph, feeding) if contract is None else _own(graph, contract)
    return FrozenGraph(graph_def, graph, fed, title)


@dataclass(frozen=True)
class _Fed:
    """`replaced`: names of the tensors in whose place the picture is put; `following`: names of what
    computes with follow from them."""

    replaced: list[str]
    following: set[str]
    preprocessing: Preprocessing
    mean: float


def _own(graph: tf.Graph, contract: Contract) -> _Fed:
    """A graph that this program exported."""
    replaced = ["x:0", *_of_one_size(graph)]
    return _Fed(replaced, _following(graph, replaced), contract.preprocessing, 0.0)


def _fed(graph: tf.Graph, feeding: Feeding) -> _Fed:
    pixels = _input(graph, feeding.input)
    channels = pixels.shape[-1] if pixels.shape.rank == 4 else 3
    if channels not in (None, 1, 3):
        raise PigeonholeError(f"{pixels.name} takes {channels} channels, not pictures")
    preprocessing = Preprocessing(1, channels or 3, scale=feeding.scale)
    return _Fed([pixels.name], _following(graph, [pixels.name]), preprocessing, feeding.mean)


def _input(graph: tf.Graph, name: str | None) -> tf.Tensor:
    found = [op.outputs[0] for op in graph.get_operations() if op.type in _PLACEHOLDERS]
    found = [tensor for tensor in found if tensor.shape.rank in (None, 4) and tensor.dtype == tf.float32]
    if name is not None:
        try:
            return graph.get_tensor_by_name(name if ":" in name else f"{name}:0")
        except (KeyError, ValueError):
            names = some([tensor.op.name for tensor in found]) or "none found"
            raise UsageError(f"--input-tensor {name}: no such tensor; likely ones: {names}") from None
    if len(found) == 1:
        return found[0]
    names = some([tensor.op.name for tensor in found])
    told = f"one of its inputs: {names}" if names else "a tensor of it that takes pictures"
    raise UsageError(f"which tensor takes the pictures? give --input-tensor, {told}")


def _contract(graph_def: v1.GraphDef) -> Contract | None:
    for node in graph_def.node:
        if node.name == "contract" and node.op == "Const":
            text = tf.make_ndarray(node.attr["value"].tensor).item()
            return Contract.from_json(text.decode("utf-8", "replace"))
    return None


def _of_one_size(graph: tf.Graph) -> Iterator[str]:
    """What an exported network's layers that resize or vary the picture give to the others."""
    for op in graph.get_operations():
        scope = _RESIZING.match(op.name)
        users = [user for tensor in op.outputs for user in tensor.consumers()]
        if scope and users and not any(user.name.startswith(scope[0]) for user in users):
            yield op.outputs[0].name


def _following(graph: tf.Graph, names: Sequence[str]) -> set[str]:
    """The names of the operations that follow from these tensors."""
    waiting = [graph.get_tensor_by_name(name) for name in names]
    found: set[str] = set()
    while waiting:
        for user in waiting.pop().consumers():
            if user.name not in found:
                found.add(user.name)
                waiting += user.outputs
    return found


def _is_over_space(op: tf.Operation, following: set[str]) -> bool:
    if op.name not in following or _RESIZING.match(op.name) or not op.outputs:
        return False
    output = op.outputs[0]
    return output.dtype == tf.float32 and output.shape.rank == 4 and output.shape[-1] is not None


def _completed(op: tf.Operation) -> tf.Operation:
    """The convolution with the bias and the batch normalisation that belong to it alone."""
    users = op.outputs[0].consumers()
    if len(users) == 1 and users[0].type in _COMPLETING and users[0].inputs[0] is op.outputs[0]:
        return _completed(users[0])
    return op
