"""One picture file: how it lies on the disk now, and what reading it teaches."""

import dataclasses
import functools
import hashlib
import json
import os
import threading
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pigeonhole.data import duplicates
from pigeonhole.data.folders import Entry, Record
from pigeonhole.data.index import Damaged, Known, Learnt, Row
from pigeonhole.data.parallel import THREADS, available_cores
from pigeonhole.errors import PigeonholeError
from pigeonhole.pictures import images

ONE_COLOUR, NEARLY_BLACK = "of one colour", "nearly black"
MOST_BLACK = 16  # of 255; what a camera's 12 bits come to when they are stored in 16
MAX_FILE_SIZE = 1 << 30  # bytes; 200 megapixels in colour at 16 bits are 1.2 GB before any compression
DECODERS = threading.BoundedSemaphore(min(THREADS, available_cores()))  # each may hold a large picture


@dataclass(frozen=True, slots=True)
class Sighting:
    """One entry as it lies on the disk now: `problem` says why it cannot be used, or the rest is filled."""

    entry: Entry
    problem: str | None = None
    path: str = ""  # absolute, with forward slashes: the index's key
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


def sight_all(entries: Sequence[Entry], root: str) -> list[Sighting]:
    """These entries as they are now, of files below the folder `root`, without what the index knows."""
    return [_sight(entry, f"{root}/{entry.name}") for entry in entries]


def _sight(entry: Entry, path: str) -> Sighting:
    if entry.problem:
        return Sighting(entry, problem=entry.problem)
    try:
        status = os.stat(path)
    except OSError as error:
        return Sighting(entry, problem=_reason(error))
    if status.st_size > MAX_FILE_SIZE:
        return Sighting(entry, problem="over 1 GiB")
    return Sighting(entry, None, path, _stamp(status), status.st_size)


def recognized(sighting: Sighting, known: Known | None) -> Sighting:
    """The same with what the index knows of it, unless the file has changed since."""
    if known is None or known.stamp != sighting.stamp:
        return sighting
    return dataclasses.replace(sighting, known=known)


def explained(sighting: Sighting, problems: dict[str, str]) -> Sighting:
    """One that is missing although it was to be read, as one that cannot be used.

    Raises index.Damaged where it was read, and the index has nothing of it all the same.
    """
    if not sighting.missing:
        return sighting
    if sighting.entry.name not in problems:
        raise Damaged
    return Sighting(sighting.entry, problems[sighting.entry.name])


def read_all(
    sightings: list[Sighting], preprocessing: images.Preprocessing, present: set[str]
) -> tuple[list[Learnt], dict[str, str]]:
    """What these files teach, and, by name, why some could not be read.

    present  digests of the contents that have been decoded already
    """
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


def _read(sighting: Sighting, preprocessing: images.Preprocessing, present: set[str]) -> Learnt:
    """Read one file once; decode it unless a file of the same content has been."""
    with open(sighting.path, "rb") as file:
        data = file.read()
        if _stamp(os.fstat(file.fileno())) != sighting.stamp:
            raise _Changed
    with DECODERS:
        return _learn(sighting, data, preprocessing, present)


def _learn(sighting: Sighting, data: bytes, preprocessing: images.Preprocessing, present: set[str]) -> Learnt:
    digest = hashlib.sha256(data).hexdigest()
    if digest in present:
        return Learnt(sighting.path, sighting.stamp, digest)
    try:
        facts = vars(images.inspect(data))
        image = images.preprocess(data, preprocessing)
    except images.ImageError as error:
        return Learnt(sighting.path, sighting.stamp, digest, json.dumps({"skipped": str(error)}))
    # Of the picture at this size, not of the original: two surveys under equal settings agree, whatever
    # other sizes the cache has seen.
    fingerprint = duplicates.fingerprint(np.repeat(image, 3, axis=2) if image.shape[2] == 1 else image)
    pixels = image.tobytes()
    facts = json.dumps(facts | {"oddities": [*facts["oddities"], *_seen_oddities(image)]})
    return Learnt(sighting.path, sighting.stamp, digest, facts, Row(pixels, zlib.crc32(pixels), fingerprint))


def decoded_anew(record: Record, preprocessing: images.Preprocessing) -> np.ndarray:
    """The pixels of a picture, uint8 [S, S, C], from its file; the record says what that held before.

    Raises PigeonholeError where it holds something else now or cannot be read.
    """
    path = record.entry.path
    try:
        data = path.read_bytes()
        if hashlib.sha256(data).hexdigest() == record.digest:
            with DECODERS:
                return images.preprocess(data, preprocessing)
        reason = "changed meanwhile"
    except (OSError, images.ImageError) as error:
        reason = _reason(error) if isinstance(error, OSError) else str(error)
    raise PigeonholeError(f"{path}: {reason}; start again")


def _seen_oddities(image: np.ndarray) -> list[str]:
    """What is odd about a decoded picture, uint8, although its file is in order."""
    if image.min() == image.max():
        return [ONE_COLOUR]
    return [NEARLY_BLACK] if image.max() <= MOST_BLACK else []


def _stamp(status: os.stat_result) -> str:
    # The time of change too: two files of one size that swap names keep size and time of modification.
    return f"{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}"


def _reason(error: OSError) -> str:
    if isinstance(error, PermissionError):
        return "no permission"
    if isinstance(error, FileNotFoundError):
        return "vanished"
    return (error.strerror or str(error)).lower()
