"""What the folders of a data set mean: classes, the parts of a ready-made split, or a mistake to mend."""

import os
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pigeonhole.errors import PigeonholeError, UsageError
from pigeonhole.pictures.images import EXTENSIONS
from pigeonhole.terminal import shown

# Folders and files that systems put among the user's; whatever begins with a dot is hidden, too.
SYSTEM_NAMES = frozenset(
    {
        "thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx", "@eadir", "#recycle", "$recycle.bin",
        "recycler", "lost+found", "system volume information",
    }
)  # fmt: skip
RECORDINGS = "camera-recordings"  # frames that pigeonhole label has recorded: no class, no part of a split
TRAIN, VALID, TEST, UNLABELLED = "train", "valid", "test", "unlabelled"
_PARTS = {
    TRAIN: {"train", "training", "trn"},
    VALID: {"val", "valid", "validation", "validate", "dev", "development"},
    TEST: {"test", "tests", "testing", "tst", "holdout"},
    UNLABELLED: {"unlabelled", "unlabeled", "unsup", "unsupervised", "nolabel", "nolabels"},
}
_SUFFIX = re.compile(r"(?<=.)(set|sets|dir|data|dataset|folder|images|pictures|photos|split)$")
ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar")
_SHOWN = 8  # folders of a layout that an error prints


@dataclass(frozen=True)
class Folder:
    """One folder directly below the top: the names of its visible folders, and whether files lie in it."""

    name: str
    folders: tuple[str, ...]
    has_files: bool

    @property
    def holds_classes(self) -> bool:
        return len(self.folders) > 1 and not self.has_files


@dataclass(frozen=True)
class Split:
    """The folders of a ready-made split: `valid` None where there is no validation folder.

    `test` holds class folders; `others` are left alone: test pictures without labels, unlabelled ones.
    """

    train: str
    valid: str | None
    test: str | None
    others: tuple[str, ...]


def normal(name: str) -> str:
    """Unicode normal form C: macOS may spell a name with other characters than Linux and Windows do."""
    return unicodedata.normalize("NFC", name)


def is_hidden(name: str) -> bool:
    """Whether a file or folder of this name belongs to the system and not to the user's data."""
    return name.startswith(".") or name.lower() in SYSTEM_NAMES


def part_of(name: str) -> str | None:
    """The part of a split that a folder's name stands for: "train", "valid", "test", "unlabelled", or None.

    In any case, with or without words such as set, dir and data: `Training_Set`, `val-images`, `TEST`.
    """
    word = re.sub(r"[\s_.-]", "", name.lower())
    for candidate in (word, _SUFFIX.sub("", word)):
        for part, names in _PARTS.items():
            if candidate in names:
                return part
    return None


def find_split(top: Path) -> Split | None:
    """The ready-made split that `top` holds, or None where its folders are classes.

    Raises PigeonholeError where the folders look like parts of a split and do not say which is which.
    """
    folders = _below(top)
    parts = {folder.name: part_of(folder.name) for folder in folders}
    if len(folders) > 1 and all(parts.values()) and TRAIN in parts.values():
        return _named_split(top, folders, parts)
    _refuse_unclear(top, folders)
    return None


def check_top(top: Path) -> None:
    """Raise UsageError where `top` is no folder that could hold class folders."""
    if not top.exists():
        where = " (a path with a space needs quotes)" if top.name and _looks_cut(top) else ""
        raise UsageError(f"{top}: no such folder{where}")
    if top.is_dir():
        return
    if top.suffix.lower() in ARCHIVES:
        raise UsageError(f"{top}: an archive; unpack it and give the folder")
    raise UsageError(f"{top}: a file, not a folder; give the folder that holds one folder per class")


def no_classes(top: Path) -> PigeonholeError:
    """The error for a folder without class folders: what it holds instead, and the mend."""
    files = [item for item in os.scandir(top) if item.is_file() and not is_hidden(item.name)]
    pictures = [item for item in files if Path(item.name).suffix.lower() in EXTENSIONS]
    if not pictures:
        return PigeonholeError(
            f"{top}: no class folders; put the pictures into one folder per class, "
            f"such as {top / 'cats'} and {top / 'dogs'}"
        )
    above = top.absolute().parent
    is_one_of_several = sum(folder.has_files for folder in _below(above)) > 1
    other = f"; if {shown(top.name)} is one of the classes, give the folder above, {above}"
    return PigeonholeError(
        f"{top}: holds {len(pictures):,} pictures and no class folders; move them into one folder per class, "
        f"such as {top / 'cats'}{other if is_one_of_several else ''}"
    )


def _below(top: Path) -> list[Folder]:
    found = []
    for item in sorted(listed(top), key=lambda item: item.name):
        if may_be_class(item):
            inside = [each for each in listed(item.path) if not is_hidden(each.name)]
            folders = sorted(each.name for each in inside if is_folder(each))
            found.append(Folder(item.name, tuple(folders), len(folders) < len(inside)))
    return found


def is_folder(item: os.DirEntry[str]) -> bool:
    """Whether it is a folder or a link to one. Of links alone the disk is asked: files may be a million."""
    return os.path.isdir(item.path) if item.is_symlink() else item.is_dir()


def may_be_class(item: os.DirEntry[str]) -> bool:
    """Whether it is a folder of the user's pictures, not the system's nor that of recordings."""
    return is_folder(item) and not is_hidden(item.name) and item.name != RECORDINGS


def visible_files(folder: Path) -> list[Path]:
    """Every file below the folder that is not hidden, nor in a hidden folder."""
    found = []
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not is_hidden(name)]
        found += [Path(place) / name for name in names if not is_hidden(name)]
    return found


def listed(folder: str | os.PathLike[str]) -> list[os.DirEntry[str]]:
    """Everything in one folder, in no order, hidden ones too. Raises PigeonholeError without permission."""
    try:
        with os.scandir(folder) as items:
            return list(items)
    except PermissionError as error:
        raise PigeonholeError(f"{folder}: no permission to list this folder") from error


def _named_split(top: Path, folders: Sequence[Folder], parts: dict[str, str | None]) -> Split:
    by_part: dict[str, list[Folder]] = {part: [] for part in _PARTS}
    for folder in folders:
        by_part[parts[folder.name]].append(folder)
    for part in (TRAIN, VALID):
        if len(by_part[part]) > 1:
            names = " and ".join(shown(folder.name) for folder in by_part[part])
            raise _unclear(top, folders, f"{names} are both called after the {part} part")
    (train,), valid = by_part[TRAIN], next(iter(by_part[VALID]), None)
    if not train.folders or (valid and not valid.folders):
        raise _unclear(top, folders, f"{shown((valid or train).name)} holds no class folders")
    tests = [folder for folder in by_part[TEST] if folder.folders]
    used = {train.name, *(folder.name for folder in (valid, *tests[:1]) if folder)}
    others = tuple(folder.name for folder in folders if folder.name not in used)
    return Split(train.name, valid and valid.name, tests[0].name if tests else None, others)


def _refuse_unclear(top: Path, folders: Sequence[Folder]) -> None:
    """Raise PigeonholeError where the folders are parts of a split by what they hold."""
    holding = [folder for folder in folders if folder.holds_classes]
    if len(folders) < 2 or not holding:
        return
    if len({folder.folders for folder in folders}) == 1:
        raise _unclear(top, folders, "all of them hold folders of the same names")
    if without := next((folder for folder in folders if not folder.folders), None):
        held = f"{shown(holding[0].name)} holds folders and {shown(without.name)} does not"
        raise _unclear(top, folders, held)


def _unclear(top: Path, folders: Sequence[Folder], why: str) -> PigeonholeError:
    layout = "; ".join(
        f"{shown(folder.name)}/ ({', '.join(map(shown, folder.folders[:3])) or 'no folders'}"
        f"{', ...' if len(folder.folders) > 3 else ''})"
        for folder in folders[:_SHOWN]
    )
    names = ",".join(shown(folder.name) for folder in folders)
    return PigeonholeError(
        f"{top}: classes, or parts of a split? {why}: {layout}. If these folders are the classes, say "
        f"--classes {names}; if they are parts, give the training part as --data and another as --test"
    )


def _looks_cut(top: Path) -> bool:
    """Whether a folder next to `top` has its name and then a space: the shell has cut the path there."""
    parent = top.absolute().parent
    return parent.is_dir() and any(name.startswith(f"{top.name} ") for name in os.listdir(parent))
