"""A folder that fills: each file once, when it is complete."""

import os
from pathlib import Path

import pytest

from pigeonhole.errors import UsageError
from pigeonhole.jobs import prediction
from pigeonhole.jobs.bulk import watching
from pigeonhole.jobs.bulk.job import BulkConfig, BulkJob
from pigeonhole.jobs.bulk.watching import Watch
from pigeonhole.jobs.prediction import Answer


@pytest.fixture
def watch(tmp_path, monkeypatch) -> Watch:
    monkeypatch.chdir(tmp_path)
    Path("in").mkdir()
    return Watch(lambda: prediction.sources_of(["in"]), lambda name: name == "in/old.png")


def looked(watch: Watch) -> list[str]:
    """The files that are complete now; each gets an answer, those called "bad" an error."""
    found = [source.name for source in watch.look()]
    watch.final([Answer(name, [("cat", 1.0)], error="damaged" if "bad" in name else None) for name in found])
    return found


def test_a_file_is_given_once_when_two_looks_find_it_the_same(watch):
    Path("in/a.png").write_bytes(b"1")
    assert looked(watch) == []
    Path("in/b.png").write_bytes(b"1")
    assert looked(watch) == ["in/a.png"]
    Path("in/a.png").write_bytes(b"another")
    assert looked(watch) == ["in/b.png"]
    assert looked(watch) == []


def test_one_that_grows_or_is_written_over_is_waited_for(watch):
    Path("in/a.png").write_bytes(b"1")
    for content in (b"12", b"123"):
        assert looked(watch) == []
        Path("in/a.png").write_bytes(content)
    assert looked(watch) == []
    os.utime("in/a.png", ns=(1, 1))  # of the same size
    assert looked(watch) == []
    assert looked(watch) == ["in/a.png"]


def test_one_that_cannot_be_read_is_asked_again_until_it_was_left_alone_for_long(watch, monkeypatch):
    Path("in/bad.png").write_bytes(b"1")
    looked(watch)
    assert looked(watch) == looked(watch) == ["in/bad.png"]
    monkeypatch.setattr(watching, "PATIENCE_SECONDS", 0.0)
    assert looked(watch) == ["in/bad.png"]
    assert looked(watch) == []


def test_a_file_in_two_of_the_folders_is_given_once(watch):
    watch = Watch(lambda: prediction.sources_of(["in", "in"]), lambda name: False)
    Path("in/a.png").write_bytes(b"1")
    assert looked(watch) == []
    assert looked(watch) == ["in/a.png"]


def test_what_earlier_jobs_have_dealt_with_and_what_vanishes_is_left(watch):
    Path("in/old.png").write_bytes(b"1")
    Path("in/new.png").write_bytes(b"1")
    looked(watch)
    os.remove("in/new.png")
    assert looked(watch) == []


def test_what_cannot_be_watched_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("in").mkdir()
    Path("in/a.png").touch()
    Path("out.csv").write_text("mine")
    with pytest.raises(UsageError, match=r"--watch: in/a.png is no folder"):
        BulkJob(BulkConfig(jsonl=Path("-"), watch=True), ["in/a.png"])
    with pytest.raises(UsageError, match=r"--csv out.csv: is there already; --resume adds to it"):
        BulkJob(BulkConfig(csv=Path("out.csv"), watch=True), ["in"])
