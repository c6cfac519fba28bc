"""Curves as SVG: numbers in, coordinates and axis marks out; the templates draw them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 460, 220  # of the plane in which the curves lie, in SVG units


@dataclass(frozen=True)
class Line:
    """`points`: of an SVG polyline. `last`: the newest value, for the legend."""

    name: str
    points: str
    end: tuple[float, float]
    last: float


@dataclass(frozen=True)
class Chart:
    """`across` and `up`: (position, text) of each mark on the axes."""

    title: str
    lines: list[Line]
    across: list[tuple[float, str]]
    up: list[tuple[float, str]]
    width: int = WIDTH
    height: int = HEIGHT


def chart(
    title: str, xs: Sequence[float], series: Mapping[str, Sequence[float]], x_end: float | None = None
) -> Chart:
    """Curves over common `xs`; the axis goes from 0 to `x_end`, by default the last x."""
    values = [y for ys in series.values() for y in ys if math.isfinite(y)]
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    up = _marks(low, high if high > low else low + 1)
    x_end = x_end or max(xs, default=0) or 1
    across = [mark for mark in _marks(0, x_end) if mark <= x_end]
    lines = []
    for name, ys in series.items():
        points = [
            (WIDTH * x / x_end, _height(y, up)) for x, y in zip(xs, ys, strict=True) if math.isfinite(y)
        ]
        if points:
            lines.append(Line(name, " ".join(f"{x:.1f},{y:.1f}" for x, y in points), points[-1], ys[-1]))
    return Chart(
        title,
        lines,
        [(WIDTH * mark / x_end, f"{mark:g}") for mark in across],
        [(_height(mark, up), f"{mark:g}") for mark in up],
    )


def _marks(low: float, high: float) -> list[float]:
    """Three to six round numbers from `low` or a little below to `high` or a little above."""
    rough = (high - low) / 4
    power = 10 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [round(number * step, 12) for number in range(first, last + 1)]


def _height(value: float, marks: Sequence[float]) -> float:
    """From the top, as SVG counts."""
    return HEIGHT * (marks[-1] - value) / (marks[-1] - marks[0])
