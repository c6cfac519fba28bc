"""Pictures drawn side by side with captions, into one picture file."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np

from pigeonhole import atomic_file

MIN_TILE = 96  # pixels; smaller pictures are enlarged
GAP, CAPTION_HEIGHT, FONT_SIZE = 8, 20, 14  # pixels
WHITE, BLACK = 255, (0, 0, 0)


def draw(images: np.ndarray, captions: Sequence[str]) -> np.ndarray:
    """Pictures uint8 [n, S, S, C], each above its caption, as one RGB uint8 [H, W, 3].

    Small ones are enlarged by a whole factor, pixel by pixel. OpenCV's built-in font covers Latin, Greek,
    Cyrillic, Arabic, Chinese, Japanese and Korean letters; others appear as question marks.
    """
    factor = math.ceil(MIN_TILE / images.shape[1])
    side = images.shape[1] * factor
    columns = math.ceil(math.sqrt(len(images)))
    rows = math.ceil(len(images) / columns)
    width, height = side + GAP, side + CAPTION_HEIGHT + GAP
    grid = np.full((rows * height + GAP, columns * width + GAP, 3), WHITE, np.uint8)
    for place, (image, caption) in enumerate(zip(images, captions, strict=True)):
        top, left = GAP + place // columns * height, GAP + place % columns * width
        grid[top : top + side, left : left + side] = image.repeat(factor, axis=0).repeat(factor, axis=1)
        _write(grid, caption, (left, top + side + FONT_SIZE + 2), side)
    return grid


def save(path: Path, images: np.ndarray, captions: Sequence[str]) -> None:
    """`draw` into a PNG or JPEG file, as its suffix says."""
    _, encoded = cv2.imencode(path.suffix, cv2.cvtColor(draw(images, captions), cv2.COLOR_RGB2BGR))
    with atomic_file.write_bytes_out(path) as file:  # cv2.imwrite cannot write to every path on Windows
        file.write(encoded.tobytes())


def _write(grid: np.ndarray, text: str, origin: tuple[int, int], width: int) -> None:
    font = cv2.FontFace("sans")
    text = _fitting(text, width, lambda part: cv2.getTextSize((0, 0), part, (0, 0), font, FONT_SIZE)[2])
    cv2.putText(grid, text, origin, BLACK, font, FONT_SIZE)


def _fitting(text: str, width: int, measure: Callable[[str], int]) -> str:
    """`text`, or as much of its beginning as leaves room for dots in `width` pixels."""
    if measure(text) <= width:
        return text
    while text and measure(text + "...") > width:
        text = text[:-1]
    return text + "..."
