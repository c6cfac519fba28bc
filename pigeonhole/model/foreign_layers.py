"""The convolutions of another program's graph, named as in our own graphs: LAYER/kernel, LAYER/output."""

from collections.abc import Container, Iterator
from math import prod

import tensorflow as tf

from pigeonhole.model import coverage
from pigeonhole.model.interface import Interface, Layer

CONVOLUTIONS = frozenset({"Conv2D", "DepthwiseConv2dNative"})
ACTIVATIONS = frozenset({"Relu", "Relu6", "LeakyRelu", "Elu", "Selu", "Tanh", "Sigmoid", "Softplus"})
# What lies between a convolution and its activation: anything else ends the search.
BETWEEN = frozenset(
    {"BiasAdd", "Add", "AddV2", "Identity", "MaxPool", "AvgPool", "Mul", "FusedBatchNorm", "FusedBatchNormV3"}
)


def name_convolutions(graph: tf.Graph, asked: Interface) -> tuple[Layer, ...]:
    """Name the convolutions by which the graph gives its answers, and give them in the graph's order.

    Each goes by its operation's name, with dots for slashes; an activation behind it by that and
    `.activation`. The kernel of one that looks at pixels, blue first, has red first all the same.
    `parameters` are those of the kernel.
    """
    used = set(coverage.ancestors(graph.get_tensor_by_name(asked.output).op, {asked.input, *asked.feeds}))
    found = [each for each in graph.get_operations() if each in used and each.type in CONVOLUTIONS]
    return tuple(_named(each, used, asked) for each in found if each.inputs[1].shape.is_fully_defined())


def _named(convolution: tf.Operation, used: Container[tf.Operation], asked: Interface) -> Layer:
    name, kernel = convolution.name.replace("/", "."), convolution.inputs[1]
    is_blue_first = asked.preprocessing.colour_order == "bgr" and kernel.shape[2] == 3
    with convolution.graph.as_default():
        if is_blue_first and _sees_pixels(convolution):
            kernel = tf.reverse(kernel, [2])
        tf.identity(kernel, f"{name}/kernel")
        tf.identity(convolution.outputs[0], f"{name}/output")
        activation = next(_activations(convolution, used), None)
        if activation is not None:
            tf.identity(activation.outputs[0], f"{name}.activation/output")
    shape = tuple(convolution.outputs[0].shape[1:]) if convolution.outputs[0].shape.rank else ()
    return Layer(name, shape, prod(kernel.shape), tuple(kernel.shape), activation and f"{name}.activation")


def _sees_pixels(convolution: tf.Operation) -> bool:
    return not any(each.type in CONVOLUTIONS for each in coverage.ancestors(convolution.inputs[0].op))


def _activations(convolution: tf.Operation, used: Container[tf.Operation]) -> Iterator[tf.Operation]:
    """What the convolution goes through by itself, the nearest first."""
    reached = [convolution.outputs[0]]
    for tensor in reached:  # which grows meanwhile
        for operation in tensor.consumers():
            if operation in used and operation.type in ACTIVATIONS:
                yield operation
            elif operation in used and operation.type in BETWEEN:
                reached += operation.outputs[:1]
