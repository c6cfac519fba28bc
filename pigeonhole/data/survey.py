"""One folder of pictures against the cache's index: what it lacks is read in parallel and added."""

import contextlib
import dataclasses
import functools
import itertools
import sqlite3
import sys
from array import array
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from pigeonhole.data import index, reading
from pigeonhole.data.folders import Entry, Record, Tree
from pigeonhole.data.index import Index, Learnt
from pigeonhole.data.parallel import bar, in_parallel, one_opencv_thread
from pigeonhole.data.pixels import Pixels, RowFile
from pigeonhole.data.reading import Sighting
from pigeonhole.pictures import images
from pigeonhole.terminal import say

WINDOW_FILES = 4096  # looked up in the index at a time, and read before the next ones are looked at
TASK_FILES = 64  # files that a thread sees or reads between two hand-overs, ...
TASK_BYTES = 1 << 20  # ... or fewer when they, or their rows, are large
COMMIT_FILES = 1024  # what a killed process loses at most, ...
COMMIT_BYTES = 16 << 20  # ... and holds in memory


class Survey:
    """One tree under one preprocessing, against one open index.

    It goes through the entries window by window and holds of those behind it the records and rows alone.
    """

    def __init__(self, opened: Index, folder: Path, tree: Tree, preprocessing: images.Preprocessing):
        size, channels = preprocessing.image_size, preprocessing.channels
        self._settings = f"{size}x{channels}-{preprocessing.resize}"
        self.records: list[Record] = []
        self._rows, self._checksums = array("q"), array("L")  # of each record that is not skipped
        self._row_file = RowFile(folder / f"pixels-{self._settings}.bin", (size, size, channels))
        self._index = opened
        self._tree = tree
        self._preprocessing = dataclasses.replace(preprocessing, colour_order="rgb", scale=1.0)
        self._root = tree.root.resolve().as_posix().rstrip("/")

    def look(self) -> bool:
        """Take what the index knows, up to the first window with a file to be read; whether that was all.

        It reads no picture, and asks the file system once for the size and times of each.
        """
        if not self._rows_trusted():
            return False
        for window in self._windows():
            sightings = self._sight(window)
            if any(sighting.missing for sighting in sightings):
                return False
            self._keep(sightings)
        return self._rows_trusted()

    def complete(self, progress: bool | None) -> None:
        """Go on from where `look` stopped and read whatever the index lacks. The caller holds the lock."""
        if not self._rows_trusted():
            self._verify_rows()
            self.records, self._rows, self._checksums = [], array("q"), array("L")
        present = self._index.digests(self._settings)
        known, total = len(self.records), len(self._tree.entries)
        with one_opencv_thread(), bar("reading pictures", "files", known, total, progress) as shown:
            for window in self._windows():
                sightings = self._sight(window)
                missing = [sighting for sighting in sightings if sighting.missing]
                shown.update(len(sightings) - len(missing))
                if missing:
                    problems = self._read_all(missing, present, shown)
                    sightings = [
                        reading.explained(sighting, problems) for sighting in self._recall(sightings)
                    ]
                self._keep(sightings)

    def pixels(self) -> Pixels:
        """The pixels of the records that are not skipped. A damaged row is decoded again when it is read."""
        used = [record for record in self.records if record.skipped is None]
        mender = _Mender(self._index.path, self._settings, used, self._rows, self._preprocessing)
        return self._row_file.open(self._rows, self._checksums, mender)

    def _rows_trusted(self) -> bool:
        """Whether nothing has written to the rows file since the index last referred to it."""
        return self._row_file.stamp() == self._index.row_file_stamp(self._settings)

    def _verify_rows(self) -> None:
        wrong = self._row_file.damaged(self._index.checksums(self._settings))
        self._index.trust(self._settings, self._row_file.stamp(), wrong)

    def _windows(self) -> Iterator[Sequence[Entry]]:
        for start in range(len(self.records), len(self._tree.entries), WINDOW_FILES):
            yield self._tree.entries[start : start + WINDOW_FILES]

    def _keep(self, sightings: Iterable[Sighting]) -> None:
        for sighting in sightings:
            record = sighting.record()
            self.records.append(record)
            if record.skipped is None:
                self._rows.append(sighting.known.row)
                self._checksums.append(sighting.known.checksum)

    def _sight(self, entries: Sequence[Entry]) -> list[Sighting]:
        """These entries as they are now, with what the index knows of them."""
        tasks = (entries[start : start + TASK_FILES] for start in range(0, len(entries), TASK_FILES))
        sightings = in_parallel(functools.partial(reading.sight_all, root=self._root), tasks)
        return self._recall(itertools.chain.from_iterable(sightings))

    def _recall(self, sightings: Iterable[Sighting]) -> list[Sighting]:
        """The same sightings with what the index knows of them now."""
        sightings = list(sightings)
        known = self._index.known([s.path for s in sightings if not s.problem], self._settings)
        return [reading.recognized(sighting, known.get(sighting.path)) for sighting in sightings]

    def _read_all(self, missing: list[Sighting], present: set[str], shown: tqdm) -> dict[str, str]:
        """Read files in parallel and commit what they teach; returns, by name, why some could not be read."""
        read = functools.partial(reading.read_all, preprocessing=self._preprocessing, present=present)
        problems: dict[str, str] = {}
        batch: list[Learnt] = []
        for learnt, unreadable in in_parallel(read, _tasks(missing, self._row_file.row_bytes)):
            batch += learnt
            problems |= unreadable
            shown.update(len(learnt) + len(unreadable))
            if len(batch) >= COMMIT_FILES or len(batch) * self._row_file.row_bytes >= COMMIT_BYTES:
                self._commit(batch, present)
                batch = []
        self._commit(batch, present)
        return problems

    def _commit(self, batch: list[Learnt], present: set[str]) -> None:
        """First the pixels, then the index: never a row number without its row."""
        first_row = self._index.next_row(self._settings)
        rows = {one.digest: one.row for one in batch if one.row and one.digest not in present}
        if rows:
            self._row_file.append(first_row, [row.pixels for row in rows.values()])
        self._index.add(self._settings, batch, rows, first_row, self._row_file.stamp())
        present.update(rows)


class _Mender:
    """Gives the right pixels of rows that are damaged: decoded again from their pictures.

    It says so once, and has the index forget the row, so that the next program writes it again.
    """

    def __init__(
        self,
        index_path: Path,
        settings: str,
        records: Sequence[Record],
        rows: Sequence[int],
        preprocessing: images.Preprocessing,
    ):
        self._index_path = index_path
        self._settings = settings
        self._records = records
        self._rows = rows
        self._preprocessing = preprocessing
        self._has_said = False

    def __call__(self, row: int) -> np.ndarray:
        record = self._records[self._rows.index(row)]
        # An index that cannot forget it is no reason to stop: the row is found out again.
        with (
            contextlib.suppress(sqlite3.Error, index.Damaged),
            contextlib.closing(Index(self._index_path)) as opened,
        ):
            opened.forget(self._settings, record.digest)
        pixels = reading.decoded_anew(record, self._preprocessing)
        if not self._has_said:
            self._has_said = True
            say(
                f"{self._index_path.parent}: the cached pixels of {record.entry.name} are damaged; "
                "they are decoded again",
                to=sys.stderr,
            )
        return pixels


def _tasks(sightings: Sequence[Sighting], row_bytes: int) -> Iterator[list[Sighting]]:
    """Cut a list into runs small enough that a few of them in flight stay within tens of megabytes."""
    most = max(1, min(TASK_FILES, 4 * TASK_BYTES // row_bytes))
    task: list[Sighting] = []
    size = 0
    for sighting in sightings:
        task.append(sighting)
        size += sighting.size
        if len(task) >= most or size >= TASK_BYTES:
            yield task
            task, size = [], 0
    if task:
        yield task
