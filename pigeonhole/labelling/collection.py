"""The pictures of a folder that is to be labelled: a heap, class folders, or class folders beside a heap."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from pigeonhole.data import bursts, duplicates, fixes, labelled, layout
from pigeonhole.data.cache import Cache
from pigeonhole.data.fixes import Fix
from pigeonhole.data.folders import Entry, Record, Tree
from pigeonhole.labelling import growth
from pigeonhole.pictures.images import Preprocessing

SURVEYED_SIDE = 32  # pixels; near copies are told by 16, and 100,000 pictures take 300 MB


@dataclass(frozen=True)
class Collection:
    """All files of a folder, by name; where a row is asked for, it is the place of a picture in `records`.

    folder      the names of the pictures are posix paths below it
    records     of the pictures that can be read, sorted by name, those of `with_more` behind the others; an
                entry's class is its folder's or its table's, `NO_CLASS` where it has none
    classes     those that folders or a table give, in their order; none for a heap
    unreadable  name -> why this file is not among the pictures
    """

    folder: Path
    records: list[Record]
    classes: list[str]
    unreadable: dict[str, str]
    _pixels: growth.Stacked = field(repr=False)
    _groups: np.ndarray | None = field(default=None, repr=False)

    @classmethod
    def open(
        cls,
        folder: Path,
        cache: Cache,
        classes: Sequence[str] | None = None,
        without: Iterable[Path] = (),
        progress: bool | None = None,
    ) -> "Collection":
        """Look through the folder; what the cache knows of a file is not read again.

        classes   the folders directly below that are classes, the rest being a heap; none of them where it
                  is empty; None: as `labelled.everything` takes them
        without   files that are no pictures of the user, such as a journal
        progress  a bar on standard error; None: where that is a terminal

        Raises UsageError for a folder or class that is not there, PigeonholeError for a folder that cannot
        be listed, `CacheError` for a cache that cannot be written.
        """
        folder = Path(folder)
        layout.check_top(folder)
        tree = labelled.everything(folder, classes, without)
        records, pixels = cache.survey(tree, Preprocessing(SURVEYED_SIDE), progress)
        unreadable = {record.entry.name: record.skipped for record in records if record.skipped is not None}
        used = [record for record in records if record.skipped is None]
        return cls(folder, used, tree.classes, unreadable, growth.Stacked(pixels, pixels[:0]))

    def with_more(self, names: Iterable[str], cache: Cache) -> "Collection":
        """The same with these files, new ones of no class, behind the others. Raises as `open` does."""
        tree = Tree(self.folder, [], [Entry(self.folder, name, labelled.NO_CLASS) for name in names])
        records, pixels = cache.survey(tree, Preprocessing(SURVEYED_SIDE), progress=False)
        unreadable = {record.entry.name: record.skipped for record in records if record.skipped is not None}
        used = [record for record in records if record.skipped is None]
        return replace(
            self,
            records=[*self.records, *used],
            unreadable=self.unreadable | unreadable,
            _pixels=self._pixels.with_more(pixels[:]),
            _groups=growth.groups(self.groups, self.records, self._pixels, used, pixels),
        )

    def __len__(self) -> int:
        return len(self.records)

    @cached_property
    def names(self) -> list[str]:
        return [record.entry.name for record in self.records]

    @cached_property
    def given(self) -> list[str]:
        """The class of each picture by its folder or its table, `NO_CLASS` where it has none."""
        return [record.entry.class_name for record in self.records]

    @cached_property
    def row_of(self) -> dict[str, int]:
        """Name -> row."""
        return {name: row for row, name in enumerate(self.names)}

    @cached_property
    def digests(self) -> dict[str, str]:
        """Name -> sha256 of the content, hexadecimal."""
        return {record.entry.name: record.digest for record in self.records}

    @cached_property
    def near_copies(self) -> list[duplicates.Pair]:
        """Pairs of names whose pictures look the same; see `duplicates.near_duplicates`."""
        return duplicates.near_duplicates(self.records, self._pixels)

    @cached_property
    def groups(self) -> np.ndarray:
        """A number for each row, equal for copies, near copies and frames of one recording, followed
        transitively: int64 [n]."""
        if self._groups is not None:
            return self._groups
        numbers = np.empty(len(self.records), np.int64)
        for number, group in enumerate(bursts.groups(self.records, self.near_copies)):
            for record in group:
                numbers[self.row_of[record.entry.name]] = number
        return numbers

    def copies(self, names: Iterable[str]) -> list[str]:
        """These names and those of all pictures with the same content: copies share one decision."""
        found = dict.fromkeys(names)
        for name in list(found):
            found |= dict.fromkeys(self._names_of.get(self.digests[name], ()))
        return list(found)

    def decided(self, decisions: Iterable[Fix]) -> tuple[dict[str, str | None], dict[str, str]]:
        """Decisions for pictures that may have been moved, renamed or replaced since.

        Gives name -> class, None for a picture that is left out; and name in the decisions -> why there is no
        picture for it. A decision is for the file of its name while that has the content which was decided
        upon, otherwise for every file of this content.
        """
        finder = fixes.Finder(self.records)
        labels: dict[str, str | None] = {}
        unmatched: dict[str, str] = {}
        for fix in decisions:
            rows = finder.rows(fix)
            labels |= dict.fromkeys((self.names[row] for row in rows), fix.new_label)
            if not rows:
                unmatched[fix.name] = self.unreadable.get(fix.name) or finder.reason(fix)
        return labels, unmatched

    @cached_property
    def _names_of(self) -> dict[str, list[str]]:
        """Digest -> names, of the contents that are there several times."""
        names: defaultdict[str, list[str]] = defaultdict(list)
        for record in self.records:
            names[record.digest].append(record.entry.name)
        return {digest: same for digest, same in names.items() if len(same) > 1}
