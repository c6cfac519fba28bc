"""The training pictures that a run keeps, by which an answer names those most like a new picture.

One archive holds what a pretrained network sees in each (float16), its name, class and content digest, and a
thumbnail: about 4.5 MB for 1,000 photos. It answers years later, when the training folder no longer exists.
"""

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import NamedTuple

import numpy as np

from pigeonhole import atomic_file
from pigeonhole.data.dataset import DataSet
from pigeonhole.data.parallel import in_parallel, one_opencv_thread
from pigeonhole.errors import PigeonholeError
from pigeonhole.features import neighbours
from pigeonhole.features.neighbours import unit
from pigeonhole.pictures import thumbnails
from pigeonhole.runs import archives, seals
from pigeonhole.runs.run import Run

MOST_KEPT = 10_000  # pictures; of more a random part, so that the file stays below 50 MB
SIDE = 64  # pixels, of a thumbnail
BLOCK = 64  # pictures that a thread shrinks at a time
MOST_FEATURES = 1 << 16
TEXTS = ("names", "classes")


class Near(NamedTuple):
    """A training picture near to another one. `cosine`: 1 for the same picture, about 0 for an unrelated one.

    `thumbnail`: a JPEG file.
    """

    name: str
    class_name: str
    cosine: float
    thumbnail: bytes


@dataclass(frozen=True)
class KnownPictures:
    """M pictures of a training folder.

    names       posix paths relative to the folder
    classes     M class names
    digests     uint8 [M, 32], sha256 of the file
    columns     int64 [2]: the first of the model's features that are compared, and the one after the last
    centre      float32 [L], the mean of those
    directions  float32 [M, L], those of each picture minus the mean, of length one; float16 in the file
    thumbnails  uint8, JPEG files one behind the other
    ends        int64 [M], where each of them ends
    """

    names: Sequence[str]
    classes: Sequence[str]
    digests: np.ndarray
    columns: np.ndarray
    centre: np.ndarray
    directions: np.ndarray
    thumbnails: np.ndarray
    ends: np.ndarray

    def __len__(self) -> int:
        return len(self.ends)

    def nearest(
        self, features: np.ndarray, count: int, digests: Sequence[str] | None = None
    ) -> list[list[Near]]:
        """For each of n pictures the `count` nearest, the nearest first; fewer where fewer are known.

        features  float [n, F], the model's `features:0`
        digests   n sha256, hexadecimal: a known picture of the same content is not its own neighbour

        Raises PigeonholeError where the model has other features than the run's.
        """
        first, end = self.columns
        if features.shape[1] < end:
            raise PigeonholeError(
                f"the kept training pictures have features up to {end:,}, and the model {features.shape[1]:,}"
            )
        queries = unit(np.asarray(features[:, first:end], np.float32) - self.centre)
        own = None
        if digests is not None:
            row_of = {digest.tobytes(): row for row, digest in enumerate(self.digests)}
            own = np.array([row_of.get(bytes.fromhex(digest), -1) for digest in digests])
        found = neighbours.nearest(queries, self.directions, count, own, prepare=np.asarray)
        return [
            [self._near(row, cosine) for row, cosine in zip(*each, strict=True) if row >= 0]
            for each in zip(*found, strict=True)
        ]

    def thumbnail(self, row: int) -> bytes:
        """A JPEG file."""
        return self.thumbnails[self.ends[row - 1] if row else 0 : self.ends[row]].tobytes()

    def _near(self, row: int, cosine: float) -> Near:
        return Near(self.names[row], self.classes[row], min(float(cosine), 1.0), self.thumbnail(row))


def write(run: Run, pictures: DataSet, digests: Sequence[str], features: np.ndarray, columns: slice) -> None:
    """Keep the pictures in the run, or `MOST_KEPT` of them. The same pictures make the same file.

    digests   of each picture's file, sha256, hexadecimal
    features  float32 [n, D], as the saved model computes them
    columns   those of D that pictures are compared by: the averaged last layer
    """
    rows = np.sort(np.random.default_rng(0).permutation(len(features))[:MOST_KEPT])
    compared = features[rows, columns]
    centre = compared.mean(axis=0)
    small = _thumbnails(pictures, rows)
    kept = KnownPictures(
        names=[pictures.names[row] for row in rows],
        classes=[pictures.class_names[pictures.label_indices[row]] for row in rows],
        digests=np.frombuffer(bytes.fromhex("".join(digests[row] for row in rows)), np.uint8).reshape(-1, 32),
        columns=np.array([columns.start, columns.stop]),
        centre=centre,
        directions=unit(compared - centre).astype(np.float16),
        thumbnails=np.frombuffer(b"".join(small), np.uint8),
        ends=np.cumsum([len(each) for each in small]),
    )
    seals.forget(run.known_file)
    with (
        atomic_file.write_binary(run.known_file) as file,
        zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive,
    ):
        for entry in fields(kept):
            value = getattr(kept, entry.name)
            archives.add(archive, entry.name, archives.packed(value) if entry.name in TEXTS else value)
    seals.note(run.known_file)


def read(run: Run) -> KnownPictures | None:
    """What `write` left in the run; None where it keeps none.

    Raises PigeonholeError where the file is damaged or not what `write` makes.
    """
    content = run.known_pictures()
    if content is None:
        return None
    try:
        found = archives.read(content)
        parts = {entry.name: found[entry.name] for entry in fields(KnownPictures)}
        kept = KnownPictures(**parts | {name: archives.unpacked(parts[name]) for name in TEXTS})
        _check(kept)
        kept = replace(kept, directions=unit(kept.directions))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise PigeonholeError(
            f"{run.known_file}: damaged ({error}); remove it to go without the nearest training pictures"
        ) from error
    return kept


def _check(kept: KnownPictures) -> None:
    """Raise ValueError where the parts are not of the right types and shapes, or do not fit each other."""
    count, width = len(kept.names), kept.centre.size
    wanted = {
        "digests": (np.uint8, (count, 32)),
        "columns": (np.int64, (2,)),
        "centre": (np.float32, (width,)),
        "directions": (np.float16, (count, width)),
        "thumbnails": (np.uint8, (kept.thumbnails.size,)),
        "ends": (np.int64, (count,)),
    }
    for name, (dtype, shape) in wanted.items():
        array = getattr(kept, name)
        if array.dtype != dtype or array.shape != shape:
            raise ValueError(
                f"{name} is {array.dtype} {list(array.shape)}, not {np.dtype(dtype)} {list(shape)}"
            )
    first, end = kept.columns.tolist()
    if not (0 <= first < end <= MOST_FEATURES and end - first == width and len(kept.classes) == count):
        raise ValueError("its parts do not fit each other")
    if not (np.isfinite(kept.centre).all() and np.isfinite(kept.directions).all()):
        raise ValueError("features that are not finite")
    if (np.diff(kept.ends, prepend=0) < 0).any() or kept.ends[-1] != kept.thumbnails.size:
        raise ValueError("thumbnails that are cut short")


def _thumbnails(pictures: DataSet, rows: np.ndarray) -> list[bytes]:
    def shrink(block: np.ndarray) -> list[bytes]:
        return [thumbnails.jpeg(image, SIDE) for image in pictures.images[block]]

    blocks = (rows[start : start + BLOCK] for start in range(0, len(rows), BLOCK))
    with one_opencv_thread():
        return [each for block in in_parallel(shrink, blocks) for each in block]
