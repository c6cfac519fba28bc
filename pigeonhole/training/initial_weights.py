"""The weights that a training starts from: those of a Keras weights file or of a previous run.

All layers but the head are copied. Of the head, the rows of classes with the same name are copied; the other
rows are random, and so is the head where the weights come from a file.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from pigeonhole.errors import PigeonholeError, UsageError, first_line
from pigeonhole.features import pretrained
from pigeonhole.model import metagraph
from pigeonhole.networks import backbones
from pigeonhole.networks.registry import APPLICATIONS, NETWORKS
from pigeonhole.training.weights_source import IMAGENET, Source

TOP_SIDE = 224  # pixels; no weight depends on it
_LEAST_BYTES = 2  # of a weight in a file


@dataclass(frozen=True)
class InitialWeights:
    """`values`: arrays by the names of a network's weights, such as `conv1/kernel`.

    `classes`: what each row of the head stands for, where that is known. `about`: of what network the values
    are, in words, for an error, as is the `flag` that named them.
    """

    named: str
    values: Mapping[str, np.ndarray]
    classes: tuple[str, ...]
    about: str
    flag: str = "--weights"

    def put_into(self, model: keras.Model, classes: Sequence[str]) -> None:
        """Give `model` these weights. Its head has a row for each of `classes`.

        Raises PigeonholeError where a weight is missing or has another shape.
        """
        *base, head = model.layers
        for variable in (weight for layer in base for weight in layer.weights):
            variable.assign(self._value(variable.path, tuple(variable.shape)))
        rows = {name: row for row, name in enumerate(self.classes)}
        known = [row for row, name in enumerate(classes) if name in rows]
        if not known:
            return
        for variable in head.weights:  # the classes are the last axis of kernel and bias alike
            shape = (*variable.shape[:-1], len(self.classes))
            trained = self._value(variable.path, shape)
            values = variable.numpy()
            values[..., known] = trained[..., [rows[classes[row]] for row in known]]
            variable.assign(values)

    def describe(self, classes: Sequence[str]) -> str:
        """Such as `runs/old, which knows 2 of 5 classes`."""
        known = len(set(classes) & set(self.classes))
        return f"{self.named}, which knows {known} of the {len(classes)} classes" if known else self.named

    def _value(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        value = self.values.get(name)
        if value is None:
            raise PigeonholeError(f"{self.flag} {self.named}: has no {name}; it is {self.about}")
        if value.shape != shape:
            sizes = f"{list(value.shape)}, not {list(shape)}"
            raise PigeonholeError(f"{self.flag} {self.named}: its {name} is {sizes}; it is {self.about}")
        return value


def read(source: Source, network: str) -> InitialWeights:
    """The weights of `source` for that network.

    Raises UsageError where it is of another network, PigeonholeError where it is damaged or something else.
    """
    if source.is_run:
        return _read_run(source, network)
    if source.named == IMAGENET and NETWORKS[network].has_weights:
        return InitialWeights(source.named, pretrained.read(source.path), (), f"of {network}")
    return _read_file(source, network)


def _read_run(source: Source, network: str) -> InitialWeights:
    with metagraph.restore(source.path) as session:
        contract = metagraph.read_contract(session)
        if contract is None:
            raise PigeonholeError(f"--weights {source.named}: is no run of this program")
        if contract.network != network:
            raise UsageError(
                f"--weights {source.named}: is a run of --network {contract.network}, not {network}"
            )
        classes = metagraph.read_classes(session)
        values = metagraph.read_weights(session)
    seen = contract.preprocessing
    about = f"of pictures of {seen.image_size} pixels and {seen.channels} channels"
    return InitialWeights(source.named, values, classes, about)


def _read_file(source: Source, network: str) -> InitialWeights:
    application = NETWORKS[network].application
    if application is None:
        raise UsageError(
            f"--weights {source.named}: a weights file is for {', '.join(APPLICATIONS)}; "
            f"for --network {network} name a run"
        )
    try:
        return InitialWeights(source.named, published(application.function, source.path), (), f"of {network}")
    except ValueError as error:
        raise PigeonholeError(f"--weights {source.named}: holds no weights of {network} ({error})") from error


def published(function: str, file: Path) -> dict[str, np.ndarray]:
    """The values of a weights file of a network of keras.applications, with its head or without, by name.

    Raises ValueError, with what is wrong in one line.
    """
    errors = []
    for with_top in (False, True):
        model = getattr(keras.applications, function)(
            include_top=with_top, weights=None, input_shape=(TOP_SIDE, TOP_SIDE, 3)
        )
        try:
            return _loaded(model, file)
        except OSError as error:  # no such file at all, whatever the network
            raise ValueError(first_line(error)) from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            errors.append(error)
        if file.stat().st_size < _LEAST_BYTES * model.count_params():
            break  # nor can it hold those of the head, for which VGG-19 takes half a minute and 1 GB
    raise ValueError(first_line(errors[0])) from errors[0]


def _loaded(model: keras.Model, file: Path) -> dict[str, np.ndarray]:
    """The values that `file` has for `model`, by name. Raises ValueError where it lacks some."""
    for variable in model.weights:
        variable.assign(np.full(variable.shape, np.nan))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it tells of what is missing as a matter of Keras' versions
        model.load_weights(file)
    values = backbones.values(model)
    if lacking := [name for name, value in values.items() if np.isnan(value).any()]:
        raise ValueError(f"{lacking[0]} is missing or not a number")
    return values
