"""What a pretrained network sees in each picture of a data set and in its mirror image: computed once, kept.

Features lie in the cache folder, beside the decoded pixels, under the content of the picture and the digest
of the extractor. Only pictures that are not there yet are decoded and computed. They are kept block by block,
so that a process that is killed loses at most one block.
"""

import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import NamedTuple

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
Progress = Callable[[int, int], None]


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
    """`plain`: of the pictures; `mirrored`: of their mirror images, left and right changed over; None: not
    computed."""

    plain: FeatureRows
    mirrored: FeatureRows | None = None

    def __len__(self) -> int:
        return len(self.plain)

    def select(self, indices: np.ndarray | Sequence[int]) -> "Features":
        """The features of the pictures at `indices`, in that order, still on disk."""
        rows = (self.plain, self.mirrored)
        return Features(*(None if each is None else each.select(indices) for each in rows))


def of_sets(sets: DataSets, extractor: Extractor, cache: Cache, mirrored: bool = True) -> Features:
    """The features of `sets.everything`, in its order: first all training pictures, then all validation ones.

    See `read`.
    """
    record_of = {record.entry.name: record for record in sets.records}
    records = [record_of[name] for name in sets.everything.names]
    return read(records, extractor, cache, sets.everything.images, mirrored=mirrored)


def read(
    records: Sequence[Record],
    extractor: Extractor,
    cache: Cache,
    pixels: Pixels | np.ndarray | None = None,
    progress: bool | Progress | None = None,
    mirrored: bool = True,
) -> Features:
    """The features of the pictures that these records tell of, in their order. None may be a skipped one.

    The extractor is called only if features are missing, by this thread.

    pixels    the same pictures as they were decoded, [n, S, S, C]. They are taken where they are RGB and of
              the extractor's size; otherwise, and for None, the files are decoded again
    progress  a bar on standard error; None: where that is a terminal. Or a function that is told, while
              features are computed, how many of how many distinct pictures have them. It may raise to stop:
              nothing is lost
    mirrored  also those of the mirror images, for twice the time

    Raises `CacheError` where the cache folder cannot be used, `PigeonholeError` for a file that is no longer
    what its record says.
    """
    with cache.explained():
        sides = (False, True) if mirrored else (False,)
        files = [FeatureFile.of(extractor, cache.folder, side) for side in sides]
        contents = feature_file.digests([record.digest for record in records])
        places = [file.find(contents) for file in files]
        if any(_is_incomplete(*each) for each in zip(files, places, strict=True)):
            if not _fits(pixels, extractor.image_size):
                pixels = None
            with ExitStack() as locks:
                for file in files:
                    locks.enter_context(exclusive(file.lock))
                _Work(records, contents, extractor, pixels).complete(files, progress)
            places = [file.find(contents) for file in files]
        return Features(*(FeatureRows(file.open(at)) for file, at in zip(files, places, strict=True)))


def _is_incomplete(file: FeatureFile, places: np.ndarray) -> bool:
    return bool((places < 0).any() or len(file.damaged(places)))


def _fits(pixels: Pixels | np.ndarray | None, image_size: int) -> bool:
    return pixels is not None and pixels.shape[1:] == (image_size, image_size, 3)


class _Task(NamedTuple):
    """Records by their numbers [n], and which features of each are missing: bool [n, 1 or 2], of the picture
    and of its mirror image."""

    numbers: np.ndarray
    missing: np.ndarray


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

    def complete(self, files: list[FeatureFile], progress: bool | Progress | None) -> None:
        """Add what is missing or damaged. The caller holds the locks."""
        ahead, total = self._missing(files)
        done = total - len(ahead.numbers)
        tasks = (
            _Task(*(each[start : start + TASK_PICTURES] for each in ahead))
            for start in range(0, len(ahead.numbers), TASK_PICTURES)
        )
        is_told = callable(progress)
        with (
            one_opencv_thread(),
            bar("features", "pictures", done, total, False if is_told else progress) as shown,
            _Blocks(files) as blocks,
        ):
            # While the extractor computes, the next pictures are decoded. It computes nothing ahead, which
            # would be lost when the user stops it.
            for task, views in in_parallel(self._decode, tasks, ahead=TASKS_AHEAD):
                blocks.add(self._contents[task.numbers], task.missing, self._extractor(views))
                done += len(task.numbers)
                shown.update(len(task.numbers))
                if is_told:
                    progress(done, total)

    def _missing(self, files: list[FeatureFile]) -> tuple[_Task, int]:
        """What there is to compute, each content once, and how many contents there are."""
        _, first_of_each = np.unique(self._contents, return_index=True)
        first_of_each.sort()
        missing, damaged = np.empty((2, len(first_of_each), len(files)), bool)
        forgotten = 0
        for side, file in enumerate(files):
            places = file.find(self._contents[first_of_each])
            damaged[:, side] = np.isin(places, file.damaged(places[places >= 0]))
            missing[:, side] = (places < 0) | damaged[:, side]
            forgotten = max(forgotten, file.forget_damaged_keys())
        if count := int(damaged.any(axis=1).sum()) + forgotten:
            what = counted(count, "picture", "pictures")
            say(
                f"{files[0].folder}: the kept features of {what} are damaged; they are computed again",
                to=sys.stderr,
            )
        some = missing.any(axis=1)
        return _Task(first_of_each[some], missing[some]), len(first_of_each)

    def _decode(self, task: _Task) -> tuple[_Task, np.ndarray]:
        """The task again, and its views uint8 [m, S, S, 3]: pictures, then mirror images."""
        if self._pixels is not None:
            pictures = self._pixels[task.numbers]
        else:
            pictures = [decoded_anew(self._records[number], self._preprocessing) for number in task.numbers]
        chosen = np.argwhere(task.missing.T)
        views = np.empty((len(chosen), *pictures[0].shape), np.uint8)
        for view, (is_mirrored, number) in zip(views, chosen, strict=True):
            if is_mirrored:
                cv2.flip(pictures[number], 1, view)  # 15 times as fast as NumPy's
            else:
                view[:] = pictures[number]
        return task, views


class _Blocks:
    """What was computed, written block by block, the last one also when the user stops it."""

    def __init__(self, files: list[FeatureFile]):
        self._files = files
        self._waiting: list[list[tuple[np.ndarray, np.ndarray]]] = []
        self._pictures = 0

    def __enter__(self) -> "_Blocks":
        return self

    def __exit__(self, *_) -> None:
        self._write()

    def add(self, contents: np.ndarray, missing: np.ndarray, features: np.ndarray) -> None:
        """Features float32 [m, width] of what was missing, bool [n, 1 or 2], in the order of `_decode`."""
        parts = np.split(features, np.cumsum(missing.sum(axis=0))[:-1])
        self._waiting.append([(contents[each], part) for each, part in zip(missing.T, parts, strict=True)])
        self._pictures += len(contents)
        if self._pictures >= BLOCK_PICTURES:
            self._write()

    def _write(self) -> None:
        if self._waiting:
            for file, parts in zip(self._files, zip(*self._waiting, strict=True), strict=True):
                file.append(*map(np.concatenate, zip(*parts, strict=True)))
        self._waiting.clear()
        self._pictures = 0
