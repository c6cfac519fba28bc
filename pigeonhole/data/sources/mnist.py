"""MNIST, Fashion-MNIST and EMNIST, read and checked: a folder or zip archive of idx files, plain or gzip.

LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to document recognition", 1998.
Xiao, Rasul and Vollgraf, "Fashion-MNIST", 2017, https://github.com/zalandoresearch/fashion-mnist
Cohen, Afshar, Tapson and van Schaik, "EMNIST: an extension of MNIST to handwritten letters", 2017,
https://www.nist.gov/itl/products-and-services/emnist-dataset
"""

import contextlib
import functools
import string
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from pigeonhole.data.sources import downloads, idx
from pigeonhole.data.sources.importing import Picture, known_files, md5
from pigeonhole.errors import PigeonholeError, UsageError

DIGITS = tuple(string.digits)
CAPITALS = tuple(string.ascii_uppercase)
# A folder's name must differ from all others in more than case.
SMALL = tuple(f"{letter}_small" for letter in string.ascii_lowercase)
UNLIKE_THEIR_CAPITALS = tuple(f"{letter}_small" for letter in "abdefghnqrt")
GARMENTS = (
    "T-shirt or top", "Trouser", "Pullover", "Dress", "Coat",
    "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip


Readers = dict[str, Callable[[], bytes]]  # a file's name -> what reads it


class MnistError(PigeonholeError):
    """The source is not a data set of this family: a file is missing, broken or does not fit the others."""


@dataclass(frozen=True)
class Version:
    """One of the published data sets.

    `files`: images and labels of training, then of testing, without their .gz; `published`: the md5 that each
    may have, as it is published or unpacked; `address`: where `downloads` (the names there, with their md5)
    lie. `first_label`: that of the first class. `transposed`: whether each picture lies on its side.
    """

    name: str
    title: str
    classes: tuple[str, ...]
    files: tuple[str, str, str, str]
    address: str
    downloads: Mapping[str, str]
    published: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    first_label: int = 0
    transposed: bool = False


def _classic(
    name: str, title: str, classes: tuple[str, ...], address: str, packed: Sequence[str], plain: Sequence[str]
) -> Version:
    """`packed`, `plain`: the files' md5 with and without gzip; `plain` may be unknown."""
    files = (
        "train-images-idx3-ubyte", "train-labels-idx1-ubyte",
        "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte",
    )  # fmt: skip
    return Version(
        name=name,
        title=title,
        classes=classes,
        files=files,
        address=address,
        downloads={f"{file}.gz": md5 for file, md5 in zip(files, packed, strict=True)},
        published={
            file: tuple(each[place] for each in (packed, plain) if each) for place, file in enumerate(files)
        },
    )


def _emnist(part: str, classes: tuple[str, ...], first_label: int = 0) -> Version:
    return Version(
        name=f"emnist-{part}",
        title=f"EMNIST {part}",
        classes=classes,
        files=tuple(
            f"emnist-{part}-{side}-{kind}-ubyte"
            for side in ("train", "test")
            for kind in ("images-idx3", "labels-idx1")
        ),
        address="https://biometrics.nist.gov/cs_links/EMNIST/",
        downloads={"gzip.zip": "58c8d27c78d21e728a6bc7b3cc06412e"},
        first_label=first_label,
        transposed=True,
    )


VERSIONS = (
    _classic(
        "mnist",
        "MNIST",
        DIGITS,
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        (
            "f68b3c2dcbeaaa9fbdd348bbdeb94873",
            "d53e105ee54ea40749a09fcbcd1e9432",
            "9fb629c4189551a2d022fa330f9573f3",
            "ec29112dd5afa0611ce80d1b7f02629c",
        ),
        (
            "6bbc9ace898e44ae57da46a324031adb",
            "a25bea736e30d166cdddb491f175f624",
            "2646ac647ad5339dbf082846283269ea",
            "27ae3e4e09519cfbb04c329615203637",
        ),
    ),
    _classic(
        "fashion-mnist",
        "Fashion-MNIST",
        GARMENTS,
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        (
            "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
            "25c81989df183df01b3e8a0aad5dffbe",
            "bef4ecab320f06d8554ea6380940ec79",
            "bb300cfdad3c16e7a12a480ee83cd310",
        ),
        (),
    ),
    _emnist("byclass", DIGITS + CAPITALS + SMALL),
    _emnist("bymerge", DIGITS + CAPITALS + UNLIKE_THEIR_CAPITALS),
    _emnist("balanced", DIGITS + CAPITALS + UNLIKE_THEIR_CAPITALS),
    _emnist("letters", CAPITALS, first_label=1),
    _emnist("digits", DIGITS),
    _emnist("mnist", DIGITS),
)
BY_NAME = {version.name: version for version in VERSIONS}
KNOWN_FILES = frozenset(file for version in VERSIONS for file in version.files)


@dataclass(frozen=True)
class Part:
    """Pictures uint8 [N, H, W], grey, upright, and their labels int64 [N], positions in the classes."""

    images: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True)
class Mnist:
    """A checked data set. `published`: whether each file with a known checksum is the published one."""

    version: Version
    train: Part
    test: Part
    published: dict[str, bool]


def read(source: Path, dataset: str | None = None) -> Mnist:
    """Read and check a folder, or a zip archive, of idx files.

    `dataset`: a name of `BY_NAME` where the source should be that one. Raises `MnistError` and `IdxError`
    where a file has not the published structure, `UsageError` where it must be told which data set it is.
    """
    with _opened(source) as readers:
        version = _recognise(source, readers, dataset)
        if missing := [name for name in version.files if name not in readers]:
            raise MnistError(f"{source} lacks {', '.join(missing)} (with or without .gz)")
        packed = {name: readers[name]() for name in version.files}
    plain = {name: idx.unpack(name, data) for name, data in packed.items()}
    published = {
        name: bool({md5(packed[name]), md5(plain[name])} & set(version.published[name]))
        for name in version.files
        if name in version.published
    }
    train, test = (_part(version, plain, *version.files[start : start + 2]) for start in (0, 2))
    return Mnist(version, train, test, published)


def _part(version: Version, plain: Mapping[str, bytes], images_file: str, labels_file: str) -> Part:
    images = idx.parse(images_file, plain[images_file], 3)
    labels = idx.parse(labels_file, plain[labels_file], 1).astype(np.int64) - version.first_label
    if len(images) != len(labels) or not len(images):
        raise MnistError(
            f"{images_file} holds {len(images):,} pictures, {labels_file} {len(labels):,} labels"
        )
    if not images.size:
        raise MnistError(f"{images_file}: its pictures have no pixels")
    if labels.min() < 0 or labels.max() >= len(version.classes):
        raise MnistError(f"{labels_file}: labels outside of the {len(version.classes)} classes")
    return Part(images.transpose(0, 2, 1) if version.transposed else images, labels)


def _recognise(source: Path, readers: Readers, dataset: str | None) -> Version:
    """The version that the names of the files tell, and the labels' checksums where names are shared."""
    present = [version for version in VERSIONS if readers.keys() & set(version.files)]
    if not present:
        raise MnistError(f"{source} holds none of the idx files of MNIST, Fashion-MNIST or EMNIST")
    fitting = [version for version in present if dataset in (None, version.name)]
    if not fitting:
        raise UsageError(f"--dataset {dataset}: {source} holds {' or '.join(each.title for each in present)}")
    if len(fitting) > 1:
        fitting = [version for version in fitting if _has_published_labels(version, readers)]
    if len(fitting) != 1:
        names = ", ".join(version.name for version in present)
        raise UsageError(f"{source} may be one of {names}: say which with --dataset")
    return fitting[0]


def _has_published_labels(version: Version, readers: Readers) -> bool:
    for name in version.files[1::2]:
        if name in readers and name in version.published:
            data = readers[name]()
            return bool({md5(data), md5(idx.unpack(name, data))} & set(version.published[name]))
    return False


@contextlib.contextmanager
def _opened(source: Path) -> Iterator[Readers]:
    """What reads each file with a known name, under that name without .gz; the disk gets nothing."""
    if source.is_dir():
        paths = known_files(source, _known)
        yield _readers(source, ((path.name, path.stat().st_size, path.read_bytes) for path in paths))
        return
    try:
        with zipfile.ZipFile(source) as archive:
            yield _readers(source, _in_archive(archive))
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise MnistError(f"{source} is neither a folder nor a complete zip archive ({error})") from error


def _readers(source: Path, files: Iterable[tuple[str, int, Callable[[], bytes]]]) -> Readers:
    """`files`: file name, size in bytes, and what reads it."""
    readers: Readers = {}
    for file_name, size, reader in files:
        name = _known(file_name)
        if name is None:
            continue
        if size > idx.MOST_BYTES:
            raise MnistError(f"{source}: {file_name} is far larger than published")
        if name in readers:
            raise MnistError(f"{source} holds {name} twice")
        readers[name] = reader
    return readers


def _in_archive(archive: zipfile.ZipFile) -> Iterator[tuple[str, int, Callable[[], bytes]]]:
    for member in archive.infolist():
        yield member.filename.rpartition("/")[2], member.file_size, functools.partial(archive.read, member)


def _known(file_name: str) -> str | None:
    name = file_name.removesuffix(".gz").replace(".idx", "-idx")  # some mirrors write "images.idx3-ubyte"
    return name if name in KNOWN_FILES else None


def download(dataset: str, url: str | None) -> Path:
    """The folder, or the archive, that holds the files of a dataset, downloaded unless they are there.

    Raises PigeonholeError where they cannot be downloaded.
    """
    version = BY_NAME[dataset]
    address = version.address if url is None else f"{url.rstrip('/')}/"
    # All parts of EMNIST come in one archive.
    folder = downloads.FOLDER / ("emnist" if len(version.downloads) == 1 else dataset)
    paths = [
        downloads.once(address + name, folder / name, checksum)
        for name, checksum in version.downloads.items()
    ]
    return paths[0] if len(paths) == 1 else folder


def pictures(side: str, part: Part, classes: Sequence[str], limit: int | None) -> list[Picture]:
    """The first `limit` pictures, named by their position in the file, from 0."""
    rows = zip(part.labels[:limit], part.images[:limit], strict=True)
    return [Picture(classes[label], f"{side}_{row:05}.png", image) for row, (label, image) in enumerate(rows)]
