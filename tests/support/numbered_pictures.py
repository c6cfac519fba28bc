"""Pictures in two classes, each told from the others by its number."""

from pathlib import Path

import cv2
import numpy as np


def draw(path: Path, number: int) -> None:
    """A picture of its own for each number, in the format that the suffix says."""
    random = np.random.default_rng(number)
    picture = cv2.resize(random.integers(0, 256, (6, 8, 3), np.uint8), (40, 30))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(path.suffix, picture)[1].tobytes())


def draw_tree(root: Path, count: int) -> Path:
    for number in range(count):
        draw(root / ("cats" if number % 2 else "dogs") / f"{number:04}.png", number)
    return root
