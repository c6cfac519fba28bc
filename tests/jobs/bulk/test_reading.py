"""The files that bulk jobs write are read again as answers."""

import json

import pytest

from pigeonhole.errors import PigeonholeError, UsageError
from pigeonhole.jobs.bulk import reading
from pigeonhole.jobs.bulk.rows import Layout
from pigeonhole.jobs.bulk.text_files import Csv, JsonLines, TextFile
from pigeonhole.jobs.prediction import Answer
from pigeonhole.labelling.answers import Said

LAYOUT = Layout(("cat", "=dog"), "0123")
ANSWERS = [
    Answer("a.png", [("cat", 0.9), ("=dog", 0.1)]),
    Answer('dir, "b"/é.png', [("=dog", 0.55), ("cat", 0.45)]),
    Answer("-c.png", [("cat", 0.8), ("=dog", 0.2)], unsure=True),
    Answer("d.png", [], error="cannot be decoded"),
]
SAID = [
    Said("a.png", "cat", 0.9, False),
    Said('dir, "b"/é.png', "=dog", 0.55, True),
    Said("-c.png", "cat", 0.8, True),
    Said("d.png", None, 0.0, False),
]


@pytest.fixture(params=[Csv, JsonLines])
def file(request, tmp_path):
    path = tmp_path / "answers"
    with TextFile(path, request.param(LAYOUT)) as opened:
        opened.add(ANSWERS)
    return path


def test_what_was_written_is_read(file):
    assert list(reading.read(file)) == SAID


def test_a_table_that_a_spreadsheet_has_saved_is_read(tmp_path):
    path = tmp_path / "answers.csv"
    path.write_text("file;prediction;confidence;unsure;error;doubt\na.png;cat;0,9;no;;\n")
    assert list(reading.read(path)) == [SAID[0]]


def test_a_last_line_that_is_being_written_is_left(tmp_path):
    path = tmp_path / "answers.jsonl"
    with TextFile(path, JsonLines(LAYOUT)) as opened:
        opened.add(ANSWERS)
    path.write_bytes(path.read_bytes()[:-10])
    assert list(reading.read(path)) == SAID[:3]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("name,class\na,b\n", "must name the columns"),
        ("file,prediction,confidence,unsure,doubt\na,cat,much,no,\n", "line 2: 'much' is no confidence"),
        ("file,prediction,confidence,unsure,doubt\na,cat,nan,no,\n", "line 2: 'nan' is no confidence"),
        ("file,prediction,confidence,unsure,doubt\na,cat,1.5,no,\n", "line 2: '1.5' is no confidence"),
        (json.dumps({"file": "a"}) + "\n", "line 1: is no answer"),
        ("{\n", "line 1: is no answer"),
    ],
)
def test_another_file_is_refused_in_a_line(tmp_path, text, told):
    path = tmp_path / "answers"
    path.write_text(text)
    with pytest.raises(PigeonholeError, match=told):
        list(reading.read(path))
    with pytest.raises(UsageError, match=r"--answers .*none: no such file"):
        list(reading.read(tmp_path / "none"))
