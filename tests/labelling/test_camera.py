"""Frames of a camera become files with a label, join the pictures at once, and are answered."""

import csv
import os
import sys

import cv2
import numpy as np
import pytest

from pigeonhole.data import bursts, layout
from pigeonhole.data.cache import Cache
from pigeonhole.errors import PigeonholeError, UsageError
from pigeonhole.labelling.collection import Collection
from pigeonhole.labelling.expected import FEWEST
from tests.support.drawn_folders import draw_tree
from tests.support.labelling_sessions import (
    COLOURS,
    draw_heap,
    frame,
    open_session,
    settle,
    started,
    wait_until,
)

MOSS, RUST = COLOURS


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "empty").mkdir()
    return tmp_path / "empty"


@pytest.fixture
def session(folder, tmp_path):
    with started(open_session(folder, tmp_path / "cache")) as session:
        settle(session)
        yield session


def record(session, colour: str, seeds) -> str:
    burst = session.camera.begin(colour)
    for seed in seeds:
        session.camera.record(burst, frame(colour, seed))
    return burst


def joined(session, count: int) -> None:
    """Wait until so many pictures are there and the model knows their labels."""
    wait_until(lambda: session.status().pictures == count)
    settle(session)


def test_two_classes_are_taught_in_an_empty_folder_and_answered(session, folder):
    assert session.status().pictures == 0 and session.camera.answer(frame(MOSS, 99)) == []
    for number in range(FEWEST // 2 + 1):
        record(session, MOSS, range(10 * number, 10 * number + 3))
        record(session, RUST, range(500 + 10 * number, 503 + 10 * number))
    recordings = 2 * (FEWEST // 2 + 1)
    joined(session, 3 * recordings)
    status = session.status()
    assert status.counts == {MOSS: 3 * recordings / 2, RUST: 3 * recordings / 2} and not status.undecided
    for colour in COLOURS:
        (best, share), (_, rest) = session.camera.answer(frame(colour, 99))
        assert best == colour and share > 0.8 and share + rest == pytest.approx(1, abs=1e-5)
    assert status.accuracy.total == recordings, "frames of one recording count as one picture"
    files = sorted(path.name for path in (folder / layout.RECORDINGS).iterdir())
    assert len(files) == 3 * recordings and len({bursts.of(name) for name in files}) == recordings
    assert {path.name for path in folder.iterdir()} == {layout.RECORDINGS, "labels.csv"}


def test_frames_are_kept_as_they_came_and_one_undo_takes_a_recording_back(session, folder):
    burst = record(session, MOSS, range(3))
    joined(session, 3)
    with (folder / "labels.csv").open(encoding="utf-8-sig", newline="") as table:
        rows = list(csv.DictReader(table))
    assert [(row["action"], row["label"], row["source"]) for row in rows] == [(burst, MOSS, "camera")] * 3
    assert [(folder / row["file"]).read_bytes() for row in rows] == [frame(MOSS, seed) for seed in range(3)]
    session.undo("u")
    assert session.status().undecided == 3 and len(session.listed("undecided", "sure")) == 3
    session.regroup()
    assert sum(len(group.rows) for group in session.groups()) == 3
    session.redo("r")
    assert session.status().counts == {MOSS: 3}


def test_frames_join_a_heap_and_are_found_again_at_the_next_start(tmp_path):
    truth = draw_heap(tmp_path / "heap", 12)
    with started(open_session(tmp_path / "heap", tmp_path / "cache")) as session:
        settle(session)
        names = session.collection.names
        for label in COLOURS:
            rows = [row for row, name in enumerate(names) if truth[name] == label][:6]
            session.decide(f"a{label}", rows, label, "page")
        record(session, MOSS, range(5))
        joined(session, 29)
        assert session.collection.names[:24] == names, "rows that a page knows stay what they are"
        groups = session.findings.groups
        assert len(set(groups[24:])) == 1 and not set(groups[24:]) & set(groups[:24])
        assert session.seen(range(24, 29))[4].label == MOSS and session.next(100)
        assert session.suspects() == session.suspects() and session.divided_copies() == []
    again = open_session(tmp_path / "heap", tmp_path / "cache")
    status = again.status()
    assert (status.pictures, status.undecided) == (29, 12)
    again.close()


def test_a_second_recording_of_the_same_scene_is_a_copy_of_the_first(session):
    for _ in range(2):
        burst = session.camera.begin(MOSS)
        for quality in (80, 90):
            picture = cv2.imdecode(np.frombuffer(frame(MOSS, 7, (8, 8)), np.uint8), cv2.IMREAD_COLOR)
            large = cv2.resize(picture, (64, 64), interpolation=cv2.INTER_CUBIC)
            jpeg = cv2.imencode(".jpg", large, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
            session.camera.record(burst, jpeg)
    record(session, RUST, [1])
    joined(session, 5)
    assert len(set(session.findings.groups.tolist())) == 2


def test_beside_class_folders_frames_are_no_class_of_their_own(tmp_path):
    draw_tree(tmp_path / "tree", {"cat": 4, "dog": 4})
    with started(open_session(tmp_path / "tree", tmp_path / "cache")) as session:
        settle(session)
        burst = session.camera.begin("DOG")
        session.camera.record(burst, frame(MOSS, 1))
        joined(session, 9)
        assert session.status().counts == {"cat": 4, "dog": 5}
    again = open_session(tmp_path / "tree", tmp_path / "cache")
    assert again.status().counts == {"cat": 4, "dog": 5}
    again.close()


def test_what_cannot_be_recorded_is_told(session, folder, tmp_path):
    burst = session.camera.begin(MOSS)
    png = cv2.imencode(".png", np.zeros((8, 8, 3), np.uint8))[1].tobytes()
    for data in (b"", b"words", png, frame(MOSS, 1)[:200], frame(MOSS, 1, (2100, 2000))):
        with pytest.raises(UsageError, match="frame"):
            session.camera.record(burst, data)
    with pytest.raises(UsageError, match="Begin another"):
        session.camera.record(bursts.new(), frame(MOSS, 1))
    with pytest.raises(UsageError, match="name"):
        session.camera.begin(" ")
    assert not (folder / layout.RECORDINGS).exists()
    (folder / layout.RECORDINGS).write_text("a file of the user")
    with pytest.raises(PigeonholeError, match="cannot be written"):
        session.camera.record(burst, frame(MOSS, 1))
    assert (folder / layout.RECORDINGS).read_text() == "a file of the user"
    assert not session.journal.labels


def test_a_file_of_the_same_name_is_left_as_it_is(session, folder):
    burst = session.camera.begin(MOSS)
    mine = folder / layout.RECORDINGS / bursts.file_name(burst, 1)
    mine.parent.mkdir()
    mine.write_text("mine")
    with pytest.raises(PigeonholeError, match="there already"):
        session.camera.record(burst, frame(MOSS, 1))
    assert mine.read_text() == "mine"


def test_pictures_that_are_divided_by_folders_take_no_frames(tmp_path):
    for part in ("train", "valid"):
        draw_tree(tmp_path / "split" / part, {"cat": 2, "dog": 2})
    session = open_session(tmp_path / "split", tmp_path / "cache")
    with pytest.raises(UsageError, match="divide"):
        session.camera.begin("cat")
    session.close()


def test_a_long_teaching_holds_no_more_files_open_and_groups_as_a_new_start_does(tmp_path):
    folder, kept = tmp_path / "heap", Cache(tmp_path / "cache")
    draw_heap(folder, 3)
    pictures, burst, held = Collection.open(folder, kept, progress=False), bursts.new(), []
    for number in range(1, 13):
        name = bursts.file_name(burst, number)
        seed = number if number < 12 else 1  # the last one is a copy of the first
        (folder / name).write_bytes(frame(MOSS, seed))
        pictures = pictures.with_more([name], kept)
        held.append(len(os.listdir("/proc/self/fd")) if sys.platform == "linux" else 0)
    assert held[-1] <= held[1]
    again = Collection.open(folder, kept, progress=False)
    order = [again.row_of[name] for name in pictures.names]
    same = pictures.groups[:, None] == pictures.groups
    assert (same == (again.groups[order][:, None] == again.groups[order])).all()
    assert len(pictures.near_copies) == len(again.near_copies)
