"""A labelling as the page sees it: decisions, what the model makes of them, groups, lists."""

import itertools
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from pigeonhole.data.cache import Cache
from pigeonhole.errors import PigeonholeError, UsageError
from pigeonhole.labelling import answers
from pigeonhole.labelling.answers import Said
from pigeonhole.labelling.collection import Collection
from pigeonhole.labelling.heatmaps import Busy
from pigeonhole.labelling.journal import UNDECIDED, Journal
from pigeonhole.labelling.session import Session
from tests.support.drawn_folders import draw_tree
from tests.support.labelling_sessions import COLOURS, draw_heap, open_session, settle, started, wait_until

PICTURES = 30  # of each of two colours


@pytest.fixture
def truth(tmp_path):
    return draw_heap(tmp_path / "heap", PICTURES)


@pytest.fixture
def session(tmp_path, truth):
    with started(open_session(tmp_path / "heap", tmp_path / "cache")) as session:
        yield session


@pytest.fixture
def act(session):
    """`act(rows, label)` decides with a new id."""
    numbers = itertools.count()
    return lambda rows, label, source="page": session.decide(f"a{next(numbers)}", rows, label, source)


def label_of(session, row):
    return session.seen([row])[0].label


def test_a_decision_is_on_the_disk_and_can_be_taken_back(session, act, tmp_path):
    act([3, 4], "rust")
    assert label_of(session, 3) == label_of(session, 4) == "rust"
    assert (tmp_path / "heap" / "labels.csv").read_text("utf-8-sig").count(",rust,") == 2
    status = session.status()
    assert status.can_undo and not status.can_redo and status.counts == {"rust": 2}
    session.undo("u1")
    assert label_of(session, 3) is None and session.status().can_redo
    assert session.status().counts == {"rust": 0}, "a class keeps its key"
    session.redo("u2")
    assert label_of(session, 3) == "rust"
    act([3], UNDECIDED)
    act([4], None)
    assert label_of(session, 3) is None and session.seen([4])[0].removed
    status = session.status()
    assert (status.pictures, status.undecided, status.removed) == (2 * PICTURES, 2 * PICTURES - 1, 1)


def test_the_model_learns_along_and_proposes(session, act, truth):
    names = session.collection.names
    for _ in range(20):
        row = session.next(1)[0]
        act([row], truth[names[row]], "next")
        settle(session)
    status = session.status()
    assert status.accuracy.value > 0.8 and status.curve[-1].labels == 20
    assert [point.labels for point in status.curve] == sorted({point.labels for point in status.curve})
    right = [seen.ranked[0][0] == truth[seen.name] for seen in session.seen(range(len(names)))]
    assert sum(right) > 0.9 * len(right)
    rows = session.next(5)
    assert rows and all(label_of(session, row) is None for row in rows)


def test_what_is_left_out_is_not_proposed(session, act):
    settle(session)
    act(range(2 * PICTURES - 3), None)
    settle(session)
    assert set(session.next(10)) <= set(range(2 * PICTURES - 3, 2 * PICTURES))
    assert len(session.listed("removed", "name")) == 2 * PICTURES - 3


def test_pictures_are_offered_before_anything_is_known_of_them(tmp_path, truth):
    session = open_session(tmp_path / "heap", tmp_path / "cache")
    assert len(session.next(4)) == 4 and session.groups() == []
    assert session.listed("undecided", "alike") == list(range(2 * PICTURES))
    with pytest.raises(UsageError, match="looked at"):
        session.merge([1, 2])


def test_groups_are_named_divided_and_joined(session, act, truth):
    settle(session)
    names = session.collection.names
    groups = session.groups()
    assert sorted(row for group in groups for row in group.rows) == list(range(2 * PICTURES))
    first, second = groups[:2]
    session.split(first.number, first.rows[:2])
    assert sorted(session.groups()[1].rows) == sorted(first.rows[:2])
    session.merge([group.number for group in session.groups()[:2]])
    assert sorted(session.groups()[0].rows) == sorted(first.rows)
    with pytest.raises(UsageError, match="another window"):
        session.split(first.number)
    act(second.rows, truth[names[second.rows[0]]], "group")
    assert second.number not in {group.number for group in session.groups()}
    session.regroup()
    left = [row for group in session.groups() for row in group.rows]
    assert sorted(left) == session.listed("undecided", "name")


def test_another_window_and_another_program_lose_nothing(session, act, tmp_path):
    other = Session(session.collection, Journal(tmp_path / "heap" / "labels.csv"), Cache(tmp_path / "cache"))
    act([0], "moss")
    other.decide("b0", [1], "rust", "page")  # takes in what the first has written
    act([2], "moss")
    wait_until(lambda: label_of(session, 1) == "rust" or not session.status())
    wait_until(lambda: label_of(other, 2) == "moss" or not other.status())
    assert label_of(other, 0) == "moss"
    assert open_session(tmp_path / "heap", tmp_path / "cache").status().counts == {"moss": 2, "rust": 1}


@pytest.fixture
def sorted_wrongly(tmp_path, truth):
    """Class folders in which one picture of each class lies in the other's folder."""
    top = tmp_path / "sorted"
    for number, (name, colour) in enumerate(sorted(truth.items())):
        folder = top / {0: "rust", 1: "moss"}.get(number, colour)
        folder.mkdir(parents=True, exist_ok=True)
        (tmp_path / "heap" / name).rename(folder / name)
    return top


def test_the_folders_give_labels_that_are_reviewed(sorted_wrongly, tmp_path):
    def doubted(session):
        settle(session)
        return {each.row for each in session.suspects()}

    with started(open_session(sorted_wrongly, tmp_path / "cache")) as session:
        settle(session)
        suspects = session.suspects()
        names = [session.collection.names[each.row] for each in suspects]
        assert set(names[:2]) == {"rust/0000.png", "moss/0001.png"}
        assert suspects[0].given != suspects[0].proposed and suspects[0].nearest
        first, second = suspects[:2]
        session.decide("a0", [first.row], first.proposed, "review")
        session.decide("a1", [second.row], second.given, "review")
        assert {first.row, second.row}.isdisjoint(doubted(session))
    with started(open_session(sorted_wrongly, tmp_path / "cache")) as session:
        assert {first.row, second.row}.isdisjoint(doubted(session)), "also at the next start"
        session.undo("u0")
        assert doubted(session) & {first.row, second.row} == {second.row}, (
            "a label that was kept is doubted anew"
        )
        session.undo("u1")
        assert label_of(session, first.row) == first.given


def test_a_heatmap_is_bright_where_the_picture_speaks_for_a_class(tmp_path, truth):
    heap, half = tmp_path / "heap", np.full((40, 60, 3), COLOURS["moss"], np.uint8)
    half[:, 30:] = COLOURS["rust"]
    (heap / "half.png").write_bytes(cv2.imencode(".png", half)[1].tobytes())
    (heap / "whole.png").write_bytes(cv2.imencode(".png", half[:, 30:])[1].tobytes())
    with started(open_session(heap, tmp_path / "cache")) as session:
        row = session.collection.row_of["half.png"]
        settle(session)
        assert session.heatmap(row, "rust") is None, "before there is a model"
        for number, name in enumerate(COLOURS):
            rows = [each for each in range(row) if truth[session.collection.names[each]] == name]
            session.decide(f"a{number}", rows, name, "page")
        settle(session)
        for name, side in (("rust", slice(30, 60)), ("moss", slice(0, 30))):
            picture = cv2.imdecode(np.frombuffer(session.heatmap(row, name), np.uint8), cv2.IMREAD_COLOR)
            tint = np.ptp(picture.astype(int), axis=2)  # grey elsewhere
            assert picture.shape == (40, 60, 3) and tint[:, side].mean() > 2 * np.delete(tint, side, 1).mean()
        assert session.heatmap(row, "absent") is None
        assert session.heatmap(session.collection.row_of["whole.png"], "rust") == b""
        with pytest.raises(Busy):
            session.heatmap(row, "moss", lambda: session.heatmap(row, "moss"))


def test_near_copies_that_are_kept_as_they_are_stay_so(sorted_wrongly, tmp_path):
    (sorted_wrongly / "moss" / "copy.png").write_bytes((sorted_wrongly / "rust" / "0003.png").read_bytes())
    with started(open_session(sorted_wrongly, tmp_path / "cache")) as session:
        settle(session)
        (rows,) = session.divided_copies()
        labels = [label_of(session, row) for row in rows]
        session.keep("a", rows)
        assert session.divided_copies() == [] and [label_of(session, row) for row in rows] == labels
    with started(open_session(sorted_wrongly, tmp_path / "cache")) as session:
        settle(session)
        assert session.divided_copies() == []
        session.undo("u")
        assert session.divided_copies() == [rows]


def test_a_class_is_renamed_in_every_view_and_keeps_its_key(sorted_wrongly, tmp_path):
    with started(open_session(sorted_wrongly, tmp_path / "cache")) as session:
        other = open_session(sorted_wrongly, tmp_path / "cache")
        session.decide("a", [0], "moss", "page")
        settle(session)
        suspect = next(each for each in session.suspects() if each.given == "moss")
        counts = session.status().counts
        session.rename("r1", "moss", "lichen")
        assert session.status().counts == {"lichen": counts["moss"], "rust": counts["rust"]}
        assert label_of(session, 0) == label_of(session, suspect.row) == "lichen"
        settle(session)
        assert {name for name, _ in session.seen([0])[0].ranked} == {"lichen", "rust"}
        assert suspect.row in {each.row for each in session.suspects() if each.given == "lichen"}
        assert len(session.listed("class/lichen", "name")) == counts["moss"]
        with pytest.raises(UsageError, match="renamed in another window"):
            session.rename("r2", "moss", "fern")
        session.rename("r3", "lichen", "RUST")
        assert session.status().counts == {"rust": 2 * PICTURES}
        wait_until(lambda: other.status().counts == {"rust": 2 * PICTURES})
        assert open_session(sorted_wrongly, tmp_path / "cache").status().counts == {"rust": 2 * PICTURES}
        assert session.undo("u1").is_renamed and session.undo("u2").is_renamed
        settle(session)
        assert session.status().counts == counts and not session.undo("u3").is_renamed
        wait_until(lambda: list(other.status().counts.items()) == [("moss", 30), ("rust", 30)])
    assert sorted(path.name for path in sorted_wrongly.iterdir()) == ["labels.csv", "moss", "rust"]


def test_answers_of_a_file_follow_the_name_of_a_class(session, act):
    answered = [Said("0000.png", "moss", 0.9, False), Said("0001.png", "rust", 0.8, False)]
    session.look_over(answers.of_file(session.collection, answered, Path("answers.csv")))
    session.rename("r1", "moss", "lichen")
    sheets = {sheet.name: sheet.rows for sheet in session.answer_sheets() if sheet.kind == answers.OF_CLASS}
    assert sheets == {"lichen": [0], "rust": [1]}
    session.rename("r2", "rust", "lichen")
    assert next(iter(session.answer_sheets())).rows == [1, 0] and session.status().counts == {"lichen": 0}
    session.add_class("moss")
    assert session.status().counts == {"lichen": 0, "moss": 0}, "a new class by a former name"
    session.add_class("fern")
    session.rename("r3", "fern", "lichen")
    assert session.status().counts == {"lichen": 0, "moss": 0}


def test_what_has_befallen_the_file_of_decisions_is_told(session, act, tmp_path):
    act([0], "moss")
    file = tmp_path / "heap" / "labels.csv"
    former = file.read_bytes()
    file.write_text("a,b\n1,2\n")
    wait_until(lambda: "has become another file" in session.status().notice)
    assert session.status().counts == {"moss": 1}
    file.write_bytes(former)
    wait_until(lambda: session.status().notice == "")


def test_lists_show_what_is_asked_for(session, act, truth):
    names = session.collection.names
    act([row for row in range(20) if truth[names[row]] == "moss"], "moss")
    act([row for row in range(20) if truth[names[row]] == "rust"], "rust")
    act([7], None)
    settle(session)
    labelled = set(range(20)) - {7}
    assert set(session.listed("decided", "sure")) == labelled
    assert session.listed("all", "latest")[0] == 7
    assert set(session.listed("class/moss", "alike")) == {row for row in labelled if row % 2 == 0}
    proposed = session.listed("proposed/moss", "sure"), session.listed("proposed/rust", "unsure")
    assert set(proposed[0]) | set(proposed[1]) == set(range(20, 2 * PICTURES))
    for show, order in (("everything", "name"), ("class/none", "name"), ("all", "size")):
        with pytest.raises(UsageError):
            session.listed(show, order)


def test_copies_share_a_decision(tmp_path, truth):
    heap = tmp_path / "heap"
    (heap / "copy.png").write_bytes((heap / "0000.png").read_bytes())
    session = open_session(heap, tmp_path / "cache")
    session.decide("a", [0], "moss", "page")
    assert label_of(session, session.collection.row_of["copy.png"]) == "moss"


def test_a_name_that_cannot_be_a_class_and_a_row_that_is_none_are_refused(session, act):
    for name in ("a/b", "x\ny", "remove"):
        with pytest.raises(UsageError):
            act([0], name)
    with pytest.raises(UsageError, match="no such picture"):
        act([2 * PICTURES], "moss")
    session.add_class("lichen")
    assert session.classes == ["lichen"] and label_of(session, 0) is None


def test_without_a_network_the_page_still_labels(tmp_path, truth):
    def fail():
        raise PigeonholeError("the weights are not installed")

    kept = Cache(tmp_path / "cache")
    pictures = Collection.open(tmp_path / "heap", kept, progress=False)
    with started(Session(pictures, Journal(tmp_path / "labels.csv"), kept, fail)) as session:
        wait_until(lambda: session.status().problem)
        session.decide("a", session.next(1), "moss", "next")
        status = session.status()
        assert status.problem == "the weights are not installed" and status.counts == {"moss": 1}
        assert status.progress is None and not status.busy


def test_class_folders_are_labels_from_the_start(tmp_path):
    draw_tree(tmp_path / "tree", {"cat": 3, "dog": 2})
    session = open_session(tmp_path / "tree", tmp_path / "cache")
    assert session.status().counts == {"cat": 3, "dog": 2} and session.status().undecided == 0


def test_one_picture_and_equal_ones_are_labelled_too(tmp_path, truth):
    for count in (1, 2):
        folder = tmp_path / f"heap-{count}"
        draw_heap(folder, 1, {"moss": (60, 150, 60)})
        for copy in range(1, count):
            shutil.copy(folder / "0000.png", folder / f"{copy}.png")
        with started(open_session(folder, tmp_path / "cache")) as session:
            settle(session)
            assert [len(group.rows) for group in session.groups()] == [count]
            session.decide("a1", [0], "moss", "group")
            settle(session)
            assert session.status().undecided == 0 and not session.groups()
