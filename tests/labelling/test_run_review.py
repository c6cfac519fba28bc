"""Reviewing a run: decisions go into the fixes.csv that training reads, and what was typed there is kept."""

import csv
import os
import shutil

import pytest

from pigeonhole.data import fixes
from pigeonhole.data.cache import Cache
from pigeonhole.data.fixes import Fix, Suspect
from pigeonhole.errors import PigeonholeError, UsageError
from pigeonhole.labelling.run_review import RunReview
from pigeonhole.labelling.session import Session
from pigeonhole.labelling.state import State
from tests.support import run_folders


@pytest.fixture
def run(tmp_path):
    run = run_folders.make(tmp_path)
    digests = {row["path"]: row["digest"] for row in run.split()}
    names = [row["path"] for row in run.split()][:4]
    classes = run.labels()
    doubted = []
    for name in names:
        given = name.split("/")[0]
        doubted.append(Suspect(name, given, next(c for c in classes if c != given), 0.1, 0.9, 0.8))
    fixes.write(run.fixes_file, doubted, digests)
    return run


@pytest.fixture
def opened(run, tmp_path):
    return lambda: RunReview.open(run, Cache(tmp_path / "cache"), progress=False)


def rows(run):
    with run.fixes_file.open(encoding="utf-8-sig", newline="") as file:
        return {row["file"]: row for row in csv.DictReader(file)}


def test_the_pictures_are_those_of_the_training_with_their_classes_and_doubts(run, opened):
    trained = {row["path"]: row["class"] for row in run.split()}
    review = opened()
    assert dict(zip(review.collection.names, review.collection.given, strict=True)) == trained
    assert review.collection.classes == run.labels()
    assert [suspect.name for suspect in review.suspects] == [row["path"] for row in run.split()][:4]
    assert review.suspects[0].confidence_suggested == 0.9


def test_each_decision_is_in_the_fixes_at_once_and_can_be_taken_back(run, opened):
    review = opened()
    journal = review.journal()
    first, second, third = (suspect.name for suspect in review.suspects[:3])
    other = next(name for name in review.collection.names if name not in rows(run))
    digests = review.collection.digests
    journal.act("a", {first: review.suspects[0].suggested, second: None, other: run.labels()[0]}, digests)
    journal.act("b", {third: review.suspects[2].given}, digests)
    decided = {fix.name: fix for fix in fixes.read(run.fixes_file, run.labels())}
    assert decided[first] == Fix(first, review.suspects[0].suggested, digests[first])
    assert decided[second].new_label is None and decided[other].new_label == run.labels()[0]
    assert decided[third].new_label == review.suspects[2].given
    assert rows(run)[first]["confidence"] == "0.9000", "the other columns stay"
    journal.undo("u")
    journal.undo("v")
    assert fixes.read(run.fixes_file, run.labels()) == [] and opened().suspects == review.suspects


def test_what_was_typed_since_is_taken_over(run, opened):
    review = opened()
    first, second = (suspect.name for suspect in review.suspects[:2])
    review.journal().act("a", {first: run.labels()[0]}, review.collection.digests)
    fixes.decide(run.fixes_file, [Fix(second, None)], [first])  # as in a spreadsheet
    journal = opened().journal()
    assert journal.removed == {second} and journal.labels == {}
    assert [fix.name for fix in fixes.read(run.fixes_file, run.labels())] == [second]
    actions = journal.actions
    assert opened().journal().actions == actions, "once"
    assert set(journal.undo("u")) == {first, second} and journal.labels == {first: run.labels()[0]}


def test_a_kill_between_the_journal_and_the_fixes_is_made_good(run, opened):
    review = opened()
    before = run.fixes_file.read_bytes()
    name = review.suspects[0].name
    review.journal().act("a", {name: None}, review.collection.digests)
    run.fixes_file.write_bytes(before)
    os.utime(run.fixes_file, ns=(0, 0))
    opened().journal()
    assert [fix.name for fix in fixes.read(run.fixes_file, run.labels())] == [name]


def test_a_label_that_was_kept_is_a_decision_that_the_next_start_knows(run, opened):
    review = opened()
    name, given = review.suspects[0].name, review.suspects[0].given
    review.journal().act("a", {name: given}, review.collection.digests, "review")
    assert [(fix.name, fix.new_label) for fix in fixes.read(run.fixes_file, run.labels())] == [(name, given)]
    again = opened()
    assert State(again.collection, again.journal()).reviewed.tolist() == [
        each == name for each in again.collection.names
    ]


def test_two_classes_of_a_run_are_made_one_in_its_fixes_and_none_gets_a_new_name(run, opened, tmp_path):
    review = opened()
    session = Session(review.collection, review.journal(), Cache(tmp_path / "cache"))
    first, second, *_ = run.labels()
    count = review.collection.given.count(first)
    with pytest.raises(UsageError, match="no class of this run, whose classes keep their names"):
        session.rename("a", first, "new name")
    session.rename("b", first, second)
    decided = fixes.read(run.fixes_file, run.labels())
    assert count and [fix.new_label for fix in decided] == [second] * count
    assert session.status().counts[first] == 0
    session.undo("u")
    assert fixes.read(run.fixes_file, run.labels()) == [] and session.status().counts[first] == count


def test_a_class_that_the_run_does_not_know_stays_in_the_journal(run, opened):
    review = opened()
    first, second = (suspect.name for suspect in review.suspects[:2])
    review.journal().act("a", {first: "new class", second: run.labels()[0]}, review.collection.digests)
    assert [fix.name for fix in fixes.read(run.fixes_file, run.labels())] == [second]
    assert opened().journal().labels == {first: "new class", second: run.labels()[0]}


def test_a_run_without_doubts_is_reviewed_as_well_and_one_without_pictures_told(run, opened):
    run.fixes_file.unlink()
    review = opened()
    assert review.suspects == []
    review.journal().act("a", {review.collection.names[0]: None}, review.collection.digests)
    assert len(fixes.read(run.fixes_file, run.labels())) == 1
    shutil.rmtree(review.collection.folder)
    with pytest.raises(PigeonholeError, match=r"was trained on .* which is no folder here"):
        opened()
