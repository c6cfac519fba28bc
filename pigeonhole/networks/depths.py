"""Features of any network: the mean and the maximum over space of what it computes at several depths."""

import keras
from keras import layers

from pigeonhole.networks.layers import Dropout

# Values on the way to what the network goes on with: before normalisation and activation, or padded.
_UNFINISHED = (layers.Conv2D, layers.DepthwiseConv2D, layers.ZeroPadding2D)
_POOLS = {"mean": layers.GlobalAveragePooling2D, "max": layers.GlobalMaxPooling2D}


def pooled(classifier: keras.Model) -> tuple[keras.KerasTensor, slice]:
    """Features float32 [N, D] of a network as `building.build` makes it, and which of the D are `last`.

    They are mean and maximum over space at each depth, and the penultimate layer behind them, unless it is
    one of these itself. `last`: the columns of the penultimate layer, which the classifier's head takes.
    """
    parts, last = [], None
    penultimate = classifier.layers[-1].input
    while isinstance(penultimate._keras_history.operation, Dropout):
        penultimate = penultimate._keras_history.operation.input
    before = penultimate._keras_history.operation
    width = 0
    for number, depth in enumerate(_depths(classifier), 1):
        for name, pool in _POOLS.items():
            parts.append(pool(name=f"depth{number}_{name}")(depth))
            if isinstance(before, pool) and before.input is depth:
                last = slice(width, width + depth.shape[-1])
            width += depth.shape[-1]
    if last is None:
        parts.append(penultimate)
        last = slice(width, width + penultimate.shape[-1])
    return layers.Concatenate(dtype="float32", name="depths")(parts), last


def _depths(classifier: keras.Model) -> list[keras.KerasTensor]:
    """For each size in space that the network computes at, the last values [N, H, W, D] that all else follows
    from: behind a block, not inside it, where branches lie next to each other."""
    operations = [each for each in classifier.operations if not isinstance(each, layers.InputLayer)]
    last_use = {}
    for place, operation in enumerate(operations):
        for taken in keras.tree.flatten(operation.input):
            last_use[taken._keras_history.operation] = place
    found: dict[tuple[int, ...], keras.KerasTensor] = {}
    bridged, has_learnt = 0, False  # the furthest place that a value from before this one goes to
    for place, operation in enumerate(operations):
        has_learnt = has_learnt or bool(getattr(operation, "weights", ()))
        output = operation.output
        if has_learnt and bridged <= place and len(output.shape) == 4 and not _is_unfinished(operation):
            found[output.shape[1:3]] = output
        bridged = max(bridged, last_use.get(operation, 0))
    return list(found.values())


def _is_unfinished(operation: keras.Operation) -> bool:
    is_linear = getattr(operation, "activation", None) in (None, keras.activations.linear)
    return isinstance(operation, _UNFINISHED) and is_linear
