"""What of a picture may tell its class although it is not the object: file, shape, border, light, camera."""

import itertools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import cv2
import numpy as np

from pigeonhole.data.folders import Record
from pigeonhole.data.parallel import available_cores, in_parallel, one_opencv_thread
from pigeonhole.data.pixels import Pixels

FILE_SIZE, FORMAT, SHAPE = "file size", "file format", "width and height"
BORDER, COLOUR, CAMERA = "border pixels", "mean colour", "camera"

COLOUR_LEFT = 0.1  # of the expected mistakes; the object's own colour often leaves no more than half
CELLS = 4  # along each side of the middle
BLOCK = 64  # pictures that a thread reads and measures at a time
ROUNDING = 1e-5  # of a deviation; what is below it comes of squares that cancel out


class Kind(NamedTuple):
    """Features of one kind, float [N, F]; what in the picture may explain them, float [N, G]; and the share
    of the expected mistakes that a shortcut may leave."""

    features: np.ndarray
    explanation: np.ndarray | None = None
    may_leave: float = 1.0


def features(records: Sequence[Record], pictures: np.ndarray | Pixels, rows: np.ndarray) -> dict[str, Kind]:
    """Each kind's features of the n pictures in `rows`, of which `records` are.

    pictures  uint8 [N, S, S, C]; may lie on disk
    """
    border, middle, colour, detail = _measured(pictures, rows)
    sides = np.array([(record.width, record.height) for record in records])
    sizes = np.log([record.file_size for record in records])
    oddities = sorted({oddity for record in records for oddity in record.oddities})
    saved = [[record.format for record in records]]
    saved += [[oddity in record.oddities for record in records] for oddity in oddities]
    return {
        FILE_SIZE: Kind(np.column_stack([sizes, sizes - np.log(sides.prod(axis=1))]), detail),
        FORMAT: Kind(np.column_stack([_codes(values) for values in saved])),
        SHAPE: Kind(np.column_stack([sides, sides[:, 0] / sides[:, 1]])),
        BORDER: Kind(border, middle),
        COLOUR: Kind(colour, may_leave=COLOUR_LEFT),
        CAMERA: Kind(_codes([record.camera for record in records])[:, np.newaxis]),
    }


def _measured(pictures: np.ndarray | Pixels, rows: np.ndarray) -> list[np.ndarray]:
    """Of the n pictures: figures of the border, of the middle, the mean colour, and the detail."""

    def of_block(block: np.ndarray) -> list[tuple[np.ndarray, ...]]:
        return [_measure(picture) for picture in pictures[block]]

    blocks = (rows[at : at + BLOCK] for at in range(0, len(rows), BLOCK))
    with one_opencv_thread():
        measured = itertools.chain.from_iterable(in_parallel(of_block, blocks, available_cores()))
        found = [np.array(figures) for figures in zip(*measured, strict=True)]
    return [np.where(figures < ROUNDING, 0, figures) for figures in found]


def _measure(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Of uint8 [S, S, C]: mean and deviation of each channel along each side, [8 C], and in the cells
    of the middle, [2 CELLS^2 C], the mean colour, [C], and the detail, [5]."""
    sides = picture[:1], picture[-1:], picture[:, :1], picture[:, -1:]
    border = np.ravel([cv2.meanStdDev(side) for side in sides])
    cells = np.array([cv2.meanStdDev(cell) for cell in _cells(picture)])
    middle = np.ravel([cells[:, 0], cells[:, 1]])
    return border, middle, np.array(cv2.mean(picture)[: picture.shape[2]]), _detail(picture)


def _cells(picture: np.ndarray) -> Iterator[np.ndarray]:
    """The inner half, cut into squares, row by row."""
    side = len(picture)
    inset = side // 4
    cells = min(CELLS, side - 2 * inset)
    width = (side - 2 * inset) // cells
    starts = [inset + width * cell for cell in range(cells)]
    for top, left in itertools.product(starts, starts):
        yield picture[top : top + width, left : left + width]


def _detail(picture: np.ndarray) -> np.ndarray:
    """How much there is to compress: contrast, and steps between neighbours at two scales, [5].

    Taken at a half and a quarter of the size, where a previous compression has left no traces.
    """
    channels = picture.shape[2]
    half = _halved(cv2.transform(picture.astype(np.float32), np.ones((1, channels), np.float32)))
    steps = [_steps(each) for scale in (half, _halved(half)) for each in (scale, scale.T)]
    return np.array([cv2.meanStdDev(half)[1].item(), *steps]) / channels


def _halved(plane: np.ndarray) -> np.ndarray:
    """float32 [S, S] averaged over squares of two by two; a single pixel stays."""
    if len(plane) == 1:
        return plane
    even = len(plane) // 2 * 2
    rows = plane[0:even:2] + plane[1:even:2]
    return (rows[:, 0:even:2] + rows[:, 1:even:2]) / 4


def _steps(plane: np.ndarray) -> float:
    """The sum of the differences between a row of float32 [S, S] and the next, whatever their sign."""
    return cv2.norm(plane[:-1], plane[1:], cv2.NORM_L1) if len(plane) > 1 else 0.0


def _codes(values: Sequence) -> np.ndarray:
    """A number for each different value, in the values' order."""
    return np.unique(values, return_inverse=True)[1]
