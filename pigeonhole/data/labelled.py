"""Pictures that the journal of `pigeonhole label` labels: those of a heap, or beside class folders."""

import os
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pigeonhole.data import folders, journal, label_table, layout, walking
from pigeonhole.data.fixes import Finder, Fix
from pigeonhole.data.folders import Entry, Record, Tree
from pigeonhole.data.pixels import Pixels
from pigeonhole.errors import PigeonholeError, UsageError
from pigeonhole.terminal import counted, shown

NO_CLASS = ""


@dataclass(frozen=True)
class Labels:
    """What a journal made of a folder.

    labelled    pictures to which it gives their class
    removed     pictures that it leaves out
    by_folder   pictures that keep the class of their folder, since the journal does not name them
    unlabelled  files without a class, which are not used
    unmatched   name in the journal -> why its decision was not applied
    """

    file: Path
    labelled: int
    removed: int
    by_folder: int
    unlabelled: int
    unmatched: dict[str, str]

    def line(self) -> str:
        """The outcome for people, without the names."""
        parts = [f"{counted(self.labelled, 'picture', 'pictures')} labelled"]
        parts += [f"{self.removed:,} left out"] if self.removed else []
        parts += [f"{self.by_folder:,} by their folders"] if self.by_folder else []
        parts += [f"{counted(self.unlabelled, 'file', 'files')} without a label"] if self.unlabelled else []
        parts += [f"{len(self.unmatched):,} not applied"] if self.unmatched else []
        return f"Labels of {shown(str(self.file))}: {', '.join(parts)}"

    def to_json(self) -> dict[str, object]:
        """The outcome for programs, with the names of decisions that were not applied."""
        return {**vars(self), "file": str(self.file)}


@dataclass
class LabelledTree(Tree):
    """What `scan` found. `decisions` are laid over the records of its entries by `settled`."""

    file: Path = Path()
    decisions: Sequence[Fix] = ()
    unlabelled: int = 0  # files without a class that are not among the entries


def scan(
    root: str | os.PathLike[str], classes: Sequence[str] | None = None, labels: Path | None = None
) -> Tree:
    """The files to train on, as of `folders.scan`, by the journal `labels`.

    A picture that the journal does not name has the class of its folder, as the journal calls it, where
    `everything` takes the folders for classes, and otherwise none. `labels` None: a journal in the folder
    that `folders.scan` takes for a table; without one, the same as `folders.scan`. Raises UsageError for a
    file of labels that is not there.
    """
    top = Path(root)
    layout.check_top(top)
    file = labels or _own_journal(top)
    if file is None:
        return folders.scan(top, classes)
    rows = journal.read(file)
    every = everything(top, without=[file])
    decisions = [
        Fix(row.name, None if journal.is_removal(row.label, every.classes) else row.label, row.digest)
        for row in journal.in_force(rows)
    ]
    called = journal.class_names(rows)
    every = _renamed(every, called)
    class_of = {entry.name: entry.class_name for entry in every.entries}
    absent = any(fix.name not in class_of for fix in decisions)
    class_of |= {fix.name: fix.new_label for fix in decisions if fix.name in class_of}
    labels_given = {fix.new_label for fix in decisions} | {*called.values()}
    chosen = _chosen(file, every, labels_given, set(class_of.values()), classes)
    # A picture that lies elsewhere by now is known by its content, so then all of them must be read.
    wanted = {*chosen, None}
    entries = [entry for entry in every.entries if absent or class_of[entry.name] in wanted]
    tree = LabelledTree(
        **{**vars(every), "classes": chosen, "entries": entries},
        file=file,
        decisions=decisions,
        unlabelled=len(every.entries) - len(entries),
    )
    if every.split:
        tree.split = {entry.name: every.split[entry.name] for entry in entries}
    return tree


def settled(
    tree: Tree, records: Sequence[Record], pixels: Pixels
) -> tuple[list[Record], Pixels, Labels | None]:
    """The records with the classes that the journal gives, without those that have none of the tree's.

    `pixels`: of the records that are not skipped, before and after. The last is None for a tree without a
    journal. A decision is for the file of its name while that has the content that was decided upon,
    otherwise for every file of this content.
    """
    if not isinstance(tree, LabelledTree):
        return list(records), pixels, None
    finder = Finder(records)
    labels: dict[int, str | None] = {}
    unmatched = {}
    for fix in tree.decisions:
        rows = finder.rows(fix)
        labels |= dict.fromkeys(rows, fix.new_label)
        if not rows:
            unmatched[fix.name] = finder.reason(fix)
    kept, numbers, number = [], [], -1
    outcomes: Counter[str] = Counter(unlabelled=tree.unlabelled)
    classes = frozenset(tree.classes)
    for row, record in enumerate(records):
        is_used = record.skipped is None
        number += is_used
        label = labels.get(row, record.entry.class_name)
        if label in classes:
            kept.append(replace(record, entry=replace(record.entry, class_name=label)))
            numbers += [number] if is_used else []
        if is_used or label == NO_CLASS:
            outcomes[_outcome(label, row in labels, classes)] += 1
    counts = {name: outcomes[name] for name in ("labelled", "removed", "by_folder", "unlabelled")}
    return kept, pixels.select(numbers), Labels(tree.file, **counts, unmatched=unmatched)


def _outcome(label: str | None, is_decided: bool, classes: Collection[str]) -> str:
    """The count of `Labels` to which a picture belongs."""
    if label is None:
        return "removed"
    if label not in classes:
        return "unlabelled" if label == NO_CLASS else "of another class"
    return "labelled" if is_decided else "by_folder"


def note(root: Path, labels: Path | None) -> str | None:
    """A line for the user whose class folders hold a journal that is not asked for; None without one."""
    file = root / label_table.NAME
    if labels is not None or not journal.is_journal(file) or _own_journal(root):
        return None
    return f"note: {file} holds labels and is not read; --labels {file} trains by them"


def everything(folder: Path, classes: Sequence[str] | None = None, without: Iterable[Path] = ()) -> Tree:
    """Every file of a folder, with the class that a folder or a table gives it, `NO_CLASS` for none.

    classes  the folders directly below that are classes; none of them where it is empty; None: all of them
             where `folders.scan` would train on them, else none
    without  files that are no pictures of the user. Where one is a journal and gives classes, none of which
             is a folder's, the folders are no classes for None: they are those of a heap

    Raises UsageError for a folder or class that is not there, PigeonholeError for a folder that cannot be
    listed.
    """
    table = label_table.find(folder)
    if table and (classes is not None or journal.is_journal(table)):
        table = None
    without = list(without)
    tree = folders.scan(folder, for_training=False) if table else _class_folders(folder, classes)
    if classes is None and not table and _gives_others(without, tree.classes):
        tree = Tree(folder, [], [])
    if tree.split or tree.test or tree.left_alone:
        return tree  # what is no part of the training is left alone
    own = {entry.name for entry in tree.entries}
    own |= {Path(os.path.relpath(path, folder)).as_posix() for path in without}
    taken = set() if table else {_first(entry.name) for entry in tree.entries}
    heap = (entry for entry in _heap(folder) if entry.name not in own and _first(entry.name) not in taken)
    entries = sorted([*tree.entries, *heap], key=lambda entry: entry.name)
    return replace(tree, entries=entries, strays=[])


def _gives_others(files: Iterable[Path], classes: Collection[str]) -> bool:
    """Whether a journal among the files gives classes, and none of these."""
    rows = [row for file in files if journal.is_journal(file) for row in journal.read(file)]
    labels = {row.label for row in journal.in_force(rows)}
    given = {label for label in labels if not journal.is_removal(label, classes)}
    return bool(given) and (given | journal.class_names(rows).keys()).isdisjoint(classes)


def _renamed(tree: Tree, called: Mapping[str, str]) -> Tree:
    """The same with other names for some classes; several may become one."""
    if called.keys().isdisjoint(tree.classes):
        return tree
    entries = [
        replace(entry, class_name=called.get(entry.class_name, entry.class_name)) for entry in tree.entries
    ]
    names = dict.fromkeys(called.get(name, name) for name in tree.classes)
    return replace(tree, classes=list(names), entries=entries)


def _own_journal(top: Path) -> Path | None:
    """The journal by which the pictures of a heap are labelled."""
    table = label_table.find(top)
    return table if table and journal.is_journal(table) else None


def _chosen(
    file: Path, every: Tree, labels: set[str | None], used: set[str | None], classes: Sequence[str] | None
) -> list[str]:
    """The classes to train on: those asked for, or all that pictures have."""
    labels = labels - {None}
    folders.check_names(file, labels)
    known = sorted((labels | {*every.classes}) & used)
    if classes is None:
        if not known:
            raise PigeonholeError(f"{file}: labels no picture; give some labels with pigeonhole label")
        folders.check_told_apart(file, known)
        return known
    chosen = [layout.normal(name) for name in classes]
    if unknown := [name for name in chosen if name not in known]:
        raise UsageError(f"{file}: no class {', '.join(unknown)}; the classes are {', '.join(known)}")
    folders.check_told_apart(file, chosen)
    return chosen


def _first(name: str) -> str:
    """The folder directly below the top in which a file lies; a file of the top itself."""
    return name.partition("/")[0]


def _class_folders(folder: Path, classes: Sequence[str] | None) -> Tree:
    """The files to which folders give classes; none for a heap."""
    heap = Tree(folder, [], [])
    if classes is not None:
        return folders.scan(folder, classes, for_training=False, by_table=False) if classes else heap
    try:
        return folders.scan(folder, by_table=False)
    except PigeonholeError:
        return heap


def _heap(folder: Path) -> Iterator[Entry]:
    top = os.path.join(folder, "")
    try:
        for path in walking.files_below(str(folder)):
            name = path.removeprefix(top).replace(os.sep, "/")
            if name not in folders.KNOWN_ROOT_FILES and name.lower() != label_table.NAME:
                problem = None if os.path.isfile(path) else folders.problem(Path(path))
                yield Entry(folder, name, NO_CLASS, problem)
    except OSError as error:
        raise PigeonholeError(f"{error.filename}: cannot be listed ({error.strerror})") from error
