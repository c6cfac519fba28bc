import csv
import dataclasses
import hashlib
import random
from collections import Counter
from pathlib import Path

import pytest

from pigeonhole.data.folders import Entry, Record
from pigeonhole.data.split import assign, fraction, read_split, write_split
from pigeonhole.errors import PigeonholeError, UsageError
from pigeonhole.runs.run import Run


def record(name: str, content: str | None = None, **facts: int) -> Record:
    """The record of a file `<class>/<name>`; `content` defaults to the name."""
    digest = hashlib.sha256((content or name).encode(errors="surrogateescape")).hexdigest()
    facts = {"width": 10, "height": 10, "file_size": 100} | facts
    return Record(Entry(Path("/root"), name, name.split("/")[0]), None, digest, "png", **facts)


def make(count: int, classes: str = "ab", start: int = 0) -> list[Record]:
    return [record(f"{c}/{number}.png") for c in classes for number in range(start, start + count)]


def names(records: list[Record]) -> list[str]:
    return [record.entry.name for record in records]


def restricted(sides: dict[str, str], records: list[Record]) -> dict[str, str]:
    return {name: sides[name] for name in names(records)}


def test_every_used_picture_has_a_side_and_each_class_its_share():
    sides = assign([*make(1000), Record(Entry(Path(), "a/x", "a"), "empty")], 0.2, 0)
    assert sorted(sides) == sorted(names(make(1000)))
    assert Counter((name[0], side) for name, side in sides.items())["a", "valid"] == 200


def valid_counts(sides: dict[str, str]) -> Counter[str]:
    return Counter(name[0] for name, side in sides.items() if side == "valid")


@pytest.mark.parametrize("share", [0.05, 0.2, 0.5, 0.9])
def test_the_share_of_each_class_is_exact_to_a_picture(share):
    for seed in range(20):
        counts = valid_counts(assign([*make(124, "a"), *make(121, "b"), *make(7, "c")], share, seed))
        for class_name, count in (("a", 124), ("b", 121), ("c", 7)):
            assert abs(counts[class_name] - share * count) <= 0.5 or counts[class_name] == 1


def test_the_share_is_exact_to_a_group_of_copies():
    records = [record(f"a/{n}-{copy}.png", f"group {n}") for n in range(40) for copy in range(1 + n % 5)]
    for seed in range(20):
        assert abs(valid_counts(assign(records, 0.2, seed))["a"] - 0.2 * len(records)) <= 2.5


def test_other_pictures_make_up_for_one_that_lies_in_two_classes():
    across = [record(f"{c}/across{n}.png", f"across {n}") for c in "ab" for n in range(20)]
    for seed in range(20):
        counts = valid_counts(assign([*make(80), *across], 0.3, seed))
        assert counts == {"a": 30, "b": 30}


def test_the_seed_decides():
    records = make(100)
    assert assign(records, 0.2, 1) == assign(records, 0.2, 1)
    assert assign(records, 0.2, 1) != assign(records, 0.2, 2)


def test_these_pictures_lie_on_these_sides_for_good():
    """A changed hash would move every picture of every user across."""
    sides = assign(make(8, "a"), 0.5, 7)
    assert "".join(side[0] for _, side in sorted(sides.items())) == "tvvtvttv"


def test_order_names_and_place_play_no_part():
    records = make(50)
    sides = assign(records, 0.3, 0)
    assert assign(random.Random(0).sample(records, len(records)), 0.3, 0) == sides
    moved = [
        dataclasses.replace(r, entry=Entry(Path("/other"), f"{r.entry.class_name}/{i}", r.entry.class_name))
        for i, r in enumerate(records)
    ]
    elsewhere = assign(moved, 0.3, 0)
    assert [elsewhere[name] for name in names(moved)] == [sides[name] for name in names(records)]


def test_a_larger_validation_set_holds_the_smaller_one():
    smaller, larger = (assign(make(200), share, 0) for share in (0.1, 0.3))
    assert {n for n, s in smaller.items() if s == "valid"} < {n for n, s in larger.items() if s == "valid"}


@pytest.mark.parametrize(("added", "most"), [(1, 1), (10, 3), (100, 10)])
def test_adding_pictures_moves_only_the_few_at_the_edge(added, most):
    records = make(100, "a")
    for seed in range(20):
        sides = assign(records, 0.2, seed)
        more = [*make(added, "a", start=100), *make(30, "c")]
        grown = restricted(assign(more + records, 0.2, seed), records)
        assert sum(grown[name] != side for name, side in sides.items()) <= most


def test_the_pictures_of_an_earlier_split_count(tmp_path):
    records = make(100, "a")
    write_split(tmp_path / "split.csv", records, assign(records, 0.1, 0))
    grown = assign(make(200, "a"), 0.2, 0, earlier=read_split(tmp_path / "split.csv"))
    assert valid_counts(grown)["a"] == 40
    assert valid_counts(restricted(grown, records))["a"] == 10


def test_equal_files_lie_on_one_side_even_across_classes():
    copies = [record(f"{c}/copy{n}.png", f"content {n}") for c in "ab" for n in range(50)]
    sides = assign([*make(50), *copies], 0.5, 0)
    assert all(sides[f"a/copy{n}.png"] == sides[f"b/copy{n}.png"] for n in range(50))
    assert len({sides[f"a/copy{n}.png"] for n in range(50)}) == 2


def test_near_duplicates_lie_on_one_side():
    records = make(100)
    pairs = [(f"a/{n}.png", f"b/{n}.png") for n in range(100)]
    sides = assign(records, 0.5, 0, pairs)
    assert all(sides[first] == sides[second] for first, second in pairs)


@pytest.mark.parametrize("worse", [{"width": 5, "file_size": 900}, {"file_size": 50}])
def test_adding_worse_copies_moves_none_across(worse):
    records = make(100)
    sides = assign(records, 0.5, 0)
    copies = [record(f"a/copy{n}.png", **worse) for n in range(100)]
    pairs = [(f"a/copy{n}.png", f"a/{n}.png") for n in range(100)]
    grown = assign(copies + records, 0.5, 0, pairs)
    assert restricted(grown, records) == sides
    assert all(grown[copy] == grown[original] for copy, original in pairs)


@pytest.mark.parametrize("validation_size", [0.001, 0.999])
@pytest.mark.parametrize("count", [2, 3, 10])
def test_two_pictures_of_a_class_are_enough_for_both_sides(validation_size, count):
    for seed in range(20):
        sides = assign(make(count), validation_size, seed)
        assert len({(name[0], side) for name, side in sides.items()}) == 4


def test_the_picture_that_fills_an_empty_side_is_the_one_nearest_to_it():
    for seed in range(10):
        few, half, most = (assign(make(10), share, seed) for share in (0.001, 0.5, 0.999))
        assert all(half[name] == "valid" for name, side in few.items() if side == "valid")
        assert all(half[name] == "train" for name, side in most.items() if side == "train")


def test_filling_one_class_does_not_empty_another():
    across = [record(f"{c}/x.png", "across") for c in "ba"]
    for seed in range(30):
        sides = assign([record("b/1.png"), *across, record("a/1.png"), record("a/2.png")], 0.5, seed)
        assert sides["a/x.png"] == sides["b/x.png"] != sides["b/1.png"]
        assert len({sides[f"a/{name}.png"] for name in "x12"}) == 2


def test_a_class_of_one_picture_stays_where_it_is():
    records = [record("a/1.png"), *make(5, "b")]
    assert {assign(records, 0.001, seed)["a/1.png"] for seed in range(10)} == {"train"}


def test_copies_of_one_picture_are_never_torn_apart_to_fill_a_side():
    copies = [record(f"a/{n}.png", "same") for n in range(5)]
    for seed in range(10):
        sides = assign([*copies, *make(5, "b")], 0.2, seed)
        assert len({sides[name] for name in names(copies)}) == 1


@pytest.mark.parametrize("validation_size", [0, 1, -0.1, 1.5, float("nan")])
def test_a_validation_size_outside_0_and_1_is_a_usage_error(validation_size):
    with pytest.raises(UsageError, match="validation size must lie between 0 and 1"):
        assign(make(2), validation_size, 0)


def test_split_csv_holds_path_class_side_digest(tmp_path):
    records = [record('b/with "quotes", comma.png'), record("a/ж\n.png"), record("a/\udcff.png")]
    sides = dict(zip(names(records), ["train", "valid", "train"], strict=True))
    write_split(tmp_path / "split.csv", records, sides)
    lines = (tmp_path / "split.csv").read_bytes().splitlines()
    assert lines[0] == b"path,class,side,digest"
    assert lines[-1] == f'"b/with ""quotes"", comma.png",b,train,{records[0].digest}'.encode()
    earlier = read_split(tmp_path / "split.csv")
    assert {name: earlier.by_path[name] for name in sides} == sides


def test_no_cell_of_a_split_is_a_formula(tmp_path):
    records = [record("=1+1/a.png"), record("-x/'=b.png"), record("'@y/c.png"), record("plain/=d.png")]
    sides = dict.fromkeys(names(records), "train")
    write_split(tmp_path / "split.csv", records, sides)
    with (tmp_path / "split.csv").open(newline="") as file:
        rows = list(csv.reader(file))[1:]
    assert [row[0] for row in rows] == ["''@y/c.png", "'-x/'=b.png", "'=1+1/a.png", "plain/=d.png"]
    assert read_split(tmp_path / "split.csv").by_path == sides
    assert [row["path"] for row in Run(tmp_path).split()] == sorted(sides)


def test_an_earlier_split_keeps_every_side(tmp_path):
    records = make(100)
    sides = assign(records, 0.2, 0)
    write_split(tmp_path / "split.csv", records, sides)
    earlier = read_split(tmp_path / "split.csv")
    assert assign(records, 0.5, 9, earlier=earlier) == sides


def test_an_earlier_split_knows_a_picture_by_content_then_by_path(tmp_path):
    records = make(100)
    sides = assign(records, 0.5, 0)
    write_split(tmp_path / "split.csv", records, sides)
    renamed = [
        record(f"a/renamed {r.entry.name[2:]}", r.entry.name) for r in records if r.entry.class_name == "a"
    ]
    edited = [record(r.entry.name, f"edited {r.entry.name}") for r in records if r.entry.class_name == "b"]
    new = assign([*renamed, *edited], 0.5, 9, earlier=read_split(tmp_path / "split.csv"))
    assert {name.replace("renamed ", ""): side for name, side in new.items()} == sides


def test_new_pictures_follow_their_group_and_move_no_old_one(tmp_path):
    records = make(100)
    sides = assign(records, 0.5, 0)
    write_split(tmp_path / "split.csv", records, sides)
    better = [record(f"a/better{n}.png", width=99) for n in range(100)]
    pairs = [(f"a/{n}.png", f"a/better{n}.png") for n in range(100)] + [
        ("a/0.png", f"a/{n}.png") for n in range(1, 10)
    ]
    new = assign(better + records, 0.5, 9, pairs, read_split(tmp_path / "split.csv"))
    assert restricted(new, records) == sides
    assert all(new[f"a/better{n}.png"] == sides[f"a/{n}.png"] for n in range(10, 100))


def test_pictures_of_an_earlier_split_are_not_moved_to_fill_a_side(tmp_path):
    records = make(5)
    write_split(tmp_path / "split.csv", records, dict.fromkeys(names(records), "train"))
    earlier = read_split(tmp_path / "split.csv")
    assert set(assign(records, 0.5, 0, earlier=earlier).values()) == {"train"}


HEADER = "path,class,side,digest\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: must be the header path,class,side,digest"),
        ("a/1.png,a,train,00\n", "line 1: must be the header"),
        (HEADER, "names no picture"),
        (HEADER + "a/1.png,a,train\n", "line 2: 3 fields instead of 4"),
        (
            HEADER + "a/1.png,a,train,00\na/2.png,a,test,01\n",
            "line 3: the side must be train or valid, not 'test'",
        ),
        (HEADER + "a/1.png,a,train,00\na/1.png,a,train,01\n", "line 3: a/1.png is there twice"),
        (HEADER + "a/1.png,a,train,00\na/2.png,a,valid,00\n", "line 3: a/2.png has the same content"),
    ],
)
def test_a_malformed_split_names_its_line(tmp_path, text, message):
    (tmp_path / "split.csv").write_text(text)
    with pytest.raises(PigeonholeError, match=f"split.csv.*{message}"):
        read_split(tmp_path / "split.csv")


def test_a_split_saved_by_a_spreadsheet_is_read(tmp_path):
    (tmp_path / "split.csv").write_bytes(b"\xef\xbb\xbf" + HEADER.encode() + b"a/1.png,a,valid,\r\n\r\n")
    assert read_split(tmp_path / "split.csv").side(record("a/1.png")) == "valid"
    row = {"path": "a/1.png", "class": "a", "side": "valid", "digest": ""}
    assert Run(tmp_path).split() == [row]


def test_a_split_of_a_version_that_left_formulas_is_read(tmp_path):
    (tmp_path / "split.csv").write_text(HEADER + "=1+1/a.png,=1+1,valid,00\n-x/b.png,-x,train,01\n")
    assert read_split(tmp_path / "split.csv").by_path == {"=1+1/a.png": "valid", "-x/b.png": "train"}
    assert [row["class"] for row in Run(tmp_path).split()] == ["=1+1", "-x"]


def test_a_missing_split_is_a_usage_error(tmp_path):
    with pytest.raises(UsageError, match="no such split file"):
        read_split(tmp_path / "split.csv")


def test_a_picture_as_split_is_a_clear_error(tmp_path):
    (tmp_path / "split.csv").write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0")
    with pytest.raises(PigeonholeError, match="line 1"):
        read_split(tmp_path / "split.csv")


def test_a_fraction_is_stratified_exact_seeded_and_nested():
    records = [*make(200, "a"), *make(50, "b"), *make(1, "c")]
    tenth, fifth = (fraction(records, share, 0) for share in (0.1, 0.2))
    assert Counter(r.entry.class_name for r in fifth) == {"a": 40, "b": 10, "c": 1}
    assert set(names(tenth)) < set(names(fifth))
    assert fraction(records, 0.2, 0) == fifth != fraction(records, 0.2, 1)
    assert fraction(records, 1, 0) == records
    assert [r for r in records if r in fifth] == fifth


def test_a_fraction_does_not_depend_on_order_and_hardly_on_other_pictures():
    records = make(200)
    kept = set(names(fraction(records, 0.2, 0)))
    assert set(names(fraction(random.Random(0).sample(records, len(records)), 0.2, 0))) == kept
    grown = set(names(fraction([*records, *make(10, start=200)], 0.2, 0)))
    assert len(kept - grown) <= 4


def test_a_fraction_keeps_copies_together():
    records = make(100, "a")
    pairs = [(f"a/{n}.png", f"a/{n + 1}.png") for n in range(0, 100, 2)]
    kept = set(names(fraction(records, 0.3, 0, pairs)))
    assert len(kept) == 30
    assert all((first in kept) == (second in kept) for first, second in pairs)


@pytest.mark.parametrize("share", [0, -1, 1.01])
def test_a_fraction_outside_0_to_1_is_a_usage_error(share):
    with pytest.raises(UsageError, match="fraction"):
        fraction(make(2), share, 0)
