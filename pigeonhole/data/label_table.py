"""labels.csv: a table next to the pictures that says the class of each, instead of one folder per class."""

import os
from collections.abc import Collection
from pathlib import Path

from pigeonhole.data import journal, tables
from pigeonhole.data.layout import RECORDINGS, is_hidden, listed, visible_files
from pigeonhole.errors import PigeonholeError

NAME = "labels.csv"
COLUMNS = ("file", "label")
ABSENT = f"named in {NAME} and not there"


def find(top: Path) -> Path | None:
    """The table by which the pictures in `top` are labelled; None where the folders are the classes.

    One next to several folders is left alone: those are classes, or the parts of a split.
    """
    if not top.is_dir():
        return None
    items = [item for item in listed(top) if not is_hidden(item.name)]
    found = [Path(item.path) for item in items if item.name.lower() == NAME and os.path.isfile(item.path)]
    is_single = sum(os.path.isdir(item.path) for item in items if item.name != RECORDINGS) <= 1
    return found[0] if found and is_single else None


def read(table: Path) -> tuple[dict[str, str], list[str]]:
    """(file -> label, files that the table does not name); names are posix paths relative to its folder.

    The table may name a file with or without the one folder next to it. A name that leads nowhere
    is kept as it is. Of a journal of decisions the last row of a file counts (see `journal`). Raises
    PigeonholeError for a damaged table, and for a line that names a file outside of the folder, no label, or
    another label than a line before.
    """
    top = table.parent
    there = {file.relative_to(top).as_posix() for file in visible_files(top)}
    labels = _decided(table) if journal.is_journal(table) else _listed(table, there)
    if not labels:
        raise PigeonholeError(f"{table}: names no picture")
    return labels, sorted(there - labels.keys() - {table.name})


def _decided(table: Path) -> dict[str, str]:
    rows = journal.in_force(journal.read(table))
    return {row.name: row.label for row in rows if not journal.is_removal(row.label, ())}


def _listed(table: Path, there: Collection[str]) -> dict[str, str]:
    top = table.parent
    folder = next((item.name for item in listed(top) if item.is_dir() and not is_hidden(item.name)), "")
    labels: dict[str, str] = {}
    for place, row in tables.read(table, COLUMNS):
        name, label = _in(there, folder, row["file"].strip()), row["label"].strip()
        if not name or name.startswith("/") or ".." in name.split("/") or ":" in name.split("/")[0]:
            raise PigeonholeError(
                f"{place}: {name or 'no name'!r}; name a file in {top}, such as images/1.png"
            )
        if not label:
            raise PigeonholeError(f"{place}: {name} has no label; give one or take the line out")
        if labels.setdefault(name, label) != label:
            raise PigeonholeError(f"{place}: {name} is labelled {label}, and {labels[name]} before; keep one")
    return labels


def _in(there: Collection[str], folder: str, name: str) -> str:
    """The name of the file that is meant by it."""
    plain = name.replace("\\", "/").removeprefix("./")
    return next((each for each in (name, plain, f"{folder}/{plain}") if each in there), plain)
