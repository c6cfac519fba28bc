"""Text in columns, for names in any script."""

import unicodedata
from collections.abc import Sequence


def shown(name: str) -> str:
    """A name fit for one line of any terminal: control characters and bytes outside UTF-8 become a mark."""
    return "".join(
        "\N{REPLACEMENT CHARACTER}" if unicodedata.category(c) in ("Cc", "Cs") else c for c in name
    )


def width(text: str) -> int:
    """Columns on the terminal: two for a Chinese, Japanese or Korean character, none for a combining mark."""
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text
    )


def padded(text: str, columns: int) -> str:
    """The text with spaces after it, up to so many columns."""
    return text + " " * (columns - width(text))


def titled(title: str, lines: Sequence[str]) -> list[str]:
    """The lines beside a title, which stands before the first."""
    return [f"{'' if number else title:<12}{line}" for number, line in enumerate(lines)]
