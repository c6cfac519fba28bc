"""The report's figures as files, for papers and slides."""

import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pigeonhole.data.augmentation import Augmentation
from pigeonhole.data.split import TRAIN, VALID
from pigeonhole.errors import PigeonholeError, UsageError
from pigeonhole.evaluation import insight
from pigeonhole.evaluation.measures import measure
from pigeonhole.evaluation.predictions import Evaluation
from pigeonhole.pictures import images
from pigeonhole.report import figures, rendering, sheets, variations
from pigeonhole.report.answers import most_confident_mistakes
from pigeonhole.report.writing import attention
from pigeonhole.runs.run import Run

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from pigeonhole.model.classifier import Classifier

SEED = 0  # of the random pictures
SHOWN = 12  # pictures on a sheet of answers

SMOOTH = "_smooth"  # ends the name of a figure that is drawn a second time

Drawing = tuple[str, Callable[[], "Figure"]]  # a file's name without its suffix, and what draws it


@dataclass(frozen=True)
class Chosen:
    """What is drawn of the network.

    layer          the convolution whose filters and feature maps are drawn, None for each one
    input_channel  the channel that the filters are shown for, from 0
    picture        the file whose feature maps and variations are drawn, None for the evaluation's first
    smooth         whether what is made of pixels is drawn a second time without their edges
    plot_format    of the files, one of rendering.FORMATS
    """

    layer: str | None = None
    input_channel: int = 0
    picture: Path | None = None
    smooth: bool = False
    plot_format: str = "png"


def write(
    directory: Path,
    run: Run,
    classifier: "Classifier",
    evaluation: Evaluation,
    chosen: Chosen = Chosen(),
) -> list[Path]:
    """Draw all about the `run` of the `classifier` and its answers; gives the files written in `directory`.

    What the run does not tell is not drawn. Files of an earlier call are replaced, no others.

    Raises UsageError for a layer or channel that the network has not, a picture that cannot be read, and a
    directory that is a file, lies among the pictures or holds a file of the same name from elsewhere;
    PigeonholeError where a file cannot be written.
    """
    kernels = chosen_filters(classifier, chosen.layer, chosen.input_channel)
    if chosen.picture:
        pixels = _read(chosen.picture, classifier)
    else:
        pixels = images.as_input(evaluation.images[0], classifier.preprocessing)
    drawings = [
        *([] if classifier.is_foreign else _of_training(run, pixels)),
        ("class_balance", partial(figures.class_balance, evaluation.classes, _counts(run, evaluation))),
        *_of_answers(run, classifier, evaluation),
        *_of_network(classifier, kernels, chosen.input_channel, pixels),
    ]
    drawings = [each for each in drawings if chosen.smooth or not each[0].endswith(SMOOTH)]
    files = [directory / f"{name}.{chosen.plot_format}" for name, _ in drawings]
    _check(directory, files, evaluation.root)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for file, (_, draw) in zip(files, drawings, strict=True):
            rendering.save(draw(), file)
    except OSError as error:
        reason = error.strerror or error
        raise PigeonholeError(f"--plots {directory}: cannot be written ({reason}); name another") from error
    return files


def chosen_filters(classifier: "Classifier", layer: str | None, input_channel: int) -> dict[str, np.ndarray]:
    """Layer -> kernel float32 [h, w, in, out]: the chosen convolution, or each that has the channel.

    Raises UsageError, naming the choices, when there is none.
    """
    names = insight.shown_convolutions(classifier) if layer is None else [layer]
    kernels = {name: insight.filters(classifier, name) for name in names}
    fitting = {name: kernel for name, kernel in kernels.items() if input_channel < kernel.shape[2]}
    if kernels and not fitting:
        choices = ", ".join(f"{name} 0 to {kernel.shape[2] - 1}" for name, kernel in kernels.items())
        raise UsageError(f"--input-channel {input_channel}: no such channel; choose from {choices}")
    return fitting


def _read(picture: Path, classifier: "Classifier") -> np.ndarray:
    try:
        return images.preprocess(picture.read_bytes(), classifier.preprocessing)
    except images.ImageError as error:
        raise UsageError(f"--picture {picture}: {error}") from error
    except OSError as error:
        raise UsageError(f"--picture {picture}: {(error.strerror or str(error)).lower()}") from error


def _check(directory: Path, files: list[Path], pictures: Path) -> None:
    if directory.exists() and not directory.is_dir():
        raise UsageError(f"--plots {directory}: a file, not a folder")
    if directory.resolve().is_relative_to(pictures.resolve()):
        raise UsageError(f"--plots {directory}: lies among the pictures; name a folder elsewhere")
    for file in files:
        is_other = file.is_symlink() or not file.is_file()
        if os.path.lexists(file) and (is_other or not rendering.is_own(file)):
            raise UsageError(
                f"--plots {directory}: {file.name} there is not a figure of this program; name another folder"
            )


def _of_training(run: Run, pixels: np.ndarray) -> Iterator[Drawing]:
    try:
        settings, history, logged = run.settings(), run.history(), run.logged()
    except PigeonholeError:  # a model that was moved away from its run
        return
    yield "curves", partial(figures.curves, history, logged)
    yield "learning_rate", partial(figures.learning_rate, history)
    augmentation = Augmentation(**settings["recipe"]["augmentation"])
    how, varied = variations.of(pixels, augmentation, settings["options"]["network"])
    if len(varied):
        yield from _sharp_and_smooth("augmented", sheets.augmented, pixels, varied, how)


def _counts(run: Run, evaluation: Evaluation) -> dict[str, list[int]]:
    """Pictures of each class on each side: those of the run's split, where it is known, and the test's."""
    sides = {}
    if run.split_file.is_file():
        found = Counter((row["side"], row["class"]) for row in run.split())
        for side, name in ((TRAIN, "training"), (VALID, "validation")):
            sides[name] = [found[side, each] for each in evaluation.classes]
    return sides | {"test": np.bincount(evaluation.labels, minlength=len(evaluation.classes)).tolist()}


def _of_answers(run: Run, classifier: "Classifier", evaluation: Evaluation) -> Iterator[Drawing]:
    measured = measure(evaluation)
    yield "confusion", partial(figures.confusion, measured.confusion, evaluation.classes)
    yield (
        "reliability",
        partial(
            figures.reliability,
            measured.reliability_raw,
            measured.reliability_calibrated,
            measured.ece_raw,
            measured.ece_calibrated,
        ),
    )
    drawn = np.random.default_rng(SEED).permutation(evaluation.total)[:SHOWN]
    title = "Test pictures drawn at random"
    yield from _sharp_and_smooth("random_predictions", _answered, title, evaluation, drawn)
    if not evaluation.right.all():
        worst = most_confident_mistakes(evaluation)[:SHOWN]
        yield from _sharp_and_smooth("mistakes", _answered, "The most confident mistakes", evaluation, worst)
        yield "attention", partial(_attention, run, classifier, evaluation)


def _answered(title: str, evaluation: Evaluation, rows: np.ndarray, smooth: bool = False) -> "Figure":
    part = evaluation.select(rows)
    return sheets.predictions(title, part.images, part.labels, part.probabilities, part.classes, smooth)


def _attention(run: Run, classifier: "Classifier", evaluation: Evaluation) -> "Figure":
    rows, heat = attention(run, classifier, evaluation)
    captions = [
        f"{evaluation.classes[label]}, taken for {evaluation.classes[answer]}"
        for label, answer in zip(evaluation.labels[rows], evaluation.predicted[rows], strict=True)
    ]
    return sheets.attention(evaluation.images[rows], heat, captions)


def _of_network(
    classifier: "Classifier", kernels: dict[str, np.ndarray], input_channel: int, pixels: np.ndarray
) -> Iterator[Drawing]:
    if not classifier.is_foreign:
        yield "network", partial(figures.network, classifier.layers, pixels.shape)
    for layer, kernel in kernels.items():
        yield from _sharp_and_smooth(f"filters_{layer}", sheets.filters, kernel, layer, input_channel)
        mapped = insight.mapped_layers(classifier, layer)
        for name, maps in zip(mapped, insight.feature_maps(classifier, pixels[None], mapped), strict=True):
            yield from _sharp_and_smooth(f"feature_maps_{name}", sheets.feature_maps, maps[0], name)


def _sharp_and_smooth(name: str, draw: Callable, *given: object) -> Iterator[Drawing]:
    yield name, partial(draw, *given)
    yield name + SMOOTH, partial(draw, *given, smooth=True)
