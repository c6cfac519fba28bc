"""Features on disk: what one extractor sees in pictures, or in their mirror images, by the picture's content.

Two files that only grow: one of float16 rows, and one of keys that say whose they are. Rows are on the disk
before their keys: a process that is killed leaves at most rows without keys, which the next one writes over.
Each row and each key has a checksum. What is damaged counts as missing, and is appended once more.
"""

import os
import re
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pigeonhole.data.pixels import Pixels, RowFile
from pigeonhole.features.extractor import Extractor

# The checksums are CRC-32: of the row, and of the key itself up to there.
KEY = np.dtype([("digest", "S32"), ("row", "<u4"), ("own", "<u4")])
_COVERED = KEY.itemsize - 4  # bytes of a key that its own checksum is of
_LARGEST = float(np.finfo(np.float16).max)


def digests(hexadecimal: Sequence[str]) -> np.ndarray:
    """SHA-256 digests as bytes, "S32" [n]."""
    return np.array([bytes.fromhex(digest) for digest in hexadecimal], "S32")


class FeatureFile:
    """The features of one extractor in `folder`, which is made. One process at a time may change them.

    name    the extractor's name, picture size, digest and side: all features under one name belong together
    width   numbers in a row
    """

    def __init__(self, folder: Path, name: str, width: int):
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.lock = folder / f"{name}.lock"
        self._keys = folder / f"{name}.keys"
        self._rows = RowFile(folder / f"{name}.bin", (width,), np.dtype("<f2"))

    @classmethod
    def of(cls, extractor: Extractor, folder: Path, mirrored: bool = False) -> "FeatureFile":
        """Those of this extractor, of pictures or of their mirror images."""
        side = "mirrored" if mirrored else "plain"
        name = f"features-{extractor.name}-{extractor.image_size}px-{extractor.digest[:16]}-{side}"
        return cls(folder, re.sub(r"[^\w.-]", "-", name), extractor.width)

    def find(self, wanted: np.ndarray) -> np.ndarray:
        """The places of these contents' features, int64 [n]; -1 for none."""
        keys = self._read_keys()
        places = np.flatnonzero(_whole(keys))
        places = places[np.argsort(keys["digest"][places], kind="stable")]
        known = keys["digest"][places]
        # Of several keys of one content the last: it was added because an earlier one's rows were damaged.
        nearest = np.searchsorted(known, wanted, side="right") - 1
        found = np.full(len(wanted), -1, np.int64)
        is_known = np.flatnonzero(nearest >= 0)
        is_known = is_known[known[nearest[is_known]] == wanted[is_known]]
        found[is_known] = places[nearest[is_known]]
        return found

    def damaged(self, places: np.ndarray) -> np.ndarray:
        """Of these places, int64, those with a row that has not its checksum. All their rows are read."""
        checksums = self._read_keys()["row"]
        wrong = self._rows.damaged((place, checksums[place]) for place in np.unique(places))
        return np.array(wrong, np.int64)

    def forget_damaged_keys(self) -> int:
        """Make the damaged keys those of no picture; returns how many there were."""
        keys = self._read_keys()
        wrong = np.flatnonzero(~_whole(keys))
        keys[wrong] = np.zeros((), KEY)
        keys["own"][wrong] = _own(keys[wrong])
        if len(wrong):
            self._write_keys(0, keys)
        return len(wrong)

    def append(self, contents: np.ndarray, features: np.ndarray) -> None:
        """Add the features float [n, width] of these contents, which are on the disk when it returns.

        Values that are too large for float16 become its largest.
        """
        rows = np.clip(features, -_LARGEST, _LARGEST).astype("<f2")
        first = self._count()
        self._rows.append(first, [row.tobytes() for row in rows])
        keys = np.zeros(len(contents), KEY)
        keys["digest"] = contents
        keys["row"] = [zlib.crc32(row) for row in rows]
        keys["own"] = _own(keys)
        self._write_keys(first, keys)

    def open(self, places: np.ndarray) -> Pixels:
        """The features at these places, float16 [n, width]."""
        return self._rows.open(places)

    def _count(self) -> int:
        """How many keys there are. A tail that is shorter than a key is none."""
        return self._keys.stat().st_size // KEY.itemsize if self._keys.exists() else 0

    def _read_keys(self) -> np.ndarray:
        count = self._count()
        return np.fromfile(self._keys, KEY, count) if count else np.zeros(0, KEY)

    def _write_keys(self, first: int, keys: np.ndarray) -> None:
        """Write keys from this place on, over whatever an interrupted writer left there."""
        self._keys.touch()
        with self._keys.open("r+b") as file:
            file.seek(first * KEY.itemsize)
            file.write(keys.tobytes())
            file.flush()
            os.fsync(file.fileno())


def _own(keys: np.ndarray) -> np.ndarray:
    """The checksum that each key should have of itself, uint32 [n]."""
    every = keys.view(np.uint8).reshape(len(keys), KEY.itemsize)
    return np.array([zlib.crc32(key) for key in np.ascontiguousarray(every[:, :_COVERED])], np.uint32)


def _whole(keys: np.ndarray) -> np.ndarray:
    """Which keys are as they were written, bool [n]."""
    return _own(keys) == keys["own"]
