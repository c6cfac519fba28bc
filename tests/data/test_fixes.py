import csv
import dataclasses
import hashlib
from pathlib import Path

import cv2
import pytest

from pigeonhole.data import fixes, split
from pigeonhole.data.dataset import read_train_sets
from pigeonhole.data.fixes import Fix, Suspect
from pigeonhole.data.folders import Entry, Record
from pigeonhole.errors import PigeonholeError, UsageError
from tests.support.saved_runs import write_picture

CLASSES = ["cat", "dog", "été"]
HEADER = "file,label,suggested,confidence,new_label,digest\n"


def digest(content: str) -> str:
    return hashlib.sha256(content.encode("utf-8", "surrogateescape")).hexdigest()


def record(name: str, content: str | None = None, skipped: str | None = None) -> Record:
    """The record of a file `<class>/<name>`; `content` defaults to the name."""
    return Record(Entry(Path("/root"), name, name.split("/")[0]), skipped, digest(content or name))


def suspect(name: str, suggested: str) -> Suspect:
    return Suspect(name, name.split("/")[0], suggested, 0.0125, 0.97, 0.9)


def table(tmp_path: Path, text: str, encoding: str = "utf-8") -> Path:
    file = tmp_path / "fixes.csv"
    file.write_bytes(text.encode(encoding))
    return file


def classes_of(overlay: fixes.Overlay) -> dict[str, str]:
    return {r.entry.name: r.entry.class_name for r in overlay.records if r.skipped is None}


def test_the_table_lists_the_suspects_in_order_with_nothing_decided(tmp_path):
    found = [suspect("dog/1.png", "cat"), suspect('cat/a, "b".png', "été"), suspect("cat/\udcff.png", "dog")]
    fixes.write(tmp_path / "fixes.csv", found, {one.name: digest(one.name) for one in found})
    data = (tmp_path / "fixes.csv").read_bytes()
    assert data.startswith(b"\xef\xbb\xbffile,label,suggested,confidence,new_label,digest\n")
    assert f"dog/1.png,dog,cat,0.9700,,{digest('dog/1.png')}\n".encode() in data
    assert b"\ncat/\xff.png,cat,dog," in data
    with (tmp_path / "fixes.csv").open(encoding="utf-8-sig", errors="surrogateescape", newline="") as source:
        assert [row["file"] for row in csv.DictReader(source)] == [one.name for one in found]
    assert fixes.read(tmp_path / "fixes.csv", CLASSES) == []


def test_every_new_table_carries_the_earlier_decisions(tmp_path):
    decided = [
        Fix("dog/1.png", "cat", digest("dog/1.png")),
        Fix("cat/\udcff.png", None, digest("x")),
        Fix("cat/9", "dog"),
    ]
    found = [suspect("cat/2.png", "dog"), suspect("dog/1.png", "été")]
    fixes.write(tmp_path / "fixes.csv", found, {one.name: digest(one.name) for one in found}, decided)
    assert fixes.read(tmp_path / "fixes.csv", CLASSES) == decided
    assert (tmp_path / "fixes.csv").read_bytes().count(b"dog/1.png") == 1
    assert b"cat/2.png,cat,dog,0.9700,," in (tmp_path / "fixes.csv").read_bytes()


D1, D2 = digest("1"), digest("2")
DECIDED = [Fix("cat/1.png", "dog", D1), Fix("cat/2.png", None, D2), Fix("dog/3.png", "été")]
EDITED = (
    f"cat/1.png,cat,dog,0.9,dog,{D1}\ncat/2.png,cat,dog,0.9,remove,{D2}\ncat/4.png,cat,dog,0.9,,{D1}\n"
    "dog/3.png,dog,cat,0.9,été,\n"
)


@pytest.mark.parametrize(
    "text",
    [
        HEADER + EDITED,
        "\ufeff" + HEADER + EDITED,
        (HEADER + EDITED).replace("\n", "\r\n"),
        (HEADER + EDITED).replace("\n", "\r"),
        (HEADER + EDITED).replace(",", ";"),
        (HEADER + EDITED).replace(",", "\t"),
        (HEADER + EDITED).replace("remove", " Remove "),
        HEADER + EDITED.replace("été", "e\u0301te\u0301"),
        HEADER + EDITED.replace(D1, D1.upper()) + ",,,,,\n\n",
        HEADER.replace("\n", ",note\n") + EDITED.replace("dog,0.9,dog," + D1, "dog,0.9,dog," + D1 + ",sure"),
        f"digest;new_label;who;file\n{D1};dog;me;cat/1.png\n{D2};remove;;cat/2.png\n;été;;dog/3.png\n",
    ],
    ids=[
        "as written",
        "mark",
        "crlf",
        "cr",
        "semicolon",
        "tab",
        "word",
        "nfd",
        "blank lines",
        "note",
        "order",
    ],
)
def test_what_spreadsheets_make_of_the_table_is_read(tmp_path, text):
    assert fixes.read(table(tmp_path, text), CLASSES) == DECIDED


def test_lines_may_be_in_any_order(tmp_path):
    lines = EDITED.splitlines(keepends=True)
    assert fixes.read(table(tmp_path, HEADER + "".join(reversed(lines))), CLASSES) == DECIDED[::-1]


def test_two_columns_suffice_for_fixes_written_by_hand(tmp_path):
    file = table(tmp_path, "file,new_label\ncat/1.png,dog\ncat/2.png\n")
    assert fixes.read(file, CLASSES) == [Fix("cat/1.png", "dog")]


def test_a_class_called_remove_goes_before_the_word(tmp_path):
    file = table(tmp_path, "file,new_label\ncat/1.png,remove\n")
    assert fixes.read(file, ["cat", "remove"]) == [Fix("cat/1.png", "remove")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: must name the columns file and new_label; save the table as CSV"),
        ("path,class,side,digest\n", "line 1: must name the columns"),
        (HEADER + "cat/1.png,cat,dog,0.9,wolf,\n", "line 2: no class 'wolf'; give cat, dog, été, or remove"),
        (HEADER + "a,,,,,\n\ncat/1.png,cat,dog,0.9,DOG,\n", "line 4: no class 'DOG'"),
        (HEADER + '"a\nb",,,,,\ncat/1.png,,,,wolf,\n', "line 4: no class 'wolf'"),
        (HEADER + "cat/1.png,cat,dog,0.9,dog,1.2E+63\n", "line 2: '1.2e\\+63' is no digest"),
        (HEADER + f"cat/1.png,cat,dog,0.9,,{D1}0\n", "line 2: .* is no digest"),
        (HEADER + f",cat,dog,0.9,dog,{D1}\n", "line 2: names no file"),
        (HEADER + f"cat/a,b.png,cat,dog,0.9,dog,{D1}\n", "line 2: 7 fields under 6 columns"),
        (HEADER + "cat/1.png,,,,dog,\ncat/1.png,,,,cat,\n", "line 3: cat/1.png is decided twice"),
        (HEADER + '"cat/1.png,' + "x" * 200_000, "line 2: field larger than field limit"),
    ],
)
def test_a_wrong_line_is_refused_by_its_number(tmp_path, text, message):
    with pytest.raises(PigeonholeError, match=f"fixes.csv, {message}") as caught:
        fixes.read(table(tmp_path, text), CLASSES)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"PK\x03\x04\x14\0\r\n\0\0", "file;new_label".encode("utf-16")])
def test_a_workbook_is_no_table(tmp_path, content):
    (tmp_path / "fixes.csv").write_bytes(content)
    with pytest.raises(PigeonholeError, match=r"line 1: .*save the table as CSV \(UTF-8\)"):
        fixes.read(tmp_path / "fixes.csv", CLASSES)


def test_a_missing_table_is_a_usage_error(tmp_path):
    with pytest.raises(UsageError, match="no such file of fixes"):
        fixes.read(tmp_path / "fixes.csv", CLASSES)


def test_fixes_change_classes_and_leave_out():
    records = [record(f"{c}/{n}.png") for c in ("cat", "dog") for n in range(3)]
    decided = [
        Fix("dog/2.png", "cat", digest("dog/2.png")),
        Fix("cat/1.png", None),
        Fix("cat/0.png", "cat", digest("cat/0.png")),
    ]
    overlay = fixes.apply(decided, records)
    assert classes_of(overlay) == {
        "cat/0.png": "cat",
        "cat/2.png": "cat",
        "dog/0.png": "dog",
        "dog/1.png": "dog",
        "dog/2.png": "cat",
    }
    assert [r.entry.name for r in overlay.records] == [r.entry.name for r in records]
    assert overlay.records[1].skipped == "left out by the fixes"
    assert overlay.records[5] == dataclasses.replace(
        records[5], entry=dataclasses.replace(records[5].entry, class_name="cat")
    )
    assert overlay.relabelled == {"dog/2.png": ("dog", "cat")}
    assert overlay.removed == ["cat/1.png"]
    assert overlay.unmatched == {}
    assert overlay.line() == "Fixes: 1 label changed, 1 picture left out"
    assert records == [record(f"{c}/{n}.png") for c in ("cat", "dog") for n in range(3)]


def test_a_fix_that_finds_its_picture_no_more_is_named():
    records = [record("cat/1.png", "edited"), record("cat/2.png", skipped="empty"), record("cat/3.png")]
    decided = [Fix(f"cat/{n}.png", "dog", digest(f"cat/{n}.png")) for n in range(3)]
    records.append(record("cat/5.png", skipped="not a picture"))
    overlay = fixes.apply([*decided, Fix("cat/4.png", None), Fix("cat/5.png", "dog")], records)
    assert overlay.records == records
    assert overlay.unmatched == {
        "cat/0.png": "not found",
        "cat/1.png": "changed since",
        "cat/2.png": "empty",
        "cat/4.png": "not found",
        "cat/5.png": "not a picture",
    }
    assert overlay.line() == "Fixes: 0 labels changed, 0 pictures left out, 5 fixes not applied"


def test_a_picture_that_was_renamed_is_known_by_its_content():
    records = [record("dog/renamed.png", "x"), record("cat/copy.png", "x"), record("cat/1.png", "new")]
    overlay = fixes.apply([Fix("cat/1.png", "dog", digest("x"))], records)
    assert classes_of(overlay) == {"dog/renamed.png": "dog", "cat/copy.png": "dog", "cat/1.png": "cat"}


def test_of_equal_pictures_the_fix_takes_the_one_it_names():
    records = [record("cat/1.png", "x"), record("dog/1.png", "x")]
    overlay = fixes.apply([Fix("dog/1.png", "été", digest("x"))], records)
    assert classes_of(overlay) == {"cat/1.png": "cat", "dog/1.png": "été"}


def test_fixes_that_contradict_each_other_are_not_both_applied():
    overlay = fixes.apply(
        [Fix("cat/1.png", "dog", D1), Fix("cat/2.png", "cat", D1)], [record("cat/renamed.png", "1")]
    )
    assert classes_of(overlay) == {"cat/renamed.png": "dog"}
    assert overlay.unmatched == {"cat/2.png": "contradicts another fix for the same content"}


@pytest.fixture
def folder(tmp_path) -> Path:
    """Two classes of 20 different pictures."""
    for number in range(40):
        class_name = "cat" if number < 20 else "dog"
        write_picture(tmp_path / "pictures" / class_name / f"{number}.png", number)
    return tmp_path / "pictures"


def by_name(data) -> dict[str, str]:
    return dict(zip(data.names, data.classes, strict=True))


def test_a_data_set_read_with_fixes_has_the_new_labels_and_every_old_pixel(folder, tmp_path):
    fixed = {"cat/3.png": "dog", "cat/4.png": "dog", "dog/21.png": "cat"}
    rows = "".join(f"{name},{label}\n" for name, label in fixed.items())
    file = table(tmp_path, f"file,new_label\n{rows}cat/5.png,remove\ncat/gone.png,dog\n")
    options = {"image_size": 8, "no_cache": True}
    before, after = read_train_sets(folder, **options), read_train_sets(folder, fixes=file, **options)
    expected = by_name(before.everything) | fixed
    del expected["cat/5.png"]
    assert by_name(after.everything) == expected
    assert by_name(after.train) | by_name(after.valid) == expected
    pixels = dict(zip(before.everything.names, before.everything.images[:], strict=True))
    for name, image in zip(after.everything.names, after.everything.images[:], strict=True):
        assert (image == pixels[name]).all()


def test_fixes_move_no_picture_to_the_other_side(folder, tmp_path):
    names = [f"cat/{n}.png" for n in range(10)]
    file = table(
        tmp_path, "file,new_label\n" + "".join(f"{name},dog\n" for name in names) + "dog/30.png,remove\n"
    )
    options = {"image_size": 8, "no_cache": True, "validation_size": 0.5}
    before, after = read_train_sets(folder, **options), read_train_sets(folder, fixes=file, **options)
    assert after.sides == {name: side for name, side in before.sides.items() if name != "dog/30.png"}
    assert set(after.train.names) == set(before.train.names) - {"dog/30.png"}
    split.write_split(tmp_path / "split.csv", after.records, after.sides)
    with (tmp_path / "split.csv").open(encoding="utf-8", newline="") as source:
        written = {row["path"]: (row["class"], row["side"]) for row in csv.DictReader(source)}
    classes = by_name(after.everything)
    assert written == {name: (classes[name], side) for name, side in after.sides.items()}
    assert written["cat/0.png"][0] == "dog"


def test_not_even_a_class_without_validation_pictures_moves_one(folder, tmp_path):
    before = read_train_sets(folder, 8, no_cache=True)
    rows = "".join(f"{name},dog\n" for name, label in by_name(before.valid).items() if label == "cat")
    after = read_train_sets(folder, 8, no_cache=True, fixes=table(tmp_path, f"file,new_label\n{rows}"))
    assert set(by_name(after.valid).values()) == {"dog"}
    assert after.sides == before.sides


def test_the_pre_flight_counts_the_fixes_and_names_those_not_applied(folder, tmp_path):
    file = table(tmp_path, "file,new_label\ncat/3.png,dog\ncat/5.png,remove\ncat/gone.png,dog\n")
    preflight = read_train_sets(folder, 8, no_cache=True, fixes=file).preflight
    text = "\n".join(preflight.lines())
    assert "Fixes: 1 label changed, 1 picture left out, 1 fix not applied" in text
    assert "cat/gone.png   not found" in text
    assert "cat/5.png   left out by the fixes" in text
    assert preflight.classes["dog"].used == 21
    assert preflight.classes["cat"].used == 18
    assert preflight.to_json()["fixes"] == {
        "relabelled": {"cat/3.png": {"from": "cat", "to": "dog"}},
        "removed": ["cat/5.png"],
        "unmatched": {"cat/gone.png": "not found"},
    }


def test_a_fix_that_is_not_applied_is_a_finding(folder, tmp_path):
    assert read_train_sets(folder, 8, no_cache=True).preflight.clean
    applied = table(tmp_path, "file,new_label\ncat/3.png,dog\n")
    assert read_train_sets(folder, 8, no_cache=True, fixes=applied).preflight.clean
    gone = table(tmp_path, "file,new_label\ncat/gone.png,dog\n")
    assert not read_train_sets(folder, 8, no_cache=True, fixes=gone).preflight.clean


def test_fixing_contradictory_copies_ends_the_contradiction(folder, tmp_path):
    original = (folder / "cat" / "0.png").read_bytes()
    (folder / "dog" / "copy.png").write_bytes(original)
    picture = cv2.imread(str(folder / "cat" / "1.png"))
    (folder / "dog" / "alike.jpg").write_bytes(cv2.imencode(".jpg", picture)[1].tobytes())
    options = {"image_size": 32, "no_cache": True}
    before = read_train_sets(folder, **options).preflight
    assert before.copies_across == [["cat/0.png", "dog/copy.png"]]
    assert before.look_alikes_across == [("cat/1.png", "dog/alike.jpg")]
    file = table(tmp_path, "file,new_label\ndog/copy.png,cat\ndog/alike.jpg,remove\n")
    after = read_train_sets(folder, fixes=file, **options).preflight
    assert (after.copies_across, after.look_alikes_across) == ([], [])
    assert (after.copies, after.look_alikes) == ([["cat/0.png", "dog/copy.png"]], [])


def test_no_file_is_touched(folder, tmp_path):
    file = table(tmp_path, "file,new_label\ncat/3.png,dog\ncat/5.png,remove\n")
    before = {path: path.stat().st_mtime_ns for path in [file, *folder.rglob("*")]}
    read_train_sets(folder, 8, no_cache=True, fixes=file)
    assert {path: path.stat().st_mtime_ns for path in [file, *folder.rglob("*")]} == before


def test_a_class_emptied_by_fixes_cannot_be_trained_on(folder, tmp_path):
    rows = "".join(f"cat/{n}.png,dog\n" for n in range(19))
    sets = read_train_sets(folder, 8, no_cache=True, fixes=table(tmp_path, f"file,new_label\n{rows}"))
    with pytest.raises(PigeonholeError, match="fewer than two usable pictures in cat"):
        sets.preflight.require_trainable()
