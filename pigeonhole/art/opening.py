"""The network that the user names, with layers that can be read: by its name, its file or its run."""

from pathlib import Path

import tensorflow as tf

from pigeonhole.art import frozen_graph, vgg_files
from pigeonhole.art.layered import GraphNetwork, KerasNetwork, LayeredNetwork
from pigeonhole.errors import PigeonholeError, UsageError, first_line
from pigeonhole.features import pretrained
from pigeonhole.model import metagraph
from pigeonhole.pictures.images import Preprocessing
from pigeonhole.runs import search
from pigeonhole.runs.run import Run
from pigeonhole.training import weights_source

v1 = tf.compat.v1

BUNDLED = pretrained.NETWORK
WEIGHTS = (".h5", ".hdf5")
EXPORTED = (".onnx", ".tflite")  # without gradients
FLAG = "--network"
_SPATIAL = ("Conv2D", "DepthwiseConv2dNative", "BiasAdd", "Relu", "Relu6", "MaxPool", "AvgPool", "ConcatV2")


def open_network(named: str = BUNDLED, flag: str = FLAG) -> LayeredNetwork:
    """`efficientnet_lite0`, whose weights are installed; `vgg19`, downloaded once; or what a path leads to.

    A path: a weights file of VGG-19 (`.h5`), MatConvNet's VGG-19 (`.mat`), a whole Keras model that takes
    RGB 0..255 (`.keras`), or a run as `search.find` takes it. Raises UsageError where there is no such
    thing, PigeonholeError where it is damaged, is something else or cannot be downloaded.
    """
    if named == BUNDLED:
        return _bundled()
    if named == vgg_files.NAME:
        return vgg_files.from_keras(weights_source.published(named, flag), named)
    path = Path(named)
    require_layers(path)
    opener = _OPENERS.get(path.suffix.lower())
    if opener is None:
        return _of_run(search.find(named, flag))
    if not path.is_file():
        raise UsageError(f"{flag} {named}: no such file")
    return opener(path, named)


def require_layers(path: Path) -> None:
    """Raise PigeonholeError for a file that only answers: nothing leads back to the picture."""
    if path.suffix.lower() in EXPORTED and path.is_file():
        raise PigeonholeError(f"{path}: its layers cannot be read; name the run that it was exported from")


def _bundled() -> KerasNetwork:
    weights = pretrained.read()
    import keras

    from pigeonhole.networks import lite

    pixels = keras.Input((None, None, 3), dtype="float32", name="x")
    model = keras.Model(pixels, lite.efficientnet_lite0_features(pixels), name=BUNDLED)
    for variable in model.weights:
        variable.assign(weights[variable.path])
    return KerasNetwork(model, BUNDLED)


def _keras_file(path: Path, title: str) -> KerasNetwork:
    import keras

    try:
        model = keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # Keras raises anything
        raise PigeonholeError(f"{path}: no Keras model that can be read ({first_line(error)})") from error
    if not getattr(model, "inputs", None):
        raise PigeonholeError(f"{path}: no functional Keras model, so its layers cannot be read")
    return KerasNetwork(model, title)


def _of_run(run: Run) -> GraphNetwork:
    """The graph of a run, or of another program's checkpoint that takes `x` as the classic tutorials do."""
    if run.is_lone or run.is_interrupted:
        raise PigeonholeError(f"{run}: a finished run is needed, with its .meta file")
    with metagraph.restore(run.prefix) as session:
        contract = metagraph.read_contract(session)
        graph = session.graph
        tensors = _own_layers(graph) if contract else _foreign_layers(graph)
        if "x" not in {operation.name for operation in graph.get_operations()}:
            raise PigeonholeError(f"{run}: its graph does not take pictures as x:0")
        channels = graph.get_tensor_by_name("x:0").shape[-1]
        seen = contract.preprocessing if contract else Preprocessing(1, channels, "bilinear", "bgr", 1 / 255)
        wanted = [name.partition(":")[0] for name in tensors.values()]
        frozen = v1.graph_util.convert_variables_to_constants(session, graph.as_graph_def(), wanted)
        replaced = _replaced(graph)
    return GraphNetwork(frozen, tensors, replaced, seen, str(run))


def _own_layers(graph: tf.Graph) -> dict[str, str]:
    """The layers of a network of this program, each of which has an output of its name."""
    end = "/output"
    return {
        operation.name.removesuffix(end): operation.outputs[0].name
        for operation in graph.get_operations()
        if operation.type == "Identity" and operation.name.endswith(end) and _has_channels(operation)
        # These come before the picture is put in
        if not _is_resized(operation.name.removesuffix(end))
    }


def _foreign_layers(graph: tf.Graph) -> dict[str, str]:
    return {
        operation.name: operation.outputs[0].name
        for operation in graph.get_operations()
        if operation.type in _SPATIAL and _has_channels(operation)
        if not operation.name.startswith(("gradients", "save/"))
    }


def _has_channels(operation: tf.Operation) -> bool:
    shape = operation.outputs[0].shape
    return shape.rank == 4 and shape[-1] is not None


def _is_resized(layer: str) -> bool:
    """Whether the layer only gives the picture another size, or shows it several times (`networks`)."""
    return layer.endswith(("resized", "views"))


def _replaced(graph: tf.Graph) -> list[str]:
    """The tensors in whose place a picture of any size is put: `x`, and those that are made of it before any
    layer looks at them."""
    found = [
        operation.inputs[0].name
        for operation in graph.get_operations()
        if operation.type == "Identity"
        and operation.name.endswith("/output")
        and _is_resized(operation.name.removesuffix("/output"))
    ]
    return ["x:0", *found]


# Suffix -> what opens such a file, given its path and title.
_OPENERS = {
    ".mat": vgg_files.from_mat,
    ".keras": _keras_file,
    frozen_graph.SUFFIX: frozen_graph.read,
    **dict.fromkeys(WEIGHTS, vgg_files.from_keras),
}
