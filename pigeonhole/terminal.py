"""Names in any script, counts and lists as lines of a terminal."""

import contextlib
import io
import sys
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from contextvars import ContextVar
from typing import TextIO

# Control characters, halves of surrogate pairs (bytes outside UTF-8), separators of lines and paragraphs.
_UNFIT = ("Cc", "Cs", "Zl", "Zp")
# They change the direction of writing.
_TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")

_is_silent = ContextVar("is_silent", default=False)


class _Nowhere(io.TextIOBase):
    def write(self, text: str) -> int:
        return len(text)


@contextlib.contextmanager
def silent() -> Iterator[None]:
    """Within the block nothing is printed by `say` or to `output`. Other threads are not concerned."""
    before = _is_silent.set(True)
    try:
        yield
    finally:
        _is_silent.reset(before)


def is_silent() -> bool:
    return _is_silent.get()


def output() -> TextIO:
    """Standard output, or what takes everything and shows nothing where all is to be `silent`."""
    return _Nowhere() if is_silent() else sys.stdout


def shown(text: str) -> str:
    """A name, or a text with names in it, fit for one line of any terminal.

    What would begin a line, steer the terminal or turn the direction of writing becomes a mark.
    """
    return "".join(
        "\N{REPLACEMENT CHARACTER}" if unicodedata.category(c) in _UNFIT or c in _TURNING else c for c in text
    )


def say(*lines: str, to: TextIO | None = None) -> None:
    """Print lines, to standard output unless another stream is given, with whatever names in them `shown`."""
    if not is_silent():
        print(*map(shown, lines), sep="\n", file=to, flush=True)


def width(text: str) -> int:
    """Columns on the terminal: two for a Chinese, Japanese or Korean character, none for a combining mark."""
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text
    )


def padded(text: str, columns: int) -> str:
    """The text with spaces after it, up to so many columns."""
    return text + " " * (columns - width(text))


def titled(title: str, lines: Sequence[str]) -> list[str]:
    """The lines indented, with a title before the first."""
    return [f"{'' if number else title:<12}{line}" for number, line in enumerate(lines)]


def counted(count: int, singular: str, plural: str) -> str:
    """`1 file`, `2,000 files`."""
    return f"{count:,} {singular if count == 1 else plural}"


def some(names: Sequence[str], most: int = 10, separator: str = ", ") -> str:
    """The first few names, and how many more there are."""
    text = separator.join(map(shown, names[:most]))
    return f"{text} and {len(names) - most:,} more" if len(names) > most else text


def listed(remarks: Mapping[str, str], most: int, indent: int) -> Iterator[str]:
    """Aligned lines of name and remark, the first few of them."""
    cut = [(shown(name), shown(remark)) for name, remark in list(remarks.items())[:most]]
    wide = max((width(name) for name, _ in cut), default=0)
    for name, remark in cut:
        yield f"{'':{indent}}{padded(name, wide)}   {remark}"
    yield from more(len(remarks) - most, indent)


def more(count: int, indent: int, noun: str = "") -> Iterator[str]:
    """How many of a list were left out; nothing where none was."""
    if count > 0:
        yield f"{'':{indent}}... and {count:,} more {noun}".rstrip() + "; --json lists all"
