"""The exporter on tiny CIFAR-shaped sources of every published form, whole, broken and hostile."""

import functools
import gzip
import http.server
import io
import itertools
import os
import pickle
import signal
import subprocess
import sys
import tarfile
import threading
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from pigeonhole.commands import import_cifar
from pigeonhole.data.sources import cifar
from pigeonhole.errors import PigeonholeError, UsageError
from pigeonhole.pictures import images

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared" / "data"
CLASSES = ["airplane", "cat", "dog"]
FINE = ["apple", "bee", "cup", "dolphin"]
COARSE = ["plants", "animals"]
ROWS = 8


def make_batch(name, rows=ROWS):
    """Rows of one batch, the same for every form: pixels [N,3072], labels, coarse labels, file names."""
    rng = np.random.default_rng(list(name.encode()))
    planes = rng.integers(0, 256, (rows, 3072), dtype=np.uint8)
    labels = [row % 3 for row in range(rows)]
    names = [f"{CLASSES[label]}_s_{name}_{row:06}.png" for row, label in enumerate(labels)]
    return planes, labels, [label % 2 for label in labels], names


def cifar10_python(rows=ROWS):
    files = {"batches.meta": pickle.dumps({"label_names": CLASSES, "num_vis": 3072}, protocol=2)}
    for name in [f"data_batch_{number}" for number in range(1, 6)] + ["test_batch"]:
        planes, labels, _, names = make_batch(name, rows)
        files[name] = pickle.dumps({"data": planes, "labels": labels, "filenames": names}, protocol=4)
    return files


def cifar10_binary():
    files = {"batches.meta.txt": ("\n".join(CLASSES) + "\n\n").encode()}
    for name in [f"data_batch_{number}" for number in range(1, 6)] + ["test_batch"]:
        planes, labels, _, _ = make_batch(name)
        files[f"{name}.bin"] = np.column_stack([np.uint8(labels), planes]).tobytes()
    return files


def cifar100_python():
    files = {"meta": pickle.dumps({"fine_label_names": FINE, "coarse_label_names": COARSE}, protocol=2)}
    for name in ("train", "test"):
        planes, labels, coarse, names = make_batch(name)
        content = {"data": planes, "fine_labels": labels, "coarse_labels": coarse, "filenames": names}
        files[name] = pickle.dumps(content, protocol=4)
    return files


def cifar100_binary():
    files = {
        "fine_label_names.txt": ("\n".join(FINE) + "\n").encode(),
        "coarse_label_names.txt": ("\n".join(COARSE) + "\n").encode(),
    }
    for name in ("train", "test"):
        planes, labels, coarse, _ = make_batch(name)
        files[f"{name}.bin"] = np.column_stack([np.uint8(coarse), np.uint8(labels), planes]).tobytes()
    return files


def write_folder(folder, files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder


def write_archive(path, files, prefix="cifar-10-batches-py/"):
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(prefix + name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


@pytest.fixture
def export(tmp_path, monkeypatch, capsys):
    """A function that runs the program in an empty folder and returns what it printed."""
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)

    def run(*arguments):
        import_cifar.main([str(argument) for argument in arguments])
        return capsys.readouterr().out

    run.here = here
    return run


def pixels(folder):
    """Sorted (class, pixel bytes) of all pictures below a folder, which no form of the source changes."""
    return sorted(
        (path.parent.name, images.decode(path.read_bytes()).tobytes()) for path in folder.rglob("*.png")
    )


def names(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def expected_pixels(batches, classes=CLASSES, coarse=False):
    found = []
    for planes, labels, coarse_labels, _ in map(make_batch, batches):
        for row, label in zip(planes, coarse_labels if coarse else labels, strict=True):
            # Written out plainly: the red plane, the green one, the blue one, each row by row.
            picture = np.stack([row[:1024], row[1024:2048], row[2048:]], axis=-1).reshape(32, 32, 3)
            found.append((classes[label], picture.tobytes()))
    return sorted(found)


TRAIN = [f"data_batch_{number}" for number in range(1, 6)]


def test_python_folder_archive_and_binary_give_identical_pixels(tmp_path, export):
    sources = {
        "folder": write_folder(tmp_path / "cifar-10-batches-py", cifar10_python()),
        "archive": write_archive(tmp_path / "cifar-10-python.tar.gz", cifar10_python()),
        "binary": write_folder(tmp_path / "cifar-10-batches-bin", cifar10_binary()),
        "binary archive": write_archive(tmp_path / "bin.tar.gz", cifar10_binary(), "cifar-10-batches-bin/"),
    }
    for kind, source in sources.items():
        train, test = export.here / f"{kind} train", export.here / f"{kind} test"
        export("--source", source, "--train-dir", train, "--test-dir", test)
        assert pixels(train) == expected_pixels(TRAIN)
        assert pixels(test) == expected_pixels(["test_batch"])
        assert (train / "labels.txt").read_text() == "airplane\ncat\ndog\n"
        assert (test / "labels.txt").read_text() == "airplane\ncat\ndog\n"


def test_default_folders_and_the_batches_own_file_names(tmp_path, export):
    output = export("--source", write_folder(tmp_path / "source", cifar10_python()))
    own = [
        f"{CLASSES[row % 3]}/{CLASSES[row % 3]}_s_{batch}_{row:06}.png"
        for batch in TRAIN
        for row in range(ROWS)
    ]
    assert names(export.here / "training_data") == sorted([*own, "labels.txt"])
    assert len(names(export.here / "testing_data")) == ROWS + 1
    assert "next: pigeonhole train --data training_data" in output


def test_binary_names_say_batch_and_row(tmp_path, export):
    export("--source", write_folder(tmp_path / "source", cifar10_binary()), "--batches", "1")
    assert "airplane/data_batch_1_00000.png" in names(export.here / "training_data")
    assert "cat/test_batch_00001.png" in names(export.here / "testing_data")


def test_the_folder_above_works_too_if_it_holds_one_version(tmp_path, export):
    write_folder(tmp_path / "download" / "cifar-10-batches-py", cifar10_python())
    export("--source", tmp_path / "download")
    write_folder(tmp_path / "download" / "cifar-10-batches-bin", cifar10_binary())
    with pytest.raises(UsageError, match="python version and CIFAR-10, binary version"):
        export("--source", tmp_path / "download")


@pytest.mark.parametrize("make", [cifar100_python, cifar100_binary])
@pytest.mark.parametrize("coarse", [False, True])
def test_cifar_100_fine_and_coarse(tmp_path, export, make, coarse):
    source = write_archive(tmp_path / "a.tar.gz", make(), "cifar-100/")
    export("--source", source, *["--coarse"] * coarse)
    classes = COARSE if coarse else FINE
    assert pixels(export.here / "training_data") == expected_pixels(["train"], classes, coarse)
    assert pixels(export.here / "testing_data") == expected_pixels(["test"], classes, coarse)
    assert (export.here / "training_data" / "labels.txt").read_text().split() == classes
    assert sorted(path.name for path in (export.here / "training_data").glob("*/")) == sorted(classes)


def test_batches_and_limit(tmp_path, export):
    source = write_folder(tmp_path / "source", cifar10_python())
    export("--source", source, "--batches", "4,2")
    assert pixels(export.here / "training_data") == expected_pixels(["data_batch_2", "data_batch_4"])
    assert pixels(export.here / "testing_data") == expected_pixels(["test_batch"])
    export("--source", source, "--limit", "10", "--train-dir", "a", "--test-dir", "b")
    assert len(pixels(export.here / "a")) == 10
    assert len(pixels(export.here / "b")) == ROWS
    assert {name.split("_s_")[1][:12] for name in names(export.here / "a")[:-1]} == {
        "data_batch_1",
        "data_batch_2",
    }


def test_batches_that_are_not_asked_for_need_not_be_there(tmp_path, export):
    files = cifar10_python()
    del files["data_batch_5"]
    source = write_folder(tmp_path / "source", files)
    export("--source", source, "--batches", "1,2")
    with pytest.raises(PigeonholeError, match="lacks data_batch_5"):
        export("--source", source)


# The published file, byte for byte.
PUBLISHED_META = (
    b"\x80\x02}q\x01(U\x13num_cases_per_batchq\x02M\x10'U\x0blabel_namesq\x03]q\x04(U\x08airplaneq\x05"
    b"U\nautomobileq\x06U\x04birdq\x07U\x03catq\x08U\x04deerq\tU\x03dogq\nU\x04frogq\x0bU\x05horseq\x0c"
    b"U\x04shipq\rU\x05truckq\x0eeU\x07num_visq\x0fM\x00\x0cu."
)


def test_each_files_checksum_is_told(tmp_path, export):
    source = write_folder(tmp_path / "source", cifar10_python())
    different = ", ".join(["batches.meta", *TRAIN, "test_batch"])
    assert f"NOT the published files: {different} (" in export("--source", source)
    (source / "batches.meta").write_bytes(PUBLISHED_META)
    different = ", ".join([*TRAIN, "test_batch"])
    output = export("--source", source, "--train-dir", "a", "--test-dir", "b")
    assert f"NOT the published files: {different} (" in output


def test_the_classes_come_from_the_archives_own_file(tmp_path, export):
    files = cifar10_python()
    files["batches.meta"] = pickle.dumps({"label_names": ["zebra", "ant", "цапля"]}, protocol=4)
    export("--source", write_folder(tmp_path / "source", files))
    assert (export.here / "training_data" / "labels.txt").read_text("utf-8").split() == [
        "zebra",
        "ant",
        "цапля",
    ]
    assert len(list((export.here / "training_data" / "zebra").iterdir())) == 15


BROKEN = {
    "no data": {"labels": [0], "filenames": ["a.png"]},
    "data of another width": {"data": np.zeros((1, 3071), np.uint8), "labels": [0], "filenames": ["a.png"]},
    "data of another type": {"data": np.zeros((1, 3072), np.int8), "labels": [0], "filenames": ["a.png"]},
    "flat data": {"data": np.zeros(3072, np.uint8), "labels": [0], "filenames": ["a.png"]},
    "a label too few": {
        "data": np.zeros((2, 3072), np.uint8),
        "labels": [0],
        "filenames": ["a.png", "b.png"],
    },
    "a name too few": {"data": np.zeros((2, 3072), np.uint8), "labels": [0, 1], "filenames": ["a.png"]},
    "a label too high": {"data": np.zeros((1, 3072), np.uint8), "labels": [3], "filenames": ["a.png"]},
    "a negative label": {"data": np.zeros((1, 3072), np.uint8), "labels": [-1], "filenames": ["a.png"]},
    "a label that is a word": {
        "data": np.zeros((1, 3072), np.uint8),
        "labels": ["0"],
        "filenames": ["a.png"],
    },
    "a name that is a number": {"data": np.zeros((1, 3072), np.uint8), "labels": [0], "filenames": [1]},
    "no pictures": {"data": np.zeros((0, 3072), np.uint8), "labels": [], "filenames": []},
}


@pytest.mark.parametrize("what", BROKEN)
def test_broken_structure_is_told_before_anything_is_written(tmp_path, export, what):
    files = {**cifar10_python(), "test_batch": pickle.dumps(BROKEN[what], protocol=4)}
    with pytest.raises(PigeonholeError, match="test_batch"):
        export("--source", write_folder(tmp_path / "source", files))
    assert not list(export.here.iterdir())


@pytest.mark.parametrize(
    ("file", "change"),
    [
        ("data_batch_2.bin", lambda data: data[:-1]),
        ("data_batch_2.bin", lambda data: b""),
        ("test_batch.bin", lambda data: b"\x07" + data[1:]),
        ("batches.meta.txt", lambda data: b"\n"),
    ],
)
def test_broken_binary_structure(tmp_path, export, file, change):
    files = cifar10_binary()
    files[file] = change(files[file])
    with pytest.raises(PigeonholeError, match=file):
        export("--source", write_folder(tmp_path / "source", files))
    assert not list(export.here.iterdir())


@pytest.mark.parametrize("label_names", [[], "abc", [1, 2, 3], None])
def test_a_meta_file_without_class_names(tmp_path, export, label_names):
    files = {**cifar10_python(), "batches.meta": pickle.dumps({"label_names": label_names}, protocol=4)}
    with pytest.raises(PigeonholeError, match=r"batches\.meta names no classes"):
        export("--source", write_folder(tmp_path / "source", files))


class Evil:
    def __init__(self, victim):
        self.victim = victim

    def __reduce__(self):
        return os.mkdir, (str(self.victim),)


@pytest.mark.parametrize("file", ["batches.meta", "data_batch_3", "test_batch"])
def test_a_hostile_pickle_does_nothing(tmp_path, export, file):
    files = {**cifar10_python(), file: pickle.dumps({"data": Evil(tmp_path / "pwned")})}
    with pytest.raises(PigeonholeError, match=rf"{file}: not a pickle of plain data .*mkdir"):
        export("--source", write_archive(tmp_path / "a.tar.gz", files))
    assert not (tmp_path / "pwned").exists()
    assert not list(export.here.iterdir())


def test_a_hostile_archive_writes_only_inside_the_folders(tmp_path, export):
    planes, labels, _, file_names = make_batch("data_batch_1")
    file_names[:4] = ["../../../pwned.png", str(tmp_path / "pwned.png"), "..\\pwned.png", "a\0b.sh"]
    files = cifar10_python()
    hostile = {"data": planes, "labels": labels, "filenames": file_names}
    files["data_batch_1"] = pickle.dumps(hostile, protocol=4)
    files["batches.meta"] = pickle.dumps({"label_names": ["../airplane", "/cat", "a/../../dog"]}, protocol=4)
    source = write_archive(tmp_path / "a.tar.gz", files, prefix="../../../")
    before = set(tmp_path.rglob("*"))
    export("--source", source)
    inside = (export.here / "training_data", export.here / "testing_data")
    new = set(tmp_path.rglob("*")) - before
    assert all(any(path == folder or folder in path.parents for folder in inside) for path in new)
    assert pixels(inside[0]) == expected_pixels(TRAIN)
    assert "airplane/pwned.png" in names(inside[0])
    assert {path.suffix for path in new if path.is_file()} == {".png", ".txt"}


def test_links_and_devices_in_an_archive_are_not_followed(tmp_path, export):
    secret = tmp_path / "secret"
    secret.write_bytes(cifar10_python()["test_batch"])
    files = cifar10_python()
    del files["test_batch"]
    source = write_archive(tmp_path / "a.tar", files)
    with gzip.open(source) as packed, tarfile.open(tmp_path / "b.tar", "w") as archive:
        with tarfile.open(fileobj=packed) as inner:
            for member in inner:
                archive.addfile(member, inner.extractfile(member))
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE):
            link = tarfile.TarInfo("test_batch")
            link.type, link.linkname = kind, str(secret)
            archive.addfile(link)
    with pytest.raises(PigeonholeError, match="lacks test_batch"):
        export("--source", tmp_path / "b.tar")


def test_the_same_member_twice_is_refused(tmp_path, export):
    write_folder(tmp_path / "source" / "one", cifar10_python())
    write_folder(tmp_path / "source" / "two", cifar10_python())
    with pytest.raises(PigeonholeError, match="twice"):
        export("--source", tmp_path / "source")


def test_a_bomb_is_not_unpacked(tmp_path, export):
    path = tmp_path / "bomb.tar.gz"
    with gzip.open(path, "wb", compresslevel=1) as packed:
        member = tarfile.TarInfo("data_batch_1")
        member.size = cifar.MOST_BYTES + 1
        packed.write(member.tobuf())
        packed.write(bytes(1 << 20))
    with pytest.raises(PigeonholeError, match="far more than published"):
        export("--source", path)


@pytest.mark.parametrize("keep", [0, 100, 0.5, -3000, -5])
def test_a_cut_archive_is_told(tmp_path, export, keep):
    path = write_archive(tmp_path / "a.tar.gz", cifar10_python())
    data = path.read_bytes()
    path.write_bytes(data[: int(keep * len(data)) if isinstance(keep, float) else keep])
    with pytest.raises(PigeonholeError, match="not a complete archive"):
        export("--source", path)
    assert not list(export.here.iterdir())


def test_one_changed_byte_in_an_archive_is_told(tmp_path, export):
    path = write_archive(tmp_path / "a.tar.gz", cifar10_python())
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(PigeonholeError, match="not a complete archive"):
        export("--source", path)
    assert not list(export.here.iterdir())


@pytest.mark.parametrize("content", [b"", b"<html>moved</html>", b"PK\3\4 zip"])
def test_what_is_no_archive(tmp_path, export, content):
    (tmp_path / "a.tar.gz").write_bytes(content)
    with pytest.raises(PigeonholeError, match="not a complete archive"):
        export("--source", tmp_path / "a.tar.gz")


def test_a_folder_without_cifar(tmp_path, export):
    with pytest.raises(PigeonholeError, match="none of the files"):
        export("--source", write_folder(tmp_path / "source", {"a.jpg": b""}))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--dataset", "cifar100"], r"--dataset cifar100: .* is CIFAR-10, python version"),
        (["--coarse"], r"--coarse: .* no coarse classes"),
        (["--train-dir", "x", "--test-dir", "x"], "lie in one another"),
        (["--train-dir", "x", "--test-dir", "x/y"], "lie in one another"),
    ],
)
def test_choices_that_do_not_fit(tmp_path, export, arguments, words):
    source = write_folder(tmp_path / "source", cifar10_python())
    with pytest.raises(UsageError, match=words):
        export("--source", source, *arguments)
    assert not list(export.here.iterdir())


def test_batches_are_of_cifar_10_only(tmp_path, export):
    source = write_folder(tmp_path / "source", cifar100_python())
    with pytest.raises(UsageError, match=r"--batches: .* not in batches"):
        export("--source", source, "--batches", "1")
    export("--source", source, "--dataset", "cifar100")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--batches", "0"],
        ["--batches", "6"],
        ["--batches", ""],
        ["--batches", "1,x"],
        ["--limit", "0"],
        ["--limit", "x"],
        ["--dataset", "mnist"],
        ["--source", "a", "--url", "http://b"],
    ],
)
def test_wrong_values_leave_with_status_2(export, arguments):
    with pytest.raises(SystemExit) as left:
        export(*arguments)
    assert left.value.code == 2


@pytest.mark.parametrize(
    "arguments", [["--source", "nowhere"], ["--url", "ftp://x/y"], ["--url", "file:///etc/passwd"]]
)
def test_paths_and_addresses_that_cannot_be(export, arguments):
    with pytest.raises(UsageError, match=arguments[0]):
        export(*arguments)


def test_rerun_keeps_and_completes(tmp_path, export):
    source = write_folder(tmp_path / "source", cifar10_python())
    export("--source", source, "--limit", "10")
    before = {path: path.stat().st_mtime_ns for path in export.here.rglob("*.png")}
    output = export("--source", source)
    assert (
        f"training_data: {5 * ROWS} pictures in 3 classes ({5 * ROWS - 10} new, 10 there already)" in output
    )
    assert all(path.stat().st_mtime_ns == time_ns for path, time_ns in before.items())
    assert pixels(export.here / "training_data") == expected_pixels(TRAIN)
    assert "besides, there are 30 files that are not of this export" in export(
        "--source", source, "--limit", "10"
    )


def test_changed_pictures_are_the_users_unless_overwritten(tmp_path, export):
    source = write_folder(tmp_path / "source", cifar10_python())
    export("--source", source)
    path = next((export.here / "training_data" / "cat").iterdir())
    path.write_bytes(b"painted over")
    with pytest.raises(PigeonholeError, match=path.name):
        export("--source", source)
    assert path.read_bytes() == b"painted over"
    assert "(1 new" in export("--source", source, "--overwrite")
    assert pixels(export.here / "training_data") == expected_pixels(TRAIN)


@pytest.mark.parametrize("place", ["training_data", "testing_data"])
def test_other_classes_are_refused_before_anything_is_written(tmp_path, export, place):
    source = write_folder(tmp_path / "source", cifar10_python())
    (export.here / place / "grandmother").mkdir(parents=True)
    for overwrite in ([], ["--overwrite"]):
        with pytest.raises(PigeonholeError, match=rf"{place} holds other classes \(grandmother\)"):
            export("--source", source, *overwrite)
    assert [path.name for path in export.here.rglob("*")] == [place, "grandmother"]


@pytest.fixture
def with_sample(export):
    from tools import make_sample

    make_sample.main([])
    return export


def test_the_untouched_sample_is_taken_away(tmp_path, with_sample, capsys):
    capsys.readouterr()
    output = with_sample("--source", write_folder(tmp_path / "source", cifar10_python()))
    assert output.count("was removed") == 2
    assert "training_data: the bundled sample of 1,438 handwritten digits was removed\n" in output
    assert sorted(path.name for path in (with_sample.here / "training_data").iterdir()) == [
        *CLASSES,
        "labels.txt",
    ]
    assert pixels(with_sample.here / "testing_data") == expected_pixels(["test_batch"])


def test_a_touched_sample_stays(tmp_path, with_sample):
    (with_sample.here / "testing_data" / "3" / "mine.png").write_bytes(b"mine")
    before = names(with_sample.here)
    with pytest.raises(PigeonholeError, match="testing_data holds other classes"):
        with_sample("--source", write_folder(tmp_path / "source", cifar10_python()))
    assert names(with_sample.here) == before


def test_the_sample_stays_when_the_source_is_broken(tmp_path, with_sample):
    before = names(with_sample.here)
    files = {**cifar10_python(), "test_batch": b"broken"}
    with pytest.raises(PigeonholeError):
        with_sample("--source", write_folder(tmp_path / "source", files))
    assert names(with_sample.here) == before


@pytest.mark.skipif(os.name != "posix", reason="kill -9 is a matter of POSIX")
def test_killed_and_run_again(tmp_path):
    source = write_folder(tmp_path / "source", cifar10_python(rows=300))
    command = [sys.executable, ROOT / "export_cifar_folders.py", "--source", source]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL)
    while len(list(tmp_path.glob("training_data/*/*.png"))) < 50:
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    left = list((tmp_path / "training_data").glob("*/[!.]*.png"))
    assert len(left) < 1500
    for path in left:
        assert images.decode(path.read_bytes()).shape == (32, 32, 3)
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert f"({1500 - len(left):,} new, {len(left):,} there already)" in done.stdout
    assert len(pixels(tmp_path / "training_data")) == 1500
    assert not list(tmp_path.rglob("*.part"))


class Mirror(http.server.SimpleHTTPRequestHandler):
    """Serves a folder, breaks off in the middle of the first answer, and understands "Range: bytes=N-"."""

    def do_GET(self):
        data = Path(self.translate_path(self.path)).read_bytes()
        start = int(self.headers.get("Range", "bytes=0-")[6:-1])
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(data) - start))
        self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.end_headers()
        end = len(data) if start else len(data) // 2
        self.wfile.write(data[start:end])

    def log_message(self, *_):
        pass


def test_download_from_another_address_survives_a_break(tmp_path, export):
    write_archive(tmp_path / "mirror.tar.gz", cifar10_python())
    with http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Mirror, directory=tmp_path)
    ) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/mirror.tar.gz"
        output = export("--url", url)
        server.shutdown()
    assert "NOT the published files" in output
    assert pixels(export.here / "training_data") == expected_pixels(TRAIN)
    assert (export.here / "downloads" / "mirror.tar.gz").read_bytes() == (
        tmp_path / "mirror.tar.gz"
    ).read_bytes()
    # The archive is there now: the server is not needed again.
    assert "(0 new" in export("--url", url)


def test_a_wrong_archive_among_the_downloads_is_told(export):
    (export.here / "downloads").mkdir()
    (export.here / "downloads" / "cifar-10-python.tar.gz").write_bytes(b"another")
    with pytest.raises(PigeonholeError, match="is not the published file: delete it"):
        export()


def test_without_a_network_one_line_says_what_to_do(tmp_path):
    # A proxy at which nobody listens keeps even a connected machine from the network.
    environment = {**os.environ, "https_proxy": "http://127.0.0.1:9", "no_proxy": ""}
    command = [sys.executable, ROOT / "export_cifar_folders.py", "--dataset", "cifar100"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz" in done.stderr
    assert "--source FILE" in done.stderr
    assert not (tmp_path / "training_data").exists()


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """The published CIFAR-10, unpacked as python batches, archive and binaries."""
    program = SHARED / "unpack_cifar10.py"
    if not program.exists():
        pytest.skip(f"{program} is not there")
    place = tmp_path_factory.mktemp("published")
    subprocess.run([sys.executable, program, "--out", place, "--archive", "--binary"], check=True)
    return place


@pytest.mark.slow
def test_the_published_label_counts(published):
    data = cifar.read(published / "cifar-10-batches-py", batches=[1])
    counts = Counter(data.train[0].labels)
    assert [counts[label] for label in range(10)] == [1005, 974, 1032, 1016, 999, 937, 1030, 1001, 1025, 981]
    assert data.train[0].labels[:10] == [6, 9, 9, 4, 1, 1, 2, 7, 8, 3]
    assert data.classes[6] == "frog"
    assert data.train[0].file_names[0] == "leptodactylus_pentadactylus_s_000004.png"
    assert all(data.published.values())
    assert len(data.published) == 3


@pytest.mark.slow
def test_all_60000_pictures_are_identical_from_every_form(published, export):
    sources = ["cifar-10-python.tar.gz", "cifar-10-batches-py", "cifar-10-batches-bin"]
    found = []
    for number, source in enumerate(sources):
        folders = export.here / f"{number} train", export.here / f"{number} test"
        output = export("--source", published / source, "--train-dir", folders[0], "--test-dir", folders[1])
        assert "files with a published checksum have it" in output
        found.append([pixels(folder) for folder in folders])
    assert [len(part) for part in found[0]] == [50_000, 10_000]
    assert found[0] == found[1] == found[2]
    batch = pickle.loads((published / "cifar-10-batches-py" / "test_batch").read_bytes(), encoding="latin1")
    rows = batch["data"].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    by_name = zip(batch["filenames"], batch["labels"], rows, strict=True)
    classes = (export.here / "0 train" / "labels.txt").read_text().split()
    for name, label, row in itertools.islice(by_name, 0, None, 97):
        path = export.here / "0 test" / classes[label] / name
        np.testing.assert_array_equal(images.decode(path.read_bytes()), row)
