"""What of a picture may tell its class although it is not the object: file, shape, border, light, camera."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from pigeonhole.data.folders import Record
from pigeonhole.data.pixels import Pixels

FILE_SIZE, FORMAT, SHAPE = "file size", "file format", "width and height"
BORDER, COLOUR, CAMERA = "border pixels", "mean colour", "camera"

COLOUR_LEFT = 0.1  # of the expected mistakes; the object's own colour often leaves no more than half
CELLS = 4  # along each side of the middle
BLOCK = 256  # pictures in memory at once


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
    measured = [_measure(pictures[rows[at : at + BLOCK]]) for at in range(0, len(rows), BLOCK)]
    border, middle, colour, detail = map(np.concatenate, zip(*measured, strict=True))
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


def _measure(pictures: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Of uint8 [n, S, S, C]: figures of the border, of the middle, the mean colour, and the detail."""
    return _border(pictures), _middle(pictures), pictures.mean(axis=(1, 2)), _detail(pictures)


def _border(pictures: np.ndarray) -> np.ndarray:
    """Mean and standard deviation of each channel of the outermost pixels along each side: [n, 8 C]."""
    sides = pictures[:, 0], pictures[:, -1], pictures[:, :, 0], pictures[:, :, -1]
    return np.concatenate([figure for s in sides for figure in (s.mean(axis=1), s.std(axis=1))], axis=1)


def _middle(pictures: np.ndarray) -> np.ndarray:
    """Mean and standard deviation of each channel in the cells of the inner half: [n, 2 CELLS^2 C]."""
    count, side, _, channels = pictures.shape
    inset = side // 4
    cells = min(CELLS, side - 2 * inset)
    width = (side - 2 * inset) // cells
    inner = slice(inset, inset + cells * width)
    parts = pictures[:, inner, inner].reshape(count, cells, width, cells, width, channels)
    figures = parts.mean(axis=(2, 4)), parts.std(axis=(2, 4))
    return np.concatenate([figure.reshape(count, -1) for figure in figures], axis=1)


def _detail(pictures: np.ndarray) -> np.ndarray:
    """How much there is to compress: contrast, and steps between neighbours at two scales, [n, 5].

    Taken at a half and a quarter of the size, where a previous compression has left no traces.
    """
    half = _halved(pictures.mean(axis=3))
    scales = half, _halved(half)
    steps = [np.abs(np.diff(scale, axis=axis)).sum(axis=(1, 2)) for scale in scales for axis in (1, 2)]
    return np.column_stack([half.std(axis=(1, 2)), *steps])


def _halved(planes: np.ndarray) -> np.ndarray:
    """[n, S, S] averaged over squares of two by two."""
    even = planes.shape[1] // 2 * 2
    rows = planes[:, 0:even:2] + planes[:, 1:even:2]
    return (rows[:, :, 0:even:2] + rows[:, :, 1:even:2]) / 4


def _codes(values: Sequence) -> np.ndarray:
    """A number for each different value, in the values' order."""
    return np.unique(values, return_inverse=True)[1]
