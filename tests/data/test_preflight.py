import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from pigeonhole.data.cache import Cache
from pigeonhole.data.dataset import read_train_sets
from pigeonhole.data.duplicates import Pair, near_duplicates
from pigeonhole.data.folders import Entry, Record, Tree, scan
from pigeonhole.data.preflight import Preflight
from pigeonhole.errors import PigeonholeError
from pigeonhole.pictures.images import Preprocessing
from pigeonhole.terminal import width


def record(name: str, digest: str = "", format: str = "jpeg", oddities: tuple[str, ...] = ()) -> Record:
    return Record(Entry(Path(), name, name.split("/")[-2]), None, digest or name, format, 8, 8, oddities)


def skipped(name: str, reason: str) -> Record:
    return Record(Entry(Path(), name, name.split("/")[-2]), reason)


def check(records: list[Record], pairs: list[Pair] = (), **tree: object) -> Preflight:
    classes = sorted({record.entry.class_name for record in records})
    found = Tree(Path("data"), classes, [record.entry for record in records], **tree)
    return Preflight.from_records(found, records, list(pairs))


def good(count: int = 10, classes: str = "ab") -> list[Record]:
    return [record(f"{c}/{number}.jpg") for c in classes for number in range(count)]


def text(report: Preflight) -> str:
    return "\n".join(report.lines())


def test_a_folder_in_good_order_says_so_and_is_clean():
    report = check(good())
    assert report.clean
    assert report.lines() == [
        "data: 20 files found = 20 used + 0 skipped",
        "",
        "  class     found      used   skipped",
        "  a            10        10         0",
        "  b            10        10         0",
        "",
        "Nothing was skipped, nothing is there twice, nothing contradicts itself.",
    ]


def test_found_is_used_and_skipped_in_all_and_in_each_class():
    report = check([*good(), skipped("a/x.jpg", "empty"), skipped("b/y.txt", "not a picture")])
    assert (report.found, report.used, len(report.skipped)) == (22, 20, 2)
    assert {name: (c.found, c.used, c.skipped) for name, c in report.classes.items()} == {
        "a": (11, 10, 1),
        "b": (11, 10, 1),
    }
    assert "data: 22 files found = 20 used + 2 skipped" in report.lines()
    assert "  a            11        10         1" in report.lines()


def test_each_skipped_file_is_listed_with_its_reason_and_is_not_clean():
    report = check([*good(), skipped("a/long name.jpg", "empty"), skipped("b/y.txt", "not a picture")])
    start = report.lines().index("Skipped: 2")
    assert report.lines()[start + 1 : start + 3] == [
        "  a/long name.jpg   empty",
        "  b/y.txt           not a picture",
    ]
    assert not report.clean
    assert report.to_json()["skipped"][0] == {"name": "a/long name.jpg", "reason": "empty"}


def test_long_lists_are_cut_in_the_terminal_and_never_in_json():
    report = check([*good(), *(skipped(f"a/x{number}.jpg", "empty") for number in range(47))])
    assert "  ... and 37 more; --json lists all" in report.lines()
    assert len([line for line in report.lines() if line.endswith("empty")]) == 10
    assert len(report.to_json()["skipped"]) == 47


@pytest.mark.parametrize(
    "oddity", ["turned by EXIF", "16-bit", "grey", "transparent", "CMYK", "palette", "animated"]
)
def test_odd_pictures_are_counted_and_named_and_no_fault(oddity):
    odd = [record(f"a/odd{number}.jpg", oddities=(oddity,)) for number in range(5)]
    report = check([*good(), *odd])
    assert f"{oddity}: 5 pictures (a/odd0.jpg, a/odd1.jpg, a/odd2.jpg and 2 more)" in report.lines()
    assert report.to_json()["oddities"] == {oddity: [f"a/odd{number}.jpg" for number in range(5)]}
    assert report.clean


@pytest.mark.parametrize(
    ("name", "format", "wrong"),
    [
        ("a/x.png", "jpeg", True),
        ("a/x.txt", "png", True),
        ("a/x.JPG", "jpeg", False),
        ("a/x.jpeg", "jpeg", False),
        ("a/x", "jpeg", False),
    ],
)
def test_an_extension_that_disagrees_with_the_content(name, format, wrong):
    report = check([*good(), record(name, format=format)])
    assert report.wrong_extensions == ({name: format} if wrong else {})
    assert report.clean is not wrong
    assert (f"is in fact {format.upper()}" in text(report)) is wrong


def test_copies_within_a_class_are_listed_and_clean():
    report = check([*good(), record("a/copy.jpg", "a/3.jpg")])
    assert report.copies == [["a/3.jpg", "a/copy.jpg"]]
    assert "The same picture more than once in a class: 1" in report.lines()
    assert "  a/3.jpg = a/copy.jpg" in report.lines()
    assert report.clean and "nothing is there twice" not in text(report)


def test_copies_under_two_labels_are_a_contradiction():
    report = check([*good(), record("b/copy.jpg", "a/3.jpg"), record("b/again.jpg", "a/3.jpg")])
    assert report.copies_across == [["a/3.jpg", "b/again.jpg", "b/copy.jpg"]] and report.copies == []
    assert "The same picture under two labels: 1" in report.lines()
    assert "  a/3.jpg = b/again.jpg = b/copy.jpg" in report.lines()
    assert not report.clean


def test_look_alikes_within_and_across_classes():
    report = check(good(), [("a/1.jpg", "a/2.jpg"), ("a/3.jpg", "b/4.jpg")])
    assert report.look_alikes == [("a/1.jpg", "a/2.jpg")]
    assert report.look_alikes_across == [("a/3.jpg", "b/4.jpg")]
    assert "Pictures that look the same under two labels: 1" in report.lines()
    assert "  a/3.jpg ~ b/4.jpg" in report.lines() and "  a/1.jpg ~ a/2.jpg" in report.lines()
    assert not report.clean
    assert check(good(), [("a/1.jpg", "a/2.jpg")]).clean


@pytest.mark.parametrize(("count", "warned"), [(29, False), (30, True)])
def test_imbalance_is_told_from_three_times_on(count, warned):
    report = check([*good(count, "a"), *good(10, "b")])
    assert report.imbalance == count / 10
    assert ("Unbalanced: the largest class is" in text(report)) is warned
    assert report.clean


def test_small_classes_are_told():
    report = check([*good(10, "a"), *good(9, "b")])
    assert report.small_classes == {"b": 9}
    assert "Too few pictures to learn much from, under 10: b 9" in report.lines()


def test_a_class_without_two_usable_pictures_cannot_be_trained():
    check(good(2)).require_trainable()
    report = check([*good(10, "a"), record("b/1.jpg"), skipped("b/2.jpg", "empty")])
    with pytest.raises(PigeonholeError, match="fewer than two usable pictures in b"):
        report.require_trainable()


def test_a_class_with_nothing_usable_is_still_reported():
    report = check([*good(10, "a"), skipped("b/2.jpg", "empty")])
    assert report.imbalance is None and report.classes["b"].used == 0
    json.dumps(report.to_json(), allow_nan=False)
    assert "b 0" in text(report)


def test_what_was_not_looked_at_is_said_in_one_line():
    report = check(good(), hidden=4, repeated_links=1, strays=["README"], left_alone=["test"])
    assert (
        "Not read: 1 file outside the class folders (README); without labels: test; "
        "4 hidden files and folders; 1 link to what was seen already"
    ) in report.lines()
    assert report.clean


def test_a_picture_beside_the_class_folders_was_left_out_unwillingly():
    assert not check(good(), strays=["forgotten.JPG"]).clean


def test_a_ready_made_split_is_told_and_its_leaks_are_a_contradiction():
    records = [record(f"{side}/{c}/{n}.jpg") for side in ("train", "val") for c in "ab" for n in range(10)]
    split = {r.entry.name: "train" if r.entry.name.startswith("train") else "valid" for r in records}
    report = check(records, split=split)
    assert "split by its folders: 20 pictures to train on, 20 to validate" in report.lines()
    assert report.clean
    leak = check(records, [("train/a/1.jpg", "val/a/2.jpg")], split=split)
    assert leak.on_both_sides == [["train/a/1.jpg", "val/a/2.jpg"]]
    assert "In the training and in the validation folder: 1" in leak.lines()
    assert not leak.clean


def test_names_that_a_terminal_cannot_show_stay_on_their_line():
    report = check([*good(), skipped("a/new\nline\x1b[31m.jpg", "empty"), skipped("a/\udcff.jpg", "empty")])
    text(report).encode("utf-8")
    assert not any("\n" in line or "\x1b" in line for line in report.lines())
    assert report.to_json()["skipped"][0]["name"] == "a/new\nline\x1b[31m.jpg"


def test_columns_are_aligned_for_every_script():
    report = check(
        [record(f"{c}/{n}.jpg") for c in ("ж", "犬と猫", "cafe\u0301", "longer name") for n in range(10)]
    )
    assert len({width(line) for line in report.lines()[2:7]}) == 1


def test_json_holds_everything():
    report = json.loads(json.dumps(check([*good(), skipped("a/x.jpg", "empty")]).to_json()))
    assert (report["found"], report["used"], report["clean"]) == (21, 20, False)
    assert report["classes"][0] == {"class": "a", "found": 11, "used": 10, "skipped": 1}


def test_a_folder_of_real_files(tmp_path):
    def draw(name: str, seed: int, quality: int = 95) -> None:
        random = np.random.default_rng(seed)
        coarse = random.integers(0, 256, (6, 8, 3), dtype=np.uint8)
        image = cv2.resize(coarse, (120, 90), interpolation=cv2.INTER_CUBIC)
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1])

    for number in range(10):
        draw(f"cats/{number}.jpg", number)
        draw(f"dogs/{number}.jpg", 100 + number)
    draw("dogs/cat again.jpg", 3, quality=60)
    shutil.copy(tmp_path / "cats" / "1.jpg", tmp_path / "cats" / "same.png")
    (tmp_path / "cats" / "cut.jpg").write_bytes((tmp_path / "cats" / "0.jpg").read_bytes()[:-2])
    (tmp_path / "dogs" / "notes.txt").write_text("not a picture")
    (tmp_path / "dogs" / "empty.jpg").touch()

    tree = scan(tmp_path)
    records, pixels = Cache(None).survey(tree, Preprocessing(32), False)
    report = Preflight.from_records(tree, records, near_duplicates(records, pixels))
    assert (report.found, report.used) == (25, 22)
    assert set(report.skipped) == {"cats/cut.jpg", "dogs/empty.jpg", "dogs/notes.txt"}
    assert report.copies == [["cats/1.jpg", "cats/same.png"]]
    assert report.wrong_extensions == {"cats/same.png": "jpeg"}
    assert report.look_alikes_across == [("cats/3.jpg", "dogs/cat again.jpg")]
    assert not report.clean


def test_pictures_that_show_nothing_are_noted(tmp_path):
    for name, top in (("dark", 4095), ("light", 65535)):
        (tmp_path / name).mkdir()
        for number in range(3):
            values = np.linspace(0, top, 16 * 16).reshape(16, 16).astype(np.uint16) + number
            cv2.imwrite(str(tmp_path / name / f"{number}.png"), values.clip(0, top).astype(np.uint16))
    cv2.imwrite(str(tmp_path / "light" / "black.png"), np.zeros((16, 16), np.uint8))
    report = read_train_sets(tmp_path, 16, no_cache=True).preflight
    assert report.oddities["nearly black"] == ["dark/0.png", "dark/1.png", "dark/2.png"]
    assert report.oddities["of one colour"] == ["light/black.png"]
    (line,) = [line for line in report.lines() if line.startswith("nearly black")]
    assert "3 pictures" in line and "12 bits stored in 16?" in line
