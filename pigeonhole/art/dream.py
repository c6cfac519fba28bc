"""Deep dream: a picture is changed step by step so that layers of a network answer more to it.

After Mordvintsev, Olah and Tyka, "Inceptionism: Going deeper into neural networks" (2015), and the program
that was published with it: gradient ascent at several sizes, the octaves, from the smallest to the picture's
own, each computed in tiles whose edges lie elsewhere at every step. With its variant by a Laplacian pyramid.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np

from pigeonhole.errors import PigeonholeError, UsageError
from pigeonhole.pictures import images

SMALLEST = 16  # pixels of a picture's shorter side; smaller octaves are left out
NOISE_SIZE, NOISE_LEVEL = 224, 100.0
_NEXT_TO_NOTHING = 1e-30
TINY = 1e-7  # beside the mean absolute gradient, as published

# A picture float32 [h, w, 3], RGB 0..255 and perhaps beyond, to its objective and the gradient, shaped alike.
Objective = Callable[[np.ndarray], tuple[float, np.ndarray]]


@dataclass(frozen=True)
class Settings:
    """How a picture is changed; the defaults are those published.

    steps      of each octave
    step_size  by how many levels of 255 a step changes a value, in the mean
    octaves    sizes of the picture, its own included
    scale      how much larger each of them is than the one before it
    tile       the longest side in pixels that the network is shown at once
    seed       decides where the edges of the tiles lie
    levels     how many finer levels of detail count as much as the coarsest in a step; 0: all as it comes,
               which is mostly the finest
    """

    steps: int = 10
    step_size: float = 1.5
    octaves: int = 4
    scale: float = 1.4
    tile: int = 512
    seed: int = 0
    levels: int = 0


class Step(NamedTuple):
    """A picture on its way, after `number` of the `steps` of an `octave`, from 1, the smallest, to `octaves`.

    `picture`: float32 [h, w, 3] at the size of the octave, 0..255 and beyond; it is not changed later.
    `details`: what larger octaves add, as `whole` takes it.
    """

    octave: int
    octaves: int
    number: int
    steps: int
    objective: float
    picture: np.ndarray
    details: Sequence[np.ndarray]

    @property
    def is_last(self) -> bool:
        """Whether the dream ends here."""
        return (self.octave, self.number) == (self.octaves, self.steps)

    def whole(self) -> np.ndarray:
        """The picture uint8 [H, W, 3] at its full size, with the details that shrinking took from it."""
        picture = self.picture
        for detail in self.details:
            picture = _enlarged(picture, detail)
        return np.clip(np.rint(picture), 0, 255).astype(np.uint8)


def noise(seed: int = 0, size: int = NOISE_SIZE) -> np.ndarray:
    """A picture without content to start from, as published: float32 [size, size, 3], 100 to 101."""
    uniform = np.random.default_rng(seed).random((size, size, 3), np.float32)
    return uniform + np.float32(NOISE_LEVEL)


def dream(picture: np.ndarray, objective: Objective, settings: Settings = Settings()) -> Iterator[Step]:
    """Change `picture`, [H, W, 3] 0..255, so that `objective` rises: every step, and each octave's start.

    Raises UsageError for a picture under 16 pixels a side, PigeonholeError where the gradient holds what is
    no number or is zero everywhere.
    """
    if min(picture.shape[:2]) < SMALLEST:
        height, width = picture.shape[:2]
        raise UsageError(
            f"the picture has {width} x {height} pixels; it needs {SMALLEST} or more on each side"
        )
    shift = np.random.default_rng(settings.seed)
    smallest, details = split(picture.astype(np.float32), settings)
    changed = smallest
    for octave in range(len(details) + 1):
        if octave:
            changed = _enlarged(changed, details[octave - 1])
        for number in range(settings.steps + 1):
            value, gradient = tiled(objective, changed, settings.tile, shift.integers(settings.tile, size=2))
            place = octave + 1, len(details) + 1, number, settings.steps
            yield Step(*place, value, changed, details[octave:])
            if number < settings.steps:
                mean = _mean_of(gradient)
                if settings.levels:
                    gradient = evened(gradient, settings.levels)
                    mean = _mean_of(gradient)
                changed = changed + gradient * np.float32(settings.step_size / mean)


def split(picture: np.ndarray, settings: Settings) -> tuple[np.ndarray, list[np.ndarray]]:
    """The smallest octave of float32 [H, W, 3], and for each larger one the detail that enlarging lacks."""
    details = []
    for _ in range(settings.octaves - 1):
        height, width = (int(side / settings.scale) for side in picture.shape[:2])
        if min(height, width) < SMALLEST:
            break
        smaller = images.scaled(picture, height, width)
        details.insert(0, picture - images.scaled(smaller, *picture.shape[:2]))
        picture = smaller
    return picture, details


def tiled(
    objective: Objective, picture: np.ndarray, tile: int, shift: Sequence[int]
) -> tuple[float, np.ndarray]:
    """The objective of float32 [h, w, 3], rolled by `shift` rows and columns, and its gradient rolled back.

    The rolled picture is cut into equal tiles of at most `tile` pixels a side. Each counts for the objective
    as much as its area, and the network never sees more than one, so that its memory does not grow with the
    picture. Where one tile suffices it is the objective's own gradient.
    """
    rolled = np.roll(picture, shift, axis=(0, 1))
    gradient = np.empty_like(rolled)
    value = 0.0
    for rows in _spans(picture.shape[0], tile):
        for columns in _spans(picture.shape[1], tile):
            part = rolled[rows, columns]
            share = part.size / picture.size
            of_part, gradient[rows, columns] = objective(np.ascontiguousarray(part))
            gradient[rows, columns] *= np.float32(share)
            value += share * of_part
    return value, np.roll(gradient, np.negative(shift), axis=(0, 1))


def evened(gradient: np.ndarray, levels: int) -> np.ndarray:
    """float32 [h, w, 3] in other proportions: each level of its Laplacian pyramid with a mean square of 1."""
    details = []
    while len(details) < levels and min(gradient.shape[:2]) >= SMALLEST:
        smaller = cv2.pyrDown(gradient)
        details.append(gradient - cv2.pyrUp(smaller, dstsize=gradient.shape[1::-1]))
        gradient = smaller
    found = _of_size_one(gradient)
    for detail in reversed(details):
        found = cv2.pyrUp(found, dstsize=detail.shape[1::-1]) + _of_size_one(detail)
    return found


def _of_size_one(values: np.ndarray) -> np.ndarray:
    return values / np.float32(max(np.sqrt(np.square(values).mean(dtype=np.float64)), _NEXT_TO_NOTHING))


def _spans(side: int, tile: int) -> list[slice]:
    edges = np.linspace(0, side, -(-side // tile) + 1).round().astype(int)
    return [slice(start, end) for start, end in itertools.pairwise(edges)]


def _enlarged(picture: np.ndarray, detail: np.ndarray) -> np.ndarray:
    return images.scaled(picture, *detail.shape[:2]) + detail


def _mean_of(gradient: np.ndarray) -> float:
    """The mean absolute value. Raises PigeonholeError where it leads nowhere."""
    mean = float(np.abs(gradient).mean())
    if not np.isfinite(mean):
        raise PigeonholeError("the network's answer is no number (NaN or infinite); its weights are damaged")
    if mean == 0:
        raise PigeonholeError(
            "nothing changes the answer here, its gradient is zero everywhere; take another channel, "
            "or the layer before its ReLU"
        )
    return mean + TINY
