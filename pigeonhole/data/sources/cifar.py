"""CIFAR-10 and CIFAR-100, read and checked: archive or unpacked folder, python or binary version.

Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009,
https://www.cs.toronto.edu/~kriz/cifar.html
"""

import gzip
import itertools
import lzma
import tarfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from pigeonhole.data.sources import downloads
from pigeonhole.data.sources.importing import Picture, known_files, md5, png_name, safe_name
from pigeonhole.data.sources.unpickle import UnpickleError, load
from pigeonhole.errors import PigeonholeError, UsageError

ADDRESS = "https://www.cs.toronto.edu/~kriz/"
PIXELS = 3 * 32 * 32  # bytes per picture: the red plane, the green one, the blue one, each row by row
MOST_BYTES = 512 << 20  # the largest version holds 186 MB; an archive with more is not one of them


class CifarError(PigeonholeError):
    """The source is not CIFAR as published: a file is missing, broken or not of its structure."""


@dataclass(frozen=True)
class Version:
    """One of the published versions: how its files are called and what their md5 are."""

    dataset: str  # "cifar10" or "cifar100"
    form: str  # "python" or "binary"
    archive: str
    archive_md5: str
    train: tuple[str, ...]
    test: str
    class_names: tuple[str, str]  # the files with the fine and with the coarse classes' names
    md5: Mapping[str, str]

    @property
    def url(self) -> str:
        return ADDRESS + self.archive

    @property
    def title(self) -> str:
        return f"{self.dataset.upper().replace('CIFAR', 'CIFAR-')}, {self.form} version"

    @property
    def files(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*self.train, self.test, *self.class_names)))


VERSIONS = (
    Version(
        dataset="cifar10",
        form="python",
        archive="cifar-10-python.tar.gz",
        archive_md5="c58f30108f718f92721af3b95e74349a",
        train=tuple(f"data_batch_{number}" for number in range(1, 6)),
        test="test_batch",
        class_names=("batches.meta", "batches.meta"),
        md5={
            "data_batch_1": "c99cafc152244af753f735de768cd75f",
            "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
            "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
            "data_batch_4": "634d18415352ddfa80567beed471001a",
            "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
            "test_batch": "40351d587109b95175f43aff81a1287e",
            "batches.meta": "5ff9c542aee3614f3951f8cda6e48888",
        },
    ),
    Version(
        dataset="cifar10",
        form="binary",
        archive="cifar-10-binary.tar.gz",
        archive_md5="c32a1d4ab5d03f1284b67883e8d87530",
        train=tuple(f"data_batch_{number}.bin" for number in range(1, 6)),
        test="test_batch.bin",
        class_names=("batches.meta.txt", "batches.meta.txt"),
        md5={
            "data_batch_1.bin": "5dd7e06a14cb22eb9f671a540d1b7c25",
            "data_batch_2.bin": "5ea93a67294ea407fff1d09f752e9692",
            "data_batch_3.bin": "942cd6a4bcdd0dd3c604fbe906cb4421",
            "data_batch_4.bin": "ae636b3ba5c66a11e91e8cb52e771fcb",
            "data_batch_5.bin": "53f37980c15c3d472c316c40844f3f0d",
            "test_batch.bin": "803d5f7f4d78ea53de84dbe85f74fb6d",
        },
    ),
    Version(
        dataset="cifar100",
        form="python",
        archive="cifar-100-python.tar.gz",
        archive_md5="eb9058c3a382ffc7106e4002c42a8d85",
        train=("train",),
        test="test",
        class_names=("meta", "meta"),
        md5={
            "train": "16019d7e3df5f24257cddd939b257f8d",
            "test": "f0ef6b0ae62326f3e7ffdfab6717acfc",
            "meta": "7973b15100ade9c7d40fb424638fde48",
        },
    ),
    Version(
        dataset="cifar100",
        form="binary",
        archive="cifar-100-binary.tar.gz",
        archive_md5="03b5dce01913d631647c71ecec9e9cb8",
        train=("train.bin",),
        test="test.bin",
        class_names=("fine_label_names.txt", "coarse_label_names.txt"),
        md5={
            "train.bin": "6172c7755cfe09b2fe270c85cebc1b15",
            "test.bin": "4499cfba6c016c1be1438163640a0898",
        },
    ),
)
Contents = tuple[np.ndarray, list[int], list[str]]  # planes uint8 [N,3072], labels, file names
KNOWN_FILES = frozenset(name for version in VERSIONS for name in version.files)


@dataclass(frozen=True)
class Batch:
    """The pictures of one file, in its order."""

    name: str  # "data_batch_1", without the binary version's ".bin"
    images: np.ndarray  # uint8 [N,32,32,3] RGB
    labels: list[int]  # each below the number of classes
    file_names: list[str]  # as the batch says, so possibly hostile


@dataclass(frozen=True)
class Cifar:
    """A checked data set."""

    version: Version
    classes: list[str]  # in the labels' order, as the archive says
    train: list[Batch]
    test: Batch
    published: dict[str, bool]  # whether each file with a known checksum is the published one


def read(
    source: Path, dataset: str | None = None, batches: Sequence[int] | None = None, coarse: bool = False
) -> Cifar:
    """Read and check an archive or an unpacked folder.

    `dataset`: "cifar10" or "cifar100" where the source should be that one; `batches`: which of CIFAR-10's
    training batches, from 1, all by default; `coarse`: CIFAR-100's 20 superclasses, not its 100 classes.
    Raises `CifarError` where the source has not the published structure, `UsageError` where a choice does
    not fit it.
    """
    members = _read_members(source)
    version = _recognise(source, members, dataset)
    if coarse and version.dataset != "cifar100":
        raise UsageError(f"--coarse: {source} is {version.title}, which has no coarse classes")
    if batches and version.dataset != "cifar10":
        raise UsageError(f"--batches: {source} is {version.title}, which is not in batches")
    train = [version.train[number - 1] for number in batches] if batches else list(version.train)
    needed = [version.class_names[coarse], *train, version.test]
    if missing := [name for name in needed if name not in members]:
        raise CifarError(f"{source} lacks {', '.join(missing)}")
    published = {name: md5(members[name]) == version.md5[name] for name in needed if name in version.md5}
    classes = _class_names(version, members[needed[0]], coarse)
    *train_batches, test = (
        _batch(version, name, members.pop(name), len(classes), coarse) for name in (*train, version.test)
    )
    return Cifar(version, classes, train_batches, test, published)


def _recognise(source: Path, members: Mapping[str, bytes], dataset: str | None) -> Version:
    present = [version for version in VERSIONS if members.keys() & set(version.files)]
    if not present:
        raise CifarError(f"{source} holds none of the files of CIFAR-10 or CIFAR-100")
    fitting = [version for version in present if dataset in (None, version.dataset)]
    if not fitting:
        raise UsageError(f"--dataset {dataset}: {source} is {present[0].title}")
    if len(fitting) > 1:
        titles = " and ".join(version.title for version in fitting)
        raise UsageError(f"--source: {source} holds {titles}; name the folder of one of them")
    return fitting[0]


def _read_members(source: Path) -> dict[str, bytes]:
    """Return the contents of all files with a known name; nothing is ever unpacked to the disk."""
    members: dict[str, bytes] = {}
    total = 0
    try:
        for name, size, file in _open_folder(source) if source.is_dir() else _open_archive(source):
            total += size
            if total > MOST_BYTES:
                raise CifarError(f"{source} holds over {MOST_BYTES >> 20} MB, far more than published")
            if name in members:
                raise CifarError(f"{source} holds {name} twice")
            members[name] = file.read()
    except (tarfile.TarError, gzip.BadGzipFile, lzma.LZMAError, zlib.error, EOFError) as error:
        raise CifarError(f"{source} is not a complete archive ({error})") from error
    return members


def _open_archive(source: Path) -> Iterator[tuple[str, int, IO[bytes]]]:
    """Yield name, size in bytes and contents of each known file in a tar archive, compressed or not."""
    with tarfile.open(source) as archive:
        for member in archive:
            name = member.name.rpartition("/")[2]
            if name in KNOWN_FILES and member.isreg():
                yield name, member.size, archive.extractfile(member)
        # The compressor's own checksum is only compared by who reads on to the very end.
        while archive.fileobj.read(1 << 20):
            pass


def _open_folder(source: Path) -> Iterator[tuple[str, int, IO[bytes]]]:
    """The same for a folder."""
    for path in known_files(source, KNOWN_FILES.__contains__):
        with path.open("rb") as file:
            yield path.name, path.stat().st_size, file


def _class_names(version: Version, data: bytes, coarse: bool) -> list[str]:
    name = version.class_names[coarse]
    if version.form == "binary":
        classes = [line for line in data.decode("latin-1").splitlines() if line.strip()]
    else:
        classes = _unpickle(name, data).get(_labels_key(version, coarse).removesuffix("s") + "_names")
    if not classes or not isinstance(classes, list) or not all(isinstance(text, str) for text in classes):
        raise CifarError(f"{name} names no classes")
    return classes


def _labels_key(version: Version, coarse: bool) -> str:
    if version.dataset == "cifar10":
        return "labels"
    return "coarse_labels" if coarse else "fine_labels"


def _batch(version: Version, name: str, data: bytes, class_count: int, coarse: bool) -> Batch:
    read_one = _read_binary if version.form == "binary" else _read_python
    planes, labels, file_names = read_one(version, name, data, coarse)
    if not labels or not 0 <= min(labels) <= max(labels) < class_count:
        raise CifarError(f"{name} has labels outside of the {class_count} classes, or none")
    images = planes.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return Batch(name.removesuffix(".bin"), images, labels, file_names)


def _read_binary(version: Version, name: str, data: bytes, coarse: bool) -> Contents:
    # One label byte, or in CIFAR-100 the coarse label and then the fine one; then the pixels.
    label_bytes = 1 if version.dataset == "cifar10" else 2
    if len(data) % (label_bytes + PIXELS):
        raise CifarError(f"{name} is not made of records of {label_bytes + PIXELS} bytes")
    records = np.frombuffer(data, np.uint8).reshape(-1, label_bytes + PIXELS)
    labels = records[:, 0 if coarse else label_bytes - 1].tolist()
    stem = name.removesuffix(".bin")
    return records[:, label_bytes:], labels, [f"{stem}_{row:05}.png" for row in range(len(records))]


def _read_python(version: Version, name: str, data: bytes, coarse: bool) -> Contents:
    batch = _unpickle(name, data)
    planes, labels, file_names = (
        batch.get(key) for key in ("data", _labels_key(version, coarse), "filenames")
    )
    if not isinstance(planes, np.ndarray) or planes.dtype != np.uint8 or planes.shape[1:] != (PIXELS,):
        raise CifarError(f"{name} has no data of {PIXELS} bytes per picture")
    if not _is_list(labels, int, len(planes)) or not _is_list(file_names, str, len(planes)):
        raise CifarError(f"{name} has not one label and one file name for each of its {len(planes)} pictures")
    return planes, labels, file_names


def _is_list(value: Any, kind: type, length: int) -> bool:
    return isinstance(value, list) and len(value) == length and all(type(item) is kind for item in value)


def _unpickle(name: str, data: bytes) -> dict[str, Any]:
    try:
        return load(data)
    except UnpickleError as error:
        raise CifarError(f"{name}: {error}") from error


def download(dataset: str, url: str | None) -> Path:
    """The path of the archive of a dataset, downloaded unless it is there, if given from another address.

    Raises PigeonholeError where it cannot be downloaded.
    """
    version = next(version for version in VERSIONS if version.dataset == dataset and version.form == "python")
    address, checksum = (url, None) if url else (version.url, version.archive_md5)
    return downloads.once(address, downloads.FOLDER / safe_name(address), checksum)


def pictures(batches: Sequence[Batch], classes: Sequence[str], limit: int | None) -> list[Picture]:
    """The first `limit` pictures of the batches, under file names that differ within each class."""
    taken = {class_name: set() for class_name in classes}
    rows = (
        row for batch in batches for row in zip(batch.labels, batch.file_names, batch.images, strict=True)
    )
    return [
        Picture(classes[label], png_name(file_name, taken[classes[label]]), image)
        for label, file_name, image in itertools.islice(rows, limit)
    ]
