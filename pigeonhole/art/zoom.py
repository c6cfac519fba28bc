"""A flight into a dream: each picture is the middle of the one before it, enlarged and dreamt on."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from pigeonhole.art import dream
from pigeonhole.art.dream import Objective, Settings, Step
from pigeonhole.pictures import images

PACE = 1.05  # how much larger things are in the next picture
OCTAVES, STEPS = 2, 4  # at most, of each picture but the first: it begins with what has been dreamt


def zoom(picture: np.ndarray, objective: Objective, settings: Settings, pictures: int) -> Iterator[Step]:
    """The steps of so many pictures of one size one after the other; as `dream.dream` for the first."""
    brief = replace(settings, octaves=min(OCTAVES, settings.octaves), steps=min(STEPS, settings.steps))
    for number in range(pictures):
        for step in dream.dream(picture, objective, brief if number else settings):
            yield step
        picture = nearer(step.whole().astype(np.float32))


def nearer(picture: np.ndarray) -> np.ndarray:
    """The middle of float32 [H, W, 3], enlarged to the same size."""
    height, width = picture.shape[:2]
    rows, columns = round(height / PACE), round(width / PACE)
    top, left = (height - rows) // 2, (width - columns) // 2
    return images.scaled(picture[top : top + rows, left : left + columns], height, width)
