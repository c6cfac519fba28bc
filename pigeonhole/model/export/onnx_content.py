"""What makes an ONNX model one of this project's files, and its answers. TensorFlow is not imported."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from pigeonhole.model import golden
from pigeonhole.model.contract import Contract

if TYPE_CHECKING:
    import onnx


def describe(
    model: "onnx.ModelProto",
    classes: Sequence[str],
    contract: Contract,
    examples: golden.Golden,
    probabilities: np.ndarray,
) -> None:
    """Give the model the metadata that an engine reads and replays, in the place of what it has.

    The contract, the class names (a JSON list), and the golden examples with the `probabilities` for them,
    float32 [N, K].
    """
    del model.metadata_props[:]
    for key, text in (
        ("contract", contract.to_json()),
        ("classes", json.dumps(list(classes), ensure_ascii=False)),
        ("golden", golden.to_text(examples, probabilities)),
    ):
        model.metadata_props.add(key=key, value=text)


def answer(content: bytes, pixels: np.ndarray) -> np.ndarray:
    """The probabilities float32 [N, K] of a model's bytes for pictures [N, S, S, C], by ONNX Runtime."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    runtime = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    return runtime.run(["y_pred"], {"x": np.asarray(pixels, np.float32)})[0]
