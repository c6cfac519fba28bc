"""What is known of every picture file and its decoded pixels, kept on disk: each content is decoded once.

A cache folder holds an SQLite index and one file of pixel rows for each size, number of channels and resize
rule. Contents are named by their SHA-256, so a file that was copied or moved is read but not decoded again;
a file whose size and times are unchanged is not even read. Pixels are on the disk before the index refers to
them: a process killed at any instant leaves at most a tail of rows that the next one writes over. Writers
take turns; readers need not wait. The folder may be deleted whenever no program is using it.
"""

import atexit
import contextlib
import dataclasses
import errno
import functools
import hashlib
import json
import os
import shutil
import sqlite3
import sys
import tempfile
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from pigeonhole import duplicates, images, index
from pigeonhole.errors import PigeonholeError
from pigeonhole.filelock import exclusive
from pigeonhole.folders import Entry, Record, Tree
from pigeonhole.index import Index, Known, Learnt, Row
from pigeonhole.pixels import Pixels, RowFile

FORMAT_VERSION = 2  # one more whenever decoding, resizing, facts or fingerprints change their results
MAX_FILE_SIZE = 1 << 30  # bytes; 200 megapixels in colour at 16 bits are 1.2 GB before any compression
MOST_THREADS = 8  # each may hold a large picture in memory, and Python runs in one of them at a time
TASK_FILES = 64  # files that a thread reads between two hand-overs, ...
TASK_BYTES = 1 << 20  # ... or fewer when they, or their rows, are large
COMMIT_FILES = 1024  # what a killed process loses at most, ...
COMMIT_BYTES = 16 << 20  # ... and holds in memory
DISK_FULL = frozenset({errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)})


class CacheError(PigeonholeError):
    """The cache folder cannot be written: full, forbidden, broken."""


def default_directory() -> Path:
    """The platform's folder for files that can be made again, plus "pigeonhole"."""
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "pigeonhole"


@dataclass(frozen=True)
class _Sighting:
    """One entry as it lies on the disk now: `problem` says why it cannot be used, or the rest is filled."""

    entry: Entry
    problem: str | None = None
    path: str = ""  # whole, with forward slashes: the index's key
    stamp: str = ""
    size: int = 0  # bytes
    known: Known | None = None  # what the index has for this very stamp
    facts: dict | None = None

    @property
    def missing(self) -> bool:
        """Whether the file must be read: its facts are unknown, or its pixels are."""
        if self.problem:
            return False
        return self.facts is None or ("skipped" not in self.facts and self.known.row is None)

    def record(self) -> Record:
        if self.problem:
            return Record(self.entry, skipped=self.problem)
        record = Record(self.entry, digest=self.known.digest, file_size=self.size, **self.facts)
        if record.skipped:
            return record
        fingerprint = int(self.known.fingerprint)
        return dataclasses.replace(record, oddities=tuple(record.oddities), fingerprint=fingerprint)


class Cache:
    """Decoded pixels and facts in `directory`, or in a private temporary folder when that is None.

    The temporary folder lies where `tempfile` puts it (`TMPDIR`) and is removed when the process ends.
    """

    def __init__(self, directory: Path | None):
        self.temporary = directory is None
        if directory is None:
            directory = Path(tempfile.mkdtemp(prefix="pigeonhole-"))
            atexit.register(shutil.rmtree, directory, ignore_errors=True)
        self.directory = Path(directory)
        # Another OpenCV may decode or resize differently, or read formats that this one does not.
        self._folder = self.directory / f"v{FORMAT_VERSION}-opencv-{cv2.__version__}"

    def survey(
        self, tree: Tree, preprocessing: images.Preprocessing, progress: bool | None = None
    ) -> tuple[list[Record], Pixels]:
        """A record for each entry of `tree`, and the pixels of those not skipped, both in the entries' order.

        The pixels are RGB or grey uint8 at the size and resize rule of `preprocessing`, before its scale and
        colour order. `progress` shows a bar on standard error; None: where that is a terminal.
        Raises `CacheError` when the cache folder cannot be used.
        """
        with self._explained():
            self._folder.mkdir(parents=True, exist_ok=True)
            with contextlib.closing(self._open_index()) as opened:
                survey = _Survey(opened, self._folder, tree, preprocessing)
                sightings = survey.look()
                if not survey.rows_trusted() or any(sighting.missing for sighting in sightings):
                    with exclusive(self._folder / "lock"):
                        sightings = survey.complete(progress)
            records = [sighting.record() for sighting in sightings]
            rows = [s.known.row for s, record in zip(sightings, records, strict=True) if not record.skipped]
            return records, survey.row_file.open(rows)

    def _open_index(self) -> Index:
        path = self._folder / "index.sqlite"
        with contextlib.suppress(index.Damaged):
            return Index(path)
        with exclusive(self._folder / "lock"):
            with contextlib.suppress(index.Damaged):
                return Index(path)  # another process has replaced it meanwhile
            index.remove(path)
            return Index(path)

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn what can go wrong with the cache folder into one line. (Users' files are read elsewhere.)"""
        try:
            yield
        except (OSError, sqlite3.Error) as error:
            full = getattr(error, "errno", None) in DISK_FULL or "is full" in str(error)
            kind = "temporary folder" if self.temporary else "cache folder"
            fault = f"the disk of the {kind} {self.directory} is full"
            if not full:
                fault = f"cannot use the {kind} {self.directory}: {getattr(error, 'strerror', None) or error}"
            mend = "" if self.temporary else ", or --no-cache uses a temporary folder"
            raise CacheError(f"{fault}; --cache-dir DIR names another{mend}") from error


def of_flags(directory: str | os.PathLike[str] | None, none: bool) -> Cache:
    """The cache in `directory`, by default the platform's; with `none` a temporary one."""
    return Cache(None if none else Path(directory or default_directory()))


class _Survey:
    """One tree under one preprocessing, against one open index."""

    def __init__(self, opened: Index, folder: Path, tree: Tree, preprocessing: images.Preprocessing):
        size, channels = preprocessing.image_size, preprocessing.channels
        self._index = opened
        self._tree = tree
        self._preprocessing = dataclasses.replace(preprocessing, colour_order="rgb", scale=1.0)
        self._settings = f"{size}x{channels}-{preprocessing.resize}"
        self._root = tree.root.resolve().as_posix().rstrip("/")
        self.row_file = RowFile(folder / f"pixels-{self._settings}.bin", (size, size, channels))

    def rows_trusted(self) -> bool:
        """Whether nothing has written to the rows file since the index last referred to it."""
        return self.row_file.stamp() == self._index.row_file_stamp(self._settings)

    def look(self) -> list[_Sighting]:
        """Every entry as it is now, with what the index knows of it. Reads no picture."""
        known = self._index.known(self._root, self._settings)
        return [self._sight(entry, known) for entry in self._tree.entries]

    def _sight(self, entry: Entry, known: dict[str, Known]) -> _Sighting:
        if entry.problem:
            return _Sighting(entry, problem=entry.problem)
        try:
            status = os.stat(entry.path)
        except OSError as error:
            return _Sighting(entry, problem=_reason(error))
        if status.st_size > MAX_FILE_SIZE:
            return _Sighting(entry, problem="over 1 GiB")
        path = f"{self._root}/{entry.name}"
        stamp = _stamp(status)
        found = known.get(path)
        if found is None or found.stamp != stamp:
            return _Sighting(entry, None, path, stamp, status.st_size)
        return _Sighting(entry, None, path, stamp, status.st_size, found, json.loads(found.facts))

    def complete(self, progress: bool | None) -> list[_Sighting]:
        """As `look`, after reading whatever the index lacks. The caller holds the lock."""
        self._verify_rows()
        sightings = self.look()  # again: the lock's last holder may have read the same files
        missing = [sighting for sighting in sightings if sighting.missing]
        if not missing:
            return sightings
        problems = self._read_all(missing, progress)
        return [self._explain_missing(sighting, problems) for sighting in self.look()]

    def _verify_rows(self) -> None:
        if not self.rows_trusted():
            wrong = self.row_file.damaged(self._index.checksums(self._settings))
            self._index.trust(self._settings, self.row_file.stamp(), wrong)

    def _explain_missing(self, sighting: _Sighting, problems: dict[str, str]) -> _Sighting:
        if not sighting.missing:
            return sighting
        problem = problems.get(sighting.entry.name, "changed while being read")
        return _Sighting(sighting.entry, problem)

    def _read_all(self, missing: list[_Sighting], progress: bool | None) -> dict[str, str]:
        """Read files in parallel and commit what they teach; returns, by name, why some could not be read."""
        present = self._index.digests(self._settings)
        read = functools.partial(_read_task, preprocessing=self._preprocessing, present=present)
        problems: dict[str, str] = {}
        batch: list[Learnt] = []
        with _one_opencv_thread(), _bar(len(missing), progress) as bar:
            for learnt, unreadable in _in_parallel(read, _tasks(missing, self.row_file.row_bytes)):
                batch += learnt
                problems |= unreadable
                bar.update(len(learnt) + len(unreadable))
                if len(batch) >= COMMIT_FILES or len(batch) * self.row_file.row_bytes >= COMMIT_BYTES:
                    self._commit(batch, present)
                    batch = []
            self._commit(batch, present)
        return problems

    def _commit(self, batch: list[Learnt], present: set[str]) -> None:
        """First the pixels, then the index: never a row number without its row."""
        first_row = self._index.next_row(self._settings)
        rows = {one.digest: one.row for one in batch if one.row and one.digest not in present}
        if rows:
            self.row_file.append(first_row, [row.pixels for row in rows.values()])
        self._index.add(self._settings, batch, rows, first_row, self.row_file.stamp())
        present.update(rows)


def _read_task(
    sightings: list[_Sighting], preprocessing: images.Preprocessing, present: set[str]
) -> tuple[list[Learnt], dict[str, str]]:
    learnt: list[Learnt] = []
    unreadable: dict[str, str] = {}
    for sighting in sightings:
        try:
            learnt.append(_read(sighting, preprocessing, present))
        except OSError as error:
            unreadable[sighting.entry.name] = _reason(error)
        except MemoryError:
            unreadable[sighting.entry.name] = "too large for this computer's memory"
    return learnt, unreadable


def _read(sighting: _Sighting, preprocessing: images.Preprocessing, present: set[str]) -> Learnt:
    """Read one file once; decode it unless a file of the same content has been."""
    with sighting.entry.path.open("rb") as file:
        stamp = _stamp(os.fstat(file.fileno()))
        data = file.read()
    digest = hashlib.sha256(data).hexdigest()
    if digest in present:
        return Learnt(sighting.path, stamp, digest)
    try:
        facts = json.dumps(vars(images.inspect(data)))
        image = images.preprocess(data, preprocessing)
    except images.ImageError as error:
        return Learnt(sighting.path, stamp, digest, json.dumps({"skipped": str(error)}))
    # Of the picture at this size, not of the original: two surveys under equal settings agree, whatever
    # other sizes the cache has seen.
    fingerprint = duplicates.fingerprint(np.repeat(image, 3, axis=2) if image.shape[2] == 1 else image)
    pixels = image.tobytes()
    return Learnt(sighting.path, stamp, digest, facts, Row(pixels, zlib.crc32(pixels), fingerprint))


def _stamp(status: os.stat_result) -> str:
    # The time of change too: two files of one size that swap names keep size and time of modification.
    return f"{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}"


def _reason(error: OSError) -> str:
    if isinstance(error, PermissionError):
        return "no permission"
    if isinstance(error, FileNotFoundError):
        return "vanished"
    return (error.strerror or str(error)).lower()


def _tasks(sightings: Sequence[_Sighting], row_bytes: int) -> Iterator[list[_Sighting]]:
    """Cut a list into runs small enough that a few of them in flight stay within tens of megabytes."""
    most = max(1, min(TASK_FILES, 4 * TASK_BYTES // row_bytes))
    task: list[_Sighting] = []
    size = 0
    for sighting in sightings:
        task.append(sighting)
        size += sighting.size
        if len(task) >= most or size >= TASK_BYTES:
            yield task
            task, size = [], 0
    if task:
        yield task


def _in_parallel(function: Callable, tasks: Iterable) -> Iterator:
    """`map(function, tasks)` in threads, in order, never more than a few results ahead of the consumer.

    Threads, not processes: decoding, hashing and resizing leave the interpreter's lock, nothing is copied.
    """
    workers = min(MOST_THREADS, os.cpu_count() or 1)
    waiting: deque = deque()
    with ThreadPoolExecutor(workers) as pool:
        for task in tasks:
            waiting.append(pool.submit(function, task))
            if len(waiting) > 2 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


@contextlib.contextmanager
def _one_opencv_thread() -> Iterator[None]:
    """Each file has its thread here; OpenCV's own would only get in the way."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)


def _bar(total: int, progress: bool | None) -> tqdm:
    hidden = None if progress is None else not progress  # None: unless standard error is a terminal
    return tqdm(total=total, desc="reading pictures", unit=" files", disable=hidden)
