"""EfficientNet-Lite0's features as an ONNX model, made straight from the weights in a fraction of a second.

TensorFlow is not imported. Batch normalisation is folded into the convolutions. The model computes in float32
or in int8.
"""

from collections.abc import Mapping
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from pigeonhole.networks.lite_layout import BLOCKS, DEPTHS, EPSILON, MEAN, MOST, NUM_FEATURES, SCALE, Block

OPSET = 17
LEVELS = 255  # steps between the least and the greatest value of a uint8
MOST_WEIGHT = 127
MOST_PAIR = 126  # of two weights of one sign: so times 255 each, even rounded up, is their sum one of 16 bits
MOST_BIAS = 1 << 30
NORMAL = NormalDist()
DEVIATIONS = 4.0  # from a channel's mean, within which nearly all of its values lie


def build(weights: Mapping[str, np.ndarray], image_size: int, in_int8: bool = False) -> bytes:
    """The model: `x` uint8 [N, S, S, 3], RGB, to `features` float32 [N, 3456] as `networks.lite` has them.

    `weights`: float32 by Keras' names, as `pretrained.read` gives them. `in_int8`: the layers multiply whole
    numbers of 8 bits, and the features are near those in float32; no picture is needed for that.
    """
    graph = _Int8Graph(weights) if in_int8 else _Graph(weights)
    hidden = graph.stem("x", image_size)
    depths = []
    for number, block in enumerate(BLOCKS):
        hidden = _block(graph, hidden, block)
        if number in DEPTHS:
            depths.append(hidden)
    depths.append(graph.convolve(hidden, "head"))
    pooled = [graph.add(kind, [depth]) for depth in depths for kind in ("GlobalAveragePool", "GlobalMaxPool")]
    graph.add("Flatten", [graph.add("Concat", pooled, axis=1)], "features", axis=1)
    taken = helper.make_tensor_value_info("x", TensorProto.UINT8, ["N", image_size, image_size, 3])
    given = helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", NUM_FEATURES])
    made = helper.make_graph(graph.nodes, "efficientnet_lite0", [taken], [given], graph.constants)
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
    return model.SerializeToString()


def _block(graph: "_Graph", inputs: str, block: Block) -> str:
    hidden = inputs
    if block.expands:
        hidden = graph.convolve(hidden, f"{block.name}_expand")
    hidden = graph.convolve(hidden, f"{block.name}_depthwise", block.stride, groups=block.hidden)
    hidden = graph.convolve(hidden, f"{block.name}_project", activated=False)
    return graph.summed(inputs, hidden) if block.adds else hidden


class _Graph:
    """Nodes and constants so far. A value goes by its name."""

    def __init__(self, weights: Mapping[str, np.ndarray]):
        self.weights = weights
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self._least, self._most = self.constant("least", 0.0), self.constant("most", MOST)

    def add(self, kind: str, inputs: list[str], output: str = "", **attributes) -> str:
        """A new node; its output, by default named by its number."""
        output = output or f"{kind.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def constant(self, name: str, value, dtype: np.typing.DTypeLike = np.float32) -> str:
        self.constants.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def stem(self, pixels: str, image_size: int) -> str:
        """The first convolution, of uint8 [N, S, S, 3]."""
        return self.convolve(self.scaled(pixels), "stem", stride=2)

    def scaled(self, pixels: str) -> str:
        """uint8 [N, S, S, 3] to float32 [N, 3, S, S] as the network sees it."""
        values = self.add("Cast", [pixels], to=TensorProto.FLOAT)
        values = self.add("Sub", [values, self.constant("mean", MEAN)])
        values = self.add("Div", [values, self.constant("scale", SCALE)])
        return self.add("Transpose", [values], perm=[0, 3, 1, 2])

    def convolve(
        self, inputs: str, name: str, stride: int = 1, groups: int = 1, activated: bool = True
    ) -> str:
        """Convolution with the batch normalisation behind it, and ReLU6."""
        kernel, bias = self.folded(name, groups)
        values = [inputs, self.constant(f"{name}/kernel", kernel), self.constant(f"{name}/bias", bias)]
        hidden = self.add("Conv", values, name, **_options(stride, groups))
        return self.add("Clip", [hidden, self._least, self._most]) if activated else hidden

    def summed(self, inputs: str, hidden: str) -> str:
        return self.add("Add", [inputs, hidden])

    def folded(self, name: str, groups: int) -> tuple[np.ndarray, np.ndarray]:
        """A convolution's kernel [outputs, inputs, height, width] and bias [outputs], with its batch
        normalisation."""
        gamma, beta, mean, variance = (
            self.weights[f"{name}_bn/{part}"] for part in ("gamma", "beta", "moving_mean", "moving_variance")
        )
        factor = gamma / np.sqrt(variance + EPSILON)
        kernel = self.weights[f"{name}/kernel"].transpose((2, 3, 0, 1) if groups > 1 else (3, 2, 0, 1))
        return kernel * factor[:, None, None, None], beta - mean * factor


class _Known(NamedTuple):
    """Of a value in 8 bits: what one step stands for, and each channel's usual mean and deviation."""

    step: float
    mean: np.ndarray
    deviation: np.ndarray


class _Int8Graph(_Graph):
    """The same with uint8 between the layers, int8 weights that each output channel scales, and int32 sums.

    Processors without VNNI add two products in 16 bits, and cut what does not fit. Weights are so small that
    any two fit, whichever meet; the features lie as near to those in float32 as without that bound.

    The range of a value must be known. Behind ReLU6 it is 0 to 6. What other layers give is told by the batch
    normalisation: in the pictures of ImageNet, a channel's mean is beta and its deviation gamma; where values
    are added, so are means and variances. Rounded weights shift the mean of an output by what they lack times
    the mean of the input, and the bias takes that back (Nagel et al., "Data-Free Quantization Through Weight
    Equalization and Bias Correction", 2019).

    Each value is written as a pair of QuantizeLinear and DequantizeLinear; ONNX Runtime makes whole-number
    layers of what lies between two pairs. The features are means and maxima of the last pair's float32.
    """

    def __init__(self, weights: Mapping[str, np.ndarray]):
        super().__init__(weights)
        self._known: dict[str, _Known] = {}

    def stem(self, pixels: str, image_size: int) -> str:
        """Four pixels of a row go as one of 12 channels, and two outputs as one of 64: the same sums, in half
        the time, as what is multiplied lies in longer pieces."""
        if image_size % 4:
            return super().stem(pixels, image_size)
        fours = self.scaled(self._reshaped(pixels, [0, image_size, image_size // 4, 12]))
        kernel, bias, steps = self._in_integers("stem", 1, self._known[fours])
        outputs, side = len(kernel), image_size // 2
        wide = np.zeros((2, outputs, 4, 3, 3, 2), np.int8)  # output, channel, pixel, colour, row, four
        for output, column in np.ndindex(2, 3):
            pixel = 2 * output + column
            wide[output, :, pixel % 4, :, :, pixel // 4] = kernel[:, :, :, column]
        kernel = wide.reshape(2 * outputs, 12, 3, 2)
        values = self._constants(fours, "stem", kernel, np.tile(bias, 2), np.tile(steps, 2))
        hidden = self.add("Conv", [fours, *values], "stem", strides=[2, 1], pads=[0, 0, 1, 1])
        known, scale = self._activated("stem"), self._scale("stem", MOST / LEVELS, 0)
        pairs = self.add("Transpose", [self.add("QuantizeLinear", [hidden, *scale])], perm=[0, 2, 3, 1])
        each = self._reshaped(pairs, [0, side, side, outputs])
        return self._known_as(known, self.add("Transpose", [each], perm=[0, 3, 1, 2]), scale)

    def scaled(self, pixels: str) -> str:
        """The pixels are whole numbers already: only what they stand for is said."""
        turned = self.add("Transpose", [pixels], perm=[0, 3, 1, 2])
        known = _Known(1 / SCALE, np.zeros(3), np.ones(3))
        return self._known_as(known, turned, self._scale("pixels", known.step, round(MEAN)))

    def convolve(
        self, inputs: str, name: str, stride: int = 1, groups: int = 1, activated: bool = True
    ) -> str:
        kernel, bias, steps = self._in_integers(name, groups, self._known[inputs])
        values = self._constants(inputs, name, kernel, bias, steps)
        hidden = self.add("Conv", [inputs, *values], name, **_options(stride, groups))
        if not activated:
            return self._in_range(hidden, *self._usual(name))
        return self._rounded(hidden, self._activated(name), 0)  # uint8 ends where ReLU6 does

    def summed(self, inputs: str, hidden: str) -> str:
        one, other = self._known[inputs], self._known[hidden]
        total = super().summed(inputs, hidden)
        return self._in_range(total, one.mean + other.mean, np.hypot(one.deviation, other.deviation))

    def _usual(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Means and deviations, float [outputs] each, of what a convolution gives."""
        return self.weights[f"{name}_bn/beta"], np.abs(self.weights[f"{name}_bn/gamma"])

    def _activated(self, name: str) -> _Known:
        """The same behind ReLU6."""
        mean, deviation = self._usual(name)
        return _Known(MOST / LEVELS, _mean_behind_relu6(mean, deviation), deviation)

    def _in_integers(
        self, name: str, groups: int, inputs: _Known
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """A convolution's kernel int8, bias int32, and the steps of the kernel's output channels."""
        kernel, bias = self.folded(name, groups)
        steps = np.abs(kernel).max(axis=(1, 2, 3)) / MOST_WEIGHT
        if groups == 1:  # the products of a depthwise convolution are added in 32 bits
            steps = np.maximum(steps, _greatest_pair(kernel) / MOST_PAIR)
        # A channel with next to no weights must not have steps in which its bias is out of range.
        steps = np.maximum(steps, np.abs(bias) / (MOST_BIAS * inputs.step)).astype(np.float32)
        rounded = _rounded_together(kernel / steps[:, None, None, None])
        lacking = (kernel - rounded * steps[:, None, None, None]).sum(axis=(2, 3))
        bias = bias + (lacking[:, 0] * inputs.mean if groups > 1 else lacking @ inputs.mean)
        return rounded.astype(np.int8), np.rint(bias / (steps * inputs.step)).astype(np.int32), steps

    def _constants(
        self, inputs: str, name: str, kernel: np.ndarray, bias: np.ndarray, steps: np.ndarray
    ) -> list[str]:
        """Kernel and bias, as float32 made of whole numbers."""
        parts = {"kernel": (kernel, steps), "bias": (bias, steps * self._known[inputs].step)}
        return [self._by_channel(f"{name}/{part}", *values) for part, values in parts.items()]

    def _reshaped(self, value: str, shape: list[int]) -> str:
        wanted = self.constant(f"{value}/shape", shape, np.int64)
        return self.add("Reshape", [value, wanted])

    def _in_range(self, value: str, mean: np.ndarray, deviation: np.ndarray) -> str:
        least = min(0.0, float((mean - DEVIATIONS * deviation).min()))
        most = max(0.0, float((mean + DEVIATIONS * deviation).max()))
        step = (most - least) / LEVELS
        return self._rounded(value, _Known(step, mean, deviation), round(-least / step))

    def _rounded(self, value: str, known: _Known, zero: int) -> str:
        """The value in whole steps, as uint8, of which `zero` stands for 0, and then in float32 again."""
        scale = self._scale(value, known.step, zero)
        return self._known_as(known, self.add("QuantizeLinear", [value, *scale]), scale)

    def _known_as(self, known: _Known, integers: str, scale: list[str]) -> str:
        value = self.add("DequantizeLinear", [integers, *scale])
        self._known[value] = known
        return value

    def _scale(self, name: str, step: float, zero: int) -> list[str]:
        return [self.constant(f"{name}/step", step), self.constant(f"{name}/zero", zero, np.uint8)]

    def _by_channel(self, name: str, integers: np.ndarray, steps: np.ndarray) -> str:
        """Constants in whole steps, each output channel with its own, as float32."""
        parts = [
            self.constant(f"{name}/integers", integers, integers.dtype),
            self.constant(f"{name}/steps", steps),
            self.constant(f"{name}/zeros", np.zeros(len(steps)), integers.dtype),
        ]
        return self.add("DequantizeLinear", parts, name, axis=0)


def _options(stride: int, groups: int) -> dict[str, object]:
    return {"strides": [stride, stride], "group": groups, "auto_pad": "SAME_UPPER"}


def _greatest_pair(kernel: np.ndarray) -> np.ndarray:
    """float [outputs]: the greatest absolute sum of two weights of one sign that lead to each output."""
    weights = kernel.reshape(len(kernel), -1)
    of_signs = (np.sort(np.maximum(signed, 0), axis=1) for signed in (weights, -weights))
    return np.maximum(*(each[:, -2:].sum(axis=1) for each in of_signs))


def _rounded_together(exact: np.ndarray) -> np.ndarray:
    """The kernel [outputs, inputs, height, width] in whole numbers, whose sum over each height and width is
    rounded too: so an even area, where errors add up, has the least error."""
    taps = exact.reshape(*exact.shape[:2], -1)
    rounded = np.rint(taps)
    lacking = taps - rounded
    whole = np.rint(lacking.sum(axis=2, keepdims=True))
    order = np.argsort(np.argsort(-lacking * np.sign(whole), axis=2, kind="stable"), axis=2)
    return (rounded + np.sign(whole) * (order < np.abs(whole))).reshape(exact.shape)


def _mean_behind_relu6(mean: np.ndarray, deviation: np.ndarray) -> np.ndarray:
    """Of normally distributed values, each float [C], once they are held between 0 and 6."""
    deviation = np.maximum(deviation, 1e-6)
    low, high = -mean / deviation, (MOST - mean) / deviation
    density_low, density_high = (np.array([NORMAL.pdf(each) for each in at]) for at in (low, high))
    below_low, below_high = (np.array([NORMAL.cdf(each) for each in at]) for at in (low, high))
    return (
        mean * (below_high - below_low) - deviation * (density_high - density_low) + MOST * (1 - below_high)
    )
