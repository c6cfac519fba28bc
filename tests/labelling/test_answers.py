"""Answers of a model to the pictures of a collection, as sheets, and where each picture would be sorted."""

from pathlib import Path

import numpy as np
import pytest

from pigeonhole.errors import UsageError
from pigeonhole.labelling import answers
from pigeonhole.labelling.answers import DOUBTFUL, OF_CLASS, WITHOUT, Said
from tests.support.labelling_sessions import draw_heap, open_session, settle, started

FILE = Path("answers.csv")


@pytest.fixture
def session(tmp_path):
    draw_heap(tmp_path / "heap", 3)  # 0000.png to 0005.png
    (tmp_path / "heap" / "more").mkdir()
    (tmp_path / "heap" / "0005.png").rename(tmp_path / "heap" / "more" / "5.png")
    return open_session(tmp_path / "heap", tmp_path / "cache")


def told(session, *said):
    return answers.of_file(session.collection, said, FILE)


@pytest.mark.parametrize("above", ["", "heap/", "elsewhere/heap/", "{}/", "./heap/../heap/"])
def test_a_picture_is_known_by_its_path_from_any_folder(session, tmp_path, monkeypatch, above):
    monkeypatch.chdir(tmp_path)
    above = above.format(tmp_path / "heap")
    found = told(session, Said(f"{above}more/5.png", "moss", 0.9, False))
    assert np.flatnonzero(found.best >= 0).tolist() == [5] and found.elsewhere == 0


def test_a_picture_of_the_same_name_elsewhere_is_another(session):
    said = [Said("other/0001.png", "moss", 0.9, False), Said("0002.png", "moss", 0.9, False)]
    found = told(session, *said)
    assert found.elsewhere == 1 and np.flatnonzero(found.best >= 0).tolist() == [2]
    with pytest.raises(UsageError, match=r"--answers answers.csv: answers none .* such as other/0001.png"):
        told(session, said[0])
    with pytest.raises(UsageError, match="it is empty"):
        told(session)


def test_sheets_by_class_the_doubtful_apart_the_least_sure_first(session):
    session.look_over(
        told(
            session,
            Said("0000.png", "moss", 0.9, False),
            Said("0001.png", "rust", 0.7, False),
            Said("0002.png", "moss", 0.6, False),
            Said("0003.png", "rust", 0.5, True),
            Said("0004.png", None, 0.0, False),
        )
    )
    found = session.answer_sheets()
    assert [(sheet.kind, sheet.name, sheet.rows) for sheet in found] == [
        (DOUBTFUL, "", [3]),
        (OF_CLASS, "moss", [2, 0]),
        (OF_CLASS, "rust", [1]),
        (WITHOUT, "", [4, 5]),
    ]
    assert found[0].answers == ["rust"] and found[1].shares == pytest.approx([0.6, 0.9])
    assert session.classes == ["moss", "rust"], "so that they have their keys"


def test_a_correction_leaves_the_sheet_and_decides_the_folder(session):
    session.look_over(
        told(
            session,
            Said("0000.png", "moss", 0.9, False),
            Said("0001.png", "moss", 0.8, False),
            Said("0002.png", "moss", 0.6, True),
            Said("0003.png", "rust", 0.9, False),
        )
    )
    session.decide("a", [1], "rust", "answers")
    session.decide("b", [3], None, "answers")
    assert [sheet.rows for sheet in session.answer_sheets() if sheet.name == "moss"] == [[0]]
    assert session.places("unsure") == {"0000.png": "moss", "0001.png": "rust", "0002.png": "unsure"}
    session.undo("u")
    session.undo("v")
    assert session.places("unsure")["0001.png"] == "moss" and session.places("unsure")["0003.png"] == "rust"


def test_without_a_file_the_model_that_learns_along_answers(tmp_path):
    colour_of = draw_heap(tmp_path / "heap", 8)
    with started(open_session(tmp_path / "heap", tmp_path / "cache")) as session:
        settle(session)
        assert session.answer_sheets() == [] and session.places("unsure") == {}
        names = session.collection.names
        for row in range(8):
            session.decide(f"a{row}", [row], colour_of[names[row]], "page")
        settle(session)
        found = session.answer_sheets()
        assert sorted(row for sheet in found for row in sheet.rows) == list(range(8, 16))
        assert {sheet.kind for sheet in found} <= {DOUBTFUL, OF_CLASS}
        placed = session.places("unsure")
        right = sum(placed[name] == colour_of[name] for name in names)
        assert len(placed) == 16 and right >= 14
