"""The page's icons, drawn from the web app's `icon.svg`: rectangles with round corners."""

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import cv2
import numpy as np

_SVG = "{http://www.w3.org/2000/svg}"
_SAFE = 0.85  # how far a full-bleed icon is shrunk: systems cut off what is outside of 0.8 of it, round


def draw(svg: Path, side: int, full_bleed: bool = False) -> bytes:
    """PNG of `side` x `side` pixels, RGBA. `full_bleed`: the ground fills all of it, as phones want it."""
    tree = ElementTree.parse(svg).getroot()
    span = float(tree.get("viewBox").split()[2])
    image = np.zeros((side, side, 4))  # premultiplied, 0..1
    for number, (rectangle, outer) in enumerate(_rectangles(tree)):
        x, y, width, height, radius = (float(rectangle.get(key, 0)) for key in _KEYS)
        centre, half = np.array([y + height / 2, x + width / 2]), np.array([height / 2, width / 2])
        if full_bleed and number == 0:
            half, radius = 2 * half, 0.0
        elif full_bleed:
            centre, half, radius = (centre - span / 2) * _SAFE + span / 2, half * _SAFE, radius * _SAFE
        cover = _cover(side, span, centre, half, radius) * float(outer.get("fill-opacity", 1))
        colour = _colour(rectangle.get("fill") or outer.get("fill"))
        image = cover[..., None] * np.append(colour, 1) + (1 - cover[..., None]) * image
    image[..., :3] /= np.maximum(image[..., 3:], 1e-9)
    levels = np.rint(255 * image).astype(np.uint8)
    return cv2.imencode(".png", cv2.cvtColor(levels, cv2.COLOR_RGBA2BGRA), [cv2.IMWRITE_PNG_COMPRESSION, 9])[
        1
    ].tobytes()


_KEYS = ("x", "y", "width", "height", "rx")


def _rectangles(tree: ElementTree.Element):
    """Each rectangle and the element whose fill it takes where it has none."""
    for element in tree:
        if element.tag == f"{_SVG}rect":
            yield element, element
        else:
            yield from ((inner, element) for inner in element.iter(f"{_SVG}rect"))


def _cover(side: int, span: float, centre: np.ndarray, half: np.ndarray, radius: float) -> np.ndarray:
    """How far each pixel is covered, 0..1 [side, side], by its centre's distance from the edge."""
    scale = side / span
    place = (np.mgrid[0:side, 0:side] + 0.5) / scale
    beyond = np.abs(place - centre[:, None, None]) - half[:, None, None] + radius
    distance = np.hypot(*np.maximum(beyond, 0)) + np.minimum(beyond.max(axis=0), 0) - radius
    return np.clip(0.5 - distance * scale, 0, 1)


def _colour(text: str) -> np.ndarray:
    """RGB 0..1 of `#rrggbb` or `#rgb`."""
    digits = text.lstrip("#")
    if len(digits) == 3:
        digits = "".join(2 * digit for digit in digits)
    return np.array([int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)])
