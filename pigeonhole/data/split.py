"""Which pictures train and which validate: decided by content alone, so it can be decided again and again."""

import csv
import hashlib
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pigeonhole import atomic_file
from pigeonhole.data import bursts, tables
from pigeonhole.data.duplicates import Pair
from pigeonhole.data.folders import Record
from pigeonhole.errors import PigeonholeError, UsageError

TRAIN, VALID = "train", "valid"
COLUMNS = ["path", "class", "side", "digest"]


@dataclass(frozen=True)
class PreviousSplit:
    """The sides that a previous run wrote down, by content and, for pictures edited since, by path."""

    by_digest: Mapping[str, str] = field(default_factory=dict)
    by_path: Mapping[str, str] = field(default_factory=dict)

    def side(self, record: Record) -> str | None:
        return self.by_digest.get(record.digest) or self.by_path.get(record.entry.name)


def assign(
    records: Sequence[Record],
    validation_size: float,
    seed: int,
    pairs: Iterable[Pair] = (),
    earlier: PreviousSplit | None = None,
) -> dict[str, str]:
    """Map the name of every used record to "train" or "valid".

    Of each class, the pictures with the lowest positions validate: as many as bring their number nearest to
    `validation_size` of the class. A position follows from `seed` and the picture's content, not from file
    names, folders or order. So adding pictures moves only the few at the edge. All copies of a picture, exact
    or near (`pairs`), take the side of the best: most pixels, then largest file. So do the frames of one
    recording (`bursts`), and what is said of copies below holds for them.

    The limits: copies are not torn apart, so a class misses its share by up to half of the group at the edge.
    One picture in two classes goes by its position alone, and the other pictures of both classes make up for
    it. A class of two pictures or more has both sides, if they are not all copies of one. With `earlier`,
    pictures that it names stay in any case, and count.

    Raises UsageError unless 0 < validation_size < 1.
    """
    if not 0 < validation_size < 1:
        raise UsageError(f"the validation size must lie between 0 and 1, not {validation_size}")
    earlier = earlier or PreviousSplit()
    sides: dict[str, str] = {}
    movable: defaultdict[str, list[_Group]] = defaultdict(list)
    for members in bursts.groups(records, pairs):
        group = _Group(members, f"split {seed}")
        known = [side for member in group.members if (side := earlier.side(member))]
        if not known and group.in_one_class:
            movable[group.class_name].append(group)
            continue
        side = known[0] if known else VALID if group.position < validation_size else TRAIN
        sides |= {member.entry.name: earlier.side(member) or side for member in group.members}
    settled = Counter((record.entry.class_name, sides.get(record.entry.name)) for record in records)
    for class_name, own in movable.items():
        counts = settled[class_name, TRAIN], settled[class_name, VALID]
        validating = _lowest(own, validation_size, *counts)
        for group in own:
            side = VALID if group in validating else TRAIN
            sides |= {member.entry.name: side for member in group.members}
    return sides


class _Group:
    """Copies of one picture, the best first, at a position in [0, 1) set by its content and `purpose`."""

    __slots__ = ("class_name", "members", "position")

    def __init__(self, members: Iterable[Record], purpose: str):
        self.members = sorted(members, key=_rank)
        self.position = _position(purpose, self.members[0].digest)
        self.class_name = self.members[0].entry.class_name

    @property
    def in_one_class(self) -> bool:
        return all(member.entry.class_name == self.class_name for member in self.members)


def _rank(record: Record) -> tuple[int, int, str, str]:
    return -record.width * record.height, -record.file_size, record.digest, record.entry.name


def _position(purpose: str, digest: str) -> float:
    return int(hashlib.sha256(f"{purpose} {digest}".encode()).hexdigest()[:13], 16) / 16**13


def _lowest(own: Sequence[_Group], share: float, training: int, validating: int) -> set[_Group]:
    """The groups of a class that validate: those of the lowest positions, and as many as its share takes.

    `training` and `validating`: how many other pictures of the class do so already.
    """
    in_order = sorted(own, key=lambda group: group.position)
    sizes = [len(group.members) for group in in_order]
    missing = share * (training + validating + sum(sizes)) - validating
    count, taken = 0, 0
    while count < len(sizes) and missing - taken > sizes[count] / 2:
        taken += sizes[count]
        count += 1
    least = 0 if validating else 1
    most = len(sizes) if training else len(sizes) - 1
    return set(in_order[: min(max(count, least), most)])


def fraction(records: Iterable[Record], share: float, seed: int, pairs: Iterable[Pair] = ()) -> list[Record]:
    """A part of the used records, `share` of each class and at least one picture, in their order.

    A smaller part lies inside a larger one. Copies of one picture stay together, so a class may come out
    larger by them; when pictures are added, only those at the edge of the part can leave it.
    Raises UsageError unless 0 < share <= 1.
    """
    if not 0 < share <= 1:
        raise UsageError(f"the fraction must be above 0 and at most 1, not {share}")
    records = [record for record in records if record.skipped is None]
    if share == 1:
        return records
    by_class: defaultdict[str, list[_Group]] = defaultdict(list)
    for members in bursts.groups(records, pairs):
        group = _Group(members, f"fraction {seed}")
        by_class[group.class_name].append(group)
    kept: set[str] = set()
    for candidates in by_class.values():
        kept |= _first_of(candidates, share)
    return [record for record in records if record.entry.name in kept]


def _first_of(candidates: Sequence[_Group], share: float) -> set[str]:
    """The names in as many of the groups, by position, as make up `share` of all their pictures."""
    wanted = max(1, round(share * sum(len(group.members) for group in candidates)))
    kept: set[str] = set()
    for group in sorted(candidates, key=lambda group: group.position):
        if len(kept) >= wanted:
            break
        kept |= {member.entry.name for member in group.members}
    return kept


def write_split(file: str | os.PathLike[str], records: Iterable[Record], sides: Mapping[str, str]) -> None:
    """Write the side of each record that has one as CSV, sorted by path: path, class, side, digest."""
    chosen = [record for record in records if record.entry.name in sides]
    chosen.sort(key=lambda record: record.entry.name)
    # A file name need not be valid UTF-8 on Linux; it is written as the bytes that it has there.
    with atomic_file.write(Path(file), errors="surrogateescape") as target:
        add = tables.adder(target)
        add(COLUMNS)
        for record in chosen:
            name = record.entry.name
            add((name, record.entry.class_name, sides[name], record.digest))


def read_split(file: str | os.PathLike[str]) -> PreviousSplit:
    """Read a split.csv. Raises UsageError without the file, PigeonholeError with the line that is wrong."""
    path = Path(file)
    if not path.is_file():
        raise UsageError(f"{path}: no such split file")
    by_digest: dict[str, str] = {}
    by_path: dict[str, str] = {}
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as source:
        reader = csv.reader(source)
        try:
            if next(reader, None) != COLUMNS:
                raise PigeonholeError(f"{path}, line 1: must be the header {','.join(COLUMNS)}")
            for row in filter(None, reader):
                row = [tables.original(text) for text in row]
                _check_row(f"{path}, line {reader.line_num}", row, by_digest, by_path)
                name, _, side, digest = row
                by_path[name] = side
                if digest:
                    by_digest[digest] = side
        except csv.Error as error:
            raise PigeonholeError(f"{path}, line {reader.line_num}: {error}") from error
    if not by_path:
        raise PigeonholeError(f"{path}: names no picture")
    return PreviousSplit(by_digest, by_path)


def _check_row(place: str, row: list[str], by_digest: Mapping[str, str], by_path: Mapping[str, str]) -> None:
    if len(row) != len(COLUMNS):
        raise PigeonholeError(f"{place}: {len(row)} fields instead of {len(COLUMNS)} ({', '.join(COLUMNS)})")
    name, _, side, digest = row
    if side not in (TRAIN, VALID):
        raise PigeonholeError(f"{place}: the side must be {TRAIN} or {VALID}, not {side!r}")
    if name in by_path:
        raise PigeonholeError(f"{place}: {name} is there twice")
    if by_digest.get(digest, side) != side:
        raise PigeonholeError(f"{place}: {name} has the same content as a picture on the other side")
