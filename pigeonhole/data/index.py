"""The cache's index: which file has which content, what that content is, and in which row its pixels lie."""

import os
import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

APPLICATION_ID = 0x50696765  # "Pige", in the database's header: tells it from somebody else's
WAIT_SECONDS = 60.0  # for another process's commit, which takes milliseconds

SCHEMA = f"""
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS files (path BLOB PRIMARY KEY, stamp TEXT, digest TEXT, own INTEGER) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS facts (digest TEXT PRIMARY KEY, facts TEXT, own INTEGER) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS rows (settings TEXT, digest TEXT, row INTEGER, checksum INTEGER,
                                 fingerprint TEXT, own INTEGER,
                                 PRIMARY KEY (settings, digest), UNIQUE (settings, row)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS row_files (settings TEXT PRIMARY KEY, stamp TEXT) WITHOUT ROWID;
PRAGMA application_id = {APPLICATION_ID};
COMMIT;
"""


@dataclass(frozen=True, slots=True)
class Known:
    """What the index holds of one file as it was when its stamp was taken."""

    stamp: str
    digest: str
    facts: str  # JSON
    row: int | None  # None: no pixels under these settings
    checksum: int | None  # of the row, CRC-32
    fingerprint: str | None  # of the row, decimal


@dataclass(frozen=True, slots=True)
class Row:
    """A picture under some settings."""

    pixels: bytes
    checksum: int  # CRC-32 of the pixels
    fingerprint: int


@dataclass(frozen=True, slots=True)
class Learnt:
    """What reading one file added. No facts: its content is known already; no row: or cannot be used."""

    path: str
    stamp: str
    digest: str
    facts: str | None = None
    row: Row | None = None


class Damaged(Exception):
    """The database is not one of ours, or damaged."""


class Index:
    """One open SQLite database. Raises `Damaged` where it finds damage, else `sqlite3.Error`.

    SQLite notices damage to its own structure only. So each row of a table has a checksum of its own in the
    column `own`.
    """

    def __init__(self, path: Path):
        self.path = path
        self._connection = sqlite3.connect(path, timeout=WAIT_SECONDS)
        try:
            self._check_or_create()
        except BaseException:
            self._connection.close()
            raise

    def _check_or_create(self) -> None:
        try:
            intact = self._connection.execute("PRAGMA quick_check").fetchone() == ("ok",)
            empty = self._connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
            (owner,) = self._connection.execute("PRAGMA application_id").fetchone()
        except sqlite3.Error as error:
            if is_damage(error, self.path):
                raise Damaged from error
            raise
        if empty and intact:
            self._connection.executescript(SCHEMA)
        elif not intact or owner != APPLICATION_ID:
            raise Damaged

    def close(self) -> None:
        self._connection.close()

    def known(self, paths: Sequence[str], settings: str) -> dict[str, Known]:
        """What is known of these files by absolute path, with forward slashes, and of any between them.

        One range of the index is read, so they should be neighbours in sorted order.
        """
        if not paths:
            return {}
        keys = [os.fsencode(path) for path in paths]
        found = self._connection.execute(
            "SELECT path, stamp, files.digest, facts, row, checksum, fingerprint,"
            " files.own, facts.own, rows.own FROM files JOIN facts USING (digest)"
            " LEFT JOIN rows ON rows.digest = files.digest AND settings = ? WHERE path BETWEEN ? AND ?",
            (settings, min(keys), max(keys)),
        )
        return {
            os.fsdecode(path): _checked(settings, path, Known(*values[:6]), values[6:])
            for path, *values in found
        }

    def digests(self, settings: str) -> set[str]:
        """The contents that have a row, and so need not be decoded."""
        found = self._connection.execute("SELECT digest FROM rows WHERE settings = ?", (settings,))
        return {digest for (digest,) in found}

    def next_row(self, settings: str) -> int:
        """The number after the last row's."""
        last = self._connection.execute("SELECT max(row) FROM rows WHERE settings = ?", (settings,))
        (row,) = last.fetchone()
        return 0 if row is None else row + 1

    def checksums(self, settings: str) -> Iterator[tuple[int, int]]:
        """(row number, CRC-32) of every row, ascending."""
        return self._connection.execute(
            "SELECT row, checksum FROM rows WHERE settings = ? ORDER BY row", (settings,)
        )

    def row_file_stamp(self, settings: str) -> str:
        """The rows file's stamp when the index last referred to it."""
        found = self._connection.execute("SELECT stamp FROM row_files WHERE settings = ?", (settings,))
        return next(found, ("absent",))[0]

    def forget(self, settings: str, digest: str) -> None:
        """Forget the row of a content, so that it is decoded again."""
        with self._connection as connection:
            connection.execute("DELETE FROM rows WHERE settings = ? AND digest = ?", (settings, digest))

    def trust(self, settings: str, row_file_stamp: str, wrong_rows: Iterable[int]) -> None:
        """Forget the rows found wrong; the rest are right as long as the rows file has this stamp."""
        with self._connection:
            forgotten = ((settings, row) for row in wrong_rows)
            self._connection.executemany("DELETE FROM rows WHERE settings = ? AND row = ?", forgotten)
            self._set_stamp(settings, row_file_stamp)

    def add(
        self,
        settings: str,
        learnt: Sequence[Learnt],
        rows: Mapping[str, Row],
        first_row: int,
        row_file_stamp: str,
    ) -> None:
        """Commit a batch. `rows`, by digest, lie in the rows file already, in order from `first_row` on."""
        files = [(os.fsencode(one.path), one.stamp, one.digest) for one in learnt]
        facts = [(one.digest, one.facts) for one in learnt if one.facts is not None]
        placed = [
            (settings, digest, number, row.checksum, str(row.fingerprint))
            for number, (digest, row) in enumerate(rows.items(), first_row)
        ]
        with self._connection as connection:
            for statement, lines in (
                ("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?)", files),
                ("INSERT OR REPLACE INTO facts VALUES (?, ?, ?)", facts),
                ("INSERT INTO rows VALUES (?, ?, ?, ?, ?, ?)", placed),
            ):
                connection.executemany(statement, ((*line, _own(*line)) for line in lines))
            self._set_stamp(settings, row_file_stamp)

    def _set_stamp(self, settings: str, stamp: str) -> None:
        self._connection.execute("INSERT OR REPLACE INTO row_files VALUES (?, ?)", (settings, stamp))


def is_damage(error: sqlite3.Error, path: Path) -> bool:
    """Whether SQLite's error means damage, and not that the database is locked or its disk full."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF  # none: a text is no UTF-8
    if code == sqlite3.SQLITE_READONLY:
        return os.access(path, os.W_OK)  # the file can be written, but its header says that it cannot
    return code in _DAMAGE


_DAMAGE = frozenset(
    {
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_FORMAT,
        sqlite3.SQLITE_ERROR,  # such as "no such table"
        sqlite3.SQLITE_SCHEMA,
        sqlite3.SQLITE_CONSTRAINT,
        sqlite3.SQLITE_MISMATCH,
        sqlite3.SQLITE_TOOBIG,
    }
)


def _own(*values: bytes | str | int) -> int:
    """CRC-32 of the values of a table's row."""
    first, *rest = values
    start = zlib.crc32(first if isinstance(first, bytes) else str(first).encode())
    return zlib.crc32("\0".join(map(str, rest)).encode("utf-8", "surrogateescape"), start)


def _checked(settings: str, path: bytes, known: Known, own: Sequence[int | None]) -> Known:
    """The same. Raises Damaged where a value is not the one that was written."""
    try:
        expected = [_own(path, known.stamp, known.digest), _own(known.digest, known.facts)]
        if known.row is not None:
            expected.append(_own(settings, known.digest, known.row, known.checksum, known.fingerprint))
    except (TypeError, ValueError) as error:
        raise Damaged from error
    if list(own[: len(expected)]) != expected:
        raise Damaged
    return known


def remove(path: Path) -> None:
    """Delete a database. Its journal goes first: left behind, it would be played into the next one."""
    path.with_name(path.name + "-journal").unlink(missing_ok=True)
    path.unlink(missing_ok=True)
