"""A few numbers for each picture of a folder, by which it is grouped, labelled and reviewed.

They are the leading principal axes of what a pretrained network sees in the picture and in its mirror image,
averaged. Kept in the cache folder under the folder that they are of: 100,000 pictures take 51 MB, which are
read at once, where their features take 1.4 GB.
"""

import contextlib
import hashlib
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from pigeonhole import atomic_file
from pigeonhole.data.cache import Cache
from pigeonhole.data.folders import Record
from pigeonhole.features import axes, feature_file, store
from pigeonhole.features.axes import Axes
from pigeonhole.features.extractor import Extractor
from pigeonhole.features.store import Features
from pigeonhole.features.threads import one_thread
from pigeonhole.runs import archives

AXES = 128
# Chosen by benchmarks/labelling_settings.py on held-out parts of six sets of training pictures: with equal
# weights, there are 0.8 points less of them right, above all of ants and bees and of CIFAR-10.
EXPONENT = 0.5  # features are divided by the root of their standard deviation ...
LAST_WEIGHT = 3  # ... and those of the averaged last layer count so many times
SAMPLE = 5_000  # pictures by which axes are found
BLOCK = 1_024  # pictures read at a time
FEW = 512  # pictures; axes of fewer tell too little of the next one
GROWTH = 2  # times as many pictures as the axes are of, and they are found anew
VERSION = 2  # increase it when the same features give other coordinates
NAMES = "digests", "coordinates", "mean", "directions", "found_by"


def read(
    records: Sequence[Record],
    extractor: Extractor,
    cache: Cache,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> np.ndarray:
    """float32 [n, d], d <= 128, for the pictures of one folder in the order of their records; none skipped.

    As `read_with_axes`.
    """
    return read_with_axes(records, extractor, cache, on_progress)[0]


def read_with_axes(
    records: Sequence[Record],
    extractor: Extractor,
    cache: Cache,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[np.ndarray, Axes | None]:
    """The coordinates float32 [n, d], d <= 128, and the axes that give them; None where there is no picture.

    What is kept is taken; features are computed for the other pictures alone. When pictures are added, the
    axes stay as they are until their number has doubled; those of few pictures are found anew at once.

    on_progress  is told how many of how many pictures have features, and may raise to stop

    Raises as `store.read` does.
    """
    if not records:
        return np.empty((0, 0), np.float32), None
    contents = feature_file.digests([record.digest for record in records])
    file = _file(records[0].entry.root, extractor, cache)
    kept = _Kept.read(file)
    distinct, first, place = np.unique(contents, return_index=True, return_inverse=True)
    if kept is not None and len(distinct) > kept.enough_for:
        kept = None
    missing = first if kept is None else first[~np.isin(distinct, kept.digests)]
    if len(missing):
        known, total = len(distinct) - len(missing), len(distinct)
        on_progress(known, total)
        new = [records[row] for row in missing]

        def tell(done: int, _: int) -> None:
            on_progress(known + done, total)

        features = store.read(new, extractor, cache, progress=tell)
        with one_thread():
            kept = (
                _Kept.first(contents[missing], features, extractor.last)
                if kept is None
                else kept.and_of(contents[missing], features, extractor.last)
            )
        with cache.explained():
            kept.write(file)
    return kept.of(distinct)[place], kept.axes


def of_pictures(images: np.ndarray, extractor: Extractor, found: Axes) -> np.ndarray:
    """float32 [m, d], along axes of `read_with_axes`, of further pictures uint8 [m, S, S, 3], not kept."""
    plain, mirrored = np.split(extractor(np.concatenate([images, images[:, :, ::-1]])), 2)
    return found.coordinates(_averaged(plain, mirrored, extractor.last))


def _file(root: Path, extractor: Extractor, cache: Cache) -> Path:
    parts = str(VERSION), str(root.resolve()), extractor.name, str(extractor.image_size), extractor.digest
    key = hashlib.sha256("\0".join(parts).encode("utf-8", "surrogateescape")).hexdigest()
    return cache.folder / f"coordinates-{key[:32]}.npz"


class _Kept:
    """Coordinates by content: `digests` "S32" [n], ascending, and `coordinates` float32 [n, d], by `axes`.

    `found_by`: how many pictures there were when the axes were found.
    """

    def __init__(self, digests: np.ndarray, coordinates: np.ndarray, found: Axes, found_by: int):
        order = np.argsort(digests, kind="stable")
        self.digests, self._coordinates = digests[order], coordinates[order]
        self.axes, self.found_by = found, found_by

    @property
    def enough_for(self) -> int:
        """How many pictures the axes may be used for."""
        return GROWTH * self.found_by if self.found_by >= FEW else self.found_by

    @classmethod
    def first(cls, digests: np.ndarray, features: Features, last: slice) -> "_Kept":
        found = leading(features, last)
        return cls(digests, of(features, found, last), found, len(digests))

    @classmethod
    def read(cls, file: Path) -> "_Kept | None":
        """What the file holds; None where there is none or it is damaged, which costs only time."""
        with contextlib.suppress(OSError, ValueError, KeyError):
            arrays = archives.read(file)
            digests, coordinates, mean, directions, found_by = (arrays[name] for name in NAMES)
            return cls(digests, coordinates, Axes(mean, directions), int(found_by))
        return None

    def and_of(self, digests: np.ndarray, features: Features, last: slice) -> "_Kept":
        coordinates = of(features, self.axes, last)
        return _Kept(
            np.concatenate([self.digests, digests]),
            np.concatenate([self._coordinates, coordinates]),
            self.axes,
            self.found_by,
        )

    def write(self, file: Path) -> None:
        values = self.digests, self._coordinates, *self.axes, np.array(self.found_by)
        with atomic_file.write_binary(file) as binary, zipfile.ZipFile(binary, "w") as archive:
            for name, value in zip(NAMES, values, strict=True):
                archives.add(archive, name, value)

    def of(self, digests: np.ndarray) -> np.ndarray:
        return self._coordinates[np.searchsorted(self.digests, digests)]


def leading(features: Features, last: slice) -> Axes:
    """At most `AXES` axes, by a sample of the pictures. `last`: the features of the averaged last layer."""
    rows = np.unique(np.linspace(0, len(features) - 1, SAMPLE).astype(np.int64))
    sample = _seen(features.select(rows), slice(None), last)
    found = axes.leading(sample, AXES, EXPONENT)
    # As long as standardised features are, so that the same penalties suit every folder.
    length = np.sqrt(np.mean(np.sum(found.coordinates(sample) ** 2, axis=1)))
    if length > 0:
        found = Axes(found.mean, found.directions * np.float32(np.sqrt(sample.shape[1]) / length))
    return found


def of(features: Features, found: Axes, last: slice) -> np.ndarray:
    """float32 [n, d] by axes of `leading`, block by block, so that memory holds no more than those."""
    starts = range(0, len(features), BLOCK)
    return np.concatenate(
        [found.coordinates(_seen(features, slice(start, start + BLOCK), last)) for start in starts]
    )


def _seen(features: Features, rows: slice, last: slice) -> np.ndarray:
    return _averaged(features.plain[rows], features.mirrored[rows], last)


def _averaged(plain: np.ndarray, mirrored: np.ndarray, last: slice) -> np.ndarray:
    """float32 [m, D]: the mean of the pictures and their mirror images, the last layer weighted."""
    found = (plain + mirrored) / 2
    found[:, last] *= LAST_WEIGHT ** (1 / (1 - EXPONENT))  # of which `leading` leaves the weight
    return found
