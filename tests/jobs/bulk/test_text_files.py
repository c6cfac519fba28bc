"""Rows in CSV tables and JSON lines: complete, resumed after any cut, and nobody's file harmed."""

import csv
import json
import os
import re
from pathlib import Path

import pytest

from pigeonhole.errors import UsageError
from pigeonhole.jobs.bulk import text_files
from pigeonhole.jobs.bulk.rows import Layout
from pigeonhole.jobs.prediction import Answer
from pigeonhole.model.classifier import Classifier
from tests.support import bulk_jobs, saved_runs

KINDS = ("csv", "jsonl")


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    with Classifier.load(saved_runs.ready(tmp_path_factory.mktemp("home") / "run"), threads=1) as loaded:
        yield loaded


@pytest.fixture
def names(tmp_path, monkeypatch) -> list[str]:
    monkeypatch.chdir(tmp_path)
    return bulk_jobs.write_pictures(Path("photos"))


def rows(kind: str, file: Path) -> list[dict]:
    if kind == "jsonl":
        return [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    with file.open(encoding="utf-8-sig", newline="") as table:
        return list(csv.DictReader(table))


def the_same(one: bytes, other: bytes) -> bool:
    """Whether the texts differ in nothing but the last digits of numbers: batches of other sizes round so."""
    number = rb"\d\.\d+(?:e-?\d+)?"
    numbers = [[float(text) for text in re.findall(number, content)] for content in (one, other)]
    is_near = len(numbers[0]) == len(numbers[1]) and numbers[0] == pytest.approx(numbers[1], abs=2e-6)
    return is_near and re.sub(number, b"", one) == re.sub(number, b"", other)


@pytest.mark.parametrize("kind", KINDS)
def test_every_file_has_its_row_in_order_and_the_right_answer(classifier, names, kind):
    file = Path(f"out.{kind}")
    job = bulk_jobs.answer(classifier, "photos", **{kind: file})
    found = rows(kind, file)
    assert [row["file"] for row in found] == names
    assert [Path(row["file"]).name for row in found if row.get("error")] == ["notes.txt", "torn.png"]
    assert next(job.lines()) == f"{file}: 12 pictures answered, 2 could not be read"
    for row in found:
        if not row.get("error"):
            (shares,) = classifier.predict(row["file"])
            expected = dict(zip(saved_runs.CLASSES, shares, strict=True))
            told = (
                {each["class"]: each["probability"] for each in row["predictions"]}
                if kind == "jsonl"
                else {name: float(row[f"p:{name}"]) for name in saved_runs.CLASSES}
            )
            assert told == pytest.approx(expected, abs=2e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_cut_at_any_byte_is_resumed(classifier, names, kind):
    bulk_jobs.answer(classifier, "photos", **{kind: Path("whole")})
    whole = Path("whole").read_bytes()
    for length in [*range(0, len(whole) + 1, 97), len(whole) - 1]:
        file = Path(f"{length}.{kind}")
        file.write_bytes(whole[:length])
        job = bulk_jobs.answer(classifier, "photos", resume=True, **{kind: file})
        assert the_same(file.read_bytes(), whole)
        assert job.outcome.answered + job.outcome.kept >= 12 and job.outcome.failures == 2


@pytest.mark.parametrize("kind", KINDS)
def test_a_torn_row_is_cut_off_where_nothing_follows(classifier, names, kind):
    file = Path(f"out.{kind}")
    bulk_jobs.answer(classifier, "photos", **{kind: file})
    whole = file.read_bytes()
    last = whole.splitlines(keepends=True)[-1]
    file.write_bytes(whole[:-4])
    os.remove(names[-1])
    bulk_jobs.answer(classifier, "photos", resume=True, **{kind: file})
    assert file.read_bytes() == whole.removesuffix(last)


def test_new_files_are_added_and_no_old_one_is_answered_again(classifier, names, monkeypatch):
    bulk_jobs.answer(classifier, "photos", csv=Path("out.csv"))
    before = Path("out.csv").read_bytes()
    saved_runs.write_picture(Path("photos/0/0000.png"), 3)
    os.remove("photos/1/001.png")
    asked = []
    monkeypatch.setattr(
        classifier, "answer_here", lambda some, more: asked.extend(some) or [_answer(classifier)] * len(some)
    )
    bulk_jobs.answer(classifier, "photos", csv=Path("out.csv"), resume=True)
    after = Path("out.csv").read_bytes()
    assert len(asked) == 1 and after.startswith(before)
    assert after[len(before) :].startswith(b"photos/0/0000.png,")


def _answer(classifier):
    return next(classifier.answer_each(["photos/0/0000.png"]))


@pytest.mark.skipif(os.name == "nt", reason="no such names there")
@pytest.mark.parametrize("kind", KINDS)
def test_hostile_names_have_one_row_however_the_file_is_cut(classifier, tmp_path, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)
    for seed, name in enumerate(["=1+1", 'a"b,\n"c', "two\nlines", os.fsdecode(b"\xff"), "\r", "'-", "é;"]):
        saved_runs.write_picture(Path("p") / f"{name}.png", seed)
    bulk_jobs.answer(classifier, "p", **{kind: Path("whole")})
    whole = Path("whole").read_bytes()
    assert len(rows(kind, Path("whole"))) == 7
    for length in range(0, len(whole), 13):
        Path("cut").write_bytes(whole[:length])
        bulk_jobs.answer(classifier, "p", resume=True, **{kind: Path("cut")})
        assert the_same(Path("cut").read_bytes(), whole)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("other", ["model", "classes", "top"])
def test_what_another_job_wrote_is_refused_and_left(classifier, names, kind, other):
    file = Path(f"out.{kind}")
    bulk_jobs.answer(classifier, "photos", **{kind: file})
    before = file.read_bytes()
    if other == "top" and kind == "csv":
        return
    if other == "classes":
        file.write_bytes(before := before.replace(b"p:cat", b"p:cow").replace(b'"model"', b'"network"'))
    changed = {"model": {"model": "4567"}, "top": {"top": 2}}.get(other, {})
    with pytest.raises(UsageError, match=f"--{kind} {file}: cannot be resumed, .*; name another file"):
        bulk_jobs.answer(classifier, "photos", resume=True, **{kind: file}, **changed)
    assert file.read_bytes() == before


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("content", [b"mine", b"mine\n", b"\x89PNG", b'{"mine": 1}\n', b"file,mine\n1,2\n"])
def test_a_users_own_file_is_never_resumed(classifier, names, kind, content):
    Path("mine").write_bytes(content)
    with pytest.raises(UsageError, match="cannot be resumed"):
        bulk_jobs.answer(classifier, "photos", resume=True, **{kind: Path("mine")})
    assert Path("mine").read_bytes() == content


def test_a_damaged_line_in_the_middle_is_not_taken_for_the_end(classifier, names):
    bulk_jobs.answer(classifier, "photos", csv=Path("out.csv"))
    lines = Path("out.csv").read_bytes().splitlines(keepends=True)
    lines[4] = b"photos/x.png,cat\n"
    Path("out.csv").write_bytes(b"".join(lines))
    with pytest.raises(UsageError, match="line 5 has other columns"):
        bulk_jobs.answer(classifier, "photos", csv=Path("out.csv"), resume=True)
    assert Path("out.csv").read_bytes() == b"".join(lines)


def test_a_table_that_is_replaced_stays_until_the_new_one_is_complete(classifier, names, monkeypatch):
    Path("out.csv").write_text("yesterday's")
    real = text_files.TextFile.add

    def add(self, answers):
        assert Path("out.csv").read_text() == "yesterday's"
        real(self, answers)

    monkeypatch.setattr(text_files.TextFile, "add", add)
    bulk_jobs.answer(classifier, "photos", csv=Path("out.csv"))
    assert len(rows("csv", Path("out.csv"))) == 14


def test_a_new_table_grows_while_the_job_runs(classifier, names, monkeypatch):
    seen = []
    real = text_files.TextFile.add

    def add(self, answers):
        real(self, answers)
        seen.append(len(rows("csv", Path("out.csv"))))

    monkeypatch.setattr(text_files.TextFile, "add", add)
    monkeypatch.setattr("pigeonhole.jobs.bulk.streaming.MOST_AT_ONCE", 2)
    bulk_jobs.answer(classifier, "photos", csv=Path("out.csv"))
    assert seen == list(range(2, 15, 2))


def test_the_jobs_own_file_among_the_pictures_is_no_picture(classifier, names):
    bulk_jobs.answer(classifier, "photos", csv=Path("photos/0/out.csv"))
    job = bulk_jobs.answer(classifier, "photos", csv=Path("photos/0/out.csv"), resume=True)
    assert (job.outcome.kept, job.outcome.answered) == (14, 0)
    with pytest.raises(UsageError, match="would overwrite a picture"):
        bulk_jobs.answer(classifier, "photos", csv=Path("photos/0/out.csv"))


def test_standard_output_gets_the_rows(classifier, names, capfdbinary):
    bulk_jobs.answer(classifier, "photos", jsonl=Path("-"))
    lines = capfdbinary.readouterr().out.splitlines()
    assert [json.loads(line)["file"] for line in lines] == names
    bulk_jobs.answer(classifier, "photos", csv=Path("-"))
    assert capfdbinary.readouterr().out.startswith(b"file,prediction,")


@pytest.mark.skipif(os.name != "posix", reason="needs locks of POSIX")
def test_two_jobs_never_write_one_file(classifier, names):
    layout = Layout(saved_runs.CLASSES, "0123")
    with text_files.TextFile(Path("out.csv"), text_files.Csv(layout)) as first:
        first.add([Answer("a.png", [], error="empty")])
        with pytest.raises(UsageError, match="another process is writing it"):
            bulk_jobs.answer(classifier, "photos", csv=Path("out.csv"), resume=True)
    assert len(rows("csv", Path("out.csv"))) == 1
