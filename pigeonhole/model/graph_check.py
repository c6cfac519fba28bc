"""A graph is a program. What a graph may consist of, checked before TensorFlow sees it.

Allowed are operations that compute with tensors and variables. Operations that touch files, the network, the
terminal or Python are not, except those with which a saver reads the checkpoint.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from google.protobuf.message import DecodeError
from tensorflow.core.framework.graph_pb2 import GraphDef
from tensorflow.core.framework.node_def_pb2 import NodeDef
from tensorflow.core.protobuf.meta_graph_pb2 import MetaGraphDef

from pigeonhole.errors import PigeonholeError

DESCRIPTION = ("contract", "classes", "golden/bytes", "golden/pixels", "golden/probabilities")

_STRUCTURE = """
    Assert CheckNumerics Const EnsureShape Identity IdentityN If Merge NoOp OptionalFromValue
    OptionalGetValue OptionalHasValue OptionalNone Placeholder PlaceholderV2 PlaceholderWithDefault
    PreventGradient RefIdentity RefMerge RefSwitch Snapshot StatelessIf StopGradient Switch
"""
_ARITHMETIC = """
    Abs Add AddN AddV2 All Any ArgMax ArgMin BatchMatMul BatchMatMulV2 BroadcastGradientArgs Cast Ceil
    ClipByValue Cumsum Div DivNoNan Einsum Equal Erf Erfc Exp Expm1 Floor FloorDiv FloorMod Greater
    GreaterEqual Inv InvGrad IsFinite IsInf IsNan L2Loss Less LessEqual Log Log1p LogicalAnd LogicalNot
    LogicalOr MatMul Max Maximum Mean Min Minimum Mod Mul MulNoNan Neg NotEqual Pow Prod RealDiv Reciprocal
    ReciprocalGrad Rint Round Rsqrt RsqrtGrad Sign Sqrt SqrtGrad Square SquaredDifference Sub Sum
    TruncateDiv TruncateMod
"""
_SHAPES = """
    BatchToSpaceND BroadcastTo Concat ConcatOffset ConcatV2 DepthToSpace DynamicPartition DynamicStitch
    ExpandDims Fill Gather GatherNd GatherV2 InvertPermutation MirrorPad MirrorPadGrad OneHot OnesLike Pack
    Pad PadV2 Range Rank Reshape ReverseV2 ScatterNd Select SelectV2 Shape ShapeN Size Slice SpaceToBatchND
    SpaceToDepth Split SplitV Squeeze StridedSlice StridedSliceGrad Tile Transpose Unique Unpack Where
    ZerosLike
"""
_NETWORKS = """
    AvgPool AvgPoolGrad BatchNormWithGlobalNormalization BiasAdd BiasAddGrad BiasAddV1 Conv2D
    Conv2DBackpropFilter Conv2DBackpropInput DepthwiseConv2dNative DepthwiseConv2dNativeBackpropFilter
    DepthwiseConv2dNativeBackpropInput Elu EluGrad FusedBatchNorm FusedBatchNormGrad FusedBatchNormGradV2
    FusedBatchNormGradV3 FusedBatchNormV2 FusedBatchNormV3 InTopK InTopKV2 LRN LRNGrad LeakyRelu
    LeakyReluGrad LogSoftmax MaxPool MaxPoolGrad MaxPoolGradV2 MaxPoolV2 MaxPoolWithArgmax Relu Relu6
    Relu6Grad ReluGrad Selu SeluGrad Sigmoid SigmoidGrad Softmax SoftmaxCrossEntropyWithLogits Softplus
    SoftplusGrad Softsign SoftsignGrad SparseSoftmaxCrossEntropyWithLogits Tanh TanhGrad TopK TopKV2
"""
_PICTURES = """
    AdjustContrastv2 AdjustHue AdjustSaturation HSVToRGB RGBToHSV ResizeArea ResizeBicubic ResizeBicubicGrad
    ResizeBilinear ResizeBilinearGrad ResizeNearestNeighbor ResizeNearestNeighborGrad
"""
_RANDOM = """
    RandomShuffle RandomStandardNormal RandomUniform RandomUniformInt StatelessRandomNormalV2
    StatelessRandomUniformV2 TruncatedNormal
"""
_VARIABLES = """
    ApplyAdadelta ApplyAdagrad ApplyAdam ApplyCenteredRMSProp ApplyFtrl ApplyGradientDescent ApplyMomentum
    ApplyProximalAdagrad ApplyProximalGradientDescent ApplyRMSProp Assign AssignAdd AssignAddVariableOp
    AssignSub AssignSubVariableOp AssignVariableOp IsVariableInitialized ReadVariableOp
    ResourceApplyAdadelta ResourceApplyAdagrad ResourceApplyAdam ResourceApplyCenteredRMSProp
    ResourceApplyFtrl ResourceApplyGradientDescent ResourceApplyKerasMomentum ResourceApplyMomentum
    ResourceApplyProximalAdagrad ResourceApplyProximalGradientDescent ResourceApplyRMSProp VarHandleOp
    VarIsInitializedOp Variable VariableV2
"""
# They make texts, and write none.
_TEXTS = """
    HistogramSummary ImageSummary MergeSummary ScalarSummary ShardedFilename StaticRegexFullMatch StringJoin
"""
ALLOWED = frozenset(
    " ".join((_STRUCTURE, _ARITHMETIC, _SHAPES, _NETWORKS, _PICTURES, _RANDOM, _VARIABLES, _TEXTS)).split()
)
# What a saver reads and writes files with. Only nodes of the saver itself may depend on these.
READER, WRITERS = "RestoreV2", frozenset({"SaveV2", "MergeV2Checkpoints"})


def read(file: Path) -> MetaGraphDef:
    """The meta graph in `file`, without the nodes that write checkpoints or read others than its own.

    Raises PigeonholeError, naming the operation and the node, where something else than computation is in it.
    """
    try:
        meta = MetaGraphDef.FromString(file.read_bytes())
    except (OSError, DecodeError) as error:
        raise PigeonholeError(f"{file}: damaged or not a meta graph ({error})") from error
    try:
        check(meta)
    except PigeonholeError as error:
        raise PigeonholeError(f"{file}: {error}") from None
    return meta


def read_frozen(file: Path) -> GraphDef:
    """The frozen graph in `file`, checked in the same way. Raises PigeonholeError."""
    try:
        graph = GraphDef.FromString(file.read_bytes())
    except (OSError, DecodeError) as error:
        raise PigeonholeError(f"{file}: damaged or not a frozen graph ({error})") from error
    if not graph.node:
        raise PigeonholeError(f"{file}: not a frozen graph; a SavedModel's file is none")
    meta = MetaGraphDef(graph_def=graph)
    try:
        check(meta)
    except PigeonholeError as error:
        raise PigeonholeError(f"{file}: {error}") from None
    return meta.graph_def


def check(meta: MetaGraphDef) -> None:
    """Refuse what is not allowed in the graph and in its functions, and cut off its ways to files."""
    saver_ops = {READER, *WRITERS}
    for function in meta.graph_def.library.function:
        _refuse_unknown(function.node_def, ALLOWED, f" in the function {function.signature.name}")
    _refuse_unknown(meta.graph_def.node, ALLOWED | saver_ops)
    for node in meta.graph_def.node:
        if node.name in DESCRIPTION and node.op != "Const":
            raise PigeonholeError(f"the node {node.name} must be a constant, not {node.op}")
    _cut_off_files(meta.graph_def, _tensor(meta.saver_def.filename_tensor_name))


def _refuse_unknown(nodes: Iterable[NodeDef], allowed: frozenset[str], place: str = "") -> None:
    for node in nodes:
        if node.op not in allowed:
            raise PigeonholeError(
                f"refused: its node {node.name!r}{place} is the operation {node.op}, which no model needs"
            )


def _cut_off_files(graph: GraphDef, filename: str) -> None:
    """Remove the nodes that use files, and those that depend on them, but the reading of `filename`.

    That one is given the path of the run's own checkpoint. A node that uses a file may only be followed by
    nodes in the same name scope, such as `save/`, so that no answer can depend on it.
    """
    followers = _followers(graph.node)
    removed = set()
    for node in graph.node:
        if node.op not in WRITERS and node.op != READER:
            continue
        is_own = node.op == READER and bool(node.input) and _tensor(node.input[0]) == filename
        scope = node.name.rpartition("/")[0] + "/"
        dependent = set(_reachable(node.name, followers))
        for name in sorted(dependent):
            if scope == "/" or not name.startswith(scope):
                raise PigeonholeError(
                    f"refused: its node {name!r} depends on {node.name!r}, the operation {node.op}, which is "
                    "only for a saver's own nodes"
                )
        if not is_own:
            removed |= dependent
    kept = [node for node in graph.node if node.name not in removed]
    if removed:
        del graph.node[:]
        graph.node.extend(kept)


def _followers(nodes: Iterable[NodeDef]) -> Mapping[str, list[str]]:
    """Name of a node -> names of the nodes that take its outputs or wait for it."""
    followers = {}
    for node in nodes:
        for name in node.input:
            followers.setdefault(_source(name), []).append(node.name)
    return followers


def _reachable(name: str, followers: Mapping[str, list[str]]) -> Iterator[str]:
    """The node itself and all that follow."""
    waiting, seen = [name], {name}
    while waiting:
        name = waiting.pop()
        yield name
        new = set(followers.get(name, ())) - seen
        seen |= new
        waiting.extend(new)


def _tensor(name: str) -> str:
    return name if ":" in name else f"{name}:0"


def _source(name: str) -> str:
    """The node that a tensor or a control input such as `^save/Assign` is of."""
    return name.removeprefix("^").partition(":")[0]
