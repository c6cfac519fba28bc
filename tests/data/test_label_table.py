"""Pictures whose classes stand in a labels.csv beside them."""

import json

import pytest

from pigeonhole.commands import check
from pigeonhole.data import folders, label_table
from pigeonhole.data.dataset import read_train_sets
from pigeonhole.errors import PigeonholeError, UsageError
from tests.support.saved_runs import write_picture

LABELS = {f"{number}.png": ("cat", "dog", "été")[number % 3] for number in range(30)}
TABLE = "file,label\n" + "".join(f"{name},{label}\n" for name, label in LABELS.items())


@pytest.fixture
def top(tmp_path):
    for number in range(30):
        write_picture(tmp_path / "data" / "images" / f"{number}.png", number)
    return tmp_path / "data"


def write(top, text, encoding="utf-8"):
    (top / "labels.csv").write_bytes(text.encode(encoding))
    return top


def found(top) -> dict[str, str]:
    return {entry.name: entry.class_name for entry in folders.scan(top).entries}


EXPECTED = {f"images/{name}": label for name, label in LABELS.items()}


@pytest.mark.parametrize(
    "text",
    [
        TABLE,
        "\ufeff" + TABLE.replace("\n", "\r\n").replace(",", ";"),
        TABLE.replace("\n", "\nimages/").removesuffix("images/"),
        TABLE.replace("\n", "\n./images\\").removesuffix("./images\\"),
        "label\tnote\tfile\n" + "".join(f"{label}\tx\t{name}\n" for name, label in LABELS.items()),
        TABLE.replace("été", "e\u0301te\u0301") + "1.png,dog\n\n",
    ],
    ids=["plain", "spreadsheet", "with folder", "windows", "other order", "twice the same"],
)
def test_the_table_gives_the_classes(top, text):
    tree = folders.scan(write(top, text))
    assert found(top) == EXPECTED and tree.classes == ["cat", "dog", "été"] and not tree.strays


def test_pictures_may_lie_beside_the_table_itself(top):
    for picture in (top / "images").iterdir():
        picture.rename(top / picture.name)
    (top / "images").rmdir()
    assert found(write(top, TABLE)) == LABELS


def test_what_the_table_leaves_out_is_a_stray_and_what_is_absent_is_skipped(top):
    (top / "images" / "29.png").unlink()
    write_picture(top / "images" / "more.png")
    (top / "notes.txt").touch()
    tree = folders.scan(write(top, TABLE))
    assert tree.strays == ["images/more.png", "notes.txt"]
    assert [entry.problem for entry in tree.entries if entry.problem] == [label_table.ABSENT]


def test_a_part_of_the_classes(top):
    tree = folders.scan(write(top, TABLE), ["dog", "cat"])
    assert tree.classes == ["dog", "cat"] and {entry.class_name for entry in tree.entries} == {"cat", "dog"}
    with pytest.raises(UsageError, match="no class bird; the classes are cat, dog, été"):
        folders.scan(top, ["bird"])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name,label\n1.png,cat\n", "line 1: must name the columns file and label"),
        ("file,label\n", "names no picture"),
        ("file,label\n1.png,\n", "line 2: images/1.png has no label"),
        ("file,label\n,cat\n", "line 2: 'no name'; name a file in"),
        ("file,label\n../other/1.png,cat\n", "line 2: '../other/1.png'; name a file in"),
        ("file,label\n/etc/passwd,cat\n", "line 2: '/etc/passwd'; name a file in"),
        ("file,label\n1.png,cat\nimages/1.png,dog\n", "line 3: images/1.png is labelled dog, and cat before"),
        ('file,label\n1.png,"a\nb"\n2.png,dog\n', "the class name 'a.nb' holds a control character"),
        ("file,label\n1.png,cat\n", "only one class"),
    ],
)
def test_what_is_wrong_in_a_table_is_told_with_its_line(top, text, said):
    with pytest.raises(PigeonholeError, match=said):
        folders.scan(write(top, text))


def test_a_table_beside_class_folders_is_left_alone(top):
    for name in ("cat", "dog"):
        write_picture(top / name / "1.png")
    (top / "images").rename(top / "bird")
    tree = folders.scan(write(top, TABLE))
    assert tree.classes == ["bird", "cat", "dog"] and tree.strays == ["labels.csv"]


def test_check_and_training_take_it(top, capsys):
    check.main([str(write(top, TABLE)), "--json", "--no-cache"])
    assert json.loads(capsys.readouterr().out)["preflight"]["used"] == 30
    sets = read_train_sets(top, 16, validation_size=0.3, no_cache=True)
    for data in (sets.train, sets.valid):
        for name, label in zip(data.names, data.classes, strict=True):
            assert EXPECTED[name] == label
