"""Figures made of pictures: what a network has learnt, how pictures are varied, what is answered to them."""

import math
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from pigeonhole.evaluation import insight
from pigeonhole.report import theme
from pigeonhole.report.network import COLOURS, diverging, grey, times
from pigeonhole.report.pictures import TOP, tiled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 7.2  # inches, of every sheet
ABREAST = 3  # answered pictures or variations in a row
SMOOTH = 24  # values along the side of a smooth map, at least
LONGEST_NAME = 16  # letters of a class that stand next to a picture

_BARS = 1.2  # width of the bars next to a picture, in widths of it


@theme.styled
def filters(kernel: np.ndarray, layer: str, input_channel: int, smooth: bool = False) -> "Figure":
    """A convolution's filters as they look at one of its input channels. `kernel`: float32 [h, w, in, out].

    Orange is negative, blue positive, white nothing; the scale is that of the layer's largest weight, so that
    its channels can be compared.
    """
    height, width, inputs, outputs = kernel.shape
    weights = kernel[:, :, input_channel]
    peak = float(np.abs(kernel).max()) or 1.0
    shown = smoothed(weights) if smooth else weights
    sheet = tiled(diverging(np.moveaxis(shown, -1, 0) / peak), _columns(outputs))
    name = f" ({COLOURS[input_channel]})" if inputs == len(COLOURS) else ""
    drawn, axes = _sheet(sheet, f"{layer}: {outputs} filters of {times((height, width))}")
    text = (
        f"input channel {input_channel}{name} of {inputs}: minimum {weights.min():.3f}, "
        f"maximum {weights.max():.3f}, mean {weights.mean():.3f}, standard deviation {weights.std():.3f}"
    )
    axes.set_xlabel(text.replace("-", "\N{MINUS SIGN}"), loc="left", size=theme.SMALL)
    _add_scale(drawn, axes, (theme.ACCENT_2, "#ffffff", theme.ACCENT), -peak, peak)
    return drawn


@theme.styled
def feature_maps(maps: np.ndarray, layer: str, smooth: bool = False) -> "Figure":
    """What each filter of a layer answers to one picture. `maps`: float32 [h, w, c], on one common scale."""
    sheet = tiled(grey(smoothed(maps) if smooth else maps), _columns(maps.shape[-1]))
    drawn, axes = _sheet(sheet, f"{layer}: {maps.shape[-1]} feature maps of {times(maps.shape[:2])}")
    _add_scale(drawn, axes, ("#000000", "#ffffff"), float(maps.min()), float(maps.max()))
    return drawn


@theme.styled
def augmented(image: np.ndarray, varied: np.ndarray, how: str, smooth: bool = False) -> "Figure":
    """A picture uint8 [S, S, C] beside a grid of its variations uint8 [n, s, s, C], and `how` they came."""
    rows = math.ceil(len(varied) / ABREAST)
    drawn = theme.figure(WIDTH, 0.6 + 1.5 * rows, "A picture and its variations in training")
    grid = drawn.add_gridspec(rows, 2 + ABREAST)
    _show(left := drawn.add_subplot(grid[:, :2]), image, smooth)
    left.set_anchor("N")
    left.set_title("as it is", size=theme.USUAL, weight="normal", pad=4)
    left.set_xlabel(textwrap.fill(how, 40), loc="left", size=theme.SMALL)
    for place, picture in enumerate(varied):
        row, column = divmod(place, ABREAST)
        _show(drawn.add_subplot(grid[row, 2 + column]), picture, smooth)
    return drawn


@theme.styled
def predictions(
    title: str,
    images: np.ndarray,
    labels: np.ndarray,
    probabilities: np.ndarray,
    classes: Sequence[str],
    smooth: bool = False,
) -> "Figure":
    """Pictures uint8 [n, S, S, C], their classes int [n], and the best answers among float32 [n, K] to each.

    Blue where the answer is right, orange where it is wrong.
    """
    rows = math.ceil(len(images) / ABREAST)
    drawn = theme.figure(WIDTH, 0.5 + 1.25 * rows, title)
    grid = drawn.subplots(rows, 2 * ABREAST, squeeze=False, width_ratios=[1, _BARS] * ABREAST)
    every = grid.reshape(-1, 2)
    for (left, right), image, label, answer in zip(every, images, labels, probabilities, strict=False):
        _show(left, image, smooth)
        predicted = int(answer.argmax())
        hit = predicted == label
        text = classes[label] if hit else f"{classes[label]}, taken for {classes[predicted]}"
        colour = theme.ACCENT if hit else theme.ACCENT_2
        _caption(left, right, text, colour)
        _draw_answer(right, answer, classes, theme.PALE_ACCENT if hit else theme.PALE_ACCENT_2)
    for axes in every[len(images) :].ravel():
        axes.set_axis_off()
    return drawn


@theme.styled
def attention(images: np.ndarray, heat: np.ndarray, captions: Sequence[str]) -> "Figure":
    """Pictures uint8 [n, S, S, C], each next to itself lit where `heat`, float [n, S, S] 0 to 1, is high."""
    rows = math.ceil(len(images) / ABREAST)
    drawn = theme.figure(WIDTH, 0.5 + 1.4 * rows, "Where the network looked")
    every = drawn.subplots(rows, 2 * ABREAST, squeeze=False).reshape(-1, 2)
    for (left, right), image, warmth, caption in zip(every, images, heat, captions, strict=False):
        _show(left, image)
        _show(right, insight.spotlight(image, warmth))
        _caption(left, right, caption, theme.INK)
    for axes in every[len(images) :].ravel():
        axes.set_axis_off()
    return drawn


def _caption(left: "Axes", right: "Axes", text: str, colour: str) -> None:
    """One line over two axes, which keep equal room for it."""
    for axes, words in ((left, _cut(text, 2 * LONGEST_NAME + 4)), (right, " ")):
        title = axes.set_title(words, loc="left", size=theme.USUAL, weight="normal", color=colour, pad=4)
        title.set_in_layout(axes is right)


def _sheet(sheet: np.ndarray, title: str) -> tuple["Figure", "Axes"]:
    height, width = sheet.shape[:2]
    drawn = theme.figure(WIDTH, 0.9 + 6.2 * height / width)
    axes = drawn.subplots()
    _show(axes, sheet)
    axes.set_title(title)
    axes.set_facecolor(theme.GRID)  # between the parts, whose edge may be white
    return drawn, axes


def _columns(count: int) -> int:
    """Of a sheet about twice as wide as high, with full rows where the count allows that."""
    usual = math.ceil(math.sqrt(2 * count))
    return next((wide for wide in range(usual, usual // 2 - 1, -1) if count % wide == 0), usual)


def smoothed(maps: np.ndarray) -> np.ndarray:
    """Each of the maps float [h, w, c] by itself through cubic splines, at least `SMOOTH` values high.

    Within the range of the values that there were.
    """
    from scipy import ndimage

    factor = max(2, math.ceil(SMOOTH / maps.shape[0]))
    finer = ndimage.zoom(maps, (factor, factor, 1), order=3, mode="nearest", grid_mode=True)
    return np.clip(finer, maps.min(), maps.max())


def _show(axes: "Axes", image: np.ndarray, smooth: bool = False) -> None:
    """uint8 [H, W, 1, 3 or 4], every pixel sharp, or `smooth` by cubic splines."""
    shown = image[..., 0] if image.shape[2] == 1 else image
    interpolation = "spline16" if smooth else "nearest"
    axes.imshow(shown, cmap="gray", vmin=0, vmax=255, interpolation=interpolation)
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)


def _add_scale(drawn: "Figure", axes: "Axes", colours: Sequence[str], low: float, high: float) -> None:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LinearSegmentedColormap, Normalize

    scale = ScalarMappable(Normalize(low, high), LinearSegmentedColormap.from_list("scale", colours))
    bar = drawn.colorbar(scale, ax=axes, aspect=30, fraction=0.03, pad=0.01)
    bar.outline.set_visible(False)
    bar.set_ticks([low, high] if low * high >= 0 else [low, 0, high])
    bar.ax.yaxis.set_major_formatter("{x:.2g}")


def _draw_answer(axes: "Axes", probabilities: np.ndarray, classes: Sequence[str], colour: str) -> None:
    """The best answers as bars with their names on them, the best one on top."""
    best = np.argsort(-probabilities, kind="stable")[:TOP]
    axes.barh(range(len(best)), probabilities[best], 0.8, color=colour)
    for place, index in enumerate(best):
        axes.text(0.03, place, _cut(classes[index], LONGEST_NAME), va="center", size=theme.SMALL)
        axes.text(1, place, f"{100 * probabilities[index]:.0f} %", va="center", ha="right", size=theme.SMALL)
    axes.set(xlim=(0, 1), ylim=(TOP - 0.5, -0.5), xticks=[], yticks=[], box_aspect=1 / _BARS)
    axes.spines[:].set_visible(False)


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"
