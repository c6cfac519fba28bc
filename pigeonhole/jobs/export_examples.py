"""The pictures by which an export is judged: the run's validation pictures, where they are still there."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from pigeonhole.data.parallel import in_parallel, one_opencv_thread
from pigeonhole.errors import PigeonholeError
from pigeonhole.features import known
from pigeonhole.model import metagraph
from pigeonhole.model.export.replaying import Examples, batches
from pigeonhole.pictures import images
from pigeonhole.pictures.images import ImageError, Preprocessing
from pigeonhole.runs.run import Run, TrainingPicture

MOST = 500  # pictures that an export is asked for
CALIBRATING = 125  # training pictures; more changed no answer
VALIDATION = "validation pictures"
KEPT = "thumbnails of training pictures kept in the run"


def find(run: Run, session) -> Examples:
    """The golden examples and up to `MOST` validation pictures of the run that is restored in `session`.

    Where none of these can be read any more, the thumbnails that the run keeps, which have no labels: how
    many are right would flatter.
    """
    classes, preprocessing = metagraph.read_classes(session), metagraph.read_contract(session).preprocessing
    golden, golden_probabilities = metagraph.read_golden(session)
    chosen = _some(list(run.training_pictures("valid")), MOST)
    pixels, rows = _read(chosen, preprocessing)
    kind, labels = VALIDATION, None
    if rows and all(chosen[row].class_name in classes for row in rows):
        labels = np.array([classes.index(chosen[row].class_name) for row in rows])
    elif not rows:
        kind, pixels = KEPT, _thumbnails(run, preprocessing)
    said = [session.run("y_pred:0", {"x:0": part}) for part in batches(pixels)]
    probabilities = np.concatenate(said) if said else np.empty((0, len(classes)), np.float32)
    missing = len(chosen) - len(rows)
    return Examples(golden.pixels, golden_probabilities, kind, pixels, probabilities, labels, missing)


def calibration(run: Run, session) -> np.ndarray:
    """uint8 [M, S, S, C]: training pictures as the network takes them, up to `CALIBRATING`.

    Raises PigeonholeError where none can be read.
    """
    preprocessing = metagraph.read_contract(session).preprocessing
    pixels, rows = _read(_some(list(run.training_pictures()), CALIBRATING), preprocessing)
    if not rows:
        raise PigeonholeError(
            f"int8 is calibrated on training pictures, and {run} names none that can be read"
        )
    return pixels


def where(run: Run) -> str:
    """Where they should be, to be put behind that they are not there."""
    try:
        folder = Path(run.settings()["options"]["data"])
    except (PigeonholeError, KeyError, TypeError):
        return ""
    if folder.is_absolute():
        return f"; put them back: {folder}"
    return f"; put them back: {folder.absolute()}, or work in the folder in which the training was started"


def _some(pictures: Sequence[TrainingPicture], most: int) -> list[TrainingPicture]:
    """So many of them at random, always the same."""
    rows = np.sort(np.random.default_rng(0).permutation(len(pictures))[:most])
    return [pictures[row] for row in rows]


def _read(pictures: Iterable[TrainingPicture], preprocessing: Preprocessing) -> tuple[np.ndarray, list[int]]:
    """The pixels of those that are still what the run has recorded, and their positions."""

    def read(picture: TrainingPicture) -> np.ndarray | None:
        try:
            return images.preprocess(picture.read(), preprocessing)
        except PigeonholeError:
            return None

    with one_opencv_thread():
        found = list(in_parallel(read, pictures))
    rows = [row for row, pixels in enumerate(found) if pixels is not None]
    return _stacked([found[row] for row in rows], preprocessing), rows


def _thumbnails(run: Run, preprocessing: Preprocessing) -> np.ndarray:
    kept = known.read(run)
    pixels = []
    for row in range(min(MOST, len(kept)) if kept else 0):
        try:
            pixels.append(images.preprocess(kept.thumbnail(row), preprocessing))
        except ImageError:
            continue
    return _stacked(pixels, preprocessing)


def _stacked(pixels: Sequence[np.ndarray], preprocessing: Preprocessing) -> np.ndarray:
    shape = (0, preprocessing.image_size, preprocessing.image_size, preprocessing.channels)
    return np.stack(pixels) if pixels else np.empty(shape, np.uint8)
