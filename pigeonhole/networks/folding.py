"""A network whose batch normalisations go by frozen statistics, as it trains fastest on a processor."""

from collections import Counter
from collections.abc import Iterator

import keras
import tensorflow as tf
from keras import layers

from pigeonhole.networks.layers import BatchNorm

_CONVOLUTIONS = (layers.Conv2D, layers.DepthwiseConv2D)


def folded(model: keras.Model) -> keras.Model:
    """The same function with the same variables, in which no batch normalisation touches the pictures.

    By fixed statistics normalisation is a factor and an offset for each channel, and a convolution whose
    kernel is multiplied by the factor gives the same (Jacob et al., "Quantization and Training of Neural
    Networks for Efficient Integer-Arithmetic-Only Inference", 2018, fold them like that). The outputs, and
    the gradients of kernel, factor and offset, are those of `model` in inference mode but for rounding; what
    they cost is for each weight, no longer for each pixel.
    """
    pairs = {norm: convolution for convolution, norm in normalised(model)}
    convolutions = list(pairs.values())

    def call(layer: keras.Operation, *inputs, mask=None, **options):
        if layer in convolutions:
            return inputs[0]  # its normalisation takes them
        if layer in pairs:
            return _Folded(pairs[layer], layer)(*inputs)
        return layer(*inputs, **options)

    return keras.models.clone_model(model, clone_function=lambda layer: layer, call_function=call)


def normalised(model: keras.Model) -> Iterator[tuple[layers.Layer, BatchNorm]]:
    """The convolutions whose output goes into a batch normalisation and nowhere else, and that."""
    taken = Counter(id(tensor) for layer in model.layers for tensor in keras.tree.flatten(layer.input))
    made_by = {id(layer.output): layer for layer in model.layers if type(layer) in _CONVOLUTIONS}
    for layer in model.layers:
        source = made_by.get(id(layer.input)) if isinstance(layer, BatchNorm) else None
        if source and taken[id(source.output)] == 1 and _is_simple(source):
            yield source, layer


class _Folded(layers.Layer):
    """A convolution and the normalisation behind it in one."""

    def __init__(self, convolution: layers.Layer, norm: BatchNorm):
        super().__init__(name=f"{norm.name}_folded", dtype=norm.dtype_policy)
        self._convolution, self._norm = convolution, norm

    def call(self, inputs):
        factor, offset = self._norm.as_affine()
        convolution = self._convolution
        kernel, offset = tf.cast(convolution.kernel.value, tf.float32), tf.cast(offset, inputs.dtype)
        strides, padding = convolution.strides, convolution.padding.upper()
        if isinstance(convolution, layers.DepthwiseConv2D):
            kernel = tf.cast(kernel * tf.reshape(factor, [1, 1, *kernel.shape[2:]]), inputs.dtype)
            return tf.nn.bias_add(tf.nn.depthwise_conv2d(inputs, kernel, [1, *strides, 1], padding), offset)
        kernel = tf.cast(kernel * factor, inputs.dtype)
        if convolution.trainable and _is_pointwise(convolution):
            return self._product(inputs, tf.reshape(kernel, kernel.shape[2:]), offset)
        return tf.nn.bias_add(tf.nn.conv2d(inputs, kernel, strides, padding), offset)

    @staticmethod
    def _product(inputs, matrix, offset):
        """A convolution of 1 x 1: the gradient of a matrix product is computed faster than its own."""
        rows = tf.reshape(inputs, [-1, inputs.shape[-1]])
        products = tf.nn.bias_add(tf.matmul(rows, matrix), offset)
        return tf.reshape(products, [-1, *inputs.shape[1:3], matrix.shape[-1]])

    def compute_output_shape(self, input_shape):
        return self._convolution.compute_output_shape(input_shape)


def _is_simple(convolution: layers.Layer) -> bool:
    is_grouped = isinstance(convolution, layers.Conv2D) and convolution.groups > 1
    return not (convolution.use_bias or is_grouped) and set(convolution.dilation_rate) == {1}


def _is_pointwise(convolution: layers.Conv2D) -> bool:
    return {*convolution.kernel_size, *convolution.strides} == {1}
