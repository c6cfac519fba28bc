"""Small JPEGs of the pictures of a collection, made when first asked for and kept in the cache folder."""

import contextlib
import hashlib
import sqlite3
import threading
from pathlib import Path

import numpy as np

from pigeonhole.data import index
from pigeonhole.data.cache import Cache
from pigeonhole.data.folders import Record
from pigeonhole.data.reading import DECODERS
from pigeonhole.errors import PigeonholeError
from pigeonhole.pictures import images, thumbnails

LONGEST_SIDE = 192  # pixels; two for each of a tile of 96 on fine displays
LARGE_SIDE = 1280
WAIT_SECONDS = 60.0  # for another process's commit, which takes milliseconds
_SCHEMA = "CREATE TABLE IF NOT EXISTS thumbnails (digest TEXT PRIMARY KEY, jpeg BLOB)"


class Thumbnails:
    """JPEGs by content, upright and in their own proportions; no picture is enlarged.

    Any number of threads and processes may ask; a kill loses at most the last ones. The file may be deleted
    whenever no program is using it. Raises `CacheError` where it cannot be made or read.
    """

    def __init__(self, cache: Cache):
        self._cache = cache
        self.file = cache.folder / f"thumbnails-{LONGEST_SIDE}.sqlite"
        self._mutex = threading.Lock()
        with cache.explained():
            cache.folder.mkdir(parents=True, exist_ok=True)
            self._connection = self._opened()

    def get(self, record: Record) -> bytes:
        """The picture as a JPEG file whose longest side is at most `LONGEST_SIDE`.

        Raises PigeonholeError where the file is no longer what the record tells of, or cannot be read.
        """
        kept = self._find(record.digest)
        if kept is None:
            kept = drawn(record, LONGEST_SIDE)
            self._keep(record.digest, kept)
        return kept

    def close(self) -> None:
        with self._mutex:
            self._connection.close()

    def _find(self, digest: str) -> bytes | None:
        with self._mutex, self._cache.explained():
            try:
                found = self._connection.execute("SELECT jpeg FROM thumbnails WHERE digest = ?", (digest,))
                (jpeg,) = found.fetchone() or (None,)
            except sqlite3.Error as error:
                if not index.is_damage(error, self.file):
                    raise
                self._begin_anew()
                return None
            return jpeg

    def _keep(self, digest: str, jpeg: bytes) -> None:
        # A full disk is no reason to show nothing.
        with self._mutex, contextlib.suppress(sqlite3.Error), self._connection:
            self._connection.execute("INSERT OR IGNORE INTO thumbnails VALUES (?, ?)", (digest, jpeg))

    def _begin_anew(self) -> None:
        """Thumbnails can be made again, so a damaged file is not mended."""
        self._connection.close()
        self._remove()
        self._connection = self._opened()

    def _opened(self) -> sqlite3.Connection:
        try:
            return _connect(self.file)
        except sqlite3.Error as error:
            if not index.is_damage(error, self.file):
                raise
        self._remove()
        return _connect(self.file)

    def _remove(self) -> None:
        for suffix in ("-wal", "-shm", "-journal", ""):
            self.file.with_name(self.file.name + suffix).unlink(missing_ok=True)


def drawn(record: Record, longest: int = LARGE_SIDE) -> bytes:
    """The picture as a JPEG file whose longest side is at most `longest` pixels, decoded now.

    Raises PigeonholeError where the file is no longer what the record tells of, or cannot be read.
    """
    data = content(record)
    try:
        with DECODERS:
            return thumbnails.jpeg(upright(data, longest), longest)
    except images.ImageError as error:
        raise PigeonholeError(f"{record.entry.path}: {error}") from error


def content(record: Record) -> bytes:
    """The file of a picture. Raises PigeonholeError where it is no longer what the record tells of."""
    path = record.entry.path
    try:
        data = path.read_bytes()
    except OSError as error:
        raise PigeonholeError(f"{path}: cannot be read ({error.strerror})") from error
    if hashlib.sha256(data).hexdigest() != record.digest:
        raise PigeonholeError(f"{path}: changed meanwhile; start again")
    return data


def upright(data: bytes, longest: int) -> np.ndarray:
    """A file's picture in its own proportions, uint8 [h, w, 3], at most `longest`. Raises ImageError."""
    return images.fitted(images.decode(data, longest, strongly=True), longest)


def _connect(file: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(file, timeout=WAIT_SECONDS, check_same_thread=False)
    try:
        # A commit need not wait for the disk: what a power cut takes is made again.
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        with connection:
            connection.execute(_SCHEMA)
    except BaseException:
        connection.close()
        raise
    return connection
