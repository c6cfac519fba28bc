"""The exporter on tiny idx files of every published form, whole, broken and hostile; and on MNIST itself."""

import functools
import gzip
import hashlib
import http.server
import struct
import threading
import zipfile
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest

from pigeonhole.commands import import_mnist
from pigeonhole.data.sources import idx, mnist
from pigeonhole.errors import PigeonholeError, UsageError

ROOT = Path(__file__).parents[2]
MNIST = ROOT.parent / "shared" / "data" / "mnist"
ROWS = 20


def idx_bytes(array: np.ndarray, kind: int = 8) -> bytes:
    return bytes([0, 0, kind, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def make(version: mnist.Version, rows: int = ROWS) -> dict[str, bytes]:
    """Tiny files of that version: file name -> content. Row i is of class i modulo the number of classes."""
    files = {}
    for place in range(2):
        rng = np.random.default_rng(place)
        images, labels = version.files[2 * place : 2 * place + 2]
        files[images] = idx_bytes(rng.integers(0, 256, (rows, 9, 7), np.uint8))
        in_turn = np.arange(rows) % len(version.classes) + version.first_label
        files[labels] = idx_bytes(in_turn.astype(np.uint8))
    return files


def write_folder(folder: Path, files: dict[str, bytes], packed: bool = False) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / (f"{name}.gz" if packed else name)).write_bytes(gzip.compress(data) if packed else data)
    return folder


@pytest.fixture
def export(tmp_path, monkeypatch, capsys):
    """A function that runs the program in an empty folder and returns what it printed."""
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)

    def run(*arguments: str | Path) -> str:
        import_mnist.main([str(argument) for argument in arguments])
        return capsys.readouterr().out

    return run


def exported(side: str) -> dict[str, np.ndarray]:
    """Class/name -> pixels as they are in the file."""
    return {
        path.relative_to(side).as_posix(): cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        for path in Path(side).glob("*/*.png")
    }


def test_the_names_of_the_flag_are_those_that_are_known():
    assert tuple(mnist.BY_NAME) == import_mnist.DATASETS


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("name", import_mnist.DATASETS)
def test_every_data_set_is_exported_pixel_by_pixel(tmp_path, export, name, packed):
    version = mnist.BY_NAME[name]
    files = make(version, rows=70)
    said = export("--source", write_folder(tmp_path / "files", files, packed), "--dataset", name)
    assert version.title in said and "70 pictures" in said and "next: pigeonhole train" in said
    for side, folder, place in (("train", "training_data", 0), ("test", "testing_data", 2)):
        images = np.frombuffer(files[version.files[place]], np.uint8, offset=16).reshape(-1, 9, 7)
        found = exported(folder)
        assert len(found) == 70
        for row, image in enumerate(images):
            expected = image.T if name.startswith("emnist") else image
            class_name = version.classes[row % len(version.classes)]
            np.testing.assert_array_equal(found[f"{class_name}/{side}_{row:05}.png"], expected)
    assert Path("training_data/labels.txt").read_text().splitlines() == list(version.classes)


def test_class_folders_differ_in_more_than_case():
    for version in mnist.VERSIONS:
        assert len({name.casefold() for name in version.classes}) == len(version.classes)
    sizes = {name: len(version.classes) for name, version in mnist.BY_NAME.items()}
    assert sizes == {
        "mnist": 10, "fashion-mnist": 10, "emnist-byclass": 62, "emnist-bymerge": 47, "emnist-balanced": 47,
        "emnist-letters": 26, "emnist-digits": 10, "emnist-mnist": 10,
    }  # fmt: skip


def test_a_zip_archive_with_folders_is_read_in_place(tmp_path, export):
    archive = tmp_path / "gzip.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for name in ("emnist-digits", "emnist-letters"):
            for member, data in make(mnist.BY_NAME[name]).items():
                file.writestr(f"gzip/{member}.gz", gzip.compress(data))
    export("--source", archive, "--dataset", "emnist-letters", "--limit", "3")
    assert sorted(exported("training_data")) == [
        "A/train_00000.png",
        "B/train_00001.png",
        "C/train_00002.png",
    ]
    with pytest.raises(UsageError, match="may be one of emnist-letters, emnist-digits: say which"):
        export("--source", archive)


def test_names_that_two_data_sets_share_are_told_apart_by_checksum_or_by_flag(tmp_path, export):
    source = write_folder(tmp_path / "files", make(mnist.BY_NAME["mnist"]))
    with pytest.raises(UsageError, match="may be one of mnist, fashion-mnist: say which"):
        export("--source", source)
    said = export("--source", source, "--dataset", "fashion-mnist")
    assert "NOT the published files" in said and Path("training_data/T-shirt or top").is_dir()


def test_another_data_set_than_asked_for_is_told(tmp_path, export):
    source = write_folder(tmp_path / "files", make(mnist.BY_NAME["emnist-digits"]))
    with pytest.raises(UsageError, match=r"--dataset mnist: .* holds EMNIST digits"):
        export("--source", source, "--dataset", "mnist")


def swapped(files: dict[str, bytes], kind: str, data: bytes) -> dict[str, bytes]:
    """The files with the content of the training images or labels replaced."""
    (name,) = [name for name in files if f"train-{kind}" in name]
    return {**files, name: data}


IMAGES, LABELS = make(mnist.BY_NAME["mnist"])["train-images-idx3-ubyte"], idx_bytes(np.zeros(ROWS, np.uint8))


@pytest.mark.parametrize(
    "kind, data, told",
    [
        ("images", b"", "not an idx file"),
        ("images", b"\x89PNG" + IMAGES, "not an idx file"),
        ("images", IMAGES[:-1], "bytes after the header"),
        ("images", IMAGES + b"\0", "bytes after the header"),
        ("images", idx_bytes(np.zeros((2, 2), np.uint8)), "2 dimensions"),
        ("images", idx_bytes(np.zeros((2, 2, 2), np.uint8), kind=9), "type 9"),
        ("images", idx_bytes(np.zeros((0, 2, 2), np.uint8)), "0 pictures"),
        ("images", idx_bytes(np.zeros((ROWS, 0, 2), np.uint8)), "no pixels"),
        ("images", gzip.compress(IMAGES)[:-9], "not a complete gzip file"),
        ("images", b"\0\0\x08\x03" + b"\xff" * 12 + IMAGES[16:], "bytes after the header"),
        ("labels", idx_bytes(np.zeros(ROWS + 1, np.uint8)), "21 labels"),
        ("labels", idx_bytes(np.full(ROWS, 10, np.uint8)), "outside of the 10 classes"),
    ],
)
def test_broken_files_are_told_before_anything_is_written(tmp_path, export, kind, data, told):
    source = write_folder(tmp_path / "files", swapped(make(mnist.BY_NAME["mnist"]), kind, data))
    with pytest.raises(PigeonholeError, match=told) as caught:
        export("--source", source, "--dataset", "mnist")
    assert "\n" not in str(caught.value) and not list(Path().iterdir())


def test_one_changed_byte_in_a_gzip_file_is_told(tmp_path, export):
    source = write_folder(tmp_path / "files", make(mnist.BY_NAME["mnist"]), packed=True)
    file = source / "train-images-idx3-ubyte.gz"
    data = bytearray(file.read_bytes())
    data[-6] ^= 1
    file.write_bytes(data)
    with pytest.raises(PigeonholeError, match=r"not a complete gzip file"):
        export("--source", source, "--dataset", "mnist")


def test_labels_of_letters_begin_at_one(tmp_path, export):
    version = mnist.BY_NAME["emnist-letters"]
    files = make(version)
    labels = np.zeros(ROWS, np.uint8)
    source = write_folder(tmp_path / "files", {**files, version.files[1]: idx_bytes(labels)})
    with pytest.raises(PigeonholeError, match="outside of the 26 classes"):
        export("--source", source)


def test_a_bomb_is_not_unpacked(monkeypatch):
    monkeypatch.setattr(idx, "MOST_BYTES", 1 << 20)
    with pytest.raises(idx.IdxError, match="far more than published"):
        idx.unpack("bomb", gzip.compress(bytes(1 << 22)))


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no zip", b"text"])
def test_what_is_no_archive(tmp_path, export, content):
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(PigeonholeError, match="neither a folder nor a complete zip archive"):
        export("--source", tmp_path / "file")


def test_a_folder_without_them_and_one_that_lacks_some(tmp_path, export):
    with pytest.raises(PigeonholeError, match="holds none of the idx files"):
        export("--source", write_folder(tmp_path / "empty", {"other": b""}))
    files = make(mnist.BY_NAME["mnist"])
    del files["t10k-labels-idx1-ubyte"]
    with pytest.raises(PigeonholeError, match="lacks t10k-labels-idx1-ubyte"):
        export("--source", write_folder(tmp_path / "part", files), "--dataset", "mnist")


def test_plain_and_packed_of_one_file_are_refused(tmp_path, export):
    files = make(mnist.BY_NAME["mnist"])
    write_folder(tmp_path / "files", files, packed=True)
    with pytest.raises(PigeonholeError, match="twice"):
        export("--source", write_folder(tmp_path / "files", files))


def test_a_second_export_keeps_what_is_there_and_a_users_folder_is_not_mixed(tmp_path, export):
    source = write_folder(tmp_path / "files", make(mnist.BY_NAME["mnist"]))
    export("--source", source, "--dataset", "mnist")
    said = export("--source", source, "--dataset", "mnist")
    assert f"(0 new, {ROWS} there already)" in said
    with pytest.raises(PigeonholeError, match="holds other classes"):
        export("--source", source, "--dataset", "fashion-mnist")


@pytest.mark.parametrize(
    "arguments",
    [["--source", "nowhere"], ["--url", "ftp://a"], ["--train-dir", "a", "--test-dir", "a/b"]],
)
def test_paths_and_addresses_that_cannot_be(export, arguments):
    with pytest.raises(UsageError, match=arguments[0]):
        export(*arguments)


def test_wrong_values_leave_with_status_2(export):
    with pytest.raises(SystemExit) as caught:
        export("--dataset", "cifar10")
    assert caught.value.code == 2


def test_files_are_downloaded_checked_and_kept(tmp_path, export, monkeypatch):
    files = write_folder(tmp_path / "served", make(mnist.BY_NAME["mnist"]), packed=True)
    version = mnist.BY_NAME["mnist"]
    checksums = {path.name: hashlib.md5(path.read_bytes()).hexdigest() for path in files.iterdir()}
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=files)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        with pytest.raises(PigeonholeError, match="not the published"):
            export("--url", url)
        monkeypatch.setitem(
            mnist.BY_NAME, "mnist", mnist.Version(**{**vars(version), "downloads": checksums})
        )
        export("--url", url, "--dataset", "mnist")
        server.shutdown()
    assert len(exported("training_data")) == ROWS
    export("--url", url, "--dataset", "mnist")  # the server is gone: what is there is taken


@pytest.mark.skipif(not MNIST.is_dir(), reason="the published MNIST files are not here")
@pytest.mark.slow
def test_the_published_mnist_is_known_and_pixel_exact(export):
    said = export("--source", MNIST)
    assert f"{MNIST}: MNIST; all 4 files with a published checksum have it" in said
    assert "60,000 pictures in 10 classes" in said and "10,000 pictures in 10 classes" in said
    for side, folder in (("train", "training_data"), ("t10k", "testing_data")):
        images = gzip.decompress((MNIST / f"{side}-images-idx3-ubyte.gz").read_bytes())[16:]
        labels = gzip.decompress((MNIST / f"{side}-labels-idx1-ubyte.gz").read_bytes())[8:]
        found = exported(folder)
        names = {name.rpartition("_")[2].removesuffix(".png"): name for name in found}
        assert Counter(name.partition("/")[0] for name in found) == Counter(map(str, labels))
        for row, label in enumerate(labels):
            name = names[f"{row:05}"]
            assert name.startswith(f"{label}/") and found[name].ndim == 2
            assert found[name].tobytes() == images[784 * row : 784 * (row + 1)]
