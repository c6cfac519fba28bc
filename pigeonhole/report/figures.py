"""Charts of a training and of a test: functions of numbers that give matplotlib figures."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from pigeonhole.report import theme
from pigeonhole.report.confusion import shade
from pigeonhole.report.network import times

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from pigeonhole.model.calibration import Bin
    from pigeonhole.model.interface import Layer

COUNTED_CLASSES = 20  # the largest confusion matrix whose cells have room for their numbers
SHARED_CLASSES = 12  # and for the row's share beneath
NAMED_CLASSES = 50  # the most classes whose names stay legible at an axis

USUAL_LOSSES = 0.98  # the share of the logged losses that the drawing has room for

_STRONGEST = 0.6  # opacity of a full cell with a number on it
_SIDES = (theme.ACCENT, theme.ACCENT_2, theme.MUTED)


@theme.styled
def curves(history: Mapping[str, np.ndarray], logged: Mapping[str, np.ndarray] | None = None) -> "Figure":
    """Loss and accuracy against the epoch, in training and validation. `history`: that of `Run.history`.

    `logged`: that of `Run.logged`; each of its steps is a point of a thin line, since it is of one batch.
    """
    drawn = theme.figure(7.2, 2.9)
    loss, accuracy = drawn.subplots(1, 2)
    for axes, measure, scale in ((loss, "loss", 1), (accuracy, "accuracy", 100)):
        if logged and len(logged["epoch"]):
            values = scale * logged[f"train_{measure}"]
            axes.plot(logged["epoch"], values, color=theme.ACCENT_2, linewidth=0.7, alpha=0.45)
    if logged and len(logged["epoch"]):
        # A few batches, most of them at the start, would press all the rest against the axis.
        usual = np.nanquantile(logged["train_loss"], (0, USUAL_LOSSES))
        shown = np.concatenate([usual, history["train_loss"], history["valid_loss"]])
        room = 0.05 * (np.nanmax(shown) - np.nanmin(shown)) or 1
        loss.set_ylim(np.nanmin(shown) - room, np.nanmax(shown) + room)
    _curve_pair(loss, history, "loss", 1, "{:.2f}")
    _curve_pair(accuracy, history, "accuracy", 100, "{:.1f} %")
    loss.set_title("Loss (cross-entropy)")
    accuracy.set_title("Accuracy")
    accuracy.yaxis.set_major_formatter("{x:g} %")
    return drawn


@theme.styled
def learning_rate(history: Mapping[str, np.ndarray]) -> "Figure":
    """The learning rate against the epoch, as it was at each validation."""
    drawn = theme.figure(3.6, 2.4)
    axes = drawn.subplots()
    theme.lines_across(axes)
    epochs, rates = history["epoch"], history["learning_rate"]
    axes.plot(epochs, rates, color=theme.ACCENT, marker=_marker(epochs), markersize=3)
    axes.set(title="Learning rate", xlabel="epoch", ylim=(0, rates.max() * 1.12))
    axes.yaxis.set_major_formatter("{x:g}")
    top = int(rates.argmax())
    side = "center" if top else "left"  # at the beginning it would lie on the numbers of the axis
    axes.annotate(f"{rates[top]:.2g}", (epochs[top], rates[top]), (0, 4), **_OFFSET, ha=side)
    return drawn


@theme.styled
def confusion(matrix: np.ndarray, classes: Sequence[str]) -> "Figure":
    """Which class was taken for which. `matrix`: int [K, K], rows the true class, columns the predicted one.

    Hits are blue, the stronger the larger their share of the row; mistakes are orange, the stronger the
    larger theirs, compared with the worst. Up to 20 classes each cell tells its number.
    """
    side = max(3.2, min(12.0, 1.6 + len(classes) * (0.52 if len(classes) <= SHARED_CLASSES else 0.36)))
    drawn = theme.figure(side + 0.4, side)
    axes = drawn.subplots()
    _draw_cells(axes, np.sqrt(shade(matrix)))
    if len(classes) <= COUNTED_CLASSES:
        _write_counts(axes, matrix)
    axes.set(xlabel="predicted class", ylabel="true class", aspect="equal", title="Confusion matrix")
    axes.set(xlim=(-0.5, len(classes) - 0.5), ylim=(len(classes) - 0.5, -0.5))
    axes.spines[:].set_visible(False)
    _name_classes(axes, classes)
    return drawn


@theme.styled
def reliability(
    before: Sequence["Bin"], after: Sequence["Bin"], ece_before: float, ece_after: float
) -> "Figure":
    """Accuracy against confidence before and after temperature scaling, over how many answers there were.

    A model whose confidence can be believed lies on the diagonal (Guo et al., 2017). The errors are expected
    calibration errors, 0 to 1.
    """
    drawn = theme.figure(4.2, 4.8)
    upper, lower = drawn.subplots(2, 1, sharex=True, height_ratios=(4, 1))
    upper.grid()
    upper.spines[:].set_visible(False)
    upper.axline((0, 0), slope=1, color=theme.MUTED, linewidth=0.8, linestyle=(0, (4, 3)))
    is_scaled = abs(ece_before - ece_after) > 1e-6  # else nothing was, as in another program's checkpoint
    series = ((before, theme.ACCENT_2, "s", 2.0), (after, theme.ACCENT, "o", 2.4))[not is_scaled :]
    told = (
        (0.94, f"before scaling: error {100 * ece_before:.1f} %", theme.ACCENT_2),
        (0.87, f"after scaling: error {100 * ece_after:.1f} %", theme.ACCENT),
    )
    for bins, colour, marker, width in series:
        filled = [each for each in bins if each.count]
        confidences = [100 * each.confidence for each in filled]
        accuracies = [100 * each.accuracy for each in filled]
        upper.plot(confidences, accuracies, color=colour, marker=marker, markersize=5, linewidth=width)
    alone = ((0.94, f"error {100 * ece_after:.1f} %", theme.ACCENT),)
    for height, text, colour in told if is_scaled else alone:
        upper.text(0.03, height, text, color=colour, transform=upper.transAxes, weight="bold")
    _draw_counts(lower, after)
    upper.set(title="Reliability", ylabel="accuracy", xlim=(0, 100), ylim=(0, 102))
    lower.set(xlabel="confidence")
    for axis in (upper.yaxis, lower.xaxis):
        axis.set_major_formatter("{x:g} %")
    return drawn


@theme.styled
def class_balance(classes: Sequence[str], counts: Mapping[str, Sequence[int]]) -> "Figure":
    """How many pictures each class has. `counts`: side ("training", "validation", "test") -> K numbers."""
    step = 0.26 if len(classes) <= NAMED_CLASSES else 0.13
    drawn = theme.figure(6.4, 0.9 + step * len(classes))
    axes = drawn.subplots()
    places = np.arange(len(classes))
    total = np.zeros(len(classes), int)
    for colour, pictures in zip(_SIDES, counts.values(), strict=False):
        axes.barh(places, pictures, 0.68, left=total, color=colour, edgecolor=theme.PAPER, linewidth=0.6)
        total = total + np.asarray(pictures)
    if len(classes) <= NAMED_CLASSES:
        for place, number in zip(places, total, strict=True):
            axes.annotate(f"{number:,}", (number, place), (4, 0), **_OFFSET, va="center")
    axes.set(ylim=(len(classes) - 0.4, -0.6), xlim=(0, max(1, total.max()) * 1.1), xticks=[])
    axes.spines[:].set_visible(False)
    axes.set_yticks(*_sparse(classes))
    _head(axes, "Pictures in each class", zip(counts, _SIDES, strict=False))
    return drawn


@theme.styled
def learning_curve(
    sizes: Sequence[int],
    accuracies: Sequence[float],
    forecast: Callable[[int], tuple[float, float, float]],
    until: int,
) -> "Figure":
    """Accuracy (0 to 1) against the number of training pictures, and what is to be expected of more.

    `forecast(n)`: accuracy, low and high for n pictures, drawn from the largest measured size to `until`.
    """
    drawn = theme.figure(6.0, 3.4)
    axes = drawn.subplots()
    theme.lines_across(axes)
    ahead = np.unique(np.geomspace(max(sizes), until, 40).round().astype(int))
    expected, low, high = 100 * np.array([forecast(int(size)) for size in ahead]).T
    axes.fill_between(ahead, low, high, color=theme.ACCENT_2, alpha=0.2, linewidth=0)
    axes.plot(ahead, expected, color=theme.ACCENT_2, linestyle=(0, (4, 2)))
    axes.plot(sizes, 100 * np.asarray(accuracies), color=theme.ACCENT, marker="o", markersize=5)
    for size, accuracy in zip(sizes, accuracies, strict=True):
        axes.annotate(
            f"{100 * accuracy:.1f} %", (size, 100 * accuracy), (0, -7), **_OFFSET, ha="center", va="top"
        )
    text = f"{expected[-1]:.1f} %\n{low[-1]:.1f} to {high[-1]:.1f} %"
    axes.annotate(text, (until, expected[-1]), (5, 0), **_OFFSET, va="center", color=theme.ACCENT_2)
    axes.set(xscale="log", xlabel="training pictures")
    axes.set_xticks([*sizes, until], [f"{size:,}" for size in [*sizes, until]])
    axes.set_xticks([], minor=True)
    axes.margins(x=0.06, y=0.16)
    axes.yaxis.set_major_formatter("{x:g} %")
    _head(axes, "Accuracy and number of pictures", (("measured", theme.ACCENT), ("forecast", theme.ACCENT_2)))
    return drawn


@theme.styled
def network(layers: Sequence["Layer"], input_shape: tuple[int, ...]) -> "Figure":
    """The network from the picture [S, S, C] down to the classes: a box for each layer, wide if it learns.

    Beside each are its output's shape and, with a bar, its number of parameters.
    """
    drawn = theme.figure(5.4, 1.1 + 0.34 * len(layers))
    axes = drawn.subplots()
    axes.set_axis_off()
    axes.set_title(f"Network of {sum(layer.parameters for layer in layers):,} parameters")
    for place, heading in zip(_COLUMNS, ("layer", "output", "parameters"), strict=True):
        axes.text(place, -1, heading, ha="center" if place == _COLUMNS[0] else "left", color=theme.MUTED)
    axes.plot([_COLUMNS[0]] * 2, [0, len(layers)], color=theme.MUTED, linewidth=1, zorder=0)
    _draw_layer(axes, 0, "picture", input_shape, theme.PAPER)
    most = max(layer.parameters for layer in layers) or 1
    for row, layer in enumerate(layers, 1):
        _draw_layer(axes, row, layer.name, layer.shape, theme.PALE_ACCENT if layer.parameters else theme.GRID)
        if layer.parameters:
            width = 0.28 * layer.parameters / most
            axes.barh(row, width, 0.6, left=_COLUMNS[2], color=theme.PALE_ACCENT)
            axes.text(_COLUMNS[2] + 0.01, row, f"{layer.parameters:,}", va="center")
    axes.set(xlim=(0, 1), ylim=(len(layers) + 0.5, -1.4))
    return drawn


_OFFSET = {"textcoords": "offset points", "annotation_clip": False}
_CENTRED = {**_OFFSET, "ha": "center", "va": "center"}
_COLUMNS = (
    0.16,
    0.38,
    0.7,
)  # of the drawing of a network: the boxes' middle, where the shapes begin, the bars
_APART = 0.2  # of the axes' height, room for two lines of text


def _curve_pair(
    axes: "Axes", history: Mapping[str, np.ndarray], measure: str, scale: float, form: str
) -> None:
    theme.lines_across(axes)
    epochs = history["epoch"]
    ends = []
    for side, name, colour in (("valid", "validation", theme.ACCENT), ("train", "training", theme.ACCENT_2)):
        values = scale * history[f"{side}_{measure}"]
        axes.plot(epochs, values, color=colour, marker=_marker(epochs), markersize=4)
        ends.append((values[-1], f"{name}\n{form.format(values[-1])}", colour))
    axes.set(xlabel="epoch")
    _label_ends(axes, ends)


def _label_ends(axes: "Axes", ends: list[tuple[float, str, str]]) -> None:
    """Names at the ends of two lines, kept off each other and off the numbers below the axes."""
    bottom, top = axes.get_ylim()
    ends = sorted(ends)
    places = np.array([(value - bottom) / (top - bottom) for value, _, _ in ends])
    low, high = places.clip(_APART / 2, 1 - _APART / 2)
    middle = min(max((low + high) / 2, _APART), 1 - _APART)
    if high - low < _APART:
        low, high = middle - _APART / 2, middle + _APART / 2
    for (_, text, colour), place in zip(ends, (low, high), strict=True):
        axes.text(1.02, place, text, transform=axes.transAxes, va="center", color=colour, linespacing=1.15)


def _marker(values: Sequence[float]) -> str:
    """A line through few points shows them; one point alone would not be seen without."""
    return "o" if len(values) < 12 else ""


def _draw_cells(axes: "Axes", strengths: np.ndarray) -> None:
    from matplotlib.colors import to_rgb

    cells = np.empty((*strengths.shape, 4))
    cells[..., :3] = to_rgb(theme.ACCENT_2)
    cells[np.eye(len(cells), dtype=bool), :3] = to_rgb(theme.ACCENT)
    cells[..., 3] = strengths * (_STRONGEST if len(cells) <= COUNTED_CLASSES else 1)
    axes.imshow(cells, interpolation="none")
    between = np.arange(len(cells) + 1) - 0.5
    axes.set_xticks(between, minor=True)
    axes.set_yticks(between, minor=True)
    axes.grid(which="minor", color=theme.PAPER, linewidth=min(2, 40 / len(cells)))


def _write_counts(axes: "Axes", matrix: np.ndarray) -> None:
    """The number in each cell and, where there is room, its share of the row beneath."""
    totals = matrix.sum(axis=1)
    with_share = len(matrix) <= SHARED_CLASSES
    for (row, column), count in np.ndenumerate(matrix):
        if not count:
            continue
        weight = "bold" if row == column else "normal"
        above = 4 if with_share else 0
        axes.annotate(f"{count:,}", (column, row), (0, above), **_CENTRED, weight=weight)
        if with_share:
            share = _percent(count / totals[row])
            axes.annotate(share, (column, row), (0, -7), **_CENTRED, size=theme.SMALL - 1)


def _percent(share: float) -> str:
    return "<1 %" if share < 0.01 else f"{100 * share:.0f} %"


def _name_classes(axes: "Axes", classes: Sequence[str]) -> None:
    places, names = _sparse(classes)
    size = theme.USUAL if len(classes) <= COUNTED_CLASSES else theme.SMALL
    slanted = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"} if len(classes) > 3 else {}
    axes.set_xticks(places, names, size=size, **slanted)
    axes.set_yticks(places, names, size=size)


def _sparse(classes: Sequence[str]) -> tuple[list[int], list[str]]:
    """Places and names of the classes, every n-th where there are too many to be legible; long ones cut."""
    step = math.ceil(len(classes) / NAMED_CLASSES)
    names = [name if len(name) <= 24 else f"{name[:23]}…" for name in classes[::step]]
    return list(range(0, len(classes), step)), names


def _draw_counts(axes: "Axes", bins: Sequence["Bin"]) -> None:
    for each in bins:
        width = 100 * (each.high - each.low)
        axes.bar(100 * each.low, each.count, 0.9 * width, align="edge", color=theme.ACCENT, alpha=0.5)
    axes.spines["left"].set_visible(False)
    axes.set(yticks=[])
    axes.set_ylabel("answers", rotation=0, ha="right", va="center")


def _head(axes: "Axes", title: str, series: Iterable[tuple[str, str]]) -> None:
    """A title, and beneath it the names of what is drawn, each next to its colour."""
    from matplotlib.patches import Patch

    axes.set_title(title, pad=26)
    names = [Patch(color=colour, label=name) for name, colour in series]
    axes.legend(
        handles=names,
        loc="lower left",
        bbox_to_anchor=(0, 1),
        borderpad=0.2,
        borderaxespad=0.3,
        columnspacing=1.4,
        frameon=False,
        handleheight=0.8,
        handlelength=0.8,
        handletextpad=0.5,
        labelcolor=theme.INK,
        ncols=len(names),
    )


def _draw_layer(axes: "Axes", row: int, name: str, shape: tuple[int, ...], colour: str) -> None:
    axes.barh(row, 0.3, 0.66, left=_COLUMNS[0] - 0.15, color=colour, edgecolor=theme.MUTED, linewidth=0.6)
    axes.text(_COLUMNS[0], row, name, ha="center", va="center")
    axes.text(_COLUMNS[1], row, times(shape), va="center", color=theme.MUTED)
