"""Small networks with random weights, saved as finished runs, and pictures to ask them about."""

import functools
import shutil
import tempfile
from pathlib import Path

import cv2
import keras
import numpy as np

from pigeonhole.data.dataset import DataSet
from pigeonhole.features import known
from pigeonhole.model import metagraph, rejection
from pigeonhole.model.classifier import Classifier
from pigeonhole.model.export import exporting
from pigeonhole.networks import building
from pigeonhole.pictures.images import resize
from pigeonhole.runs.run import Run
from pigeonhole.training import retraining

CLASSES = ("cat", "dog", "été 北")
SIZE = 16


def network(
    seed: int = 0,
    name: str = "standard",
    size: int = SIZE,
    channels: int = 3,
    classes: int = len(CLASSES),
    **options,
) -> keras.Model:
    """A network whose every weight is random, so that nothing about it is accidentally symmetric."""
    random = np.random.default_rng(seed)
    model = building.build(name, size, channels, classes, **options)
    for variable in model.variables:
        fan_in = int(np.prod(variable.shape[:-1]))
        values = random.normal(0, np.sqrt(2 / fan_in), variable.shape)
        variable.assign(np.abs(values) + 0.5 if "moving_variance" in variable.path else values)
    return model


def save(folder: Path, model: keras.Model | None = None, replace: bool = False, **fitted) -> Path:
    """The model (by default a new one) as a finished run in `folder`."""
    model = model or network()
    known = metagraph.Fitted(**{"global_step": 7, **fitted})
    metagraph.save(model, CLASSES[: model.output.shape[-1]], folder, known, replace)
    return folder


def ready(folder: Path, seed: int = 0, classes: int = len(CLASSES), ruled=False, onnx=False) -> Path:
    """The run of `network(seed, classes=classes)` in `folder`: a copy of one that is made once in a process.

    `ruled`: it can call a picture unsure. `onnx`: with its ONNX file.
    """
    made = Path(_made(seed, classes, ruled, onnx).name)
    return shutil.copytree(made / "run", folder, copy_function=shutil.copy)


@functools.cache
def _made(seed: int, classes: int, ruled: bool, onnx: bool) -> tempfile.TemporaryDirectory:
    folder = tempfile.TemporaryDirectory(prefix="pigeonhole-test-")
    model = network(seed, classes=classes)
    run = save(Path(folder.name) / "run", model, **({"rejection": rule(model)} if ruled else {}))
    if onnx:
        exporting.export(run)
    return folder


def editable(run: Path) -> Path:
    """The same run without the digests of its files, as one of a stranger who changes them."""
    Run(run).seals_file.unlink()
    return run


def keep_pictures(run: Path, count: int = 12) -> list[np.ndarray]:
    """Have the run keep so many pictures as if it was trained on them, such as `cat/0.png`; gives these."""
    pictures = [picture(100 + number) for number in range(count)]
    with Classifier.load(run) as classifier:
        pixels = np.stack([resize(each, classifier.preprocessing.image_size) for each in pictures])
        (features,) = classifier.fetch(pixels, ["features"])
    labels = np.arange(count) % len(CLASSES)
    names = [f"{CLASSES[label]}/{number}.png" for number, label in enumerate(labels)]
    digests = [f"{number:064x}" for number in range(count)]
    data = DataSet(pixels, labels, names, CLASSES)
    known.write(Run(run), data, digests, features, slice(0, features.shape[1]))
    return pictures


def rule(model: keras.Model, name: str = rejection.COMBINED) -> rejection.Rejection:
    """A rule that calls about half of the pictures of noise unsure."""
    random = np.random.default_rng(1)
    _, size, _, channels = model.input.shape
    train, valid = (
        retraining.outputs(model, random.integers(0, 256, (60, size, size, channels), np.uint8))
        for _ in range(2)
    )
    labels = np.arange(60) % len(CLASSES)
    return rejection.fit(train.features, labels, valid, 2.0, false_rejection=0.5, rule=name)


def picture(seed: int, height: int = 40, width: int = 30) -> np.ndarray:
    """uint8 [height, width, 3]: smooth random colours."""
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def write_picture(path: Path, seed: int = 0, **size: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(path.suffix, picture(seed, **size)[..., ::-1])[1].tobytes())
    return path
