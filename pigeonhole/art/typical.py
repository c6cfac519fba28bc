"""The picture that a network finds most typical of each class, made by the network alone, from noise.

Activation maximisation (Erhan et al., 2009), kept natural as in Yosinski et al., "Understanding Neural
Networks Through Deep Visualization" (2015): by decay, blur and clipping. Jitter and changing sizes keep off
patterns that are bound to single pixels (Mordvintsev et al., 2015), and each step goes where pictures
vary: in frequencies as 1/f and in colours as photos do (Olah, Mordvintsev and Schubert, "Feature
Visualization", 2017).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np

from pigeonhole.errors import PigeonholeError

GREY = 117.0
TINY = 1e-8
# How red, green and blue vary together in photos: factors of brightness, blue to yellow, green to magenta.
_COLOURS = np.array([[0.26, 0.09, 0.02], [0.27, 0.00, -0.05], [0.27, -0.09, 0.03]], np.float32)
_CONTRAST = 110.0  # levels from grey that the strongest half percent of a shown picture has
_STRONGEST = 99.5  # percentile

# Pictures float32 [K, S, S, C] 0..255, one for each class, and the boxes float32 [K, 4] that are seen
# of them: top, left, bottom, right as shares of the side, grey beyond 0..1 -> the log-odds of each class,
# float32 [K], and their gradients float32 [K, S, S, C].
LogOdds = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Settings:
    """How the pictures are made.

    side    of a picture in pixels at most: the network is shown a larger one, finer than which it would find
            textures instead of shapes
    steps   in all
    step    root mean square of the first step in levels of 255; the last has a fifth of it
    noise   standard deviation of the start
    jitter  how far the network looks aside at most, as a share of the side
    nearer  how much nearer it looks at most, as a share of the side
    decay   share of its distance from grey that a picture loses at a step
    blur    standard deviation in pixels at the beginning and at the end, at every fourth step
    """

    side: int = 96
    steps: int = 128
    step: float = 4.0
    noise: float = 10.0
    jitter: float = 1 / 8
    nearer: float = 0.2
    decay: float = 0.02
    blur: tuple[float, float] = (1.0, 0.3)
    seed: int = 0


class Stage(NamedTuple):
    """Pictures float32 [K, S, S, C] 0..255 after `number` of the `steps`, and the log-odds float32 [K]
    before the last of these."""

    number: int
    steps: int
    log_odds: np.ndarray
    pictures: np.ndarray


def maximise(
    log_odds: LogOdds, shape: tuple[int, int, int, int], settings: Settings = Settings()
) -> Iterator[Stage]:
    """Make K pictures, [K, S, S, C], from noise. Raises PigeonholeError where an answer is no number."""
    random = np.random.default_rng(settings.seed)
    pictures = (GREY + random.normal(0, settings.noise, shape)).astype(np.float32)
    for number in range(settings.steps):
        progress = number / settings.steps
        values, gradient = log_odds(pictures, boxes(random, shape[0], settings))
        if not (np.isfinite(values).all() and np.isfinite(gradient).all()):
            raise PigeonholeError(
                "the network answers what is no number (NaN or infinite); its weights are damaged"
            )
        direction = natural(gradient)
        size = np.sqrt(np.square(direction).mean((1, 2, 3), keepdims=True)) + TINY
        pictures = pictures + settings.step * np.float32(1 - 0.8 * progress) * direction / size
        pictures = GREY + (pictures - GREY) * (1 - settings.decay)
        if number % 4 == 0 and number < settings.steps - 3:
            first, last = settings.blur
            deviation = first + (last - first) * progress
            pictures = np.stack([cv2.GaussianBlur(each, (0, 0), deviation) for each in pictures])
        pictures = np.clip(pictures.reshape(shape), 0, 255)
        yield Stage(number + 1, settings.steps, values, pictures)


def boxes(random: np.random.Generator, count: int, settings: Settings) -> np.ndarray:
    """What is seen of each picture in a step, float32 [count, 4]: a square, somewhat nearer and aside."""
    side = 1 - random.uniform(0, settings.nearer, count)
    top, left = (1 - side) / 2 + random.uniform(-settings.jitter, settings.jitter, (2, count))
    return np.stack([top, left, top + side, left + side], axis=1).astype(np.float32)


def natural(gradient: np.ndarray) -> np.ndarray:
    """float32 [K, S, S, C] -> the same in other proportions: slow changes over a picture count more than
    quick ones, by 1/f, and brightness more than colour."""
    side = gradient.shape[1]
    rows, columns = np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None]
    frequencies = np.maximum(np.hypot(rows, columns), 1 / side)[None, :, :, None]
    spectrum = np.fft.rfft2(gradient, axes=(1, 2)) / frequencies
    found = np.fft.irfft2(spectrum, (side, side), axes=(1, 2)).astype(np.float32)
    return found @ (_COLOURS @ _COLOURS.T) if gradient.shape[-1] == 3 else found


def shown(pictures: np.ndarray) -> np.ndarray:
    """Pictures as they come, float32 [K, S, S, C], in full contrast: uint8 [K, S, S, 3].

    Networks that standardise each picture answer to faint ones alike.
    """
    mean = pictures.mean(axis=(1, 2), keepdims=True)
    apart = pictures - mean
    strongest = np.percentile(np.abs(apart), _STRONGEST, axis=(1, 2, 3), keepdims=True)
    stretched = GREY + (apart + (mean - GREY) / 2) * np.maximum(1, _CONTRAST / np.maximum(strongest, TINY))
    levels = np.clip(np.rint(stretched), 0, 255).astype(np.uint8)
    return levels if levels.shape[-1] == 3 else levels.repeat(3, axis=-1)
