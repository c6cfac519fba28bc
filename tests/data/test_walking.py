"""Walking through folders: every file, in the same order and memory whatever the folder's size."""

import os
import tracemalloc

import pytest

from pigeonhole.data import walking


@pytest.mark.parametrize("most", [2, 3, 1000])
def test_files_are_sorted_whether_or_not_parts_wait_on_the_disk(tmp_path, monkeypatch, most):
    monkeypatch.setattr(walking, "MOST_NAMES", most)
    names = ["b.png", "a.png", "a/z.png", "a/y", "a.b/c", "é 1.bmp", "\N{PILE OF POO}", "ab/c/d"]
    if os.name == "posix":
        names += ["two\nlines", os.fsdecode(b"\xff.png")]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = list(walking.files_below(str(tmp_path)))
    ordered = sorted(names, key=lambda name: [os.fsencode(part) for part in name.split("/")])
    assert found == [os.path.join(tmp_path, name) for name in ordered]


def test_what_is_hidden_or_leads_back_is_left_and_a_broken_link_is_given(tmp_path, monkeypatch):
    (tmp_path / "in" / "deep").mkdir(parents=True)
    (tmp_path / ".hidden").mkdir()
    for name in (".hidden/a", ".b", "Thumbs.db", "in/deep/c"):
        (tmp_path / name).touch()
    (tmp_path / "in" / "deep" / "loop").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "in" / "nowhere").symlink_to(tmp_path / "gone")
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "in" / "pipe")
    monkeypatch.chdir(tmp_path)
    assert list(walking.files_below(".")) == [os.path.join("in", "deep", "c"), os.path.join("in", "nowhere")]


def test_a_folder_of_many_files_takes_no_more_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(walking, "MOST_NAMES", 3000)
    peaks = []
    for count in (1000, 12000):
        folder = tmp_path / str(count)
        folder.mkdir()
        for number in range(count):
            (folder / f"{number:04}").touch()
        tracemalloc.start()
        assert sum(1 for _ in walking.files_below(str(folder))) == count
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] - peaks[0] < 400_000  # bytes; all names at once take 530,000 more
