"""Corrected labels as a small table that people edit: fixes.csv, laid over the folders without touching them.

    file,label,suggested,confidence,new_label,digest
    cat/12.png,cat,dog,0.9712,,9f86d081884c7d65...

Only `new_label` is for editing. Empty leaves the picture as it is; a class name makes it one of that class;
`remove` leaves it out. (A class that is itself called "remove" goes before the word.) `file` and `new_label`
suffice for a line added by hand; `label`, `suggested`, `confidence` and further columns are not read.
"""

import math
import os
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pigeonhole import atomic_file
from pigeonhole.data import tables
from pigeonhole.data.folders import Record
from pigeonhole.data.journal import REMOVE
from pigeonhole.data.layout import normal
from pigeonhole.errors import PigeonholeError, UsageError
from pigeonhole.terminal import counted

COLUMNS = ("file", "label", "suggested", "confidence", "new_label", "digest")
NEEDED = ("file", "new_label")
DIGEST_LENGTH = 64
LEFT_OUT = "left out by the fixes"


@dataclass(frozen=True)
class Suspect:
    """A picture whose label is doubted.

    `given` is its label and `suggested` the likeliest other class, with the probability 0..1 that the
    networks give to either; `score` 0..1 is the probability that the label is wrong.
    """

    name: str
    given: str
    suggested: str
    confidence_given: float
    confidence_suggested: float
    score: float


@dataclass(frozen=True)
class Fix:
    """One decision: `name` (posix path below the folder of classes) belongs to `new_label`, None to no class.

    `digest`: sha256 of the content that was decided upon, hexadecimal; empty where only the name is known.
    """

    name: str
    new_label: str | None
    digest: str = ""


@dataclass(frozen=True)
class Overlay:
    """What fixes made of a folder's records.

    records    all of them in their order: with corrected classes, and skipped where a fix leaves them out
    relabelled name -> (class of its folder, new class), where these differ
    removed    names left out
    unmatched  name in the fixes -> why that fix was not applied
    """

    records: list[Record]
    relabelled: dict[str, tuple[str, str]]
    removed: list[str]
    unmatched: dict[str, str]

    def line(self) -> str:
        """The outcome for people, without the names."""
        changed = counted(len(self.relabelled), "label changed", "labels changed")
        removed = counted(len(self.removed), "picture left out", "pictures left out")
        unmatched = counted(len(self.unmatched), "fix not applied", "fixes not applied")
        parts = [changed, removed] + ([unmatched] if self.unmatched else [])
        return "Fixes: " + ", ".join(parts)

    def to_json(self) -> dict[str, object]:
        """The outcome for programs, with every name."""
        relabelled = {name: {"from": old, "to": new} for name, (old, new) in self.relabelled.items()}
        return {"relabelled": relabelled, "removed": self.removed, "unmatched": self.unmatched}


def write(
    file: str | os.PathLike[str],
    suspects: Iterable[Suspect],
    digests: Mapping[str, str],
    decided: Sequence[Fix] = (),
) -> None:
    """Write the suspects in their order, with nothing decided, after the fixes that were `decided` before.

    So the newest fixes.csv always holds every decision. `digests`: name -> sha256, for each suspect.
    """
    names = {fix.name for fix in decided}
    rows = [(fix.name, "", "", "", fix.new_label or REMOVE, fix.digest) for fix in decided]
    rows += [
        (one.name, one.given, one.suggested, f"{one.confidence_suggested:.4f}", "", digests[one.name])
        for one in suspects
        if one.name not in names
    ]
    _write(Path(file), [COLUMNS, *rows])


def read(file: str | os.PathLike[str], classes: Sequence[str]) -> list[Fix]:
    """The decisions in a fixes.csv, in its order; lines with nothing in `new_label` are none.

    Takes what spreadsheets make of the file: comma, semicolon or tab, with or without a byte order mark, any
    line ends, columns and lines in any order. Raises UsageError without the file, PigeonholeError naming the
    line that is wrong.
    """
    path = _present(file)
    fixes: dict[str, Fix] = {}
    for place, row in tables.read(path, NEEDED):
        fix = _fix(place, row, classes)
        if fix is None:
            continue
        if fix.name in fixes:
            raise PigeonholeError(f"{place}: {fix.name} is decided twice")
        fixes[fix.name] = fix
    return list(fixes.values())


def suspects(file: str | os.PathLike[str]) -> list[Suspect]:
    """The doubted pictures of a fixes.csv in its order, decided or not; NaN for what it does not say.

    Raises UsageError without the file, PigeonholeError where it cannot be read.
    """
    found = []
    for place, row in tables.read(_present(file), NEEDED):
        if row.get("label") and row.get("suggested"):
            try:
                confidence = float(row.get("confidence") or math.nan)
            except ValueError:
                raise PigeonholeError(f"{place}: {row['confidence']!r} is no confidence, 0 to 1") from None
            found.append(Suspect(row["file"], row["label"], row["suggested"], math.nan, confidence, math.nan))
    return found


def undecided(file: str | os.PathLike[str]) -> list[str]:
    """The names in a fixes.csv for which `new_label` is empty. Raises as `suspects`."""
    return [row["file"] for _, row in tables.read(_present(file), NEEDED) if not row["new_label"].strip()]


def decide(file: str | os.PathLike[str], decisions: Iterable[Fix], taken_back: Collection[str]) -> None:
    """Write decisions into a fixes.csv, which need not be there; its other lines and columns stay.

    `taken_back`: names whose decision is taken away. Raises as `read`, and OSError.
    """
    path = Path(file)
    rows = [row for _, row in tables.read(path, NEEDED)] if path.is_file() else []
    columns = dict.fromkeys([*(rows[0] if rows else COLUMNS), "digest"])
    known = {row["file"]: row for row in rows}
    for fix in decisions:
        if fix.name not in known:
            known[fix.name] = {"file": fix.name}
            rows.append(known[fix.name])
        known[fix.name].update(new_label=fix.new_label or REMOVE, digest=fix.digest)
    for name in taken_back:
        if name in known:
            known[name]["new_label"] = ""
    _write(path, [columns, *([row.get(column, "") for column in columns] for row in rows)])


def _write(path: Path, rows: Iterable[Iterable[str]]) -> None:
    # A file name need not be UTF-8; it is written as the bytes that it has on the disk.
    with atomic_file.write(path, encoding=tables.ENCODING, errors="surrogateescape") as target:
        add = tables.adder(target)
        for row in rows:
            add(row)


def _present(file: str | os.PathLike[str]) -> Path:
    path = Path(file)
    if not path.is_file():
        raise UsageError(f"{path}: no such file of fixes")
    return path


def _fix(place: str, row: Mapping[str, str], classes: Sequence[str]) -> Fix | None:
    name, label = row["file"], normal(row["new_label"].strip())
    digest = row.get("digest", "").strip().lower()
    if not name:
        raise PigeonholeError(f"{place}: names no file")
    if digest and (len(digest) != DIGEST_LENGTH or not set(digest) <= set("0123456789abcdef")):
        raise PigeonholeError(f"{place}: {digest!r} is no digest; leave it as it was or empty")
    if not label:
        return None
    if label in classes:
        return Fix(name, label, digest)
    if label.lower() == REMOVE:
        return Fix(name, None, digest)
    known = ", ".join(classes)
    raise PigeonholeError(f"{place}: no class {label!r}; give {known}, or {REMOVE} to leave the picture out")


def apply(fixes: Iterable[Fix], records: Sequence[Record]) -> Overlay:
    """Lay fixes over records; no file is touched.

    A fix is for the file of its name while that has the content that was decided upon; otherwise for every
    file of this content, however it is called now. One that finds neither is named in `unmatched`.
    """
    finder = Finder(records)
    decisions: dict[int, str | None] = {}
    unmatched: dict[str, str] = {}
    for fix in fixes:
        rows = finder.rows(fix)
        if not rows:
            unmatched[fix.name] = finder.reason(fix)
        elif any(decisions.get(row, fix.new_label) != fix.new_label for row in rows):
            unmatched[fix.name] = "contradicts another fix for the same content"
        else:
            decisions |= dict.fromkeys(rows, fix.new_label)
    return _overlay(records, decisions, unmatched)


class Finder:
    """Which of the usable records a fix is for."""

    def __init__(self, records: Sequence[Record]):
        self._records = records
        self._by_name = {record.entry.name: row for row, record in enumerate(records)}
        self._by_digest: defaultdict[str, list[int]] = defaultdict(list)
        for row, record in enumerate(records):
            if record.skipped is None:
                self._by_digest[record.digest].append(row)

    def rows(self, fix: Fix) -> list[int]:
        same_content = self._by_digest.get(fix.digest, [])
        row = self._by_name.get(fix.name)
        if row is not None and (row in same_content or self._fits_by_name_alone(row, fix)):
            return [row]
        return same_content

    def _fits_by_name_alone(self, row: int, fix: Fix) -> bool:
        return not fix.digest and self._records[row].skipped is None

    def reason(self, fix: Fix) -> str:
        """Why there is no row for a fix."""
        row = self._by_name.get(fix.name)
        if row is None:
            return "not found"
        return self._records[row].skipped or "changed since"


def _overlay(
    records: Sequence[Record], decisions: Mapping[int, str | None], unmatched: dict[str, str]
) -> Overlay:
    changed = list(records)
    relabelled: dict[str, tuple[str, str]] = {}
    removed: list[str] = []
    for row, new_label in sorted(decisions.items()):
        entry = records[row].entry
        if new_label is None:
            changed[row] = replace(records[row], skipped=LEFT_OUT)
            removed.append(entry.name)
        elif new_label != entry.class_name:
            changed[row] = replace(records[row], entry=replace(entry, class_name=new_label))
            relabelled[entry.name] = (entry.class_name, new_label)
    return Overlay(changed, relabelled, removed, unmatched)
