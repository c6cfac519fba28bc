"""Labels as class folders: a copy of each labelled picture, or a hard link, in a folder of its class."""

import contextlib
import functools
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pigeonhole.data.parallel import bar
from pigeonhole.data.sources.importing import class_folders
from pigeonhole.errors import UsageError
from pigeonhole.jobs.bulk import sorting
from pigeonhole.jobs.bulk.sorting import UNDO, SortedFolder
from pigeonhole.jobs.prediction import Answer
from pigeonhole.labelling.opening import Opened
from pigeonhole.terminal import counted, shown

FLAG = "--materialise"
SOURCE = "labels"  # in the place of a model


@dataclass(frozen=True)
class Outcome:
    """`made`: pictures that were put into class folders; `present`: those that lay there already."""

    made: int
    present: int


def materialise(opened: Opened, target: Path, link: bool = False, progress: bool | None = None) -> Outcome:
    """Put each picture that has a label into `target`/CLASS; the originals stay where they are.

    `progress`: a bar on standard error; None: where that is a terminal. Raises as `put` does.
    """
    labels = opened.labels()
    with contextlib.ExitStack() as ending:
        shown_bar = functools.cache(  # not before there is anything to show
            lambda: ending.enter_context(bar("class folders", "pictures", 0, len(labels), progress))
        )
        return put(opened.collection.folder, labels, target, link, lambda *_: shown_bar().update())


def put(
    source: Path, labels: Mapping[str, str], target: Path, link: bool, tell: Callable[[int, int], None]
) -> Outcome:
    """Put the pictures in the folder `source`, by their names below it, into folders of their classes.

    No file is replaced, and what has been put there by an earlier call is left: a call that was interrupted
    is made again. `undo.csv` there lists what was made; see `sorting.undo`. `tell` is given the number of
    pictures that are done and of all, after each. Raises UsageError where nothing is labelled, where `target`
    lies in the folder of the pictures, or where a picture lies there by a label that it no longer has;
    PigeonholeError and OSError as `SortedFolder` does.
    """
    if not labels:
        raise UsageError(f"{FLAG} {target}: no picture has a label yet")
    if target.resolve().is_relative_to(source.resolve()):
        raise UsageError(
            f"{FLAG} {target}: lies among the pictures themselves; name a folder outside {source}"
        )
    classes = sorted(set(labels.values()))
    places = {_full(source, name): label for name, label in labels.items()}
    with SortedFolder(target, classes, SOURCE, link, resume=True, flag=FLAG) as folder:
        _check_unchanged(target, source, places, dict(zip(classes, class_folders(classes), strict=True)))
        made = 0
        for number, (name, label) in enumerate(places.items(), 1):
            if name not in folder:
                folder.add([Answer(name, [(label, 1.0)])])
                made += 1
            tell(number, len(places))
    return Outcome(made, len(places) - made)


def _full(folder: Path, name: str) -> str:
    """The path by which the list of what was made knows a picture."""
    return os.path.join(os.getcwd(), folder, name)


def _check_unchanged(
    target: Path, source: Path, labels: Mapping[str, str], folder_of: Mapping[str, str]
) -> None:
    """Raise UsageError where a picture of `source` was put into another folder than that of its label."""
    changed = list(_changed(target, source, labels, folder_of))
    if changed:
        raise UsageError(
            f"{FLAG} {target}: {counted(len(changed), 'picture', 'pictures')} put there by earlier labels "
            f"({shown(changed[0])}); take all away with --undo {target / UNDO}, or name another folder"
        )


def _changed(
    target: Path, source: Path, labels: Mapping[str, str], folder_of: Mapping[str, str]
) -> Iterator[str]:
    top = _full(source, "")
    for path, folder in sorting.placed(target):
        if path.startswith(top) and folder != folder_of.get(labels.get(path, "")):
            yield f"{folder}/{os.path.basename(path)}"
