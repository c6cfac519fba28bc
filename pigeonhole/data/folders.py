"""A folder of class folders in, its files listed by class: which exist, not what is inside them."""

import os
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pigeonhole.data import label_table
from pigeonhole.data.layout import (
    RECORDINGS,
    Split,
    check_top,
    find_split,
    is_folder,
    is_hidden,
    listed,
    may_be_class,
    no_classes,
    normal,
    visible_files,
)
from pigeonhole.errors import PigeonholeError, UsageError
from pigeonhole.terminal import shown

KNOWN_ROOT_FILES = frozenset({"labels.txt"})  # written by the exporters next to the class folders


@dataclass(frozen=True, slots=True)
class Entry:
    """One file found below a class folder."""

    root: Path  # the scanned folder, one object for all of its entries: there may be millions
    name: str  # posix path relative to the root, spelt as on disk
    class_name: str  # in Unicode normal form C, so that one name is one class on every system
    problem: str | None = None  # why it must not even be opened: "broken link", "not a regular file"

    @property
    def path(self) -> Path:
        return self.root / self.name


@dataclass
class Tree:
    """What `scan` found: `entries` sorted by name, and a count of what it passed over."""

    root: Path
    classes: list[str]
    entries: list[Entry]
    split: dict[str, str] | None = None  # entry name -> "train" or "valid" where the folders say so
    strays: list[str] = field(
        default_factory=list
    )  # files directly in a folder that should hold class folders
    test: Path | None = None  # the test folder of a ready-made split
    left_alone: list[str] = field(default_factory=list)  # a ready-made split's folders without labels
    hidden: int = 0  # hidden files and folders passed over
    repeated_links: int = 0  # links to what their class has already, or to a folder above it


@dataclass(frozen=True, slots=True)
class Record:
    """What reading one file taught: `skipped` says why it cannot be used, or all the rest is filled."""

    entry: Entry
    skipped: str | None = None
    digest: str = ""  # sha256 of the content, hexadecimal
    format: str = ""
    width: int = 0  # pixels
    height: int = 0
    oddities: tuple[str, ...] = ()
    fingerprint: int = 0  # duplicates.fingerprint: 64-bit perceptual hash, 0 for a flat picture
    file_size: int = 0  # bytes
    camera: str = ""


def scan(
    root: str | os.PathLike[str],
    classes: Sequence[str] | None = None,
    for_training: bool = True,
    by_table: bool = True,
) -> Tree:
    """List the files of each class folder of `root`, at any depth, sorted by name.

    `classes` takes a subset, in the given order. A labels.csv next to one folder of pictures gives their
    classes instead (see `label_table`). Folders that are the parts of a ready-made split by their
    names (see `layout.part_of`) fill `Tree.split` and `Tree.test`. A link is followed once per class, never
    upwards. `for_training`: there must be two classes or more, whose names can be told apart where case does
    not count. `by_table`: whether a labels.csv is looked for. Raises UsageError for a path or class that is
    not there, PigeonholeError for a folder that cannot be used.
    """
    top = Path(root)
    check_top(top)
    if by_table and (table := label_table.find(top)):
        tree = _scan_table(table, classes)
        if for_training:
            check_told_apart(top, tree.classes)
        return tree
    named = classes is not None and all((top / name).is_dir() for name in classes)
    split = None if named else find_split(top)
    tree = _scan_split(top, split, classes) if split else _scan_classes(top, classes)
    if for_training:
        check_told_apart(top, tree.classes)
    tree.entries.sort(key=lambda entry: entry.name)
    return tree


def _items(folder: str | os.PathLike[str]) -> list[os.DirEntry[str]]:
    """Everything in one folder, sorted by name, hidden ones too."""
    return sorted(listed(folder), key=lambda item: item.name)


def _visible_folders(folder: str | os.PathLike[str]) -> list[str]:
    return [item.name for item in _items(folder) if may_be_class(item)]


def _scan_table(table: Path, classes: Sequence[str] | None) -> Tree:
    """List the files that a labels.csv names; what else lies there are strays."""
    top = table.parent
    labels, strays = label_table.read(table)
    labels = {name: normal(label) for name, label in labels.items()}
    known = sorted(set(labels.values()))
    check_names(table, known)
    chosen = _choose(top, dict.fromkeys(known, ""), classes)
    entries = [
        Entry(top, name, label, problem(top / name))
        for name, label in sorted(labels.items())
        if label in chosen
    ]
    return Tree(top, chosen, entries, strays=strays)


def problem(path: Path) -> str | None:
    if path.is_file():
        return None
    if path.is_symlink() and not path.exists():
        return "broken link"
    return "not a regular file" if path.exists() else label_table.ABSENT


def _scan_split(top: Path, split: Split, classes: Sequence[str] | None) -> Tree:
    train = _scan_classes(top, classes, f"{split.train}/")
    train.test = top / split.test if split.test else None
    items = _items(top)
    train.strays += _strays(items, "")
    train.left_alone = list(split.others)
    train.hidden += sum(is_hidden(item.name) for item in items)
    if split.valid is None:
        return train
    valid = _scan_classes(top, classes, f"{split.valid}/")
    if odd := sorted(set(train.classes) ^ set(valid.classes)):
        side = split.train if odd[0] in train.classes else split.valid
        only = [name for name in odd if name in (train if side == split.train else valid).classes]
        raise PigeonholeError(
            f"{top}: {split.train} and {split.valid} must hold the same classes; "
            f"only {side} has {', '.join(map(shown, only))}"
        )
    train.split = {entry.name: "train" for entry in train.entries}
    train.split |= {entry.name: "valid" for entry in valid.entries}
    train.entries += valid.entries
    train.strays += valid.strays
    train.hidden += valid.hidden
    train.repeated_links += valid.repeated_links
    return train


def _scan_classes(root: Path, classes: Sequence[str] | None, prefix: str = "") -> Tree:
    """Scan the folder of class folders that `prefix` leads to from the root; entry names begin with it."""
    top = root / prefix
    items = _items(top)
    folders = _class_folders(top, items)
    chosen = _choose(top, folders, classes)
    tree = Tree(root=root, classes=chosen, entries=[], strays=_strays(items, prefix))
    tree.hidden = sum(is_hidden(item.name) for item in items)
    empty = []
    for class_name in chosen:
        walk = _Walk(root, f"{prefix}{folders[class_name]}", class_name)
        tree.entries += walk.entries
        tree.hidden += walk.hidden
        tree.repeated_links += walk.repeated_links
        if not walk.entries:
            empty.append(class_name)
    if empty:
        raise PigeonholeError(
            f"{top}: no files in {', '.join(empty)}; put pictures there or remove the folder"
        )
    return tree


def _strays(items: list[os.DirEntry[str]], prefix: str) -> list[str]:
    strays = [
        f"{prefix}{item.name}"
        for item in items
        if not is_folder(item) and not is_hidden(item.name) and item.name not in KNOWN_ROOT_FILES
    ]
    if recordings := next((item.path for item in items if item.name == RECORDINGS and is_folder(item)), None):
        strays += [f"{prefix}{RECORDINGS}/{file.name}" for file in visible_files(Path(recordings))]
    return strays


def _class_folders(top: Path, items: list[os.DirEntry[str]]) -> dict[str, str]:
    """Class name -> folder name, sorted by class name."""
    folders: dict[str, str] = {}
    for item in items:
        if not may_be_class(item):
            continue
        if normal(item.name) in folders:
            raise PigeonholeError(
                f"{top}: two folders are both called {normal(item.name)}, spelt with different Unicode "
                "characters; move their pictures into one"
            )
        folders[normal(item.name)] = item.name
    if not folders:
        raise no_classes(top)
    check_names(top, folders)
    return dict(sorted(folders.items()))


def check_names(top: Path, folders: Iterable[str]) -> None:
    """Raise PigeonholeError for class names that could not be written down, one a line."""
    for name in folders:
        if shown(name) != name and not any("\udc80" <= letter <= "\udcff" for letter in name):
            raise PigeonholeError(
                f"{top}: the class name {name!a} holds a control character or a line end; rename it"
            )
        try:
            name.encode("utf-8")
        except UnicodeEncodeError as error:
            byte = ord(name[error.start]) - 0xDC00
            raise PigeonholeError(
                f"{top}: the class name {shown(name)} is no UTF-8 (byte 0x{byte:02x}); rename it"
            ) from error


def _choose(top: Path, folders: dict[str, str], classes: Sequence[str] | None) -> list[str]:
    chosen = list(folders) if classes is None else [normal(name) for name in classes]
    if unknown := [name for name in chosen if name not in folders]:
        raise UsageError(f"{top}: no class {', '.join(unknown)}; the classes are {', '.join(folders)}")
    if len(set(chosen)) < len(chosen):
        raise UsageError(f"a class is named twice: {', '.join(chosen)}")
    return chosen


def check_told_apart(top: Path, classes: Sequence[str]) -> None:
    """Raise PigeonholeError where there is one class alone, or two differ in case alone."""
    if len(classes) < 2:
        raise _too_few(top, classes)
    by_lower: dict[str, str] = {}
    for name in classes:
        other = by_lower.setdefault(name.lower(), name)
        if other != name:
            raise PigeonholeError(
                f"{top}: the folders {shown(other)} and {shown(name)} differ in upper and lower case alone; "
                "move their pictures into one"
            )


def _too_few(top: Path, chosen: Sequence[str]) -> PigeonholeError:
    if top.is_file():  # a table of labels
        named = ", ".join(map(shown, chosen))
        return PigeonholeError(f"{top}: only one class ({named}); label pictures of a second one")
    folders = _visible_folders(top)
    inner = top / folders[0] if folders else top
    if len(folders) == 1 and len(_visible_folders(inner)) > 1:
        return PigeonholeError(f"{top}: only one folder, which holds others; did you mean {inner}?")
    return PigeonholeError(
        f"{top}: only one class ({', '.join(map(shown, chosen))}); "
        "a classifier needs two or more class folders"
    )


class _Walk:
    """The files of one class folder. Links are followed last, so that real files keep their own names."""

    def __init__(self, root: Path, name: str, class_name: str):
        self.entries: list[Entry] = []
        self.hidden = 0
        self.repeated_links = 0
        self._root = root
        self._class_name = class_name
        folder = str(root / name)
        self._top = os.path.realpath(folder)
        self._seen: set[str] = set()  # real paths of the folders entered and of the files that links led to
        self._folders = deque([(folder, name)])
        self._links: deque[tuple[os.DirEntry[str], str]] = deque()
        while self._folders or self._links:
            if self._folders:
                self._enter(*self._folders.popleft())
            else:
                self._follow(*self._links.popleft())

    def _enter(self, folder: str, name: str) -> None:
        real = os.path.realpath(folder)
        if real in self._seen:
            self.repeated_links += 1
            return
        self._seen.add(real)
        for item in _items(folder):
            if is_hidden(item.name):
                self.hidden += 1
            elif item.is_symlink():
                self._links.append((item, f"{name}/{item.name}"))
            elif item.is_dir():
                self._folders.append((item.path, f"{name}/{item.name}"))
            else:
                self._add(item, f"{name}/{item.name}")

    def _follow(self, link: os.DirEntry[str], name: str) -> None:
        real = os.path.realpath(link.path)
        above = Path(self._top).is_relative_to(real)
        if above or self._is_taken(real):
            self.repeated_links += 1
        elif os.path.isdir(real):
            self._folders.append((link.path, name))
        else:
            self._seen.add(real)
            self._add(link, name)

    def _is_taken(self, real: str) -> bool:
        """Whether a link led there before, or it lies in a folder all of whose visible files were taken."""
        folder, name = os.path.split(real)
        return real in self._seen or (folder in self._seen and not is_hidden(name) and os.path.exists(real))

    def _add(self, item: os.DirEntry[str], name: str) -> None:
        problem = None
        if not item.is_file(follow_symlinks=False) and not os.path.isfile(item.path):
            problem = "not a regular file" if os.path.exists(item.path) else "broken link"
        self.entries.append(Entry(self._root, name, self._class_name, problem))
