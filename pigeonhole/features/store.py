"""What a pretrained network sees in each picture of a data set and in its mirror image: computed once, kept.

Features lie in the cache folder, beside the decoded pixels, under the content of the picture and the digest
of the extractor. Only pictures that are not there yet are decoded and computed. They are kept block by block,
so that a process that is killed loses at most one block.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from pigeonhole.data.cache import Cache
from pigeonhole.data.dataset import DataSets
from pigeonhole.data.folders import Record
from pigeonhole.data.parallel import bar, in_parallel, one_opencv_thread
from pigeonhole.data.pixels import Pixels
from pigeonhole.data.reading import decoded_anew
from pigeonhole.features import feature_file
from pigeonhole.features.extractor import Extractor
from pigeonhole.features.feature_file import FeatureFile
from pigeonhole.locks import exclusive
from pigeonhole.pictures.images import Preprocessing
from pigeonhole.terminal import counted, say

TASK_PICTURES = 32  # that a thread decodes, and the extractor is given with their mirror images, at a time
TASKS_AHEAD = 8  # of decoded pictures: 80 MB at 224 pixels
BLOCK_PICTURES = 128  # kept at a time: what a killed process loses at most


class FeatureRows:
    """Features on disk that read like a float32 array [n, width].

    Indexing by an int, a slice, an integer or a boolean array gives copies; memory use does not grow with the
    number of rows that were read. Safe to read from several threads.
    """

    dtype = np.dtype(np.float32)

    def __init__(self, stored: Pixels):
        self._stored = stored
        self.shape = stored.shape

    def __len__(self) -> int:
        return len(self._stored)

    def __getitem__(self, index: int | slice | np.ndarray | Sequence[int]) -> np.ndarray:
        return self._stored[index].astype(np.float32)

    def __array__(self, dtype: np.typing.DTypeLike = None, copy: bool | None = None) -> np.ndarray:
        if copy is False:
            raise ValueError("features on disk cannot become an array without a copy")
        return self[:].astype(dtype or np.float32, copy=False)

    def select(self, indices: np.ndarray | Sequence[int]) -> "FeatureRows":
        """The rows at `indices`, in that order, still on disk."""
        return FeatureRows(self._stored.select(indices))


@dataclass(frozen=True)
class Features:
    """`plain`: of the pictures; `mirrored`: of their mirror images, left and right changed over."""

    plain: FeatureRows
    mirrored: FeatureRows

    def __len__(self) -> int:
        return len(self.plain)

    def select(self, indices: np.ndarray | Sequence[int]) -> "Features":
        """The features of the pictures at `indices`, in that order, still on disk."""
        return Features(self.plain.select(indices), self.mirrored.select(indices))


def of_sets(sets: DataSets, extractor: Extractor, cache: Cache, progress: bool | None = None) -> Features:
    """The features of `sets.everything`, in its order: first all training pictures, then all validation ones.

    See `read`.
    """
    record_of = {record.entry.name: record for record in sets.records}
    records = [record_of[name] for name in sets.everything.names]
    return read(records, extractor, cache, sets.everything.images, progress)


def read(
    records: Sequence[Record],
    extractor: Extractor,
    cache: Cache,
    pixels: Pixels | np.ndarray | None = None,
    progress: bool | None = None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Features:
    """The features of the pictures that these records tell of, in their order. None may be a skipped one.

    The extractor is called only if features are missing, by this thread.

    pixels       the same pictures as they were decoded, [n, S, S, C]. They are taken where they are RGB and
                 of the extractor's size; otherwise, and for None, the files are decoded again
    progress     a bar on standard error; None: where that is a terminal
    on_progress  is told, while features are computed, how many of how many distinct pictures have them. It
                 may raise to stop: nothing is lost

    Raises `CacheError` where the cache folder cannot be used, `PigeonholeError` for a file that is no longer
    what its record says.
    """
    with cache.explained():
        file = FeatureFile.of(extractor, cache.folder)
        contents = feature_file.digests([record.digest for record in records])
        places = file.find(contents)
        if (places < 0).any() or len(file.damaged(places)):
            if not _fits(pixels, extractor.image_size):
                pixels = None
            with exclusive(file.lock):
                _Work(records, contents, extractor, pixels).complete(file, progress, on_progress)
            places = file.find(contents)
        plain, mirrored = file.open(places)
    return Features(FeatureRows(plain), FeatureRows(mirrored))


def _fits(pixels: Pixels | np.ndarray | None, image_size: int) -> bool:
    return pixels is not None and pixels.shape[1:] == (image_size, image_size, 3)


class _Work:
    """Decodes pictures and computes their features."""

    def __init__(
        self,
        records: Sequence[Record],
        contents: np.ndarray,
        extractor: Extractor,
        pixels: Pixels | np.ndarray | None,
    ):
        self._records = records
        self._contents = contents
        self._extractor = extractor
        self._pixels = pixels
        self._preprocessing = Preprocessing(extractor.image_size)

    def complete(
        self, file: FeatureFile, progress: bool | None, on_progress: Callable[[int, int], None]
    ) -> None:
        """Add what is missing or damaged. The caller holds the lock."""
        missing, total = self._missing(file)
        done = total - len(missing)
        tasks = (missing[start : start + TASK_PICTURES] for start in range(0, len(missing), TASK_PICTURES))
        with (
            one_opencv_thread(),
            bar("features", "pictures", done, total, progress) as shown,
        ):
            block: list[tuple[np.ndarray, np.ndarray]] = []
            try:
                # While the extractor computes, the next pictures are decoded. It computes nothing ahead,
                # which would be lost when the user stops it.
                decoded = in_parallel(self._decode, tasks, ahead=TASKS_AHEAD)
                for numbers, features in map(self._compute, decoded):
                    block.append((self._contents[numbers], features))
                    shown.update(len(numbers))
                    done += len(numbers)
                    if len(block) * TASK_PICTURES >= BLOCK_PICTURES:
                        file.append(*map(np.concatenate, zip(*block, strict=True)))
                        block.clear()
                    on_progress(done, total)
            finally:  # also when the user stops it
                if block:
                    file.append(*map(np.concatenate, zip(*block, strict=True)))

    def _missing(self, file: FeatureFile) -> tuple[np.ndarray, int]:
        """The numbers of the records to compute, one for each content, and how many contents there are."""
        _, first_of_each = np.unique(self._contents, return_index=True)
        first_of_each.sort()
        places = file.find(self._contents[first_of_each])
        damaged = file.damaged(places[places >= 0])
        if count := len(damaged) + file.forget_damaged_keys():
            what = counted(count, "picture", "pictures")
            say(
                f"{file.folder}: the kept features of {what} are damaged; they are computed again",
                to=sys.stderr,
            )
        return first_of_each[(places < 0) | np.isin(places, damaged)], len(first_of_each)

    def _decode(self, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The numbers of these records again, and their pictures and mirror images uint8 [2, n, S, S, 3]."""
        if self._pixels is not None:
            pictures = self._pixels[numbers]
        else:
            pictures = [decoded_anew(self._records[number], self._preprocessing) for number in numbers]
        both = np.empty((2, len(numbers), *pictures[0].shape), np.uint8)
        for number, picture in enumerate(pictures):
            both[0, number] = picture
            cv2.flip(picture, 1, both[1, number])  # 15 times as fast as NumPy's
        return numbers, both

    def _compute(self, decoded: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """The numbers of these records again, and features float32 [n, 2, width]."""
        numbers, both = decoded
        features = self._extractor(both.reshape(-1, *both.shape[2:]))
        return numbers, np.stack(np.split(features, 2), axis=1)
