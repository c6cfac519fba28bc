"""Writing pictures into class folders without harming anything that is there."""

import os

import cv2
import numpy as np
import pytest

from pigeonhole.data.sources.importing import (
    ExportError,
    Picture,
    check_folder,
    class_folders,
    png_name,
    safe_name,
    write,
    write_labels,
)
from pigeonhole.pictures import images

CLASSES = ["cat", "dog"]


def make_pictures(count=6, seed=0):
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (count, 5, 7, 3), dtype=np.uint8)
    return [Picture(CLASSES[row % 2], f"{row}.png", pixels[row]) for row in range(count)]


def snapshot(folder):
    return {
        path: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.rglob("*") if path.is_file()
    }


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("cat", "cat"),
        ("aquarium_fish", "aquarium_fish"),
        ("wild cat", "wild cat"),
        ("кошка", "кошка"),
        ("../../.bashrc", "bashrc"),
        ("/etc/passwd", "passwd"),
        ("C:\\Windows\\system32", "system32"),
        ("a/b/", "b"),
        (".hidden", "hidden"),
        ("trailing. ", "trailing"),
        ("con", "_con"),
        ("LPT1.png", "_LPT1.png"),
        ("Thumbs.db", "_Thumbs.db"),
        ("a\0b\nc\x1b[2J", "a_b_c_[2J"),
        ('who?<"|>*:', "who_______"),
        ("\ud800x", "_x"),
        ("e\u0301", "é"),
    ],
)
def test_safe_name(text, name, tmp_path):
    assert safe_name(text) == name
    (tmp_path / name).write_bytes(b"")
    assert list(tmp_path.iterdir()) == [tmp_path / name]


@pytest.mark.parametrize("text", ["", ".", "..", "/", "../..", "\\", " . "])
def test_nothing_left_of_a_name(text):
    with pytest.raises(ExportError):
        safe_name(text)


def test_a_long_name_fits_the_disk(tmp_path):
    taken = set()
    names = [png_name("é" * 500 + "😀" * 500, taken) for _ in range(12)]
    assert len(set(names)) == 12
    for name in names:
        (tmp_path / f".{name}.part").write_bytes(b"")


def test_png_names_are_kept_apart_in_any_case():
    taken = set()
    assert [png_name(text, taken) for text in ("a.png", "a.png", "A.PNG", "a.jpg", "b")] == [
        "a.png",
        "a_2.png",
        "A_3.png",
        "a_4.png",
        "b.png",
    ]


def test_two_classes_in_one_folder_are_refused():
    assert class_folders(["b", "a"]) == ["b", "a"]
    with pytest.raises(ExportError, match="share a folder"):
        class_folders(["cat", "x/Cat"])


def test_pixels_are_exact_for_colour_and_grey(tmp_path):
    grey = Picture("dog", "grey.png", np.arange(35, dtype=np.uint8).reshape(5, 7))
    written = write(tmp_path, CLASSES, [*make_pictures(), grey])
    assert (written.new, written.kept, written.others) == (7, 0, 0)
    for picture in make_pictures():
        decoded = images.decode((tmp_path / picture.class_name / picture.file_name).read_bytes())
        np.testing.assert_array_equal(decoded, picture.pixels)
    assert (images.decode((tmp_path / "dog" / "grey.png").read_bytes())[..., 1] == grey.pixels).all()
    assert sorted(path.name for path in tmp_path.iterdir()) == CLASSES


def test_a_second_run_keeps_what_is_right_and_writes_what_is_missing(tmp_path):
    write(tmp_path, CLASSES, make_pictures())
    (tmp_path / "dog" / "3.png").unlink()
    before = snapshot(tmp_path)
    (tmp_path / "dog" / ".3.png.part").write_bytes(b"what a killed run leaves, hidden from every scan")
    written = write(tmp_path, CLASSES, make_pictures())
    assert (written.new, written.kept, written.others) == (1, 5, 0)
    after = snapshot(tmp_path)
    assert before.items() <= after.items()
    assert after.keys() - before.keys() == {tmp_path / "dog" / "3.png"}


def test_the_same_pixels_in_another_encoding_are_kept(tmp_path):
    (tmp_path / "cat").mkdir()
    (tmp_path / "dog").mkdir()
    grey = Picture("dog", "grey.png", np.arange(35, dtype=np.uint8).reshape(5, 7))
    for picture in (make_pictures()[0], grey):
        bgr = np.ascontiguousarray(picture.pixels[..., ::-1]) if picture.pixels.ndim == 3 else picture.pixels
        encoded = cv2.imencode(".png", bgr, [cv2.IMWRITE_PNG_COMPRESSION, 0])[1].tobytes()
        (tmp_path / picture.class_name / picture.file_name).write_bytes(encoded)
    before = snapshot(tmp_path)
    written = write(tmp_path, CLASSES, [make_pictures()[0], grey])
    assert (written.new, written.kept) == (0, 2)
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("content", [b"", b"my notes", "other pixels"])
def test_other_content_is_the_users_unless_overwritten(tmp_path, content):
    write(tmp_path, CLASSES, make_pictures())
    path = tmp_path / "dog" / "1.png"
    right = path.read_bytes()
    path.write_bytes((tmp_path / "dog" / "3.png").read_bytes() if content == "other pixels" else content)
    before = path.read_bytes()
    with pytest.raises(ExportError, match=r"1\.png .*--overwrite"):
        write(tmp_path, CLASSES, make_pictures())
    assert path.read_bytes() == before
    assert write(tmp_path, CLASSES, make_pictures(), overwrite=True).new == 1
    assert path.read_bytes() == right


def test_files_of_other_origin_are_counted_and_left(tmp_path):
    (tmp_path / "cat").mkdir(parents=True)
    (tmp_path / "cat" / "mine.jpg").write_bytes(b"mine")
    assert write(tmp_path, CLASSES, make_pictures()).others == 1
    assert (tmp_path / "cat" / "mine.jpg").read_bytes() == b"mine"


def test_more_pictures_than_one_task_takes(tmp_path):
    pixels = np.zeros((2, 2, 3), np.uint8)
    written = write(tmp_path, CLASSES, [Picture("cat", f"{row}.png", pixels) for row in range(1001)])
    assert written.new == len(os.listdir(tmp_path / "cat")) == 1001


def test_labels_keep_their_order_and_a_users_file(tmp_path):
    write_labels(tmp_path, ["zebra", "ant"])
    assert (tmp_path / "labels.txt").read_bytes() == b"zebra\nant\n"
    (tmp_path / "labels.txt").write_bytes(b"zebra\r\nant")
    write_labels(tmp_path, ["zebra", "ant"])
    with pytest.raises(ExportError, match=r"labels\.txt"):
        write_labels(tmp_path, ["ant", "zebra"])
    write_labels(tmp_path, ["ant", "zebra"], overwrite=True)
    assert (tmp_path / "labels.txt").read_bytes() == b"ant\nzebra\n"


def test_other_classes_are_refused(tmp_path):
    check_folder(tmp_path / "not there yet", CLASSES)
    (tmp_path / "cat").mkdir()
    (tmp_path / ".ipynb_checkpoints").mkdir()
    (tmp_path / "notes.txt").write_text("mine")
    check_folder(tmp_path, CLASSES)
    (tmp_path / "horse").mkdir()
    with pytest.raises(ExportError, match=r"horse.*move them away"):
        check_folder(tmp_path, CLASSES)
