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
import itertools
import json
import os
import shutil
import sqlite3
import sys
import tempfile
import threading
import zlib
from array import array
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from pigeonhole.data import duplicates, index
from pigeonhole.data.folders import Entry, Record, Tree
from pigeonhole.data.index import Index, Known, Learnt, Row
from pigeonhole.data.pixels import Pixels, RowFile
from pigeonhole.errors import PigeonholeError
from pigeonhole.locks import exclusive
from pigeonhole.pictures import images

FORMAT_VERSION = 2  # one more whenever decoding, resizing, facts or fingerprints change their results
MAX_FILE_SIZE = 1 << 30  # bytes; 200 megapixels in colour at 16 bits are 1.2 GB before any compression
READERS = 8  # threads that wait for files, whatever the number of cores: storage may be far away
DECODERS = threading.BoundedSemaphore(min(READERS, os.cpu_count() or 1))  # each may hold a large picture
WINDOW_FILES = 4096  # looked up in the index at a time, and read before the next ones are looked at
TASK_FILES = 64  # files that a thread sees or reads between two hand-overs, ...
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


@dataclass(frozen=True, slots=True)
class _Sighting:
    """One entry as it lies on the disk now: `problem` says why it cannot be used, or the rest is filled."""

    entry: Entry
    problem: str | None = None
    path: str = ""  # whole, with forward slashes: the index's key
    stamp: str = ""
    size: int = 0  # bytes
    known: Known | None = None  # what the index has for this very stamp

    @property
    def missing(self) -> bool:
        """Whether the file must be read: its facts are unknown, or its pixels are."""
        if self.problem:
            return False
        return self.known is None or (self.known.row is None and "skipped" not in _facts(self.known.facts))

    def record(self) -> Record:
        if self.problem:
            return Record(self.entry, skipped=self.problem)
        facts = _facts(self.known.facts)
        fingerprint = int(self.known.fingerprint) if "skipped" not in facts else 0
        return Record(
            self.entry, digest=self.known.digest, file_size=self.size, fingerprint=fingerprint, **facts
        )


@functools.lru_cache(1024)
def _facts(text: str) -> dict:
    """The index's facts as arguments of `Record`; one object for the many files of which the same is true."""
    facts = json.loads(text)
    return facts | {"oddities": tuple(facts["oddities"])} if "oddities" in facts else facts


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
                if not survey.look():
                    with exclusive(self._folder / "lock"):
                        survey.complete(progress)
            return survey.records, survey.row_file.open(survey.rows)

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
    """One tree under one preprocessing, against one open index.

    It goes through the entries window by window and holds of those behind it the records and rows alone.
    """

    def __init__(self, opened: Index, folder: Path, tree: Tree, preprocessing: images.Preprocessing):
        size, channels = preprocessing.image_size, preprocessing.channels
        self._settings = f"{size}x{channels}-{preprocessing.resize}"
        self.records: list[Record] = []
        self.rows = array("q")  # the row of each record that is not skipped
        self.row_file = RowFile(folder / f"pixels-{self._settings}.bin", (size, size, channels))
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
            self.records, self.rows = [], array("q")
        present = self._index.digests(self._settings)
        with _one_opencv_thread(), _bar(len(self.records), len(self._tree.entries), progress) as bar:
            for window in self._windows():
                sightings = self._sight(window)
                missing = [sighting for sighting in sightings if sighting.missing]
                bar.update(len(sightings) - len(missing))
                if missing:
                    problems = self._read_all(missing, present, bar)
                    sightings = [_explained(sighting, problems) for sighting in self._recall(sightings)]
                self._keep(sightings)

    def _rows_trusted(self) -> bool:
        """Whether nothing has written to the rows file since the index last referred to it."""
        return self.row_file.stamp() == self._index.row_file_stamp(self._settings)

    def _verify_rows(self) -> None:
        wrong = self.row_file.damaged(self._index.checksums(self._settings))
        self._index.trust(self._settings, self.row_file.stamp(), wrong)

    def _windows(self) -> Iterator[Sequence[Entry]]:
        for start in range(len(self.records), len(self._tree.entries), WINDOW_FILES):
            yield self._tree.entries[start : start + WINDOW_FILES]

    def _keep(self, sightings: Iterable[_Sighting]) -> None:
        for sighting in sightings:
            record = sighting.record()
            self.records.append(record)
            if record.skipped is None:
                self.rows.append(sighting.known.row)

    def _sight(self, entries: Sequence[Entry]) -> list[_Sighting]:
        """These entries as they are now, with what the index knows of them."""
        tasks = (entries[start : start + TASK_FILES] for start in range(0, len(entries), TASK_FILES))
        sightings = _in_parallel(functools.partial(_sight_task, root=self._root), tasks)
        return self._recall(itertools.chain.from_iterable(sightings))

    def _recall(self, sightings: Iterable[_Sighting]) -> list[_Sighting]:
        """The same sightings with what the index knows of them now."""
        sightings = list(sightings)
        known = self._index.known([s.path for s in sightings if not s.problem], self._settings)
        return [_recognized(sighting, known.get(sighting.path)) for sighting in sightings]

    def _read_all(self, missing: list[_Sighting], present: set[str], bar: tqdm) -> dict[str, str]:
        """Read files in parallel and commit what they teach; returns, by name, why some could not be read."""
        read = functools.partial(_read_task, preprocessing=self._preprocessing, present=present)
        problems: dict[str, str] = {}
        batch: list[Learnt] = []
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


def _sight_task(entries: Sequence[Entry], root: str) -> list[_Sighting]:
    return [_sight(entry, f"{root}/{entry.name}") for entry in entries]


def _sight(entry: Entry, path: str) -> _Sighting:
    if entry.problem:
        return _Sighting(entry, problem=entry.problem)
    try:
        status = os.stat(path)
    except OSError as error:
        return _Sighting(entry, problem=_reason(error))
    if status.st_size > MAX_FILE_SIZE:
        return _Sighting(entry, problem="over 1 GiB")
    return _Sighting(entry, None, path, _stamp(status), status.st_size)


def _recognized(sighting: _Sighting, known: Known | None) -> _Sighting:
    if known is None or known.stamp != sighting.stamp:
        return sighting
    return dataclasses.replace(sighting, known=known)


def _explained(sighting: _Sighting, problems: dict[str, str]) -> _Sighting:
    """One that is missing although it was to be read, as one that cannot be used."""
    return _Sighting(sighting.entry, problems[sighting.entry.name]) if sighting.missing else sighting


def _read_task(
    sightings: list[_Sighting], preprocessing: images.Preprocessing, present: set[str]
) -> tuple[list[Learnt], dict[str, str]]:
    learnt: list[Learnt] = []
    unreadable: dict[str, str] = {}
    for sighting in sightings:
        try:
            learnt.append(_read(sighting, preprocessing, present))
        except _Changed:
            unreadable[sighting.entry.name] = "changed while being read"
        except OSError as error:
            unreadable[sighting.entry.name] = _reason(error)
        except MemoryError:
            unreadable[sighting.entry.name] = "too large for this computer's memory"
    return learnt, unreadable


class _Changed(Exception):
    """A file is no longer what it was when it was sighted."""


def _read(sighting: _Sighting, preprocessing: images.Preprocessing, present: set[str]) -> Learnt:
    """Read one file once; decode it unless a file of the same content has been."""
    with open(sighting.path, "rb") as file:
        data = file.read()
        if _stamp(os.fstat(file.fileno())) != sighting.stamp:
            raise _Changed
    with DECODERS:
        return _learn(sighting, data, preprocessing, present)


def _learn(
    sighting: _Sighting, data: bytes, preprocessing: images.Preprocessing, present: set[str]
) -> Learnt:
    digest = hashlib.sha256(data).hexdigest()
    if digest in present:
        return Learnt(sighting.path, sighting.stamp, digest)
    try:
        facts = json.dumps(vars(images.inspect(data)))
        image = images.preprocess(data, preprocessing)
    except images.ImageError as error:
        return Learnt(sighting.path, sighting.stamp, digest, json.dumps({"skipped": str(error)}))
    # Of the picture at this size, not of the original: two surveys under equal settings agree, whatever
    # other sizes the cache has seen.
    fingerprint = duplicates.fingerprint(np.repeat(image, 3, axis=2) if image.shape[2] == 1 else image)
    pixels = image.tobytes()
    return Learnt(sighting.path, sighting.stamp, digest, facts, Row(pixels, zlib.crc32(pixels), fingerprint))


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
    waiting: deque = deque()
    with ThreadPoolExecutor(READERS) as pool:
        for task in tasks:
            waiting.append(pool.submit(function, task))
            if len(waiting) > 2 * READERS:
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


def _bar(done: int, total: int, progress: bool | None) -> tqdm:
    hidden = None if progress is None else not progress  # None: unless standard error is a terminal
    return tqdm(initial=done, total=total, desc="reading pictures", unit=" files", disable=hidden)
