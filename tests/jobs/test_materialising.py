"""Labels as class folders: nothing is replaced, an interrupted call goes on, and all can be undone."""

import os
from pathlib import Path

import pytest

from pigeonhole.data import folders
from pigeonhole.data.cache import Cache
from pigeonhole.errors import UsageError
from pigeonhole.jobs import materialising
from pigeonhole.jobs.bulk import sorting
from pigeonhole.jobs.bulk.sorting import SortedFolder
from pigeonhole.labelling.opening import opened
from tests.support.drawn_folders import draw_blur, draw_tree

TARGET = Path("classes")


@pytest.fixture(autouse=True)
def heap(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for number, name in enumerate(("a/1.png", "a/b/1.png", "2.png", "3.png", "4.png")):
        draw_blur(Path("heap") / name, number)
    found = workbench()
    labels = {"a/1.png": "cat", "a/b/1.png": "cat", "2.png": "dog", "3.png": None}
    found.journal.act("a", labels, found.collection.digests)


def workbench(place="heap"):
    return opened(Path(place), Cache(Path("cache")), Path("labels.csv"), progress=False)


def files(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("link", [False, True])
def test_labelled_pictures_become_class_folders_and_undo_takes_them_away(link):
    before = files(Path("heap"))
    assert materialising.materialise(workbench(), TARGET, link, progress=False).made == 3
    tree = folders.scan(TARGET)
    assert tree.classes == ["cat", "dog"] and len(tree.entries) == 3
    assert TARGET.joinpath("cat/1.png").samefile("heap/a/1.png") is link
    assert {*files(TARGET / "cat").values()} == {before["a/1.png"], before["a/b/1.png"]}
    again = materialising.materialise(workbench(), TARGET, link, progress=False)
    assert (again.made, again.present) == (0, 3)
    assert all(reason is None for _, reason in sorting.undo(TARGET / sorting.UNDO))
    assert not TARGET.exists() and files(Path("heap")) == before


def test_a_class_folder_whose_class_has_another_name_is_made_by_that():
    draw_tree(Path("tree"), {"cat": 2, "dog": 1})
    workbench("tree").journal.rename("r", "cat", "kitten", {})
    assert materialising.materialise(workbench("tree"), TARGET, progress=False).made == 3
    assert folders.scan(TARGET).classes == ["dog", "kitten"]


def test_further_labels_are_added_and_changed_ones_told():
    materialising.materialise(workbench(), TARGET, progress=False)
    found = workbench()
    found.journal.act("b", {"4.png": "owl"}, found.collection.digests)
    assert materialising.materialise(workbench(), TARGET, progress=False).made == 1
    found.journal.act("c", {"2.png": "cat"}, found.collection.digests)
    with pytest.raises(UsageError, match=r"1 picture put there by earlier labels \(dog/2.png\)"):
        materialising.materialise(workbench(), TARGET, progress=False)
    found.journal.act("d", {"2.png": None}, found.collection.digests)
    with pytest.raises(UsageError, match=r"--undo classes/undo\.csv"):
        materialising.materialise(workbench(), TARGET, progress=False)


def test_a_file_that_is_there_is_never_replaced():
    (TARGET / "cat").mkdir(parents=True)
    (TARGET / "cat/1.png").write_bytes(b"mine")
    materialising.materialise(workbench(), TARGET, progress=False)
    assert (TARGET / "cat/1.png").read_bytes() == b"mine" and len(files(TARGET / "cat")) == 3


def test_an_interrupted_call_is_made_again(monkeypatch):
    put, calls = SortedFolder.add, []

    def interrupted(self, answers):
        calls.append(answers)
        if len(calls) == 2:
            raise KeyboardInterrupt
        put(self, answers)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(SortedFolder, "add", interrupted)
        materialising.materialise(workbench(), TARGET, progress=False)
    outcome = materialising.materialise(workbench(), TARGET, progress=False)
    assert (outcome.made, outcome.present) == (2, 1) and len(folders.scan(TARGET).entries) == 3


def test_class_folders_keep_undecided_pictures_in_their_class():
    draw_tree(Path("sorted"), {"cat": 2, "dog": 2})
    found = workbench("sorted")
    assert set(found.labels().values()) == {"cat", "dog"}
    materialising.materialise(found, TARGET, progress=False)
    assert len(folders.scan(TARGET).entries) == 4


def test_what_cannot_be_is_told():
    with pytest.raises(UsageError, match="lies among the pictures themselves"):
        materialising.materialise(workbench(), Path("heap/classes"), progress=False)
    os.remove("labels.csv")
    with pytest.raises(UsageError, match="no picture has a label yet"):
        materialising.materialise(workbench(), TARGET, progress=False)
    assert not TARGET.exists()
