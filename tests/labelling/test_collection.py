"""What `pigeonhole label` makes of a folder: a heap, class folders, or both."""

import os
import shutil

import numpy as np
import pytest

from pigeonhole.data.cache import Cache
from pigeonhole.data.fixes import Fix
from pigeonhole.errors import UsageError
from pigeonhole.labelling.collection import Collection
from pigeonhole.labelling.journal import Journal
from tests.support.drawn_folders import draw_blur, draw_tree


@pytest.fixture
def top(tmp_path):
    return tmp_path / "pictures"


@pytest.fixture
def opened(top, tmp_path):
    return lambda **options: Collection.open(top, Cache(tmp_path / "cache"), progress=False, **options)


def test_a_heap_at_any_depth_has_no_classes_and_hides_nothing(top, opened):
    for number, name in enumerate(("2.png", "1.png", "a/3.png", "a/b/4.png", ".hidden/5.png")):
        draw_blur(top / name, number)
    (top / "notes.txt").write_text("no picture")
    (top / "gone.png").symlink_to("nowhere")
    found = opened()
    assert found.names == ["1.png", "2.png", "a/3.png", "a/b/4.png"] and len(found) == 4
    assert found.given == [""] * 4 and found.classes == []
    assert found.unreadable.keys() == {"notes.txt", "gone.png"}
    assert found.unreadable["gone.png"] == "broken link"
    assert found.row_of["a/3.png"] == 2 and found.records[2].width == 24
    assert opened().records == found.records


def test_class_folders_give_their_classes_and_files_beside_them_are_undecided(top, opened):
    draw_tree(top, {"cat": 2, "dog": 1})
    draw_blur(top / "new.png", 77)
    found = opened()
    assert found.classes == ["cat", "dog"]
    assert dict(zip(found.names, found.given, strict=True)) == {
        "cat/000.png": "cat", "cat/001.png": "cat", "dog/000.png": "dog", "new.png": "",
    }  # fmt: skip


def test_the_user_says_which_folders_are_classes(top, opened):
    draw_tree(top, {"cat": 1, "dog": 1, "DCIM": 2})
    found = opened(classes=["dog", "cat"])
    assert found.classes == ["dog", "cat"]
    assert found.given == ["", "", "cat", "dog"]
    assert opened(classes=[]).given == [""] * 4
    with pytest.raises(UsageError, match="owl"):
        opened(classes=["owl"])


def test_a_table_gives_classes_and_a_journal_does_not(top, opened):
    draw_tree(top, {"images": 3})
    (top / "labels.csv").write_text("file,label\n000.png,cat\n001.png,dog\nabsent.png,cat\n")
    found = opened()
    assert found.given == ["cat", "dog", ""] and found.classes == ["cat", "dog"]
    assert found.unreadable.keys() == {"absent.png"}
    (top / "labels.csv").unlink()
    Journal(top / "labels.csv").act("a", {"images/000.png": "cat"}, {})
    assert opened().given == [""] * 3 and not opened().unreadable
    assert opened(classes=["images"]).given == ["images"] * 3


def test_the_parts_of_a_split_that_are_not_for_training_are_left_alone(top, opened):
    draw_tree(top / "train", {"cat": 1, "dog": 1})
    draw_tree(top / "test", {"cat": 1, "dog": 1})
    assert opened().names == ["train/cat/000.png", "train/dog/000.png"]


def test_copies_share_a_decision_and_near_copies_a_group(top, opened):
    draw_tree(top, {"heap": 4})
    shutil.copyfile(top / "heap/002.png", top / "copy.png")
    found = opened()
    assert found.copies(["copy.png", "heap/001.png"]) == ["copy.png", "heap/001.png", "heap/002.png"]
    groups = dict(zip(found.names, found.groups.tolist(), strict=True))
    assert groups["copy.png"] == groups["heap/002.png"] and len(set(groups.values())) == 4
    assert found.groups.dtype == np.int64


def test_decisions_follow_their_pictures(top, opened):
    draw_tree(top, {"heap": 4})
    digests = opened().digests
    decisions = [Fix(name, "cat", digest) for name, digest in digests.items()]
    (top / "heap/000.png").rename(top / "moved.png")
    draw_blur(top / "heap/001.png", 999)
    (top / "heap/002.png").write_bytes(b"")
    labels, unmatched = opened().decided([*decisions, Fix("typed.png", None)])
    assert labels == {"moved.png": "cat", "heap/003.png": "cat"}
    assert unmatched["heap/001.png"] == "changed since" and unmatched["typed.png"] == "not found"
    assert "empty" in unmatched["heap/002.png"]


def test_a_folder_that_is_not_there_is_told_and_an_empty_one_has_no_pictures(top, opened):
    with pytest.raises(UsageError, match="no such folder"):
        opened()
    top.mkdir()
    assert len(opened()) == len(opened().groups) == 0


def test_folders_of_which_no_label_is_a_class_are_a_heap_again(top, opened):
    draw_tree(top, {"2024": 2, "2025": 2})
    file = top / "labels.csv"
    assert opened(without=[file]).classes == ["2024", "2025"]
    Journal(file).act("a", {"2024/000.png": "cat"}, {})
    assert opened(without=[file]).classes == [] and set(opened(without=[file]).given) == {""}
    Journal(file).act("b", {"2025/000.png": "2024"}, {})
    assert opened(without=[file]).classes == ["2024", "2025"]


def test_a_journal_of_another_name_inside_is_no_picture(top, opened):
    draw_tree(top, {"heap": 1})
    Journal(top / "mine.csv").act("a", {"heap/000.png": "cat"}, {})
    assert not opened(without=[top / "mine.csv"]).unreadable


def test_names_that_are_no_utf8_are_kept(top, opened):
    draw_blur(top / "1.png", 1)
    os.rename(top / "1.png", os.path.join(os.fsencode(top), b"caf\xe9.png"))
    assert opened().names == [os.fsdecode(b"caf\xe9.png")]
