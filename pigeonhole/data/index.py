"""The cache's index: which file has which content, what that content is, and in which row its pixels lie."""

import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

APPLICATION_ID = 0x50696765  # "Pige", in the database's header: tells it from somebody else's
WAIT_SECONDS = 60.0  # for another process's commit, which takes milliseconds

SCHEMA = f"""
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS files (path BLOB PRIMARY KEY, stamp TEXT, digest TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS facts (digest TEXT PRIMARY KEY, facts TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS rows (settings TEXT, digest TEXT, row INTEGER, checksum INTEGER,
                                 fingerprint TEXT,
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
    """The database is not one of ours, or no longer whole."""


class Index:
    """One open SQLite database. Raises `Damaged` from its constructor, else `sqlite3.Error`."""

    def __init__(self, path: Path):
        self._connection = sqlite3.connect(path, timeout=WAIT_SECONDS)
        try:
            self._check_or_create()
        except BaseException:
            self._connection.close()
            raise

    def _check_or_create(self) -> None:
        try:
            whole = self._connection.execute("PRAGMA quick_check").fetchone() == ("ok",)
            empty = self._connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
            (owner,) = self._connection.execute("PRAGMA application_id").fetchone()
        except sqlite3.OperationalError:  # locked, no permission, disk full: not damage
            raise
        except sqlite3.DatabaseError as error:
            raise Damaged from error
        if empty and whole:
            self._connection.executescript(SCHEMA)
        elif not whole or owner != APPLICATION_ID:
            raise Damaged

    def close(self) -> None:
        self._connection.close()

    def known(self, paths: Sequence[str], settings: str) -> dict[str, Known]:
        """What is known of these files by their whole paths, with forward slashes, and of any between them.

        One range of the index is read, so they should be neighbours in sorted order.
        """
        if not paths:
            return {}
        keys = [os.fsencode(path) for path in paths]
        found = self._connection.execute(
            "SELECT path, stamp, files.digest, facts, row, fingerprint FROM files JOIN facts USING (digest)"
            " LEFT JOIN rows ON rows.digest = files.digest AND settings = ? WHERE path BETWEEN ? AND ?",
            (settings, min(keys), max(keys)),
        )
        return {os.fsdecode(path): Known(*rest) for path, *rest in found}

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
            connection.executemany("INSERT OR REPLACE INTO files VALUES (?, ?, ?)", files)
            connection.executemany("INSERT OR REPLACE INTO facts VALUES (?, ?)", facts)
            connection.executemany("INSERT INTO rows VALUES (?, ?, ?, ?, ?)", placed)
            self._set_stamp(settings, row_file_stamp)

    def _set_stamp(self, settings: str, stamp: str) -> None:
        self._connection.execute("INSERT OR REPLACE INTO row_files VALUES (?, ?)", (settings, stamp))


def remove(path: Path) -> None:
    """Delete a database. Its journal goes first: left behind, it would be played into the next one."""
    path.with_name(path.name + "-journal").unlink(missing_ok=True)
    path.unlink(missing_ok=True)
