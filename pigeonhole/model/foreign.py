"""How a restored graph is asked: by its own contract, or, without one, by what the user says of it."""

from collections.abc import Iterable, Iterator, Sequence

import tensorflow as tf

from pigeonhole.errors import PigeonholeError, UsageError
from pigeonhole.model import coverage, described, metagraph, public_graph
from pigeonhole.model.interface import ForeignCheckpoint, Interface
from pigeonhole.pictures.images import Preprocessing
from pigeonhole.runs.run import Run

v1 = tf.compat.v1

_CANDIDATES_SHOWN = 8


def interface(session: v1.Session, foreign: ForeignCheckpoint, run: Run | None = None) -> Interface:
    """The session's interface; UsageError where something is missing, unknown or contradicts the contract.

    PigeonholeError for what is written while a training goes on: its run answers. What `foreign` leaves open
    is what `pigeonhole describe` has kept beside the checkpoint of `run`.
    """
    contract = metagraph.read_contract(session)
    if contract is None:
        if run and public_graph.is_in(session.graph):
            raise PigeonholeError(
                f"{run.prefix}: a checkpoint of a training that goes on; name the folder of its run instead"
            )
        return _from_user(session.graph, described.completed(foreign, run) if run else foreign)
    if flags := foreign.flags():
        raise UsageError(f"{', '.join(flags)}: only for checkpoints of other programs; this model knows it")
    unsure = None if contract.rejection is None else "unsure:0"
    return Interface(metagraph.read_classes(session), contract.preprocessing, unsure=unsure)


def _from_user(graph: tf.Graph, foreign: ForeignCheckpoint) -> Interface:
    pixels = _tensor(graph, foreign.input_tensor or "x", "--input-tensor", _likely_inputs(graph))
    output = _tensor(graph, foreign.output_tensor or "y_pred", "--output-tensor", _likely_outputs(graph))
    feeds = {}
    for name, value in foreign.feeds.items():
        tensor = _tensor(graph, name, "--feed", _placeholders(graph.get_operations()))
        feeds[tensor.name] = _value(name, value, tensor.dtype)
    asked = Interface(
        classes=_classes(output, foreign.labels),
        preprocessing=_preprocessing(pixels, foreign),
        input=pixels.name,
        output=output.name,
        logits=bool(foreign.logits),
        feeds=feeds,
        batch_size=_batch_size(pixels),
    )
    _refuse_unfed(output, {pixels.name, *feeds})
    return asked


def _classes(output: tf.Tensor, labels: Sequence[str] | None) -> tuple[str, ...]:
    if output.shape.rank not in (None, 2):
        raise UsageError(
            f"--output-tensor {output.op.name}: has the shape {output.shape}; one row per picture is needed"
        )
    count = output.shape[-1] if output.shape.rank else None
    if not labels:
        classes = f"its {count} classes" if count else "its classes"
        raise UsageError(f"the checkpoint does not name {classes}; do so in its order: --labels dogs,cats")
    if count not in (None, len(labels)):
        raise UsageError(f"--labels: {len(labels)} given, but {output.op.name} has {count} outputs")
    return tuple(labels)


def _preprocessing(pixels: tf.Tensor, foreign: ForeignCheckpoint) -> Preprocessing:
    _, height, width, channels = pixels.shape if pixels.shape.rank == 4 else [None] * 4
    if pixels.shape.rank not in (None, 4) or (height and width and height != width):
        raise UsageError(
            f"--input-tensor {pixels.op.name}: has the shape {pixels.shape}; square pictures are needed"
        )
    side = height or width
    size = foreign.image_size or side
    if not size:
        raise UsageError(f"{pixels.op.name} leaves the picture's size open; give it: --image-size 128")
    if side not in (None, size):
        raise UsageError(f"--image-size {size}: {pixels.op.name} takes {side} pixels")
    return Preprocessing(
        image_size=size,
        channels=channels or 3,
        resize=foreign.resize or "bilinear",
        colour_order=foreign.colour_order or "bgr",
        scale=1 / 255 if foreign.scale is None else foreign.scale,
    )


def _batch_size(pixels: tf.Tensor) -> int | None:
    batch_size = pixels.shape[0] if pixels.shape.rank else None
    if batch_size not in (None, 1):
        raise UsageError(f"{pixels.op.name} takes {batch_size} pictures at once and no other number")
    return batch_size


def _tensor(graph: tf.Graph, name: str, flag: str, candidates: Iterable[tf.Tensor]) -> tf.Tensor:
    try:
        return graph.get_tensor_by_name(name if ":" in name else f"{name}:0")
    except (KeyError, ValueError):
        likely = [tensor.op.name for tensor in candidates][:_CANDIDATES_SHOWN]
        raise UsageError(
            f"{flag} {name}: the graph has no such tensor; likely ones: {', '.join(likely) or 'none found'}"
        ) from None


def _value(name: str, value: str | float | bool, dtype: tf.DType) -> object:
    """The value in the tensor's own type; a command line gives texts."""
    truths = {"true": True, "1": True, "false": False, "0": False}
    try:
        return truths[str(value).lower()] if dtype.is_bool else dtype.as_numpy_dtype(value)
    except (KeyError, ValueError, TypeError):
        raise UsageError(f"--feed {name}={value}: a {dtype.name} is needed") from None


def _refuse_unfed(output: tf.Tensor, fed: set[str]) -> None:
    """Name each placeholder that the output depends on and nobody feeds: the labels' is none of them."""
    needed = coverage.ancestors(output.op, fed)
    unfed = [tensor for tensor in _placeholders(needed, "Placeholder") if tensor.name not in fed]
    if unfed:
        flags = " ".join(f"--feed {tensor.op.name}={_example(tensor.dtype)}" for tensor in unfed)
        raise UsageError(f"{output.op.name} needs more than the pictures; give it, for example: {flags}")


def _example(dtype: tf.DType) -> str:
    if dtype.is_bool:
        return "false"
    return "1.0" if dtype.is_floating else "1"


def _placeholders(operations: Iterable[tf.Operation], *types: str) -> Iterator[tf.Tensor]:
    types = types or ("Placeholder", "PlaceholderWithDefault")
    return (operation.outputs[0] for operation in operations if operation.type in types)


def _likely_inputs(graph: tf.Graph) -> list[tf.Tensor]:
    """The placeholders, those first that have a picture's rank."""
    return sorted(_placeholders(graph.get_operations()), key=lambda tensor: tensor.shape.rank != 4)


def _likely_outputs(graph: tf.Graph) -> list[tf.Tensor]:
    """What has one row per picture, outside the training part: probabilities first, then the last layers."""
    kinds = ("Softmax", "BiasAdd", "AddV2", "Add", "MatMul", "Identity")
    found = [
        operation.outputs[0]
        for operation in reversed(graph.get_operations())
        if operation.type in kinds
        and operation.outputs[0].shape.rank == 2
        and operation.outputs[0].shape[0] is None
        and not operation.name.startswith("gradients")
    ]
    return sorted(found, key=lambda tensor: kinds.index(tensor.op.type))
