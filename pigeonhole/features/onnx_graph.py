"""EfficientNet-Lite0's features as an ONNX model, made straight from the weights in a fraction of a second.

TensorFlow is not imported. Batch normalisation is folded into the convolutions.
"""

from collections.abc import Mapping

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from pigeonhole.networks.lite_layout import BLOCKS, DEPTHS, EPSILON, MEAN, MOST, NUM_FEATURES, SCALE, Block

OPSET = 17


def build(weights: Mapping[str, np.ndarray], image_size: int) -> bytes:
    """The model: `x` uint8 [N, S, S, 3], RGB, to `features` float32 [N, 3456] as `networks.lite` has them.

    `weights`: float32 by Keras' names, as `pretrained.read` gives them.
    """
    graph = _Graph(weights)
    hidden = graph.scaled("x")
    hidden = graph.convolve(hidden, "stem", stride=2)
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
    return graph.add("Add", [inputs, hidden]) if block.adds else hidden


class _Graph:
    """Nodes and constants so far. A value goes by its name."""

    def __init__(self, weights: Mapping[str, np.ndarray]):
        self._weights = weights
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self._least, self._most = self.constant("least", 0.0), self.constant("most", MOST)

    def add(self, kind: str, inputs: list[str], output: str = "", **attributes) -> str:
        """A new node; its output, by default named by its number."""
        output = output or f"{kind.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def constant(self, name: str, value) -> str:
        self.constants.append(numpy_helper.from_array(np.asarray(value, np.float32), name))
        return name

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
        gamma, beta, mean, variance = (
            self._weights[f"{name}_bn/{part}"] for part in ("gamma", "beta", "moving_mean", "moving_variance")
        )
        factor = gamma / np.sqrt(variance + EPSILON)
        kernel = self._weights[f"{name}/kernel"].transpose((2, 3, 0, 1) if groups > 1 else (3, 2, 0, 1))
        values = [
            inputs,
            self.constant(f"{name}/kernel", kernel * factor[:, None, None, None]),
            self.constant(f"{name}/bias", beta - mean * factor),
        ]
        options = {"strides": [stride, stride], "group": groups, "auto_pad": "SAME_UPPER"}
        hidden = self.add("Conv", values, name, **options)
        return self.add("Clip", [hidden, self._least, self._most]) if activated else hidden
