"""How every figure looks: its colours, letters and lines."""

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, ParamSpec, TypeVar

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK = "#1b2127"
MUTED = "#5a6672"
PAPER = "#ffffff"
GRID = "#dfe4e9"
# Blue and orange stay apart in every common colour blindness and in grey print; after Okabe and Ito, 2008.
ACCENT = "#0063a8"
ACCENT_2 = "#b8500a"
PALE_ACCENT = "#b3d0e5"
PALE_ACCENT_2 = "#efcfb8"

SMALL, USUAL, LARGE = 7.5, 9, 11  # points

_FAMILIES = [  # the first comes with matplotlib; the others, where installed, have what it lacks
    "DejaVu Sans",
    "Noto Sans CJK SC",
    "Noto Sans CJK JP",
    "Microsoft YaHei",
    "PingFang SC",
    "Hiragino Sans",
    "Malgun Gothic",
    "Noto Sans",
    "Arial Unicode MS",
]
_STYLE = {
    "axes.axisbelow": True,
    "axes.edgecolor": MUTED,
    "axes.facecolor": "none",
    "axes.grid": False,
    "axes.labelcolor": MUTED,
    "axes.labelsize": USUAL,
    "axes.linewidth": 0.8,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": INK,
    "axes.titlelocation": "left",
    "axes.titlepad": 10,
    "axes.titlesize": LARGE,
    "axes.titleweight": "bold",
    "figure.constrained_layout.h_pad": 0.1,
    "figure.constrained_layout.w_pad": 0.1,
    "figure.facecolor": PAPER,
    "figure.titlesize": LARGE,
    "figure.titleweight": "bold",
    "font.family": _FAMILIES,
    "font.size": USUAL,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "image.interpolation": "nearest",
    "lines.linewidth": 1.8,
    "lines.solid_capstyle": "round",
    "savefig.facecolor": PAPER,
    "svg.fonttype": "none",  # letters stay letters: small, searchable, read aloud
    "svg.hashsalt": "pigeonhole",
    "text.color": INK,
    "text.parse_math": False,  # a class may be named "$a$"
    "xtick.color": MUTED,
    "xtick.labelsize": USUAL,
    "xtick.major.size": 0,
    "xtick.minor.size": 0,
    "ytick.color": MUTED,
    "ytick.labelsize": USUAL,
    "ytick.major.size": 0,
    "ytick.minor.size": 0,
}

_Given = ParamSpec("_Given")
_Result = TypeVar("_Result")


def styled(build: Callable[_Given, _Result]) -> Callable[_Given, _Result]:
    """A function that draws, in this style whatever the user's own settings of matplotlib are."""

    @functools.wraps(build)
    def in_style(*given: _Given.args, **named: _Given.kwargs) -> _Result:
        import matplotlib

        with matplotlib.rc_context(_STYLE):
            return build(*given, **named)

    return in_style


def rgb(colour: str) -> tuple[int, ...]:
    """The three values 0..255 of a colour such as `INK`."""
    return tuple(bytes.fromhex(colour.removeprefix("#")))


def figure(width: float, height: float, title: str = "") -> "Figure":
    """An empty figure of so many inches, laid out by itself, with a title at its upper left."""
    from matplotlib.figure import Figure

    drawn = Figure((width, height), layout="constrained")
    if title:
        drawn.suptitle(title, x=0.01, ha="left", color=INK)
    return drawn


def lines_across(axes: "Axes") -> None:
    """Only the horizontal lines that help to read a value, no frame."""
    axes.grid(axis="y")
    axes.spines["left"].set_visible(False)
