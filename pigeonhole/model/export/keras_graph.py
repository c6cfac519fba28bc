"""A frozen inference graph as a Keras model of Keras' own layers, which loads without this code."""

import re
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

from pigeonhole.errors import PigeonholeError

v1 = tf.compat.v1

Value = "keras.KerasTensor | np.ndarray"


def build(graph_def: v1.GraphDef, output: str) -> keras.Model:
    """The model from `x` to the tensor `output` of a graph whose variables are constants.

    Raises PigeonholeError for an operation that it has no layer for.
    """
    with tf.Graph().as_default() as graph:
        tf.graph_util.import_graph_def(graph_def, name="")
    return _Translation(graph).model(output)


class _Translation:
    """The tensors of a graph that have been translated so far, by name."""

    def __init__(self, graph: tf.Graph):
        self._graph = graph
        self._values: dict[str, object] = {}
        self._names: set[str] = set()
        varying = _depending_on(graph.get_operation_by_name("x"))
        taken = (tensor for name in varying for tensor in graph.get_operation_by_name(name).inputs)
        constants = {tensor.name: tensor for tensor in taken if tensor.op.name not in varying}
        with v1.Session(graph=graph) as session:
            # All at once: for each run the session copies the whole graph, with its weights
            self._constants: dict[str, np.ndarray] = session.run(constants)

    def model(self, output: str) -> keras.Model:
        x = self._graph.get_tensor_by_name("x:0")
        pixels = keras.Input(tuple(x.shape[1:]), dtype="float32", name="x")
        self._values[x.name] = pixels
        return keras.Model(pixels, self._value(self._graph.get_tensor_by_name(f"{output}:0")))

    def _value(self, tensor: tf.Tensor):
        """A constant as an array, what depends on the picture as a Keras tensor."""
        for each in self._in_order(tensor):
            self._values[each.name] = self._translate(each)
        return self._values[tensor.name]

    def _in_order(self, tensor: tf.Tensor) -> list[tf.Tensor]:
        """What is still to be translated, each behind what it takes."""
        order: dict[str, tf.Tensor] = {}
        waiting = [(tensor, False)]
        while waiting:
            each, is_ready = waiting.pop()
            if each.name in self._values or each.name in order:
                continue
            if is_ready:
                order[each.name] = each
                continue
            waiting.append((each, True))
            if self._constant(each) is None:
                waiting += [(taken, False) for taken in self._taken(each)]
        return list(order.values())

    def _taken(self, tensor: tf.Tensor) -> list[tf.Tensor]:
        """The inputs that are asked for their value; the shape of a reshape follows from its result."""
        op = tensor.op
        if op.type == "Reshape":
            return [op.inputs[0]]
        if op.type == "IdentityN":
            return [op.inputs[tensor.value_index]]
        if op.type == "BiasAdd" and op.inputs[0].op.type in _WEIGHTED:
            return [op.inputs[0].op.inputs[0]]  # one layer for both
        return list(op.inputs)

    def _translate(self, tensor: tf.Tensor):
        constant = self._constant(tensor)
        if constant is not None:
            return constant.item() if constant.size == 1 else constant
        op = tensor.op
        if op.type == "BiasAdd" and op.inputs[0].op.type in _WEIGHTED:
            return self._weighted(op.inputs[0].op, self._constant(op.inputs[1]), op.name)
        if op.type in _WEIGHTED and self._constant(op.inputs[1]) is not None:
            return self._weighted(op, None, op.name)
        values = [self._values[taken.name] for taken in self._taken(tensor)]
        if op.type == "FusedBatchNormV3":
            return self._normalised(op, values[0])
        if op.type not in _OPERATIONS:
            raise PigeonholeError(f"Keras has no layer for the operation {op.type} of {op.name}")
        return _OPERATIONS[op.type](op, *values)

    def _weighted(self, op: tf.Operation, bias: np.ndarray | None, name: str):
        """A convolution or dense layer with its weights."""
        kernel, named = self._constant(op.inputs[1]), self._name(name)
        common = {"use_bias": bias is not None, "name": named}
        if op.type == "MatMul":
            layer = layers.Dense(kernel.shape[1], **common)
        else:
            strides = tuple(op.get_attr("strides")[1:3])
            common |= {"strides": strides, "padding": op.get_attr("padding").decode().lower()}
            if op.type == "Conv2D":
                layer = layers.Conv2D(kernel.shape[-1], kernel.shape[:2], **common)
            else:
                layer = layers.DepthwiseConv2D(kernel.shape[:2], depth_multiplier=kernel.shape[3], **common)
        result = layer(self._values[op.inputs[0].name])
        layer.set_weights([kernel] if bias is None else [kernel, bias])
        return result

    def _normalised(self, op: tf.Operation, values):
        layer = layers.BatchNormalization(epsilon=op.get_attr("epsilon"), name=self._name(op.name))
        result = layer(values)
        layer.set_weights([self._constant(taken) for taken in op.inputs[1:5]])
        return result

    def _constant(self, tensor: tf.Tensor) -> np.ndarray | None:
        """The value of a tensor that depends on no picture; None for any other."""
        return self._constants.get(tensor.name)

    def _name(self, name: str) -> str:
        """Such as `conv1` for `network/conv1_1/convolution`; each once."""
        parts = name.split("/")
        plain = re.sub(r"_\d+$", "", parts[-2] if len(parts) > 1 else parts[-1])
        named, number = plain, 1
        while named in self._names:
            number += 1
            named = f"{plain}_{number}"
        self._names.add(named)
        return named


_WEIGHTED = ("Conv2D", "DepthwiseConv2dNative", "MatMul")


def _depending_on(op: tf.Operation) -> set[str]:
    """The names of the operations that take what this one gives, by way of others too."""
    found, waiting = set(), [op]
    while waiting:
        each = waiting.pop()
        if each.name not in found:
            found.add(each.name)
            waiting += [user for output in each.outputs for user in output.consumers()]
    return found


def _along(operation: Callable) -> Callable:
    """A reduction over the axes of its second input."""

    def reduce(op: tf.Operation, values, axes):
        axes = tuple(np.atleast_1d(axes).tolist())
        return operation(values, axis=axes, keepdims=op.get_attr("keep_dims"))

    return reduce


def _pool(op: tf.Operation, values, kind: Callable):
    sizes, strides = (tuple(op.get_attr(name)[1:3]) for name in ("ksize", "strides"))
    return kind(sizes, strides, op.get_attr("padding").decode().lower())(values)


def _pad(op: tf.Operation, values, widths, fill=0):
    mode = op.get_attr("mode").decode().lower() if op.type == "MirrorPad" else "constant"
    widths = tuple((int(low), int(high)) for low, high in widths)
    return ops.pad(values, widths, mode) if mode != "constant" else ops.pad(values, widths, mode, fill)


def _reshape(op: tf.Operation, values):
    shape = op.outputs[0].shape.as_list()
    if None in shape[1:]:
        raise PigeonholeError(f"Keras cannot know the shape of {op.name}")
    return ops.reshape(values, (-1, *shape[1:]))


def _slice(op: tf.Operation, values, begin, end, strides):
    """A part along some axes, or all of it in reverse, as mirroring does."""
    for axis in range(len(strides)):
        from_start, to_end = (bool(op.get_attr(name) >> axis & 1) for name in ("begin_mask", "end_mask"))
        step, length = int(strides[axis]), values.shape[axis]
        if step == -1 and from_start and to_end:
            values = ops.flip(values, axis)
            continue
        if step != 1:
            raise PigeonholeError(f"Keras has no layer for the steps of {op.name}")
        first = 0 if from_start else int(begin[axis])
        last = length if to_end else int(end[axis])
        if from_start and to_end:
            continue
        values = ops.take(values, np.arange(length)[first:last].tolist(), axis)
    return values


def _local_response(op: tf.Operation, values):
    """Local response normalisation; the sum over neighbouring channels is a product with a band of ones."""
    radius, bias, alpha, beta = (op.get_attr(name) for name in ("depth_radius", "bias", "alpha", "beta"))
    channels = np.arange(values.shape[-1])
    band = (np.abs(channels[:, None] - channels) <= radius).astype(np.float32)
    return ops.divide(values, ops.power(bias + alpha * ops.matmul(ops.square(values), band), beta))


def _softmax(op: tf.Operation, values):
    return layers.Softmax(name=op.name if "/" not in op.name else None)(values)


_OPERATIONS: dict[str, Callable] = {
    "Identity": lambda op, values: values,
    "IdentityN": lambda op, values: values,
    "StopGradient": lambda op, values: ops.stop_gradient(values),
    "Add": lambda op, one, other: ops.add(one, other),
    "AddV2": lambda op, one, other: ops.add(one, other),
    "BiasAdd": lambda op, one, other: ops.add(one, other),
    "Sub": lambda op, one, other: ops.subtract(one, other),
    "Mul": lambda op, one, other: ops.multiply(one, other),
    "RealDiv": lambda op, one, other: ops.divide(one, other),
    "Maximum": lambda op, one, other: ops.maximum(one, other),
    "Minimum": lambda op, one, other: ops.minimum(one, other),
    "SquaredDifference": lambda op, one, other: ops.square(ops.subtract(one, other)),
    "MatMul": lambda op, one, other: ops.matmul(one, other),
    "BatchMatMulV2": lambda op, one, other: ops.matmul(one, other),
    "Square": lambda op, values: ops.square(values),
    "Sqrt": lambda op, values: ops.sqrt(values),
    "Rsqrt": lambda op, values: ops.rsqrt(values),
    "Exp": lambda op, values: ops.exp(values),
    "Tanh": lambda op, values: ops.tanh(values),
    "Erf": lambda op, values: ops.erf(values),
    "Sigmoid": lambda op, values: ops.sigmoid(values),
    "Relu": lambda op, values: ops.relu(values),
    "Relu6": lambda op, values: ops.relu6(values),
    "Softmax": _softmax,
    "Mean": _along(ops.mean),
    "Sum": _along(ops.sum),
    "Max": _along(ops.max),
    "LRN": _local_response,
    "MaxPool": lambda op, values: _pool(op, values, layers.MaxPooling2D),
    "AvgPool": lambda op, values: _pool(op, values, layers.AveragePooling2D),
    "Pad": _pad,
    "PadV2": _pad,
    "MirrorPad": _pad,
    "Reshape": _reshape,
    "StridedSlice": _slice,
    "Squeeze": lambda op, values: ops.squeeze(values, tuple(op.get_attr("squeeze_dims"))),
    "ExpandDims": lambda op, values, axis: ops.expand_dims(values, int(axis)),
    "Transpose": lambda op, values, axes: ops.transpose(values, [int(axis) for axis in axes]),
    "Pack": lambda op, *values: ops.stack(list(values), op.get_attr("axis")),
    "ConcatV2": lambda op, *values: ops.concatenate(list(values[:-1]), int(values[-1])),
}
