"""The pre-flight report: what was found in a folder, what cannot be used, and what looks like a mistake."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pigeonhole.data.duplicates import Pair, groups
from pigeonhole.data.fixes import Overlay
from pigeonhole.data.folders import Record, Tree
from pigeonhole.data.labelled import Labels
from pigeonhole.errors import PigeonholeError
from pigeonhole.pictures.images import EXTENSIONS, FORMAT_EXTENSIONS
from pigeonhole.terminal import counted, listed, more, padded, shown, some, width

IMBALANCE = 3.0  # the largest class over the smallest, from which it is worth a warning
FEW_PICTURES = 10  # fewer in a class teach little
LISTED = 10  # lines of one list in the terminal
INDENT = 2  # columns before them
LISTED_CLASSES = 40
NAMED = 3  # names in one line
# What an oddity may come from, where that is not plain from its name.
WHY = {
    "nearly black": "; 12 bits stored in 16? Brighten them, or every picture looks the same to a network",
    "of one colour": "; they show nothing",
}


@dataclass(frozen=True)
class ClassCount:
    found: int
    used: int

    @property
    def skipped(self) -> int:
        return self.found - self.used


@dataclass(frozen=True)
class Preflight:
    """What is known of a folder before training on it. Names are posix paths relative to the folder."""

    root: Path
    classes: dict[str, ClassCount]  # in label order
    sides: dict[str, int]  # pictures on each side of a ready-made split
    skipped: dict[str, str]  # name -> reason
    oddities: dict[str, list[str]]  # "turned by EXIF" and the like -> names
    wrong_extensions: dict[str, str]  # name -> the format that the content has
    copies: list[list[str]]  # equal content, one class
    copies_across: list[list[str]]  # equal content, several classes
    look_alikes: list[Pair]  # near-duplicates, one class
    look_alikes_across: list[Pair]
    on_both_sides: list[list[str]]  # of a ready-made split: copies and near-duplicates
    strays: list[str]  # files outside the class folders
    test: str | None  # the test folder of a ready-made split
    left_alone: list[str]
    hidden: int
    repeated_links: int
    fixes: Overlay | None  # corrected labels, which all the rest takes for granted
    labels: Labels | None = None  # those of a journal, likewise

    @classmethod
    def from_records(
        cls,
        tree: Tree,
        records: Sequence[Record],
        pairs: Sequence[Pair],
        fixes: Overlay | None = None,
        labels: Labels | None = None,
    ) -> "Preflight":
        """`records`: the survey of `tree.entries` after `labels` and `fixes`; `pairs`: near-duplicates."""
        used = [record for record in records if record.skipped is None]
        class_of = {record.entry.name: record.entry.class_name for record in used}
        pairs = [pair for pair in pairs if class_of.keys() >= set(pair)]
        same = _names(groups(used, []))
        alike = _names(groups(used, pairs)) if tree.split else []
        return cls(
            root=tree.root,
            classes=_count_classes(tree.classes, records),
            sides=dict(Counter(tree.split[name] for name in class_of)) if tree.split else {},
            skipped={record.entry.name: record.skipped for record in records if record.skipped is not None},
            oddities=_oddities(used),
            wrong_extensions={r.entry.name: r.format for r in used if _has_wrong_extension(r)},
            copies=[names for names in same if not _differ(names, class_of)],
            copies_across=[names for names in same if _differ(names, class_of)],
            look_alikes=[pair for pair in pairs if not _differ(pair, class_of)],
            look_alikes_across=[pair for pair in pairs if _differ(pair, class_of)],
            on_both_sides=[names for names in alike if _differ(names, tree.split)],
            strays=tree.strays,
            test=tree.test and str(tree.test),
            left_alone=tree.left_alone,
            hidden=tree.hidden,
            repeated_links=tree.repeated_links,
            fixes=fixes,
            labels=labels,
        )

    @property
    def found(self) -> int:
        return sum(count.found for count in self.classes.values())

    @property
    def used(self) -> int:
        return sum(count.used for count in self.classes.values())

    @property
    def imbalance(self) -> float | None:
        """The largest class over the smallest, None where one has no usable picture."""
        sizes = [count.used for count in self.classes.values()]
        return max(sizes) / min(sizes) if min(sizes) else None

    @property
    def small_classes(self) -> dict[str, int]:
        return {name: count.used for name, count in self.classes.items() if count.used < FEW_PICTURES}

    @property
    def stray_pictures(self) -> list[str]:
        return [name for name in self.strays if PurePosixPath(name).suffix.lower() in EXTENSIONS]

    @property
    def clean(self) -> bool:
        """Whether nothing was skipped and nothing contradicts itself.

        Contradictory are: one picture, or two that look the same, under two labels or on both sides of a
        ready-made split; an extension that names another format than the content has; a picture beside the
        class folders; a fix or label that found no picture. Copies within a class, imbalance and oddities are
        none.
        """
        return not any(
            [
                self.skipped,
                self.wrong_extensions,
                self.copies_across,
                self.look_alikes_across,
                self.on_both_sides,
                self.stray_pictures,
                self.fixes and self.fixes.unmatched,
                self.labels and self.labels.unmatched,
            ]
        )

    def require_trainable(self) -> None:
        """Raise PigeonholeError where a class lacks one usable picture to train and one to validate."""
        short = [name for name, count in self.classes.items() if count.used < 2]
        if short:
            raise PigeonholeError(
                f"{self.root}: fewer than two usable pictures in {', '.join(map(shown, short))}; "
                "add pictures or leave the class out with --classes"
            )

    def lines(self) -> list[str]:
        """The report as people read it: long lists cut, at most one screen for a folder in good order."""
        return list(self._lines())

    def to_json(self) -> dict[str, object]:
        """The report for programs: nothing is cut, names are as on disk."""
        return {
            "root": str(self.root),
            "found": self.found,
            "used": self.used,
            "skipped": [{"name": name, "reason": reason} for name, reason in self.skipped.items()],
            "classes": [
                {"class": name, "found": count.found, "used": count.used, "skipped": count.skipped}
                for name, count in self.classes.items()
            ],
            "sides": self.sides,
            "oddities": self.oddities,
            "wrong_extensions": [{"name": n, "format": f} for n, f in self.wrong_extensions.items()],
            "copies": self.copies,
            "copies_across_classes": self.copies_across,
            "look_alikes": [list(pair) for pair in self.look_alikes],
            "look_alikes_across_classes": [list(pair) for pair in self.look_alikes_across],
            "on_both_sides": self.on_both_sides,
            "imbalance": self.imbalance,
            "small_classes": self.small_classes,
            "strays": self.strays,
            "test": self.test,
            "left_alone": self.left_alone,
            "hidden": self.hidden,
            "repeated_links": self.repeated_links,
            "fixes": self.fixes and self.fixes.to_json(),
            "labels": self.labels and self.labels.to_json(),
            "clean": self.clean,
        }

    def _lines(self) -> Iterator[str]:
        sum_of_parts = f"{self.used:,} used + {len(self.skipped):,} skipped"
        yield f"{shown(str(self.root))}: {self.found:,} files found = {sum_of_parts}"
        if self.sides:
            train, valid = self.sides.get("train", 0), self.sides.get("valid", 0)
            yield f"split by its folders: {train:,} pictures to train on, {valid:,} to validate"
        if self.test:
            yield f"kept for the test: {shown(self.test)}"
        yield ""
        yield from self._classes()
        for section in (self._mistakes(), self._notes()):
            lines = list(section)
            yield from ["", *lines] if lines else []
        if self.clean and not self.copies and not self.look_alikes:
            yield ""
            yield "Nothing was skipped, nothing is there twice, nothing contradicts itself."

    def _classes(self) -> Iterator[str]:
        counts = self.classes
        rows = [("class", "found", "used", "skipped")]
        rows += [(shown(name), f"{c.found:,}", f"{c.used:,}", f"{c.skipped:,}") for name, c in counts.items()]
        cut = rows[: LISTED_CLASSES + 1]
        wide = max(width(row[0]) for row in cut)
        for name, *numbers in cut:
            yield f"  {padded(name, wide)}" + "".join(f"{number:>10}" for number in numbers)
        yield from more(len(rows) - len(cut), INDENT, "classes")

    def _mistakes(self) -> Iterator[str]:
        yield from _table("Skipped", self.skipped)
        wrong = {name: f"is in fact {format.upper()}" for name, format in self.wrong_extensions.items()}
        yield from _table("Named as another format than they are (read by content)", wrong)
        yield from _table("Labels that were not applied", self.labels.unmatched if self.labels else {})
        yield from _table("Fixes that were not applied", self.fixes.unmatched if self.fixes else {})
        yield from _sets("The same picture under two labels", self.copies_across)
        yield from _sets("Pictures that look the same under two labels", self.look_alikes_across, " ~ ")
        yield from _sets("In the training and in the validation folder", self.on_both_sides, " ~ ")
        yield from _sets("The same picture more than once in a class", self.copies)
        yield from _sets("Pictures that look the same in a class", self.look_alikes, " ~ ")

    def _notes(self) -> Iterator[str]:
        if self.labels:
            yield self.labels.line()
        if self.fixes:
            yield self.fixes.line()
        for oddity, names in self.oddities.items():
            found = f"{counted(len(names), 'picture', 'pictures')} ({some(names, NAMED)})"
            yield f"{oddity}: {found}{WHY.get(oddity, '')}"
        if self.imbalance and self.imbalance >= IMBALANCE:
            yield (
                f"Unbalanced: the largest class is {self.imbalance:.1f} times the smallest; "
                "--class-weights can make up for it"
            )
        if self.small_classes:
            few = [f"{name} {count}" for name, count in self.small_classes.items()]
            yield f"Too few pictures to learn much from, under {FEW_PICTURES}: {some(few, NAMED)}"
        if passed_over := list(self._passed_over()):
            yield "Not read: " + "; ".join(passed_over)

    def _passed_over(self) -> Iterator[str]:
        if self.strays:
            files = counted(len(self.strays), "file", "files")
            yield f"{files} outside the class folders ({some(self.strays, NAMED)})"
        if self.left_alone:
            yield f"without labels: {some(self.left_alone, NAMED)}"
        if self.hidden:
            yield counted(self.hidden, "hidden file or folder", "hidden files and folders")
        if self.repeated_links:
            yield f"{counted(self.repeated_links, 'link', 'links')} to what was seen already"


def _count_classes(classes: Iterable[str], records: Sequence[Record]) -> dict[str, ClassCount]:
    found = Counter(record.entry.class_name for record in records)
    used = Counter(record.entry.class_name for record in records if record.skipped is None)
    return {name: ClassCount(found[name], used[name]) for name in classes}


def _oddities(used: Iterable[Record]) -> dict[str, list[str]]:
    names: defaultdict[str, list[str]] = defaultdict(list)
    for record in used:
        for oddity in record.oddities:
            names[oddity].append(record.entry.name)
    return dict(sorted(names.items()))


def _has_wrong_extension(record: Record) -> bool:
    suffix = PurePosixPath(record.entry.name).suffix.lower()
    return suffix != "" and suffix not in FORMAT_EXTENSIONS[record.format]


def _names(members: Iterable[Sequence[Record]]) -> list[list[str]]:
    """The names in each group of several."""
    return sorted(sorted(record.entry.name for record in group) for group in members if len(group) > 1)


def _differ(names: Iterable[str], kind: dict[str, str]) -> bool:
    """Whether the named pictures are of more than one kind: class or side."""
    return len({kind.get(name) for name in names}) > 1


def _table(title: str, rows: dict[str, str]) -> Iterator[str]:
    """A title and aligned lines of name and remark, nothing where there are none."""
    if not rows:
        return
    yield f"{title}: {len(rows):,}"
    yield from listed(rows, LISTED, INDENT)


def _sets(title: str, sets: Sequence[Sequence[str]], relation: str = " = ") -> Iterator[str]:
    """A title and one line for each set of names that belong together, nothing where there are none."""
    if not sets:
        return
    yield f"{title}: {len(sets):,}"
    for names in sets[:LISTED]:
        yield f"  {some(names, NAMED, relation)}"
    yield from more(len(sets) - LISTED, INDENT)
