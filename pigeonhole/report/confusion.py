"""The confusion matrix as a table, or a picture where there are many classes, and the pictures behind it."""

from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from pigeonhole.evaluation.predictions import Evaluation
from pigeonhole.report import theme
from pigeonhole.report.page import Section, render
from pigeonhole.report.pictures import Limits, Tile, lossless_uri, tiles

MOST_IN_TABLE = 25  # classes; a larger table can no longer be read
MOST_DRAWN = 1000  # pixels along each side of the drawing
FREQUENT = 8  # confusions listed in words below a table
FREQUENT_WITHOUT_TABLE = 60


@dataclass(frozen=True)
class Cell:
    """`count` pictures of class `true` were called `predicted`; `shade` 0..1 says how much that is."""

    true: int
    predicted: int
    count: int
    shade: float
    linked: bool

    @property
    def right(self) -> bool:
        return self.true == self.predicted


def confusion(evaluation: Evaluation, matrix: np.ndarray, prefix: str, limits: Limits) -> Section:
    """The section. `matrix`: int [K, K], rows true, columns predicted."""
    in_table = len(matrix) <= MOST_IN_TABLE
    behind = rows_behind(evaluation, matrix, limits, in_table)
    shades = shade(coarse(matrix))
    table = [
        [Cell(i, j, int(matrix[i, j]), float(shades[i, j]), (i, j) in behind) for j in range(len(matrix))]
        for i in range(len(matrix) if in_table else 0)
    ]
    frequent = [
        Cell(i, j, int(matrix[i, j]), 0.0, (i, j) in behind)
        for i, j in confusions(matrix)[: FREQUENT if in_table else FREQUENT_WITHOUT_TABLE]
    ]
    piles: dict[tuple[int, int], list[Tile]] = {
        pair: tiles(evaluation, rows, limits.side) for pair, rows in behind.items()
    }
    html = render(
        "confusion.html",
        prefix=prefix,
        kind="test" if prefix else "validation",
        classes=evaluation.classes,
        matrix=matrix,
        table=table,
        totals=matrix.sum(axis=1).tolist(),
        drawing="" if in_table else lossless_uri(drawing(shades)),
        frequent=frequent,
        piles=piles,
    )
    return Section(f"{prefix}confusion", "What it confuses with what", html)


def confusions(matrix: np.ndarray) -> list[tuple[int, int]]:
    """(true, predicted) of every confusion that happened, the most frequent first."""
    true, predicted = np.nonzero(matrix)  # few of all cells, where classes are many
    true, predicted = true[true != predicted], predicted[true != predicted]
    order = np.argsort(-matrix[true, predicted], kind="stable")
    return list(zip(true[order].tolist(), predicted[order].tolist(), strict=True))


def coarse(matrix: np.ndarray) -> np.ndarray:
    """The matrix with neighbouring classes added up, so that it has at most MOST_DRAWN rows and columns."""
    starts = np.arange(0, len(matrix), -(-len(matrix) // MOST_DRAWN))
    return np.add.reduceat(np.add.reduceat(matrix, starts, axis=0), starts, axis=1)


def shade(matrix: np.ndarray) -> np.ndarray:
    """float [K, K] 0..1: the share of the row; off the diagonal in relation to the largest share there."""
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    hits = np.diag(np.diag(shares))
    wrong = shares - hits
    return hits + wrong / max(wrong.max(), 1e-9)


def rows_behind(
    evaluation: Evaluation, matrix: np.ndarray, limits: Limits, with_hits: bool
) -> dict[tuple[int, int], np.ndarray]:
    """(true, predicted) -> some of the cell's rows: mistakes most confident first, hits least."""
    if not limits.pile:
        return {}
    cells = confusions(matrix)[: limits.cells]
    if with_hits:
        cells = [(int(i), int(i)) for i in np.flatnonzero(np.diag(matrix))] + cells
    every: dict[tuple[int, int], list[int]] = defaultdict(list)
    confident = np.argsort(-evaluation.confidence, kind="stable")
    for row, true, predicted in zip(
        confident, evaluation.labels[confident], evaluation.predicted[confident], strict=True
    ):
        every[int(true), int(predicted)].append(int(row))
    return {(i, j): np.array(every[i, j][:: -1 if i == j else 1][: limits.pile]) for i, j in cells}


def drawing(shades: np.ndarray) -> np.ndarray:
    """uint8 [K, K, 4]: the matrix as a picture, hits in one colour, mistakes in another, nothing clear."""
    sheet = np.zeros((*shades.shape, 4), np.uint8)
    sheet[..., :3] = theme.rgb(theme.ACCENT_2)
    diagonal = np.arange(len(shades))
    sheet[diagonal, diagonal, :3] = theme.rgb(theme.ACCENT)
    sheet[..., 3] = np.round(255 * np.sqrt(shades))
    return sheet
