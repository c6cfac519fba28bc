"""Pictures, or what is computed from them, as rows of a file: one process appends, any number map it."""

import mmap
import os
import zlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np

Mend = Callable[[int], np.ndarray]
GATHER_BYTES = 32 << 20  # copied out of one memory map before it is replaced


class RowFile:
    """A file of rows, all of one shape and dtype, numbered from 0. It only ever grows at its end.

    `append` returns when the rows are on the disk, so that an index may then refer to them.
    """

    def __init__(self, path: Path, row_shape: tuple[int, ...], dtype: np.typing.DTypeLike = np.uint8):
        self.path = path
        self.row_type = np.dtype((dtype, row_shape))
        self.row_bytes = self.row_type.itemsize

    def append(self, first_row: int, rows: Sequence[bytes]) -> None:
        """Write rows from number `first_row` on, over whatever an interrupted writer left there."""
        if first_row == 0:
            # A new file, not the old one overwritten: another process may still have that one mapped.
            self.path.unlink(missing_ok=True)
        self.path.touch()
        with self.path.open("r+b") as file:
            file.seek(first_row * self.row_bytes)
            file.writelines(rows)
            file.flush()
            os.fsync(file.fileno())

    def stamp(self) -> str:
        """What changes whenever somebody writes to the file."""
        try:
            status = self.path.stat()
        except FileNotFoundError:
            return "absent"
        return f"{status.st_size} {status.st_mtime_ns}"

    def damaged(self, checksums: Iterable[tuple[int, int]]) -> list[int]:
        """Of (row number, CRC-32) pairs, the row numbers whose row is missing or holds something else."""
        if not self.path.exists():
            return [row for row, _ in checksums]
        with self.path.open("rb") as file:
            return [row for row, checksum in checksums if zlib.crc32(self._read(file, row)) != checksum]

    def _read(self, file: BinaryIO, row: int) -> bytes:
        file.seek(row * self.row_bytes)
        return file.read(self.row_bytes)

    def open(
        self, rows: Sequence[int], checksums: Sequence[int] | None = None, mend: Mend | None = None
    ) -> "Pixels":
        """The rows of these numbers, in this order.

        checksums  the CRC-32 of each, against which it is checked whenever it is read; None: no check
        mend       gives the pixels of the row number of a damaged row; what it raises passes on to the reader
        """
        row_numbers = np.asarray(rows, dtype=np.int64)
        count = int(row_numbers.max()) + 1 if len(row_numbers) else 0
        expected = None if checksums is None else np.asarray(checksums, dtype=np.uint32)
        return Pixels(_RowMap(self.path, self.row_type, count, mend), row_numbers, expected)


class _RowMap:
    """The first `count` rows of a file as a read-only memory map."""

    def __init__(self, path: Path, row_type: np.dtype, count: int, mend: Mend | None):
        self.row_type = row_type
        self._mend = mend
        self._count = count
        self._row_bytes = row_type.itemsize
        # Held open: another process may replace the path by a new file, this one's rows stay what they are.
        self._file = path.open("rb") if count else None
        self._array = self._map()
        self._copied = 0

    def gather(self, row_numbers: np.ndarray, checksums: np.ndarray | None) -> np.ndarray:
        """Copies of these rows, such as uint8 [n, S, S, C]. One that has not its checksum is replaced by its
        mended pixels."""
        result = np.empty(len(row_numbers), self.row_type)
        step = max(1, GATHER_BYTES // self._row_bytes)
        for start in range(0, len(row_numbers), step):
            part = row_numbers[start : start + step]
            result[start : start + step] = self._fresh_array(len(part))[part]
        if checksums is not None:
            found = np.array([zlib.crc32(row) for row in result], np.uint32)
            for place in np.flatnonzero(found != checksums):
                result[place] = self._mend(int(row_numbers[place]))
        return result

    def _fresh_array(self, count: int) -> np.ndarray:
        # Pages touched in a memory map count towards the process's memory until it is unmapped, so it is
        # mapped again now and then. The old map goes with its last reader, perhaps one in another thread.
        self._copied += count
        if self._copied * self._row_bytes > GATHER_BYTES:
            self._array = self._map()
            self._copied = count
        return self._array

    def _map(self) -> np.ndarray:
        if self._file is None:
            return np.empty(0, self.row_type)
        view = mmap.mmap(self._file.fileno(), self._count * self._row_bytes, access=mmap.ACCESS_READ)
        return np.frombuffer(view, self.row_type.base).reshape(self._count, *self.row_type.shape)


class Pixels:
    """Rows on disk that read like an array: pictures as uint8 [n, S, S, C], values 0..255, unless the file
    holds something else.

    Indexing by an int, a slice, an integer or a boolean array gives copies; memory use does not grow with
    the number of rows that were read. Safe to read from several threads.
    """

    def __init__(self, row_map: _RowMap, row_numbers: np.ndarray, checksums: np.ndarray | None):
        self._row_map = row_map
        self._row_numbers = row_numbers
        self._checksums = checksums

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self._row_numbers), *self._row_map.row_type.shape)

    @property
    def dtype(self) -> np.dtype:
        return self._row_map.row_type.base

    def __len__(self) -> int:
        return len(self._row_numbers)

    def __getitem__(self, index: int | slice | np.ndarray | Sequence[int]) -> np.ndarray:
        rows = self._row_numbers[index]
        checksums = None if self._checksums is None else np.atleast_1d(self._checksums[index])
        gathered = self._row_map.gather(np.atleast_1d(rows), checksums)
        return gathered if rows.ndim else gathered[0]

    def __array__(self, dtype: np.dtype | None = None, copy: bool | None = None) -> np.ndarray:
        if copy is False:
            raise ValueError("rows on disk cannot become an array without a copy")
        return self[:].astype(dtype or self.dtype, copy=False)

    def select(self, indices: np.ndarray | Sequence[int]) -> "Pixels":
        """The rows at `indices`, in that order, still on disk."""
        chosen = np.asarray(indices, dtype=np.int64)
        checksums = None if self._checksums is None else self._checksums[chosen]
        return Pixels(self._row_map, self._row_numbers[chosen], checksums)
