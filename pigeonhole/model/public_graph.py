"""The graph of a network that other programs use by the names of its tensors.

Public tensors: `x:0`, `y_true:0`, `y_true_cls:0`, `logits:0`, `y_pred:0`, `y_pred_cls:0`, `cost:0`,
`accuracy:0`, `keep_prob:0`, `features:0`, `certainty:0`, `unsure:0`, `global_step:0`, `classes:0`,
`input_check:0`, and for each layer its weights (`conv1/kernel:0`) and its output (`conv1/output:0`). Some
have other names too: `data_tensor:0`, `y:0`, `label_tensor:0`, `keep_prop:0`, `softmax_probs:0`.
"""

from collections.abc import Mapping, Sequence

import keras
import numpy as np
import tensorflow as tf

from pigeonhole.model.rejection import Rejection, add_to_graph
from pigeonhole.networks.layers import Dropout, dropout_feed
from pigeonhole.pictures.images import Preprocessing

v1 = tf.compat.v1


def named(model: keras.Model, weights: Sequence[np.ndarray], global_step: int) -> dict[str, np.ndarray]:
    """The graph's variables by name: `weights`, in the order of the model's variables, and the step."""
    paths = [variable.path for variable in model.variables]
    return {**dict(zip(paths, weights, strict=True)), "global_step": np.int64(global_step)}


def add_variables(values: Mapping[str, np.ndarray], model: keras.Model) -> dict[str, v1.Variable]:
    """One variable for each value, under its name, with its shape and dtype.

    An optimizer of TensorFlow 1 goes by the collection of those that are trainable in `model`.

    Reference variables, since a resource variable's `conv1/kernel:0` is a handle and not the weights. Their
    initialiser is zeros: the values would be stored twice there, and hide a failed restore.
    """
    zeros = v1.zeros_initializer()
    trainable = {variable.path for variable in model.trainable_variables}
    return {
        name: v1.get_variable(
            name, np.shape(value), value.dtype, zeros, trainable=name in trainable, use_resource=False
        )
        for name, value in values.items()
    }


def is_in(graph: tf.Graph) -> bool:
    """Whether the graph is of this program, and not another program's."""
    return {"classes", "input_check"} <= {operation.name for operation in graph.get_operations()}


def add_classes(classes: Sequence[str]) -> None:
    """The class names, as a constant."""
    tf.constant(list(classes), tf.string, name="classes")


def add_network(
    model: keras.Model,
    weights: Mapping[str, tf.Tensor],
    preprocessing: Preprocessing,
    num_classes: int,
    temperature: float,
) -> None:
    """The network from `x` to `y_pred`, and what compares it with `y_true`.

    `model` computes in float32; `weights`: a tensor for each of its variables, by name.
    """
    side, channels = preprocessing.image_size, preprocessing.channels
    x = v1.placeholder(tf.float32, [None, side, side, channels], "x")
    y_true = v1.placeholder(tf.float32, [None, num_classes], "y_true")
    keep_prob = v1.placeholder_with_default(np.float32(1), [], "keep_prob")
    # The other names lie on the way, so that either of two is fed.
    pixels, keep = tf.identity(x, "data_tensor"), tf.identity(keep_prob, "keep_prop")
    labels = tf.identity(tf.identity(y_true, "y"), "label_tensor")
    highest = tf.reduce_max(x)
    tf.logical_or(highest > 1, highest <= 0 if channels == 3 else True, name="input_check")
    outputs = _call_layers(model, weights, pixels, keep)
    last = model.layers[-1]
    tf.identity(outputs[_source(last)], "features")
    logits = tf.identity(outputs[last.name], "logits")
    tf.identity(tf.nn.softmax(logits / temperature, name="y_pred"), "softmax_probs")
    predicted = tf.argmax(logits, axis=1, name="y_pred_cls")
    expected = tf.argmax(labels, axis=1, name="y_true_cls")
    losses = tf.nn.softmax_cross_entropy_with_logits(labels=labels, logits=logits)
    tf.reduce_mean(losses, name="cost")
    tf.reduce_mean(tf.cast(tf.equal(predicted, expected), tf.float32), name="accuracy")


def _call_layers(
    model: keras.Model, weights: Mapping[str, tf.Tensor], x: tf.Tensor, keep_prob: tf.Tensor
) -> dict[str, tf.Tensor]:
    """Layer name -> its output, computed from `x` with the given weights; each also named `LAYER/output`.

    A dropout layer's input is named too, so that it can be taken out of a graph again.
    """
    every_output = keras.Model(model.inputs, [layer.output for layer in model.layers])
    trainable = [weights[variable.path] for variable in every_output.trainable_variables]
    fixed = [weights[variable.path] for variable in every_output.non_trainable_variables]
    with tf.name_scope("network"), dropout_feed(keep_probability=keep_prob):
        tensors, _ = every_output.stateless_call(trainable, fixed, x, training=False)
    outputs = dict(zip((layer.name for layer in model.layers), tensors, strict=True))
    for layer in model.layers:
        if isinstance(layer, keras.layers.InputLayer):
            continue
        tf.identity(outputs[layer.name], f"{layer.name}/output")
        if isinstance(layer, Dropout):
            tf.identity(outputs[_source(layer)], f"{layer.name}/input")
    return outputs


def _source(layer: keras.layers.Layer) -> str:
    """The name of the layer whose output this one takes."""
    return layer.input._keras_history.operation.name


def add_rejection(graph: tf.Graph, rejection: Rejection) -> None:
    """How certain the network is, and whether that is too little to belong to any of its classes."""
    logits, features = (graph.get_tensor_by_name(f"{name}:0") for name in ("logits", "features"))
    with tf.name_scope("rejection"):
        certainty, unsure = add_to_graph(rejection, logits, features)
    tf.identity(certainty, "certainty")
    tf.identity(unsure, "unsure")
