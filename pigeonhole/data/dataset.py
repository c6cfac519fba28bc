"""Class folders in; training and validation sets with `next_batch` out.

sets = read_train_sets("training_data", image_size=128, validation_size=0.2)
images, labels, names, classes = sets.train.next_batch(32)
"""

import functools
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pigeonhole.data import cache, duplicates, labelled
from pigeonhole.data import fixes as fixing
from pigeonhole.data import split as splitting
from pigeonhole.data.fixes import Fix
from pigeonhole.data.folders import Record, Tree
from pigeonhole.data.labelled import Labels
from pigeonhole.data.pixels import Pixels
from pigeonhole.data.preflight import Preflight
from pigeonhole.data.split import PreviousSplit
from pigeonhole.errors import PigeonholeError
from pigeonhole.pictures.images import Preprocessing
from pigeonhole.terminal import shown

SCALES, ORDERS = ("0..255", "0..1"), ("rgb", "bgr")  # of `next_batch`


class DataSet:
    """Labelled pictures, handed out in batches.

    images         uint8 [n, S, S, C], RGB or grey, 0..255; may lie on disk, reads like an array
    labels         float32 [n, K], one-hot
    label_indices  int64 [n], positions in `class_names`
    names          str [n], file names relative to the folder that was read
    classes        str [n], each picture's class name
    """

    def __init__(
        self,
        images: np.ndarray | Pixels,
        label_indices: Sequence[int] | np.ndarray,
        names: Sequence[str],
        class_names: Sequence[str],
        seed: int = 0,
    ):
        self.images = images
        self.label_indices = np.asarray(label_indices, dtype=np.int64)
        self.names = np.array(names, dtype=object)
        self.class_names = list(class_names)
        self.epochs_done = 0
        self._seed = seed
        self._position = 0  # pictures of the present epoch already handed out

    @property
    def num_examples(self) -> int:
        return len(self.label_indices)

    @functools.cached_property
    def labels(self) -> np.ndarray:
        return self._one_hot(self.label_indices)

    @functools.cached_property
    def classes(self) -> np.ndarray:
        return self._class_name(self.label_indices)

    def order(self, epoch: int) -> np.ndarray:
        """The order of pictures in an epoch (counted from 0): int64 [n], each index once.

        A function of the seed and the epoch alone, so that a training can be resumed at any point.
        """
        return np.random.default_rng([self._seed, epoch]).permutation(self.num_examples)

    def next_batch(
        self, batch_size: int, scale: str = "0..255", order: str = "rgb"
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """The epoch's next `batch_size` pictures: images, labels, names, classes, as in those attributes.

        `scale` "0..1": images are float32, divided by 255. `order` "bgr": blue comes first. Neither is for
        networks of this package, which take 0..255, RGB.

        Within an epoch every picture comes exactly once and the last batch may be short; `epochs_done` counts
        up with it, and the next batch begins a freshly shuffled epoch.
        """
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, not {batch_size}")
        if scale not in SCALES or order not in ORDERS:
            raise ValueError(
                f"scale is one of {SCALES} and order one of {ORDERS}, not {scale!r} and {order!r}"
            )
        chosen = self._present_order[self._position : self._position + batch_size]
        self._position += len(chosen)
        if self._position >= self.num_examples:
            self.epochs_done += 1
            self._position = 0
            del self._present_order
        labels = self.label_indices[chosen]
        images = self.images[chosen][..., :: 1 if order == "rgb" else -1]
        if scale == "0..1":
            images = images.astype(np.float32) / np.float32(255)
        return images, self._one_hot(labels), self.names[chosen], self._class_name(labels)

    def select(self, rows: Sequence[int] | np.ndarray, class_names: Sequence[str] | None = None) -> "DataSet":
        """The data set of these rows alone, in this order.

        `class_names`: those of this data set's classes that it shall have, in their new order; all rows must
        be pictures of theirs. None: all classes.
        """
        rows = np.asarray(rows, dtype=np.int64)
        images = self.images.select(rows) if isinstance(self.images, Pixels) else self.images[rows]
        kept = self.class_names if class_names is None else list(class_names)
        label_of = {name: label for label, name in enumerate(kept)}
        labels = [label_of[name] for name in self.classes[rows]]
        return DataSet(images, labels, self.names[rows], kept, self._seed)

    @functools.cached_property
    def _present_order(self) -> np.ndarray:
        return self.order(self.epochs_done)

    def _one_hot(self, label_indices: np.ndarray) -> np.ndarray:
        labels = np.zeros((len(label_indices), len(self.class_names)), np.float32)
        labels[np.arange(len(label_indices)), label_indices] = 1
        return labels

    def _class_name(self, label_indices: np.ndarray) -> np.ndarray:
        return np.array(self.class_names, dtype=object)[label_indices]


@dataclass(frozen=True)
class DataSets:
    """What `read_train_sets` returns. `everything` holds the pictures of `train` and of `valid`. `sides` maps
    each used file's name to "train" or "valid"; a part of the training set (`fraction`) may leave out some
    that it names. `fixes` are the decisions of the fixes.csv."""

    train: DataSet
    valid: DataSet
    everything: DataSet
    classes: list[str]
    sides: dict[str, str]
    records: list[Record]
    preflight: Preflight
    fixes: list[Fix]

    def require_trainable(self) -> None:
        """Raise PigeonholeError where a class has no picture to learn from, or no class one to validate."""
        self.preflight.require_trainable()
        counts = np.bincount(self.train.label_indices, minlength=len(self.classes))
        missing = [name for name, count in zip(self.classes, counts, strict=True) if not count]
        if not missing and self.valid.num_examples:
            return
        what = f"to learn {', '.join(map(shown, missing))} from" if missing else "to validate with"
        raise PigeonholeError(
            f"{self.preflight.root}: no picture is left {what}: copies of one picture stay together, and "
            "those of an earlier split stay where they are; add others, or leave the class out with --classes"
        )


def read_train_sets(
    train_path: str | os.PathLike[str],
    image_size: int,
    classes: Sequence[str] | None = None,
    validation_size: float = 0.2,
    seed: int = 0,
    *,
    channels: int = 3,
    fraction: float = 1.0,
    split: str | os.PathLike[str] | None = None,
    fixes: str | os.PathLike[str] | None = None,
    labels: str | os.PathLike[str] | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    no_cache: bool = False,
    progress: bool | None = None,
    tree: Tree | None = None,
) -> DataSets:
    """Read a tree of class folders, decode its pictures to `image_size` pixels square and split them in two.

    classes          class folders to use, in label order; None: all, sorted
    validation_size  share of each class set apart for validation, 0..1
    seed             decides the split, the shuffles and the fraction
    channels         3 RGB, 1 grey
    fraction         share of each class's training pictures to keep; validation pictures all stay
    split            a split.csv from a previous run instead of a new split
    fixes            a fixes.csv: labels that it corrects, pictures that it leaves out
    labels           a labels.csv of `pigeonhole label`, which gives classes or changes those of the folders
    cache_dir        where decoded pixels are kept; None: the platform's cache folder
    no_cache         keep them in a temporary folder instead
    progress         a bar on standard error; None: where that is a terminal
    tree             what `labelled.scan(train_path, classes, labels)` has found, where that was asked before

    Raises `UsageError` for a folder, class, split, fixes or labels that are not there, `PigeonholeError` for
    data that cannot be used, `CacheError` for a cache folder that cannot be written.
    """
    tree = tree or labelled.scan(train_path, classes, Path(labels) if labels else None)
    decided = fixing.read(fixes, tree.classes) if fixes else None
    earlier = splitting.read_split(split) if split else splitting.PreviousSplit(by_path=tree.split or {})
    store = cache.of_flags(cache_dir, no_cache)
    records, pixels = store.survey(tree, Preprocessing(image_size, channels), progress)
    records, pixels, told = labelled.settled(tree, records, pixels)
    return _divided(tree, records, pixels, decided, _Division(validation_size, fraction, seed, earlier, told))


@dataclass(frozen=True)
class _Division:
    """How pictures are to be divided; see `read_train_sets`."""

    validation_size: float
    fraction: float
    seed: int
    earlier: PreviousSplit
    labels: Labels | None  # what a journal made of the pictures before


def _divided(
    tree: Tree, records: list[Record], pixels: Pixels, decided: list[Fix] | None, division: _Division
) -> DataSets:
    """The records of a survey and the pixels of those not skipped, as two sides. No fixes file: None."""
    seed = division.seed
    pairs = duplicates.near_duplicates(records, pixels)
    label_of = {name: label for label, name in enumerate(tree.classes)}
    row_of = {name: row for row, name in enumerate(r.entry.name for r in records if r.skipped is None)}
    # Before the fixes: they move no picture to the other side.
    assigned = splitting.assign(records, division.validation_size, seed, pairs, division.earlier)
    overlay = fixing.apply(decided or [], records)

    used = [record for record in overlay.records if record.skipped is None]
    sides = {record.entry.name: assigned[record.entry.name] for record in used}
    training, validation = ([r for r in used if sides[r.entry.name] == side] for side in ("train", "valid"))
    training = splitting.fraction(training, division.fraction, seed, pairs)

    def data_set(chosen: list[Record]) -> DataSet:
        entries = [record.entry for record in chosen]
        labels = [label_of[entry.class_name] for entry in entries]
        rows = pixels.select([row_of[entry.name] for entry in entries])
        return DataSet(rows, labels, [entry.name for entry in entries], tree.classes, seed)

    fixed = None if decided is None else overlay
    preflight = Preflight.from_records(tree, overlay.records, pairs, fixed, division.labels)
    parts = (data_set(part) for part in (training, validation, training + validation))
    return DataSets(*parts, tree.classes, sides, overlay.records, preflight, decided or [])
