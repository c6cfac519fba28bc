"""Networks whose layers can be read and differentiated, for pictures of any size.

    from pigeonhole.art import opening

    network = opening.open_network("efficientnet_lite0")     # or vgg19, a file, a run: see there
    network.names()                                          # [Layer(name="stem", channels=32), ...]
    with tf.GradientTape() as tape:
        tape.watch(picture)                                  # float32 [1, H, W, 3], RGB 0..255
        (maps,) = network.outputs(picture, ["block5_expand_bn"])
        objective = tf.reduce_mean(maps[..., 30])
    gradient = tape.gradient(objective, picture)

Call `outputs` inside a `tf.function` where it is called again and again. `KerasNetwork` is of a Keras model,
`GraphNetwork` of a TensorFlow graph with its weights as constants: a restored run or a frozen graph.
"""

import difflib
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

import keras
import numpy as np
import tensorflow as tf

from pigeonhole import cli
from pigeonhole.errors import PigeonholeError, UsageError, first_line
from pigeonhole.pictures.images import Preprocessing
from pigeonhole.terminal import some

v1 = tf.compat.v1

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601
MOST_NAMED = 8  # layers in an error


class Layer(NamedTuple):
    """A layer's name, and how many channels its output has."""

    name: str
    channels: int


class LayeredNetwork(Protocol):
    """A network that answers with the outputs of its layers. `title`: what it is, for people."""

    title: str

    def names(self) -> list[Layer]:
        """Every layer with an output over space, from the picture to the answer.

        Where a convolution and its ReLU are two layers, both are listed: values before and after it.
        """

    def outputs(self, picture: tf.Tensor, names: Sequence[str]) -> list[tf.Tensor]:
        """The outputs float32 [1, h, w, channels] of the named layers for one picture.

        `picture`: float32 [1, H, W, 3], RGB 0..255, of any size; the network's own scaling, mean and order of
        colours are applied here. Raises UsageError where there is no such layer.
        """


def no_such_layer(network: LayeredNetwork, name: str, flag: str = "--layer") -> UsageError:
    """The error for a layer that the network does not have; it names those that are written alike."""
    names = [layer.name for layer in network.names()]
    close = difflib.get_close_matches(name, names, MOST_NAMED)
    told = f"close to it: {', '.join(close)}" if close else f"choose from {some(names, MOST_NAMED)}"
    every = f"{cli.command('dream')} --list-layers"
    return UsageError(f"{flag} {name}: {network.title} has no such layer; {told}; {every} names all")


class KerasNetwork:
    """The layers of a functional Keras model that takes RGB 0..255 and has its preprocessing inside.

    A model of one size is made one of any size. Raises PigeonholeError where a weight is no number, or where
    the model takes something else than one picture of 3 channels or 1.
    """

    def __init__(self, model: keras.Model, title: str):
        self.title = title
        for weight in model.weights:
            require_numbers(title, weight.path, weight.numpy())
        shape = model.inputs[0].shape if len(model.inputs or []) == 1 else ()
        if len(shape) != 4 or shape[-1] not in (1, 3):
            raise PigeonholeError(f"{title}: does not take one picture of 3 channels or 1")
        self._is_grey = shape[-1] == 1
        spatial = [layer for layer in model.layers if _is_spatial(layer)]
        self._model = self._of_any_size(model, spatial)
        self._outputs = {layer.name: self._model.get_layer(layer.name).output for layer in spatial}
        self._parts: dict[tuple[str, ...], keras.Model] = {}

    def names(self) -> list[Layer]:
        return [Layer(name, output.shape[-1]) for name, output in self._outputs.items()]

    def outputs(self, picture: tf.Tensor, names: Sequence[str]) -> list[tf.Tensor]:
        for name in names:
            if name not in self._outputs:
                raise no_such_layer(self, name)
        wanted = tuple(names)
        if wanted not in self._parts:
            self._parts[wanted] = keras.Model(self._model.inputs, [self._outputs[name] for name in wanted])
        found = self._parts[wanted]([_grey(picture) if self._is_grey else picture], training=False)
        return tf.nest.flatten(found)

    def _of_any_size(self, model: keras.Model, spatial: Sequence[keras.layers.Layer]) -> keras.Model:
        if not spatial:
            raise PigeonholeError(f"{self.title}: has no layer with an output over space")
        part = keras.Model(model.inputs, [layer.output for layer in spatial])
        if part.inputs[0].shape[1:3] == (None, None):
            return part
        pixels = keras.Input((None, None, part.inputs[0].shape[-1]), dtype="float32", name="any_size")
        try:
            copied = keras.models.clone_model(part, input_tensors=[pixels])
            copied.set_weights(part.get_weights())
        except Exception as error:  # a layer's own, of any kind
            raise PigeonholeError(
                f"{self.title}: cannot take pictures of another size ({first_line(error)})"
            ) from error
        return copied


def _is_spatial(layer: keras.Operation) -> bool:
    if isinstance(layer, keras.layers.InputLayer):
        return False
    shape = getattr(getattr(layer, "output", None), "shape", ())
    return len(shape) == 4 and shape[-1] is not None


class GraphNetwork:
    """The layers of a TensorFlow graph whose weights are constants.

    `tensors`: the name of each layer -> that of its tensor, such as `conv1/output:0`, in order.
    `replaced`: the names of the tensors in whose place the picture is put, [N, H, W, 3 or 1]: the
    graph's input, and what it made of the input merely to have one size. `preprocessing`: how a picture
    becomes the input; `mean`: what is taken off each of its values after that.
    Raises PigeonholeError where a weight is no number, or the graph cannot take pictures of any size.
    """

    def __init__(
        self,
        graph_def: v1.GraphDef,
        tensors: Mapping[str, str],
        replaced: Sequence[str],
        preprocessing: Preprocessing,
        title: str,
        mean: float = 0.0,
    ):
        self.title = title
        self._preprocessing, self._mean = preprocessing, mean
        self._graph_def, self._tensors, self._replaced = graph_def, dict(tensors), list(replaced)
        for node in graph_def.node:
            # A gradient that was made in another graph; without it, the operations' own is taken
            node.attr.pop("_gradient_op_type", None)
            if node.op == "Const" and node.attr["dtype"].type == tf.float32.as_datatype_enum:
                require_numbers(title, node.name, tf.make_ndarray(node.attr["value"].tensor))
        self._parts: dict[tuple[str, ...], object] = {}
        shapes = self._part(tuple(tensors)).structured_outputs if tensors else []
        found = zip(tensors, (tensor.shape for tensor in shapes), strict=True)
        self._channels = {name: shape[-1] for name, shape in found if shape.rank == 4 and shape[-1]}
        if not self._channels:
            raise PigeonholeError(f"{title}: has no layer with an output over space")

    def names(self) -> list[Layer]:
        return [Layer(name, channels) for name, channels in self._channels.items()]

    def outputs(self, picture: tf.Tensor, names: Sequence[str]) -> list[tf.Tensor]:
        for name in names:
            if name not in self._channels:
                raise no_such_layer(self, name)
        values = _grey(picture) if self._preprocessing.channels == 1 else picture
        if self._preprocessing.colour_order == "bgr":
            values = values[..., ::-1]
        return list(self._part(tuple(names))(values * self._preprocessing.scale - self._mean))

    def _part(self, names: tuple[str, ...]):
        """The part of the graph that computes these layers, as a function of its input."""
        if names not in self._parts:
            wanted = [self._tensors[name] for name in names]
            part, fed = _between(self._graph_def, self._replaced, wanted)

            def compute(pixels: tf.Tensor) -> list[tf.Tensor]:
                return tf.graph_util.import_graph_def(part, dict.fromkeys(fed, pixels), wanted, name="")

            shape = tf.TensorSpec([1, None, None, self._preprocessing.channels], tf.float32)
            try:
                self._parts[names] = v1.wrap_function(compute, [shape])
            except (ValueError, TypeError, tf.errors.OpError) as error:
                raise PigeonholeError(
                    f"{self.title}: cannot take pictures of another size ({first_line(error)})"
                ) from error
        return self._parts[names]


def _between(
    graph_def: v1.GraphDef, sources: Sequence[str], wanted: Sequence[str]
) -> tuple[v1.GraphDef, set[str]]:
    """The part of a graph from the tensors `sources` to those wanted, and which of them it takes.

    What is left out, as a mean over variants of a picture, may need pictures of one size.
    """
    nodes = {node.name: node for node in graph_def.node}
    waiting, found, taken = [name.partition(":")[0] for name in wanted], set(), set()
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        for source in nodes[name].input:
            tensor = source if ":" in source else f"{source}:0"
            if tensor in sources:
                taken.add(tensor)
            else:
                waiting.append(source.removeprefix("^").partition(":")[0])
    part = v1.GraphDef(versions=graph_def.versions, library=graph_def.library)
    part.node.extend(node for node in graph_def.node if node.name in found)
    return part, taken


def require_numbers(title: str, name: str, values: np.ndarray) -> None:
    """Raise PigeonholeError where a weight is not finite."""
    if not np.isfinite(values).all():
        raise PigeonholeError(f"{title}: its weights {name} are no numbers (NaN or infinite)")


def _grey(picture: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(picture * tf.constant(LUMA), axis=-1, keepdims=True)
