"""A folder of class folders in, its files listed by class: which exist, not what is inside them."""

import os
import unicodedata
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pigeonhole.errors import PigeonholeError, UsageError

HIDDEN_NAMES = frozenset({"thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx"})
KNOWN_ROOT_FILES = frozenset({"labels.txt"})  # written by the exporters beside the class folders

TRAIN_NAMES = frozenset({"train", "train_dir"})
VALID_NAMES = frozenset({"val", "valid", "validation", "validation_dir"})
TEST_NAMES = frozenset({"test", "test_dir"})


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
    left_alone: list[str] = field(default_factory=list)  # a ready-made split's test folder
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


def is_hidden(name: str) -> bool:
    """Whether a file or folder of this name belongs to the system and not to the user's data."""
    return name.startswith(".") or name.lower() in HIDDEN_NAMES


def normal(name: str) -> str:
    """Unicode normal form C: macOS may spell a name with other characters than Linux and Windows do."""
    return unicodedata.normalize("NFC", name)


def scan(root: str | os.PathLike[str], classes: Sequence[str] | None = None) -> Tree:
    """List the files of each class folder of `root`, at any depth, sorted by name.

    `classes` takes a subset, in the given order. `train|train_dir` beside
    `val|valid|validation|validation_dir`, each holding class folders, is a ready-made split and fills
    `Tree.split`. A link is followed once per class, never upwards. Raises UsageError for a path or class that
    is not there, PigeonholeError for a folder that cannot be trained on.
    """
    top = Path(root)
    if not top.exists():
        raise UsageError(f"{top}: no such folder")
    if not top.is_dir():
        raise UsageError(f"{top}: a file, not a folder; give the folder that holds one folder per class")
    sides = _ready_made_sides(top)
    tree = _scan_sides(top, sides, classes) if sides else _scan_classes(top, classes)
    tree.entries.sort(key=lambda entry: entry.name)
    return tree


def _items(folder: str | os.PathLike[str]) -> list[os.DirEntry[str]]:
    """Everything in one folder, sorted by name, hidden ones too."""
    try:
        with os.scandir(folder) as items:
            return sorted(items, key=lambda item: item.name)
    except PermissionError as error:
        raise PigeonholeError(f"{folder}: no permission to list this folder") from error


def _visible_folders(folder: str | os.PathLike[str]) -> list[str]:
    return [item.name for item in _items(folder) if _is_folder(item) and not is_hidden(item.name)]


def _is_folder(item: os.DirEntry[str]) -> bool:
    return os.path.isdir(item.path)  # item.is_dir() raises for a link that leads to itself


def _ready_made_sides(top: Path) -> dict[str, str]:
    """{"train": folder name, "valid": folder name} where `top` holds a ready-made split, else nothing."""
    names = set(_visible_folders(top))
    train, valid = names & TRAIN_NAMES, names & VALID_NAMES
    if len(train) != 1 or len(valid) > 1 or len(names) == 1 or names - train - valid - TEST_NAMES:
        return {}
    if not all(_visible_folders(top / name) for name in names):
        return {}
    if not valid:
        other = " and ".join(sorted(names - train))
        raise PigeonholeError(
            f"{top}: holds {train.pop()} and {other}, no validation folder; give the training folder alone "
            "and a part of it will be set apart for validation"
        )
    return {"train": train.pop(), "valid": valid.pop()}


def _scan_sides(top: Path, sides: dict[str, str], classes: Sequence[str] | None) -> Tree:
    parts = {side: _scan_classes(top, classes, f"{folder}/") for side, folder in sides.items()}
    train, valid = parts["train"], parts["valid"]
    if odd := sorted(set(train.classes) ^ set(valid.classes)):
        side = "train" if odd[0] in train.classes else "valid"
        only = [name for name in odd if name in parts[side].classes]
        raise PigeonholeError(
            f"{top}: {sides['train']} and {sides['valid']} must hold the same classes; "
            f"only {sides[side]} has {', '.join(only)}"
        )
    items = _items(top)
    used = set(sides.values())
    return Tree(
        root=top,
        classes=train.classes,
        entries=train.entries + valid.entries,
        split={entry.name: side for side, part in parts.items() for entry in part.entries},
        strays=_strays(items, "") + train.strays + valid.strays,
        left_alone=[item.name for item in items if _is_folder(item) and item.name in TEST_NAMES - used],
        hidden=sum(is_hidden(item.name) for item in items) + train.hidden + valid.hidden,
        repeated_links=train.repeated_links + valid.repeated_links,
    )


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
    return [
        f"{prefix}{item.name}"
        for item in items
        if not _is_folder(item) and not is_hidden(item.name) and item.name not in KNOWN_ROOT_FILES
    ]


def _class_folders(top: Path, items: list[os.DirEntry[str]]) -> dict[str, str]:
    """Class name -> folder name, sorted by class name."""
    folders: dict[str, str] = {}
    for item in items:
        if not _is_folder(item) or is_hidden(item.name):
            continue
        if normal(item.name) in folders:
            raise PigeonholeError(
                f"{top}: two folders are both called {normal(item.name)}, spelt with different Unicode "
                "characters; move their pictures into one"
            )
        folders[normal(item.name)] = item.name
    if not folders:
        raise PigeonholeError(
            f"{top}: no class folders; put the pictures into one folder per class, "
            f"such as {top / 'cats'} and {top / 'dogs'}"
        )
    return dict(sorted(folders.items()))


def _choose(top: Path, folders: dict[str, str], classes: Sequence[str] | None) -> list[str]:
    chosen = list(folders) if classes is None else [normal(name) for name in classes]
    if unknown := [name for name in chosen if name not in folders]:
        raise UsageError(f"{top}: no class {', '.join(unknown)}; the classes are {', '.join(folders)}")
    if len(set(chosen)) < len(chosen):
        raise UsageError(f"a class is named twice: {', '.join(chosen)}")
    if len(chosen) < 2:
        raise PigeonholeError(_too_few(top, chosen, folders))
    return chosen


def _too_few(top: Path, chosen: list[str], folders: dict[str, str]) -> str:
    inner = top / folders[chosen[0]] if chosen else top
    if chosen and len(folders) == 1 and len(_visible_folders(inner)) > 1:
        return f"{top}: only one folder, which holds others; did you mean {inner}?"
    return (
        f"{top}: only one class ({', '.join(chosen) or 'none'}); a classifier needs two or more class folders"
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
