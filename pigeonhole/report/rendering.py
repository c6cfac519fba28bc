"""A figure as a file for a paper, or as a part of a page.

Figures are drawn in the theme's colours, those of a light page. In a page these give way to the page's own,
the custom properties --ink, --muted, --paper, --grid, --accent and --accent-2, and follow light and dark.
"""

import hashlib
import io
import logging
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from pigeonhole.report import theme

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DOTS_PER_INCH = 200
SOFTWARE = "Pigeonhole"  # in each file's metadata, by which it is known again
_SIGNED_AS = {"png": "Software", "svg": "Title", "pdf": "Creator"}
FORMATS = tuple(_SIGNED_AS)
PROPERTIES = {
    theme.INK: "--ink",
    theme.MUTED: "--muted",
    theme.PAPER: "--paper",
    theme.GRID: "--grid",
    theme.ACCENT: "--accent",
    theme.ACCENT_2: "--accent-2",
}

_PIXELS_PER_POINT = 96 / 72
_SVG, _XLINK = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}"
_LONG_NUMBER = re.compile(r"-?\d+\.\d{3,}")
_REFERENCE = re.compile(r"url\(#([^)]+)\)")


@theme.styled
def save(figure: "Figure", path: Path) -> None:
    """Write the figure in the format of the path's suffix: .png (200 dots per inch), .svg or .pdf.

    Raises OSError.
    """
    format_ = path.suffix[1:]
    with _silent_about_letters():
        figure.savefig(path, format=format_, dpi=DOTS_PER_INCH, metadata={_SIGNED_AS[format_]: SOFTWARE})


def is_own(path: Path) -> bool:
    """Whether the file is a figure that `save` wrote. Raises OSError."""
    return SOFTWARE.encode() in path.read_bytes()


@theme.styled
def svg(figure: "Figure", title: str) -> str:
    """The figure as an `<svg>` element for an HTML page that defines the colours; `title` says what it shows.

    Its text is text in the page's font, and no identifier in it occurs in a figure with another title. It is
    as wide as drawn, in CSS pixels, unless the page's style says otherwise.
    """
    file = io.BytesIO()
    with _silent_about_letters():
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    root = ElementTree.fromstring(file.getvalue())
    _drop_surroundings(root)
    _rename_identifiers(root, hashlib.sha256(title.encode() + file.getvalue()).hexdigest()[:8])
    for element in root.iter():
        _follow_page(element)
    _introduce(root, title)
    return _serialise(root)


@contextmanager
def _silent_about_letters() -> Iterator[None]:
    """matplotlib would log each letter that no installed font has, and warn of it; it draws a box instead."""
    logger = logging.getLogger("matplotlib")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Glyph .* missing from")
            yield
    finally:
        logger.setLevel(level)


def _drop_surroundings(root: Element) -> None:
    """Without metadata, and without the style sheet that would apply to the rest of the page."""
    for child in list(root):
        if child.tag == f"{_SVG}defs" and child.find(f"{_SVG}style") is not None:
            child.remove(child.find(f"{_SVG}style"))
        if child.tag.endswith("metadata") or (child.tag == f"{_SVG}defs" and not len(child)):
            root.remove(child)
    root.attrib |= {"stroke-linejoin": "round", "stroke-linecap": "butt"}


def _rename_identifiers(root: Element, prefix: str) -> None:
    """Identifiers that something in the figure refers to get the prefix, all others go."""
    used = {name for element in root.iter() for name in _references(element)}
    for element in root.iter():
        name = element.attrib.pop("id", None)
        if name in used:
            element.set("id", f"{prefix}-{name}")
        if link := element.attrib.pop(f"{_XLINK}href", None):  # of a repeated mark, or an image's data
            element.set("href", f"#{prefix}-{link[1:]}" if link.startswith("#") else link)
        if "clip-path" in element.attrib:
            element.set("clip-path", _REFERENCE.sub(rf"url(#{prefix}-\1)", element.get("clip-path")))


def _references(element: Element) -> Iterator[str]:
    yield from _REFERENCE.findall(element.get("clip-path", ""))
    if element.get(f"{_XLINK}href", "").startswith("#"):
        yield element.get(f"{_XLINK}href")[1:]


def _follow_page(element: Element) -> None:
    """Colours become the page's, the font the page's own; coordinates become short."""
    style = element.get("style", "")
    for colour, name in PROPERTIES.items():
        style = style.replace(colour, f"var({name}, {colour})")
    if style:
        element.set("style", re.sub(r"font-family: [^;]+(; )?", "", style))
    for name in ("d", "x", "y", "width", "height", "transform"):
        if name in element.attrib:
            short = _LONG_NUMBER.sub(lambda number: f"{float(number[0]):.2f}", element.get(name))
            element.set(name, short.replace("\n", " ").strip())


def _introduce(root: Element, title: str) -> None:
    width = float(root.get("viewBox").split()[2]) * _PIXELS_PER_POINT
    for name in ("height", "version"):
        root.attrib.pop(name)
    root.attrib |= {"width": f"{width:.0f}", "role": "img", "aria-label": title}


def _serialise(root: Element) -> str:
    """Without namespace prefixes, which HTML does not know, and without the spaces between elements."""
    for element in root.iter():
        element.tag = element.tag.removeprefix(_SVG)
        if element.tag != "text":
            element.text = None
        element.tail = None
    root.set("xmlns", _SVG[1:-1])
    return ElementTree.tostring(root, encoding="unicode")
