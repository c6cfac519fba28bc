"""Frames of one recording stay together, wherever they lie, and their folder is no class."""

import pytest

from pigeonhole.data import bursts, dataset, folders, label_table, layout, split
from pigeonhole.data.folders import Entry, Record
from pigeonhole.errors import PigeonholeError
from pigeonhole.labelling.journal import Journal
from tests.support.drawn_folders import draw_tree

FIRST, SECOND = bursts.new(), bursts.new()


def record(tmp_path, name: str, number: int) -> Record:
    return Record(Entry(tmp_path, name, name.split("/")[0]), None, f"{number:064x}", "jpeg", 20, 20)


def test_a_file_name_tells_its_recording():
    assert FIRST != SECOND
    name = bursts.file_name(FIRST, 7)
    assert bursts.of(f"camera-recordings/{name}") == bursts.of(f"mug/{name}") == FIRST
    assert bursts.of(bursts.file_name(FIRST, 12345)) == FIRST
    assert bursts.of("mug/photo.jpg") is bursts.of(f"{FIRST}/photo.jpg") is None


@pytest.mark.parametrize("seed", range(5))
def test_the_frames_of_a_recording_are_on_one_side(tmp_path, seed):
    names = [f"mug/{bursts.file_name(burst, n)}" for burst in (FIRST, SECOND) for n in range(1, 11)]
    records = [record(tmp_path, name, number) for number, name in enumerate([*names, "mug/alone.jpg"])]
    sides = split.assign(records, 0.4, seed)
    for burst in (FIRST, SECOND):
        assert len({sides[name] for name in names if bursts.of(name) == burst}) == 1
    assert {*sides.values()} == {"train", "valid"}
    assert [len(group) for group in bursts.groups(records)] == [10, 10, 1]


def test_recordings_beside_class_folders_are_no_class_and_are_told_of(tmp_path):
    draw_tree(tmp_path, {"cat": 3, "dog": 3, layout.RECORDINGS: 2})
    tree = folders.scan(tmp_path)
    assert tree.classes == ["cat", "dog"] and len(tree.entries) == 6
    assert [name.split("/")[0] for name in tree.strays] == [layout.RECORDINGS] * 2


def test_recordings_alone_are_trained_on_by_their_journal(tmp_path):
    folder = tmp_path / "things"
    draw_tree(folder, {layout.RECORDINGS: 12})
    with pytest.raises(PigeonholeError, match="no class folders"):
        folders.scan(folder)
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.*"))
    journal = Journal(folder / "labels.csv")
    for number, name in enumerate(names):
        journal.act(f"a{number}", {name: ("mug", "cup")[number % 2]}, {})
    assert label_table.find(folder) == folder / "labels.csv"
    sets = dataset.read_train_sets(folder, 16, cache_dir=tmp_path / "cache", progress=False)
    assert sets.classes == ["cup", "mug"] and sets.everything.num_examples == len(names)
