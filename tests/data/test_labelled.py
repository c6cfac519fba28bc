"""Training by the journal of `pigeonhole label`: a heap, class folders, pictures moved or changed since."""

import json
from collections import Counter

import pytest

from pigeonhole.commands import check
from pigeonhole.data import folders, labelled
from pigeonhole.data.dataset import read_train_sets
from pigeonhole.errors import PigeonholeError, UsageError
from pigeonhole.labelling.journal import Journal
from tests.support.drawn_folders import draw_blur, draw_tree


@pytest.fixture
def top(tmp_path):
    return tmp_path / "pictures"


@pytest.fixture
def read(top, tmp_path):
    def read(**options):
        return read_train_sets(top, 32, cache_dir=tmp_path / "cache", progress=False, **options)

    return read


def heap(top, count=24):
    """Pictures at two depths, labelled but for the last four: cats, dogs, and one that is left out."""
    for number in range(count):
        draw_blur(top / ("a" if number % 2 else "b/c") / f"{number:02}.png", number)
    names = sorted(path.relative_to(top).as_posix() for path in top.rglob("*.png"))
    labels = {name: ("cat", "dog")[row % 2] for row, name in enumerate(names[: count - 4])}
    return labels | {names[0]: None}


def write(file, labels):
    Journal(file).act("a", labels, {})
    return file


def classes_of(sets):
    return dict(zip(sets.everything.names.tolist(), sets.everything.classes.tolist(), strict=True))


def test_a_heap_is_trained_on_by_its_labels(top, read, tmp_path):
    labels = heap(top)
    sets = read(labels=write(tmp_path / "elsewhere.csv", labels))
    assert classes_of(sets) == {name: label for name, label in labels.items() if label}
    assert sets.classes == ["cat", "dog"] and (sets.preflight.found, sets.preflight.used) == (19, 19)
    told = sets.preflight.labels
    assert (told.labelled, told.removed, told.by_folder, told.unlabelled) == (19, 1, 0, 4)
    assert told.line().endswith(": 19 pictures labelled, 1 left out, 4 files without a label")
    assert sets.preflight.clean and json.dumps(sets.preflight.to_json())


def test_a_journal_in_one_folder_of_pictures_is_found(top, read):
    labels = heap(top / "images")
    write(top / "labels.csv", {f"images/{name}": label for name, label in labels.items()})
    expected = {f"images/{name}": label for name, label in labels.items() if label}
    assert classes_of(read()) == expected
    # As test pictures as well.
    assert {e.name: e.class_name for e in folders.scan(top, for_training=False).entries} == expected
    assert labelled.note(top, None) is None


def test_class_folders_keep_theirs_where_the_journal_says_nothing(top, read):
    draw_tree(top, {"cat": 5, "dog": 5, "sorted out": 1})
    draw_blur(top / "new.png", 77)
    labels = {"cat/000.png": "dog", "dog/000.png": "owl", "new.png": "owl", "sorted out/000.png": None,
              "cat/001.png": "cat"}  # fmt: skip
    file = write(top / "labels.csv", labels)
    sets = read(labels=file)
    found = classes_of(sets)
    assert found["cat/000.png"] == "dog" and found["dog/000.png"] == found["new.png"] == "owl"
    assert sets.classes == ["cat", "dog", "owl"] and len(found) == 11
    told = sets.preflight.labels
    assert (told.labelled, told.removed, told.by_folder, told.unlabelled) == (4, 1, 7, 0)
    # Without the flag they are class folders, and the user is told.
    assert read().classes == ["cat", "dog", "sorted out"]
    assert labelled.note(top, None).endswith(f"--labels {file} trains by them")
    assert labelled.note(top, file) is None


def test_a_folder_whose_class_has_another_name_is_trained_on_by_that(top, read, tmp_path):
    draw_tree(top, {"cat": 4, "dog": 5})
    journal = Journal(tmp_path / "labels.csv", ["cat", "dog"])
    journal.act("a", {"cat/000.png": "dog"}, {})
    journal.rename("r", "cat", "kitten", {})
    journal.undo("u", "a")
    assert Counter(classes_of(read(labels=journal.file)).values()) == {"kitten": 4, "dog": 5}
    journal.rename("s", "dog", "hound", {})
    journal.act("b", {"cat/001.png": "kitten"}, {})
    assert read(labels=journal.file).classes == ["hound", "kitten"], "no label is a folder's name by now"
    journal.rename("t", "hound", "kitten", {})
    journal.act("c", {"dog/000.png": "pup"}, {})
    assert Counter(classes_of(read(labels=journal.file)).values()) == {"kitten": 8, "pup": 1}


def test_folders_of_which_no_label_is_a_class_are_none(top, read, tmp_path):
    draw_tree(top, {"100CANON": 6, "101CANON": 6})
    file = write(tmp_path / "labels.csv", {f"100CANON/00{n}.png": "ab"[n % 2] for n in range(6)})
    assert read(labels=file).classes == ["a", "b"] and read(labels=file).preflight.labels.unlabelled == 6
    assert read(labels=file, classes=["b", "a"]).classes == ["b", "a"]
    with pytest.raises(UsageError, match="no class c; the classes are a, b"):
        read(labels=file, classes=["a", "c"])


def test_folders_whose_pictures_are_left_out_alone_stay_classes(top, read, tmp_path):
    draw_tree(top, {"cat": 6, "dog": 6})
    sets = read(labels=write(tmp_path / "labels.csv", {"cat/000.png": None}))
    assert sets.classes == ["cat", "dog"] and len(classes_of(sets)) == 11


def test_labels_follow_pictures_that_were_moved_and_leave_those_that_changed(top, read, tmp_path):
    labels = heap(top)
    names = [name for name, label in labels.items() if label]
    first = read(labels=write(tmp_path / "names.csv", labels))
    digests = {record.entry.name: record.digest for record in first.records}
    file = tmp_path / "labels.csv"
    Journal(file).act("a", labels, digests)
    assert read(labels=file).preflight.labels.unmatched == {}
    moved, changed, damaged, gone = names[:4]
    (top / moved).rename(top / "moved.png")
    draw_blur(top / changed, 999)
    (top / damaged).write_bytes(b"no picture at all")
    (top / gone).unlink()
    sets = read(labels=file)
    found = classes_of(sets)
    assert found["moved.png"] == labels[moved] and len(found) == len(names) - 3
    assert sets.preflight.labels.unmatched == {
        changed: "changed since", damaged: "not a picture", gone: "not found",
    }  # fmt: skip
    assert "Labels that were not applied: 3" in sets.preflight.lines() and not sets.preflight.clean


def test_a_split_and_fixes_go_on_top(top, read, tmp_path):
    draw_tree(top / "train", {"cat": 3, "dog": 3})
    draw_tree(top / "val", {"cat": 2, "dog": 2})
    file = write(tmp_path / "labels.csv", {"train/cat/000.png": "dog", "val/dog/000.png": "cat"})
    (tmp_path / "fixes.csv").write_text("file,new_label\ntrain/cat/000.png,remove\n")
    sets = read(labels=file, fixes=tmp_path / "fixes.csv")
    assert "train/cat/000.png" not in classes_of(sets)
    assert dict(zip(sets.valid.names, sets.valid.classes, strict=True))["val/dog/000.png"] == "cat"
    assert len(sets.valid.names) == 4


def test_what_no_training_can_be_made_from_is_told(top, read, tmp_path):
    draw_tree(top, {"a": 6})
    file = tmp_path / "labels.csv"
    with pytest.raises(UsageError, match="no such file of labels"):
        read(labels=file)
    file.write_text("file,label\na/001.png,cat\n")
    with pytest.raises(UsageError, match="not written by pigeonhole label"):
        read(labels=file)
    file.unlink()
    write(file, {"a/001.png": None})
    with pytest.raises(PigeonholeError, match="labels no picture"):
        read(labels=file)
    with file.open("a") as typed:
        typed.write(",,a/003.png,Cat,,,\n")
    with pytest.raises(PigeonholeError, match=r"only one class \(Cat\); label pictures of a second"):
        read(labels=file)
    with file.open("a") as typed:
        typed.write(",,a/005.png,cat,,,\n")
    with pytest.raises(PigeonholeError, match="Cat and cat differ in upper and lower case alone"):
        read(labels=file)


def test_the_check_takes_the_flag(top, tmp_path, capsys):
    file = write(tmp_path / "labels.csv", heap(top))
    assert check.main([str(top), "--labels", str(file), "--cache-dir", str(tmp_path / "cache")]) == 0
    assert f"Labels of {file}: 19 pictures labelled" in capsys.readouterr().out
