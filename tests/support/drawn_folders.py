"""Folders of drawn pictures, one subfolder for each class."""

from pathlib import Path

import cv2
import numpy as np

PHOTO_SIDE = 64  # pixels, above thumbnail size


def draw_blur(path: Path, number: int) -> None:
    """A PNG file of smooth random colours, different for each number."""
    random = np.random.default_rng(number)
    picture = cv2.resize(random.integers(0, 256, (6, 8, 3), np.uint8), (24, 20))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(".png", picture)[1].tobytes())


def draw_tree(root: Path, counts: dict[str, int]) -> Path:
    """So many pictures of each class, no two alike."""
    for place, (class_name, count) in enumerate(counts.items()):
        for number in range(count):
            draw_blur(root / class_name / f"{number:03}.png", 1000 * place + number)
    return root


def draw_patches(
    folder: Path, count: int, seed: int = 0, classes: tuple[str, ...] = ("rot", "grün", "blau")
) -> Path:
    """`count` noisy pictures of each class, with a patch in the class's colour: easy to learn."""
    rng = np.random.default_rng(seed)
    for label, name in enumerate(classes):
        (folder / name).mkdir(parents=True)
        for number in range(count):
            image = rng.integers(60, 200, (24, 30, 3), np.uint8)
            top, left = rng.integers(0, 12, 2)
            image[top : top + 12, left : left + 12] = 0
            image[top : top + 12, left : left + 12, 2 - label % 3] = 255
            encoded = cv2.imencode(".png", image)[1]
            (folder / name / f"{number:03}.png").write_bytes(encoded.tobytes())
    return folder


def draw_photos(folder: Path, count: int, wrong: int = 0, times: int = 1) -> Path:
    """`count` noisy pictures above thumbnail size of each of two classes, so many of them in the other's.

    `times`: how many times as large."""
    random = np.random.default_rng(0)
    for label, name in enumerate(("stripes", "spots")):
        (folder / name).mkdir(parents=True)
        for number in range(count):
            image = random.integers(60, 200, (PHOTO_SIDE, PHOTO_SIDE + 8, 3), np.uint8)
            if label ^ (number < wrong):
                cv2.circle(
                    image, tuple(int(value) for value in random.integers(16, 48, 2)), 12, (0, 0, 255), -1
                )
            else:
                image[:, int(random.integers(8, 48)) :: 16] = 255
            image = image.repeat(times, axis=0).repeat(times, axis=1)
            (folder / name / f"{number:03}.png").write_bytes(cv2.imencode(".png", image)[1].tobytes())
    return folder
