"""Test pictures that the model has seen before: a run keeps fingerprints of what it learnt from.

The file holds each training and validation picture's content digest, perceptual hash and thumbnails, so that
copies are found years later, when the training folder no longer exists. At most 400 bytes a picture.
"""

import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np

from pigeonhole import atomic_file
from pigeonhole.data import duplicates
from pigeonhole.data.duplicates import COMPARED_SIDE, Images
from pigeonhole.data.folders import Record
from pigeonhole.data.parallel import available_cores, in_parallel, one_opencv_thread
from pigeonhole.errors import PigeonholeError
from pigeonhole.runs import archives
from pigeonhole.runs.run import Run

LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601
COLOURED_SIDE = 4  # pixels; a coarser look at the colours, and a finer one in grey, take a third of the space
BLOCK = 64  # pictures that a thread shrinks at a time


class Copy(NamedTuple):
    """What a test picture repeats: a picture of the training folder, its side of the split ("train" or
    "valid"), and whether the files are equal (`exact`) or only look the same."""

    training_name: str
    side: str
    exact: bool


@dataclass(frozen=True)
class Fingerprints:
    """The M pictures that a run was trained and validated on.

    names    posix paths relative to the training folder
    classes  M class names
    sides    M times "train" or "valid"
    digests  uint8 [M, 32], sha256 of the file
    prints   uint64 [M], perceptual hash, 0 for a flat picture
    grey     uint8 [M, 16, 16], thumbnails of the picture as the network sees it
    colours  uint8 [M, 4, 4, C], the same coarser, RGB or grey
    """

    names: Sequence[str]
    classes: Sequence[str]
    sides: Sequence[str]
    digests: np.ndarray
    prints: np.ndarray
    grey: np.ndarray
    colours: np.ndarray


TEXTS = ("names", "classes", "sides")


def write(run: Run, records: Sequence[Record], images: Images, sides: Mapping[str, str]) -> None:
    """Write the fingerprints of what a run learns from into its folder.

    Row i of `images`, uint8 [S, S, C] at the run's image size, belongs to the i-th record that was not
    skipped. `sides`: the side of the split of each by name.
    """
    used = [record for record in records if record.skipped is None]
    with (
        atomic_file.write_binary(run.fingerprints_file) as file,
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive,
    ):
        archives.add(archive, "names", archives.packed(record.entry.name for record in used))
        archives.add(archive, "classes", archives.packed(record.entry.class_name for record in used))
        archives.add(archive, "sides", archives.packed(sides[record.entry.name] for record in used))
        archives.add(
            archive, "digests", np.frombuffer(bytes.fromhex("".join(r.digest for r in used)), np.uint8)
        )
        archives.add(archive, "prints", _prints(used))
        _add_thumbnails(archive, images, len(used))


def read(run: Run) -> Fingerprints | None:
    """What `write` left in the run; None in a run of an older Pigeonhole, which did not.

    Raises PigeonholeError when the file is damaged.
    """
    try:
        found = archives.read(run.fingerprints_file)
        arrays = {entry.name: found[entry.name] for entry in fields(Fingerprints)}
        texts = {key: archives.unpacked(arrays.pop(key)) for key in TEXTS}
        arrays["digests"] = arrays["digests"].reshape(-1, 32)
        if len({len(values) for values in [*arrays.values(), *texts.values()]}) != 1:
            raise ValueError("not equally many of each")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, KeyError) as error:
        raise PigeonholeError(
            f"{run.fingerprints_file}: damaged; remove it to test without a search for copies"
        ) from error
    return Fingerprints(**texts, **arrays)


def copies(known: Fingerprints, records: Sequence[Record], images: Images) -> dict[str, Copy]:
    """Which of the pictures the run has seen: by name, in the records' order.

    Row i of `images`, uint8 [S, S, C] at the run's image size, belongs to the i-th record that was not
    skipped. Equal files are exact copies; near copies follow the rule of `duplicates.near_duplicates`, on
    grey thumbnails: among the 10,000 CIFAR-10 test pictures it finds 46 of training pictures, all true to the
    eye.
    """
    used = [record for record in records if record.skipped is None]
    row_of = {digest.tobytes(): row for row, digest in enumerate(known.digests)}
    rows = np.array([row_of.get(bytes.fromhex(record.digest), -1) for record in used], np.int64)
    exact = rows >= 0
    others = np.flatnonzero(~exact)
    grey, _ = _thumbnails(images, others)
    prints = _prints([used[row] for row in others])
    rows[others] = duplicates.near_copies(prints, grey[..., None], known.prints, known.grey[..., None])
    return {
        record.entry.name: Copy(known.names[row], known.sides[row], bool(is_exact))
        for record, row, is_exact in zip(used, rows, exact, strict=True)
        if row >= 0
    }


def colours(images: Images, count: int) -> np.ndarray:
    """The first `count` pictures, uint8 [S, S, C], as `Fingerprints.colours` has them: [count, 4, 4, C]."""
    return _thumbnails(images, np.arange(count))[1]


def _add_thumbnails(archive: zipfile.ZipFile, images: Images, count: int) -> None:
    """Add `grey` block by block, then `colours`: of a million pictures 256 and 48 megabytes."""
    coloured = []
    header = {"descr": "|u1", "fortran_order": False, "shape": (count, COMPARED_SIDE, COMPARED_SIDE)}
    with archive.open("grey.npy", "w", force_zip64=True) as file:
        np.lib.format.write_array_header_1_0(file, header)
        for grey, colours in _blocks(images, np.arange(count)):
            file.write(grey.tobytes())
            coloured.append(colours)
    archives.add(archive, "colours", np.concatenate(coloured))


def _thumbnails(images: Images, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of these rows: grey uint8 [n, 16, 16], colours uint8 [n, 4, 4, C]."""
    grey, coloured = zip(*_blocks(images, rows), strict=True)
    return np.concatenate(grey), np.concatenate(coloured)


def _blocks(images: Images, rows: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The same for one block of rows after the other; at least one, for the shapes."""
    blocks = (rows[start : start + BLOCK] for start in range(0, len(rows) or 1, BLOCK))
    with one_opencv_thread():
        yield from in_parallel(lambda block: _shrunk(images[block]), blocks, available_cores())


def _shrunk(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    small = duplicates.thumbnails(images)
    count, side, _, channels = small.shape
    grey = small[..., 0] if channels == 1 else np.rint(small @ LUMA).astype(np.uint8)
    cell = side // COLOURED_SIDE
    cells = small.reshape(count, COLOURED_SIDE, cell, COLOURED_SIDE, cell, channels)
    return grey, np.rint(cells.mean(axis=(2, 4))).astype(np.uint8)


def _prints(records: Sequence[Record]) -> np.ndarray:
    return np.array([record.fingerprint for record in records], dtype=np.uint64)
