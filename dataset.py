"""Class folders in; training and validation sets with `next_batch` out. As a program: the pre-flight check.

    python dataset.py training_data                     what was found, skipped, odd, duplicated
    python dataset.py training_data --show 5            the same, and statistics with five pictures
    python dataset.py training_data --save-grid a.png   the same, and those pictures drawn with their classes

From Python:

    sets = read_train_sets("training_data", image_size=128, validation_size=0.2)
    images, labels, names, classes = sets.train.next_batch(32)
"""

import argparse
import functools
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pigeonhole import cli
from pigeonhole.arguments import add_reading_flags, count

if TYPE_CHECKING:
    from pigeonhole.fixes import Fix
    from pigeonhole.folders import Record, Tree
    from pigeonhole.pixels import Pixels
    from pigeonhole.preflight import Preflight

PREFLIGHT_IMAGE_SIZE = 32  # the check itself needs no more, and 50,000 pictures then take 150 MB of cache
FIRST_LABELS = 10
DEFAULT_DRAWN = 16  # pictures in a grid


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
        images: "np.ndarray | Pixels",
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

    def next_batch(self, batch_size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """The epoch's next `batch_size` pictures: images, labels, names, classes, as in those attributes.

        Within an epoch every picture comes exactly once and the last batch may be short; `epochs_done` counts
        up with it, and the next batch begins a freshly shuffled epoch.
        """
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, not {batch_size}")
        chosen = self._present_order[self._position : self._position + batch_size]
        self._position += len(chosen)
        if self._position >= self.num_examples:
            self.epochs_done += 1
            self._position = 0
            del self._present_order
        labels = self.label_indices[chosen]
        return self.images[chosen], self._one_hot(labels), self.names[chosen], self._class_name(labels)

    def select(self, rows: Sequence[int] | np.ndarray, class_names: Sequence[str] | None = None) -> "DataSet":
        """The data set of these rows alone, in this order.

        `class_names`: those of this data set's classes that it shall have, in their new order; all rows must
        be pictures of theirs. None: all classes.
        """
        from pigeonhole.pixels import Pixels

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
        return np.eye(len(self.class_names), dtype=np.float32)[label_indices]

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
    records: list["Record"]
    preflight: "Preflight"
    fixes: list["Fix"]


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
    cache_dir: str | os.PathLike[str] | None = None,
    no_cache: bool = False,
    progress: bool | None = None,
    tree: "Tree | None" = None,
) -> DataSets:
    """Read a tree of class folders, decode its pictures to `image_size` pixels square and split them in two.

    classes          class folders to use, in label order; None: all, sorted
    validation_size  share of each class set apart for validation, 0..1
    seed             decides the split, the shuffles and the fraction
    channels         3 RGB, 1 grey
    fraction         share of each class's training pictures to keep; validation pictures all stay
    split            a split.csv from an earlier run instead of a new split
    fixes            a fixes.csv: labels that it corrects, pictures that it leaves out
    cache_dir        where decoded pixels are kept; None: the platform's cache folder
    no_cache         keep them in a temporary folder instead
    progress         a bar on standard error; None: where that is a terminal
    tree             what `folders.scan(train_path, classes)` has found, where that was asked before

    Raises `UsageError` for a folder, class, split or fixes that are not there, `PigeonholeError` for data
    that cannot be used, `CacheError` for a cache folder that cannot be written.
    """
    from pigeonhole import cache, duplicates, folders, images
    from pigeonhole import fixes as fixing
    from pigeonhole import split as splitting
    from pigeonhole.preflight import Preflight

    tree = tree or folders.scan(train_path, classes)
    decided = fixing.read(fixes, tree.classes) if fixes else []
    earlier = splitting.read_split(split) if split else splitting.EarlierSplit(by_path=tree.split or {})
    store = cache.of_flags(cache_dir, no_cache)
    records, pixels = store.survey(tree, images.Preprocessing(image_size, channels), progress)
    pairs = duplicates.near_duplicates(records, pixels)
    row_of = {name: row for row, name in enumerate(r.entry.name for r in records if r.skipped is None)}
    # Before the fixes: they move no picture to the other side.
    assigned = splitting.assign(records, validation_size, seed, pairs, earlier)
    overlay = fixing.apply(decided, records)

    used = [record for record in overlay.records if record.skipped is None]
    sides = {record.entry.name: assigned[record.entry.name] for record in used}
    training, validation = ([r for r in used if sides[r.entry.name] == side] for side in ("train", "valid"))
    training = splitting.fraction(training, fraction, seed, pairs)

    label_of = {name: label for label, name in enumerate(tree.classes)}

    def data_set(chosen: list["Record"]) -> DataSet:
        entries = [record.entry for record in chosen]
        labels = [label_of[entry.class_name] for entry in entries]
        rows = pixels.select([row_of[entry.name] for entry in entries])
        return DataSet(rows, labels, [entry.name for entry in entries], tree.classes, seed)

    preflight = Preflight.from_records(tree, overlay.records, pairs, overlay if fixes else None)
    parts = (data_set(part) for part in (training, validation, training + validation))
    return DataSets(*parts, tree.classes, sides, overlay.records, preflight, decided)


def statistics(sets: DataSets, count: int) -> dict:
    """Figures that describe the sets, and the first `count` training pictures in the first epoch's order."""
    order = sets.train.order(0)
    return {
        "image_shape": list(sets.train.images.shape[1:]),
        "classes": sets.classes,
        "training": _side_statistics(sets.train),
        "validation": _side_statistics(sets.valid),
        "first_labels": sets.train.label_indices[order[:FIRST_LABELS]].tolist(),
        "pictures": [_picture_statistics(sets.train, row) for row in order[:count]],
    }


def _side_statistics(data: DataSet) -> dict:
    counts = np.bincount(data.label_indices, minlength=len(data.class_names))
    return {"pictures": data.num_examples, "label_counts": dict(enumerate(counts.tolist()))}


def _picture_statistics(data: DataSet, row: int) -> dict:
    image = data.images[row]
    return {
        "name": data.names[row],
        "shape": list(image.shape),
        "minimum": int(image.min()),
        "maximum": int(image.max()),
        "label": int(data.label_indices[row]),
        "class": data.classes[row],
    }


def statistics_lines(statistics: dict) -> list[str]:
    """The same for people."""
    lines = []
    for side in ("training", "validation"):
        part = statistics[side]
        lines += [f"{side} pictures: {part['pictures']:,}", f"  label counts: {part['label_counts']}"]
    lines += [
        "classes: " + ", ".join(f"{label} {name}" for label, name in enumerate(statistics["classes"])),
        f"first {FIRST_LABELS} training labels, shuffled: {statistics['first_labels']}",
    ]
    for number, picture in enumerate(statistics["pictures"], 1):
        lines += [
            f"training picture {number}: {picture['name']}",
            f"  shape: {tuple(picture['shape'])}",
            f"  minimum: {picture['minimum']}  maximum: {picture['maximum']}",
            f"  label: {picture['label']}  class: {picture['class']}",
        ]
    return lines


def main(arguments: list[str]) -> int:
    settings = _parser().parse_args(arguments)
    sets = read_train_sets(
        settings.folder,
        settings.image_size,
        settings.classes,
        settings.validation_size,
        settings.seed,
        channels=settings.channels,
        fraction=settings.fraction,
        split=settings.split,
        fixes=settings.fixes,
        cache_dir=settings.cache_dir,
        no_cache=settings.no_cache,
    )
    report = {"preflight": sets.preflight.to_json()}
    lines = sets.preflight.lines()
    if settings.show:
        report["statistics"] = statistics(sets, settings.show)
        lines += ["", *statistics_lines(report["statistics"])]
    print(json.dumps(report, indent=2) if settings.json else "\n".join(lines))
    if settings.save_grid:
        _draw(settings.save_grid, sets, settings.show or DEFAULT_DRAWN)
    return 1 if settings.strict and not sets.preflight.clean else 0


def _draw(file: Path, sets: DataSets, count: int) -> None:
    from pigeonhole import grid

    sets.preflight.require_trainable()
    chosen = sets.train.order(0)[:count]
    grid.save(file, sets.train.images[chosen], sets.train.classes[chosen])
    print(f"drawn: {file}", file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="dataset.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add(
        "folder", type=Path, help="holds one folder of pictures per class, or such folders in train and valid"
    )
    add("--show", type=count, metavar="N", help="print statistics, and N pictures of the training set")
    add("--save-grid", type=_drawing, metavar="FILE", help=f"draw N ({DEFAULT_DRAWN}) of them, with classes")
    add("--json", action="store_true", help="print everything as JSON")
    add("--strict", action="store_true", help="exit with status 1 if anything was skipped or contradictory")
    add(
        "--image-size",
        type=count,
        default=PREFLIGHT_IMAGE_SIZE,
        metavar="PIXELS",
        help=f"the side that pictures are brought to ({PREFLIGHT_IMAGE_SIZE}); training has its own",
    )
    add_reading_flags(parser)
    return parser


def _drawing(text: str) -> Path:
    path = Path(text)
    if path.suffix.lower() not in (".png", ".jpg", ".jpeg"):
        raise argparse.ArgumentTypeError(f"{text!r} does not end in .png or .jpg")
    if not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"{text!r}: no such folder {path.parent}")
    return path


if __name__ == "__main__":
    cli.run(main)
