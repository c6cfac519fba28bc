"""Pictures inside a page: as data URIs, small enough that a report can hold hundreds."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from pigeonhole.evaluation.predictions import Evaluation
from pigeonhole.pictures.thumbnails import as_uri, data_uri
from pigeonhole.report.page import Section

TOP = 3  # classes named for each picture
LISTED_CLASSES = 500  # in a table with a row for each


@dataclass(frozen=True)
class Limits:
    """How much a report shows.

    `cells`: confusions with their pictures; `pile`: pictures of each; `gallery`: pictures of every other
    gallery; `side`: largest side of a picture in pixels; `channels`: input channels of a convolution.
    """

    cells: int
    pile: int
    gallery: int
    side: int
    channels: int


# Tried in this order until the sections fit.
GENEROSITY = (
    Limits(cells=400, pile=8, gallery=20, side=128, channels=64),
    Limits(cells=400, pile=5, gallery=20, side=112, channels=48),
    Limits(cells=400, pile=3, gallery=16, side=96, channels=32),
    Limits(cells=300, pile=2, gallery=12, side=80, channels=16),
    Limits(cells=100, pile=2, gallery=12, side=64, channels=8),
    Limits(cells=40, pile=1, gallery=8, side=48, channels=3),
    Limits(cells=0, pile=0, gallery=4, side=32, channels=1),
)


def fitting(build: Callable[[Limits], list[Section]], max_bytes: int) -> list[Section]:
    """The sections at the most generous limits at which they take no more than `max_bytes`."""
    for limits in GENEROSITY:
        sections = build(limits)
        if sum(section.num_bytes for section in sections) <= max_bytes:
            break
    return sections


def lossless_uri(image: np.ndarray) -> str:
    """uint8 [H, W, 4] RGBA, or grey [H, W], as a PNG data URI: for drawings whose every pixel counts."""
    if image.ndim == 3:
        image = cv2.cvtColor(image, cv2.COLOR_RGBA2BGRA)
    return as_uri(cv2.imencode(".png", image, [cv2.IMWRITE_PNG_COMPRESSION, 9])[1].tobytes(), "png")


@dataclass(frozen=True)
class Tile:
    """A picture as a gallery shows it, with the `top` classes and their probabilities, best first."""

    src: str
    name: str
    true: str
    predicted: str
    confidence: float
    unsure: bool
    top: list[tuple[str, float]]

    @property
    def right(self) -> bool:
        return self.true == self.predicted


def tiles(evaluation: Evaluation, rows: Sequence[int] | np.ndarray, side: int) -> list[Tile]:
    """The pictures at `rows` of an evaluation, in that order."""
    return [_tile(evaluation, int(row), side) for row in rows]


def _tile(evaluation: Evaluation, row: int, side: int) -> Tile:
    probabilities, classes = evaluation.probabilities[row], evaluation.classes
    best = np.argsort(-probabilities, kind="stable")[:TOP]
    return Tile(
        src=data_uri(evaluation.images[row], side),
        name=evaluation.names[row],
        true=classes[evaluation.labels[row]],
        predicted=classes[int(evaluation.logits[row].argmax())],
        confidence=float(probabilities.max()),
        unsure=bool(evaluation.unsure[row]),
        top=[(classes[index], float(probabilities[index])) for index in best],
    )


def tiled(maps: np.ndarray, columns: int, gap: int = 1) -> np.ndarray:
    """Small pictures [n, h, w, 4] side by side, `columns` in a row, `gap` transparent pixels apart."""
    count, height, width, channels = maps.shape
    rows = -(-count // columns)
    sheet = np.zeros((rows * (height + gap) - gap, columns * (width + gap) - gap, channels), np.uint8)
    for place, small in enumerate(maps):
        top, left = place // columns * (height + gap), place % columns * (width + gap)
        sheet[top : top + height, left : left + width] = small
    return sheet
