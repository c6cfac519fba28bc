"""Decisions in a labels.csv that is only ever appended to: undo, other writers, kills, odd names."""

import csv
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time

import pytest

from pigeonhole.data import journal as table
from pigeonhole.errors import PigeonholeError, UsageError
from pigeonhole.labelling.journal import UNDECIDED, Journal

DIGEST = "ab" * 32


@pytest.fixture
def file(tmp_path):
    return tmp_path / "labels.csv"


def label(journal, action, **changes):
    return journal.act(action, {f"{name}.png": label for name, label in changes.items()}, {}, "test")


def rows(file):
    return list(csv.DictReader(file.read_text("utf-8-sig").splitlines()))


def test_a_decision_is_a_row_and_the_last_row_counts(file):
    journal = Journal(file)
    assert not file.exists() and journal.labels == {} and journal.classes == []
    assert journal.act("a1", {"x/1.png": "cat", "2.png": "dog"}, {"2.png": DIGEST}, "group")
    assert label(journal, "a2", **{"3": None}) and label(journal, "a3", **{"2": "cat"})
    first, second, third, fourth = rows(file)
    assert tuple(first) == table.COLUMNS
    assert first["action"] == second["action"] == "a1" and first["source"] == "group"
    assert second["digest"] == DIGEST and third["label"] == "remove" and fourth["label"] == "cat"
    for one in (journal, Journal(file)):
        assert one.labels == {"x/1.png": "cat", "2.png": "cat"} and one.removed == {"3.png"}
        assert one.classes == ["cat"] and one.actions == 3


def test_what_is_asked_twice_is_written_once(file):
    journal = Journal(file)
    assert label(journal, "a1", one="cat")
    assert not label(journal, "a1", one="cat") and not label(Journal(file), "a1", one="cat")
    assert len(rows(file)) == 1
    # Of an action that a full disk has cut in two, the rest is written.
    assert label(journal, "a1", one="cat", two="cat") and len(rows(file)) == 2


def test_undo_has_no_end_and_can_be_taken_back(file):
    journal = Journal(file)
    states = [{}]
    for number, changes in enumerate(({"1": "cat"}, {"1": "dog", "2": "dog"}, {"2": None}, {"1": ""})):
        label(journal, f"a{number}", **changes)
        states.append((dict(journal.labels), set(journal.removed)))
    states[0] = ({}, set())
    for turn in range(2):
        for number in range(3, -1, -1):
            assert journal.undo(f"u{turn}{number}")
            assert (journal.labels, journal.removed) == states[number]
            assert (Journal(file).labels, Journal(file).removed) == states[number]
        assert journal.undo("nothing") == [] and journal.actions == 0
        for number in range(1, 5):
            assert journal.redo(f"r{turn}{number}")
            assert (journal.labels, journal.removed) == states[number]
        assert journal.redo("nothing-either") == []


def test_a_new_action_ends_what_could_be_brought_again(file):
    journal = Journal(file)
    label(journal, "a", one="cat")
    journal.undo("u")
    label(journal, "b", one="dog")
    assert journal.redo("r") == [] and journal.labels == {"one.png": "dog"}


def test_taking_back_an_older_action_leaves_what_came_since(file):
    journal = Journal(file)
    label(journal, "a", one="cat", two="cat")
    label(journal, "b", one="dog")
    assert set(journal.undo("u", "a")) == {"one.png", "two.png"}
    assert journal.labels == {"one.png": "dog"}
    journal = Journal(file)
    assert journal.undo("u2") == ["one.png"] and journal.labels == {}
    assert journal.undo("u", "b") == ["one.png", "two.png"], "a repeated request does nothing more"


def test_another_window_sees_each_decision(file):
    first, second = Journal(file), Journal(file)
    label(first, "a", one="cat")
    assert second.refresh() == {"one.png"} and second.labels == {"one.png": "cat"}
    label(second, "b", two="dog")
    label(first, "c", three="owl")
    assert first.labels == {"one.png": "cat", "two.png": "dog", "three.png": "owl"}
    assert second.refresh() == {"two.png", "three.png"} and second.refresh() == set()
    assert second.undo("u") == ["three.png"]
    assert first.refresh() == {"one.png", "two.png", "three.png"}, "its own are told once as well"


def _write_many(file, writer, count):
    journal = Journal(file)
    for number in range(count):
        journal.act(f"{writer}-{number}", {f"{writer}/{number}.png": "cat", "both.png": f"{writer}"}, {})


def test_two_processes_lose_and_double_nothing(file):
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_write_many, args=(file, name, 60)) for name in ("left", "right")]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    found = [(row["action"], row["file"]) for row in rows(file)]
    assert len(found) == len(set(found)) == 240
    journal = Journal(file)
    assert len(journal.labels) == 121 and journal.actions == 120


@pytest.mark.parametrize("cut", range(1, 12))
def test_a_torn_tail_is_healed_and_no_row_before_it_lost(file, cut):
    journal = Journal(file)
    label(journal, "a", one="cat")
    whole = file.read_bytes()
    label(journal, "b", two="dog")
    file.write_bytes(file.read_bytes()[:-cut])
    journal = Journal(file)
    # Where only the line end is missing, the row is there.
    assert journal.labels.get("two.png") == ("dog" if cut == 1 else None)
    assert label(journal, "b", two="dog") == (cut > 1)
    label(journal, "c", three="owl")
    assert file.read_bytes().startswith(whole)
    assert [row["file"] for row in rows(file)] == ["one.png", "two.png", "three.png"]


def test_a_torn_undo_is_made_again(file):
    journal = Journal(file)
    label(journal, "action", one="cat")
    journal.undo("u")
    file.write_bytes(file.read_bytes()[:-4])  # names "acti", which is no action
    journal = Journal(file)
    assert journal.labels == {"one.png": "cat"}
    assert journal.undo("u") == ["one.png"] and Journal(file).labels == {}


def test_a_torn_first_line_is_written_again(file):
    file.write_bytes(table.Header.new().line[:20])
    journal = Journal(file)
    label(journal, "a", one="cat")
    assert Journal(file).labels == {"one.png": "cat"}


def test_a_row_typed_at_the_end_without_a_line_end_is_kept(file):
    label(Journal(file), "a", one="cat")
    with file.open("a") as typed:
        typed.write(",,two.png,dog,,,")
    journal = Journal(file)
    assert journal.labels == {"one.png": "cat", "two.png": "dog"}
    label(journal, "b", three="owl")
    assert Journal(file).labels == {"one.png": "cat", "two.png": "dog", "three.png": "owl"}


ODD = ["=1+1.png", "-x.png", "'quoted.png", 'a "b", c.png', "zwei\nZeilen.png", "été/ü.png", "日本.png",
       os.fsdecode(b"caf\xe9.png"), "@SUM(A1).png", "a;b.png", " leading.png"]  # fmt: skip


def test_odd_names_and_labels_come_back(file):
    journal = Journal(file, ["=cat"])
    journal.act("a", dict.fromkeys(ODD, "=cat"), {})
    journal.act("b", {ODD[0]: "-dog"}, {})
    assert Journal(file, ["=cat"]).labels == dict.fromkeys(ODD, "=cat") | {ODD[0]: "-dog"}
    assert b"caf\xe9.png" in file.read_bytes()


def test_a_file_that_a_spreadsheet_has_saved_goes_on_as_it_is(file):
    label(Journal(file), "a", one="cat")
    text = file.read_text("utf-8-sig").replace(",", ";").replace("\n", "\r\n")
    file.write_text("\ufeff" + text, newline="")
    journal = Journal(file)
    label(journal, "b", two="dog")
    assert file.read_bytes().splitlines()[-1].count(b";") == 6
    assert Journal(file).labels == {"one.png": "cat", "two.png": "dog"}


def test_a_file_that_was_changed_meanwhile_is_read_anew(file):
    journal = Journal(file)
    label(journal, "a", one="cat", two="cat")
    file.write_text(file.read_text("utf-8").replace("one.png,cat", "one.png,owl") + ",,three.png,owl,,,\n")
    assert journal.refresh() == {"one.png", "two.png", "three.png"}
    assert journal.labels == {"one.png": "owl", "two.png": "cat", "three.png": "owl"}
    file.unlink()
    assert journal.refresh() == {"one.png", "two.png", "three.png"} and journal.labels == {}
    label(journal, "b", one="dog")
    assert Journal(file).labels == {"one.png": "dog"}


def test_a_file_that_another_has_replaced_is_told_with_the_mend(file):
    journal = Journal(file)
    label(journal, "a", one="cat", two=None)
    journal.refresh()
    former = file.read_bytes()
    file.write_text("some,other,table\n1,2,3\n")
    for change in (journal.refresh, lambda: label(journal, "b", three="dog")):
        with pytest.raises(UsageError, match=r"another file.*Put the former file back, or start .* --labels"):
            change()
    assert journal.labels == {"one.png": "cat"}, "what was known is known still"
    assert file.read_text() == "some,other,table\n1,2,3\n"
    file.write_bytes(former)
    assert journal.refresh() == set() and journal.notice == ""
    assert label(journal, "b", three="dog") and journal.labels["three.png"] == "dog"


def test_decisions_that_another_program_has_taken_away_are_told_until_they_are_back(file):
    journal = Journal(file)
    label(journal, "a", one="cat", two="cat", three=None)
    former = file.read_bytes()
    file.unlink()
    assert journal.refresh()
    assert "labels.csv: another program" in journal.notice and "3 of 3 decisions" in journal.notice
    assert journal.refresh() == set(), "told once"
    label(journal, "b", one="cat")
    assert "2 of 3 decisions" in journal.notice, "a decision hides it from nobody"
    file.write_bytes(former.replace(b"two.png,cat", b"two.png,owl"))
    journal.refresh()
    assert "1 of 3 decisions in it is gone" in journal.notice and journal.notice.endswith("file back")
    file.write_bytes(former)
    journal.refresh()
    assert journal.notice == "" and journal.removed == {"three.png"}


def test_a_class_gets_another_name_which_undo_takes_back(file):
    journal = Journal(file, ["cat", "dog"])
    label(journal, "a", one="cat", two="dog", three="fox", four=None)
    before = dict(journal.labels)
    for old, new, classes in (
        ("cat", "kitten", ["kitten", "dog", "fox"]),
        ("kitten", "Kitten", ["Kitten", "dog", "fox"]),
        ("fox", "wolf", ["Kitten", "dog", "wolf"]),
        ("wolf", "Dog", ["Kitten", "dog"]),
        ("Kitten", "cat", ["cat", "dog"]),
    ):
        assert journal.rename(f"r{new}", old, new, {})
        assert journal.classes == classes == Journal(file, ["cat", "dog"]).classes
    assert journal.labels == {"one.png": "cat", "two.png": "dog", "three.png": "dog"}
    former = {"kitten": "cat", "Kitten": "cat", "fox": "dog", "wolf": "dog"}
    assert journal.called == Journal(file).called == former, "cat is called cat again"
    for number in range(5):
        assert journal.undo(f"u{number}")
    assert journal.labels == before and journal.called == {} and journal.classes == ["cat", "dog", "fox"]
    assert journal.redo("v") and journal.called == {"cat": "kitten"} == Journal(file).called
    assert not journal.rename("rkitten", "cat", "kitten", {}), "what is asked twice is written once"


def test_a_new_class_may_have_the_name_that_another_had_before(file):
    journal = Journal(file, ["cat", "dog"])
    label(journal, "a", one="cat")
    journal.rename("r", "cat", "kitten", {})
    label(journal, "b", two="cat")
    assert journal.labels == {"one.png": "kitten", "two.png": "cat"}
    assert journal.classes == Journal(file, ["cat", "dog"]).classes == ["kitten", "dog", "cat"]


def test_a_name_that_cannot_be_a_class_is_refused_and_a_class_is_not_left_out(file):
    journal = Journal(file, ["cat"])
    for name in ("a/b", " ", "Remove"):
        with pytest.raises(UsageError):
            journal.rename("r", "cat", name, {})
    assert not file.exists()
    label(journal, "a", one="cat")
    with file.open("a") as typed:
        typed.write(",,cat/,remove,,,\n")
    with pytest.raises(PigeonholeError, match="line 3: a class is not left out as a whole; leave out its"):
        journal.refresh()


def test_what_was_reviewed_is_known_at_the_next_start_and_undone_with_its_decision(file):
    journal = Journal(file)

    def reviewed():
        found = {fix.name for fix in journal.reviewed()}
        assert found == {fix.name for fix in Journal(file).reviewed()}
        return found

    journal.act("a", {"one.png": "cat", "two.png": None}, {}, "review")
    label(journal, "b", one="dog")
    assert reviewed() == {"two.png"}
    journal.undo("u1")
    assert reviewed() == {"one.png", "two.png"}, "the decision that was reviewed is in force again"
    journal.undo("u2")
    assert reviewed() == set()
    journal.redo("u3")
    assert reviewed() == {"one.png", "two.png"}


def test_a_table_of_labels_is_never_appended_to(file):
    file.write_text("file,label\n1.png,cat\n")
    with pytest.raises(UsageError, match="--labels FILE"):
        Journal(file)
    assert file.read_text() == "file,label\n1.png,cat\n"


def test_a_folder_that_cannot_be_written_is_told(tmp_path):
    with pytest.raises(UsageError, match="its folder does not exist; --labels FILE"):
        Journal(tmp_path / "absent" / "labels.csv")
    with pytest.raises(UsageError, match="is a folder; --labels FILE"):
        Journal(tmp_path)


def test_names_of_classes_keep_one_spelling_and_must_fit_a_folder(file):
    journal = Journal(file, ["Cat"])
    label(journal, "a", one="cat ", two="Dog", three="e\u0301te\u0301")
    label(journal, "b", four="DOG")
    assert journal.labels == {"one.png": "Cat", "two.png": "Dog", "three.png": "été", "four.png": "Dog"}
    assert journal.classes == ["Cat", "Dog", "été"]
    journal.undo("u")
    label(journal, "c", four="owl")
    journal.undo("v")
    label(journal, "d", four="Owl")
    assert journal.labels["four.png"] == "Owl", "a spelling that was taken back is forgotten"
    for name in ("a/b", "a\nb", " ", "Remove", "a\\b", "..", "."):
        with pytest.raises(UsageError):
            label(journal, "e", one=name)


def test_a_class_called_remove_goes_before_the_word(file):
    journal = Journal(file, ["cat", "remove"])
    label(journal, "a", one="remove", two=None, three=UNDECIDED)
    again = Journal(file, ["cat", "remove"])
    assert again.labels == {"one.png": "remove"} and again.removed == {"two.png"}
    assert [row["label"] for row in rows(file)] == ["remove", "REMOVE", ""]


def test_what_is_in_force_is_the_last_row_of_each_file(file):
    journal = Journal(file)
    label(journal, "a", one="cat", two="dog", three=None, four="cat")
    label(journal, "b", two="", one="dog")
    rows = {row.name: row.label for row in table.in_force(table.read(file))}
    assert rows == {"one.png": "dog", "three.png": "remove", "four.png": "cat"}


LOOP = """
import sys
from pathlib import Path
from pigeonhole.labelling.journal import Journal
journal = Journal(Path(sys.argv[1]))
first = len(journal.labels)
print("ready", flush=True)
for number in range(first, 100_000):
    names = [f"{number}.png"] + [f"{number}-{part}.png" for part in range(number % 40)]
    journal.act(f"a{number}", dict.fromkeys(names, "cat"), {})
    print(number, flush=True)
"""


@pytest.mark.slow
def test_a_kill_at_any_instant_loses_and_doubles_no_decision(file):
    """What was told as written before each kill is there once; see the loop above."""
    random.seed(0)
    told = []
    for _ in range(20):
        loop = subprocess.Popen([sys.executable, "-c", LOOP, file], stdout=subprocess.PIPE, text=True)
        assert loop.stdout.readline() == "ready\n"
        time.sleep(random.uniform(0, 0.3))
        loop.send_signal(signal.SIGKILL)
        told += [int(line) for line in loop.communicate()[0].splitlines() if line.strip()]
    label(Journal(file), "last", last="dog")
    found = [(row["action"], row["file"]) for row in rows(file)]
    assert len(found) == len(set(found)) and len(told) > 100
    assert {f"a{number}" for number in told} <= {action for action, _ in found}
    for number in told:
        assert (f"a{number}", f"{number}.png") in found
