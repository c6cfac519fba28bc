"""A classifier of a trained network as it comes, with a dense layer on its features at several depths.

In Keras, and for the network that is installed as an ONNX model too, which is made in a fraction of a second.
"""

from typing import TYPE_CHECKING

import numpy as np

from pigeonhole.features import pretrained, strangers
from pigeonhole.features.backbone import Backbone
from pigeonhole.features.strangers import Strangers

if TYPE_CHECKING:
    import keras
    import onnx

NAME = "frozen"
_VIEWS = """
    mirror_image = Slice (x, backwards, to_the_start, width_axis, backwards)
    views = Concat <axis = 0> (x, mirror_image)
"""
_AVERAGE = """
    both = Reshape (seen, of_views)
    features = ReduceMean <axes = [0], keepdims = 0> (both)
"""
_HEAD = """
    products = MatMul (features, head_kernel)
    logits = Add (products, head_bias)
    calibrated = Div (logits, temperature)
    y_pred = Softmax <axis = 1> (calibrated)
"""
_AROUND = """
<ir_version: 8, opset_import: ["" : 17]>
answers (float[N, SIZE, SIZE, 3] x)
    => (float[N, K] y_pred, float[N, K] logits, float[N, D] features, float[N] certainty, bool[N] unsure) {
    NODES
}
"""


def classifier(
    kernel: np.ndarray, bias: np.ndarray, shape: tuple[int, int], backbone: Backbone, mirrored: bool
) -> "keras.Model":
    """Pictures float32 [N, S, S, C], RGB or grey 0..255, to logits float32 [N, K], in float32.

    `kernel` float32 [D, K] and `bias` float32 [K]: of the dense layer on the D features of `backbone`, to
    whose size the network itself resizes pictures. `shape`: S and C. `mirrored`: whether features are the
    mean over a picture and its mirror image. Raises PigeonholeError as the backbone does.
    """
    import keras

    from pigeonhole.networks.averaging import Averaged, Averaging, Variants
    from pigeonhole.networks.resizing import Resized

    side, channels = shape
    shown = pixels = keras.Input((side, side, channels), dtype="float32", name="x")
    if side != backbone.image_size:
        shown = Resized(backbone.image_size, name="resized")(shown)
    averaging = Averaging(flip=True)
    if mirrored:
        shown = Variants(averaging, name="views")(shown)
    features = backbone.features(pixels, shown)
    if mirrored:
        features = Averaged(averaging, name="average")(features)
    head = keras.layers.Dense(kernel.shape[1], dtype="float32", name="fc")
    model = keras.Model(pixels, head(features), name=NAME)
    head.set_weights([kernel, bias])
    return model


def as_onnx(
    kernel: np.ndarray,
    bias: np.ndarray,
    image_size: int,
    mirrored: bool,
    temperature: float,
    known: Strangers,
) -> "onnx.ModelProto":
    """The same network around EfficientNet-Lite0 in ONNX, for pictures of `image_size` in RGB.

    As an exported file has them: `x` float32 [N, S, S, 3], or whole pictures [N, H, W, 3] of one size;
    `y_pred`, `logits`, `features`, `certainty` and `unsure`. The other arguments are those of `classifier`
    and of the saved graph. An engine loads it once `onnx_content.describe` was called. Raises
    PigeonholeError as `pretrained.read` does.
    """
    import onnx

    from pigeonhole.features import onnx_graph
    from pigeonhole.model.export import whole_pictures

    model = onnx.load_from_string(onnx_graph.build(pretrained.read(), image_size))
    shown, given = ("views", "seen") if mirrored else ("x", "features")
    for node in model.graph.node:
        node.input[:] = [shown if name == "x" else name for name in node.input]
        node.output[:] = [given if name == "features" else name for name in node.output]
    nodes = _HEAD + strangers.ONNX
    front = _parsed(_VIEWS if mirrored else "", image_size)
    behind = _parsed((_AVERAGE if mirrored else "") + nodes, image_size)
    nodes = [*front.node, *model.graph.node, *behind.node]
    del model.graph.node[:], model.graph.input[:], model.graph.output[:]
    model.graph.node.extend(nodes)
    model.graph.input.extend(behind.input)
    model.graph.output.extend(behind.output)
    constants = {
        "backwards": np.array([-1]),
        "to_the_start": np.array([np.iinfo(np.int64).min]),
        "width_axis": np.array([2]),
        "of_views": np.array([2, -1, len(kernel)]),
        "head_kernel": kernel,
        "head_bias": bias,
        "temperature": np.float32(temperature),
        **strangers.onnx_constants(known),
    }
    model.graph.initializer.extend(
        onnx.numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()
    )
    whole_pictures.add(model, image_size, 3)
    return model


def _parsed(nodes: str, image_size: int) -> "onnx.GraphProto":
    import onnx

    text = _AROUND.replace("NODES", nodes).replace("SIZE", str(image_size))
    return onnx.parser.parse_model(text).graph
