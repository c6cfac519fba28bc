"""VGG-19 from the files in which it is published: Keras' weights, and MatConvNet's .mat."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import keras
import numpy as np

from pigeonhole.art.layered import KerasNetwork, require_numbers
from pigeonhole.errors import PigeonholeError, first_line
from pigeonhole.networks import vgg
from pigeonhole.training import initial_weights

NAME = "vgg19"


def from_keras(file: Path, title: str) -> KerasNetwork:
    """VGG-19 with the weights of keras.applications' file, with or without its dense layers.

    Raises PigeonholeError where the file is of another network, or damaged.
    """
    try:
        values = initial_weights.published("VGG19", file)
    except ValueError as error:
        raise PigeonholeError(f"{file}: holds no weights of {NAME} ({error})") from error
    return _network(values, vgg.MEAN, file, title)


def from_mat(file: Path, title: str) -> KerasNetwork:
    """VGG-19 with the weights and the mean colour of `imagenet-vgg-verydeep-19.mat` (MatConvNet).

    Its kernels are [width, height, in, out]. Files of its early version, with `filters` and `biases`, are
    read as well. Raises PigeonholeError where the file is something else, or damaged.
    """
    from scipy import io

    try:
        content = io.loadmat(file, variable_names=["layers", "meta", "normalization"], appendmat=False)
        layers = [_record(entry) for entry in content["layers"].ravel()]
        meta = _record(content["meta"])["normalization"] if "meta" in content else content["normalization"]
        average = np.asarray(_record(meta)["averageImage"], np.float64)
        values = {name: value for layer in layers for name, value in _convolution(layer)}
        mean = average.reshape(-1, 3).mean(axis=0)
    except Exception as error:  # SciPy raises anything for a file that is none of MATLAB's
        raise PigeonholeError(
            f"{file}: not MatConvNet's file of {NAME}, or damaged ({first_line(error)})"
        ) from error
    return _network(values, mean.tolist(), file, title)


def _record(value: np.ndarray) -> dict[str, np.ndarray]:
    """A MATLAB struct, of which SciPy makes an array of one record, perhaps in a cell."""
    while value.dtype == object:
        value = value.ravel()[0]
    record = value.ravel()[0]
    return {name: record[name] for name in value.dtype.names}


def _convolution(layer: Mapping[str, np.ndarray]) -> Iterator[tuple[str, np.ndarray]]:
    """A convolution's kernel [height, width, in, out] and bias [out], by name; nothing of another layer."""
    name = str(layer["name"].ravel()[0])
    if not name.startswith("conv"):
        return
    if "weights" in layer:
        kernel, bias = layer["weights"].ravel()[:2]
    else:
        kernel, bias = layer["filters"], layer["biases"]
    yield f"{name}/kernel", np.transpose(kernel, (1, 0, 2, 3))
    yield f"{name}/bias", np.ravel(bias)


def _network(values: Mapping[str, np.ndarray], mean: Sequence[float], file: Path, title: str) -> KerasNetwork:
    require_numbers(str(file), "mean", np.asarray(mean))
    pixels = keras.Input((None, None, 3), dtype="float32", name="x")
    model = keras.Model(pixels, vgg.vgg19(pixels, mean), name=NAME)
    for variable in model.weights:
        value = values.get(variable.path)
        if value is None:
            raise PigeonholeError(f"{file}: holds no weights of {NAME}: it has no {variable.path}")
        if value.shape != tuple(variable.shape):
            sizes = f"{list(value.shape)}, not {list(variable.shape)}"
            raise PigeonholeError(f"{file}: is not {NAME}: the {variable.path} is {sizes}")
        require_numbers(str(file), variable.path, value)
        variable.assign(value)
    return KerasNetwork(model, title)
