"""Recordings of a camera: many frames of nearly the same, which share a side of the split and a fold.

Otherwise the model would be judged by frames whose neighbours it has learnt from. A frame's file name says
which recording it is of, so that copies of it elsewhere, such as in class folders, are known as well.
"""

import itertools
import re
import secrets
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime

import numpy as np

from pigeonhole.data import duplicates
from pigeonhole.data.duplicates import Pair
from pigeonhole.data.folders import Record

_BURST = r"burst-\d{8}-\d{6}-[0-9a-f]{8}"
_FRAME = re.compile(rf"({_BURST})-\d{{4,}}\.jpg")


def new() -> str:
    """The name of a recording that begins now: its local time, and what no other one has."""
    return f"burst-{datetime.now():%Y%m%d-%H%M%S}-{secrets.token_hex(4)}"


def file_name(burst: str, number: int) -> str:
    """Of a frame of that recording."""
    return f"{burst}-{number:04}.jpg"


def of(name: str) -> str | None:
    """The recording that a file is of by its name, whatever folder it lies in; None: of no recording."""
    found = _FRAME.fullmatch(name.rpartition("/")[2])
    return found and found[1]


def groups(records: Sequence[Record], pairs: Iterable[Pair] = ()) -> list[list[Record]]:
    """As `duplicates.groups`, with the frames of one recording together."""
    return duplicates.groups(records, [*pairs, *_neighbours(records)])


def group_numbers(sets, more: Iterable[Pair] = ()) -> np.ndarray:
    """int64 [n], for the pictures of the DataSets' `everything`: equal for copies of one picture.

    `more`: copies by name, besides those that the check has found.
    """
    number_of = {
        record.entry.name: number
        for number, members in enumerate(groups_of(sets, more))
        for record in members
    }
    return np.array([number_of[name] for name in sets.everything.names])


def groups_of(sets, more: Iterable[Pair] = ()) -> list[list[Record]]:
    """The records of each picture, its copies and near-copies together, and of each recording."""
    return groups(sets.records, [*sets.preflight.look_alikes, *sets.preflight.look_alikes_across, *more])


def _neighbours(records: Iterable[Record]) -> list[Pair]:
    """Each frame with the one before it in the same recording."""
    names: defaultdict[str, list[str]] = defaultdict(list)
    for record in records:
        if record.skipped is None and (burst := of(record.entry.name)):
            names[burst].append(record.entry.name)
    return [pair for each in names.values() for pair in itertools.pairwise(each)]
