"""Tables for spreadsheets: every cell stays the text that it was."""

import csv
import os

import pytest

from pigeonhole.data import tables
from pigeonhole.errors import PigeonholeError, UsageError

NAMES = ["=1+1", "=cmd|' /C calc'!A0", "+1", "-1", "@SUM(1)", "\t=1", "\r=1", " =1", "'=1", "''-", "\uff1d1"]
PLAIN = ["cat", "été 北", "'quoted", "a=b", "1-2", "file", "", "p:cat"]


def test_no_name_is_a_formula_and_every_name_is_read_back(tmp_path):
    for name in NAMES + PLAIN:
        assert tables.original(tables.cell(name)) == name
    assert all(tables.cell(name).startswith("'") for name in NAMES)
    assert [tables.cell(name) for name in PLAIN] == PLAIN
    with tables.write(tmp_path / "a.csv") as add:
        add(["file", "note"])
        for name in NAMES + PLAIN:
            add([name, "x"])
    assert (tmp_path / "a.csv").read_bytes().startswith(b"\xef\xbb\xbffile,note\n")
    read = [row["file"] for _, row in tables.read(tmp_path / "a.csv", ["file"])]
    assert read == NAMES + PLAIN


def test_a_name_outside_utf8_is_escaped_and_the_table_stays_utf8(tmp_path):
    with tables.write(tmp_path / "a.csv") as add:
        add(["\udcff.png"])
    assert (tmp_path / "a.csv").read_text("utf-8-sig") == "\\udcff.png\n"


def test_no_class_name_collides_with_a_column(tmp_path):
    classes = ["file", "error", "p:file"]
    header = ["file", "prediction", "confidence", "unsure", "error", *tables.share_columns(classes)]
    assert len(set(header)) == len(header)


@pytest.mark.parametrize("name", ["a.xlsx", "b.XLS", "c.ods"])
def test_a_workbook_is_refused_with_the_mend(tmp_path, name):
    with pytest.raises(UsageError, match=rf"--csv .*{name}: .*name it {name[0]}\.csv"):
        tables.check("--csv", tmp_path / name, ())


def test_what_is_no_table_is_told(tmp_path):
    (tmp_path / "a.csv").write_text("name\n1\n")
    with pytest.raises(PigeonholeError, match=r"a\.csv, line 1: must name the columns file and label"):
        list(tables.read(tmp_path / "a.csv", ["file", "label"]))
    os.mkdir(tmp_path / "b.csv")
    with pytest.raises(PigeonholeError, match=r"b\.csv: cannot be read"):
        list(tables.read(tmp_path / "b.csv", ["file"]))


def test_a_reader_that_is_not_ours_sees_text(tmp_path):
    with tables.write(tmp_path / "a.csv") as add:
        add(["=1+1", 'say "hi"\nthere'])
    with open(tmp_path / "a.csv", encoding="utf-8-sig", newline="") as file:
        assert list(csv.reader(file)) == [["'=1+1", 'say "hi"\nthere']]
