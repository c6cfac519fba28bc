"""The API of the labelling page, and who may use it."""

import csv
import io
import re
from collections import Counter

import cv2
import numpy as np
import pytest

from pigeonhole.web import create_app, labelling
from pigeonhole.web.gateway import HAS_LEFT
from tests.support import web_server
from tests.support.labelling_sessions import COLOURS, draw_heap, open_session, settle, started

PICTURES = 12  # of each of two colours


@pytest.fixture(scope="module")
def heap(tmp_path_factory):
    folder = tmp_path_factory.mktemp("home") / "heap"
    draw_heap(folder, PICTURES)
    (folder / "notes.txt").write_text("no picture")
    return folder


@pytest.fixture
def session(heap, tmp_path):
    with started(open_session(heap, heap.parent / "cache", tmp_path / "labels.csv")) as session:
        settle(session)
        yield session


@pytest.fixture
def client(session):
    app = create_app([], hosts=("localhost", "127.0.0.1"))
    labelling.add_to(app, session)
    return app.test_client()


@pytest.fixture
def tell(client, session):
    """`tell(path, **content)` as the page does."""

    def post(path, headers=None, **content):
        given = {"X-Session": session.number} if headers is None else headers
        return client.post(f"/label/api/{path}", json=content, headers=given)

    return post


def test_the_first_page_is_the_labelling(client, session):
    assert client.get("/").location == "/label/"
    page = client.get("/label/")
    assert session.number in page.text and page.headers["Content-Security-Policy"].startswith(
        "default-src 'none'"
    )


def test_a_decision_is_answered_once_it_is_written(tell, client, tmp_path):
    state = tell("decide", action="a1", ids=[0, 2], label="moss", source="next").json["state"]
    assert state["classes"] == [{"name": "moss", "count": 2}]
    assert state["counts"] == {"pictures": 2 * PICTURES, "undecided": 2 * PICTURES - 2, "removed": 0}
    rows = list(csv.DictReader(io.StringIO((tmp_path / "labels.csv").read_text("utf-8-sig"))))
    assert [(row["file"], row["label"], row["source"]) for row in rows] == [
        ("0000.png", "moss", "next"),
        ("0002.png", "moss", "next"),
    ]
    assert tell("decide", action="a1", ids=[0, 2], label="moss").json["state"]["classes"][0]["count"] == 2
    assert len((tmp_path / "labels.csv").read_text().splitlines()) == 3, "a repeated request is written once"
    assert tell("undo", action="u1").json["state"]["counts"]["undecided"] == 2 * PICTURES
    assert tell("redo", action="u2").json["ids"] == [0, 2]
    tell("decide", action="a2", ids=[3], remove=True)
    pictures = client.get("/label/api/pictures?ids=0,3").json["pictures"]
    assert [(one["label"], one["removed"]) for one in pictures] == [("moss", False), (None, True)]


def test_labels_that_are_kept_are_written_as_they_stand(tell, tmp_path):
    tell("decide", action="a1", ids=[0], label="moss")
    tell("decide", action="a2", ids=[1], label="rust")
    assert tell("keep", action="a3", ids=[0, 1, 2]).json["state"]["counts"]["undecided"] == 2 * PICTURES - 2
    rows = list(csv.DictReader(io.StringIO((tmp_path / "labels.csv").read_text("utf-8-sig"))))
    assert [(row["file"], row["label"], row["source"]) for row in rows[2:]] == [
        ("0000.png", "moss", "review"),
        ("0001.png", "rust", "review"),
    ]


def test_a_class_is_renamed_and_undone(tell):
    tell("decide", action="a1", ids=[0, 2], label="moss")
    state = tell("classes/rename", action="a2", old="moss", new="lichen").json["state"]
    assert state["classes"] == [{"name": "lichen", "count": 2}] and state["called"] == {"moss": "lichen"}
    undone = tell("undo", action="u1").json
    assert undone["renamed"] and undone["state"]["classes"] == [{"name": "moss", "count": 2}]


def test_views_get_what_they_show(tell, client, session):
    tell("decide", action="a1", ids=[0, 2, 4], label="moss")
    tell("decide", action="a2", ids=[1, 3, 5], label="rust")
    settle(session)
    (first, *_) = client.get("/label/api/next?count=3").json["pictures"]
    assert first["label"] is None and {one["name"] for one in first["ranked"]} == {"moss", "rust"}
    assert client.get("/label/api/list?show=class/moss&order=name").json["ids"] == [0, 2, 4]
    groups = client.get("/label/api/groups").json["groups"]
    assert sum(len(group["ids"]) for group in groups) == 2 * PICTURES - 6
    assert groups[0]["proposed"] in ("moss", "rust") and 0.5 <= groups[0]["share"] <= 1
    before = len(groups)
    assert tell("groups/split", group=groups[0]["id"], out=groups[0]["ids"][:1]).status_code == 200
    groups = client.get("/label/api/groups").json["groups"]
    assert len(groups) == before + 1
    assert tell("groups/merge", groups=[group["id"] for group in groups]).status_code == 200
    assert len(client.get("/label/api/groups").json["groups"]) == 1
    assert tell("groups/anew").status_code == 200
    assert client.get("/label/api/review").json.keys() == {"suspects", "copies"}


@pytest.mark.parametrize("size", ["thumbnails", "pictures"])
def test_pictures_are_shown_and_kept_by_the_browser(client, session, size):
    digest = session.seen([1])[0].digest
    answer = client.get(f"/label/{size}/1?v={digest}")
    shown = cv2.imdecode(np.frombuffer(answer.data, np.uint8), cv2.IMREAD_COLOR)
    assert shown.shape == (32, 40, 3) and "immutable" in answer.headers["Cache-Control"]
    assert client.get(f"/label/{size}/1?v=other").headers["Cache-Control"] == "no-store"
    assert client.get(f"/label/{size}/999").status_code == 404


def test_what_speaks_for_a_class_is_drawn_on_demand(tell, client, session):
    heatmap = "/label/heatmaps/4?for=moss"
    assert client.get(heatmap).status_code == 404, "no model yet"
    tell("decide", action="a1", ids=[0, 2], label="moss")
    tell("decide", action="a2", ids=[1, 3], label="rust")
    settle(session)
    answer = client.get(heatmap)
    assert (answer.status_code, answer.content_type) == (200, "image/jpeg")
    assert cv2.imdecode(np.frombuffer(answer.data, np.uint8), cv2.IMREAD_COLOR).shape == (32, 40, 3)
    assert client.get(heatmap, environ_overrides={HAS_LEFT: lambda: True}).status_code == 503
    assert client.get("/label/heatmaps/4?for=absent").status_code == 404
    assert client.get("/label/heatmaps/999?for=moss").status_code == 404


def test_where_no_part_of_a_picture_speaks_for_a_class_there_is_no_heatmap(tmp_path):
    heap = tmp_path / "heap"
    truth = draw_heap(heap, PICTURES)
    plain = np.full((40, 60, 3), COLOURS["moss"], np.uint8)
    (heap / "plain.png").write_bytes(cv2.imencode(".png", plain)[1].tobytes())
    with started(open_session(heap, tmp_path / "cache")) as session:
        app = create_app([])
        labelling.add_to(app, session)
        for number, (name, label) in enumerate(truth.items()):
            session.decide(f"a{number}", [session.collection.row_of[name]], label, "page")
        settle(session)
        row = session.collection.row_of["plain.png"]
        answer = app.test_client().get(f"/label/heatmaps/{row}?for=moss")
    assert (answer.status_code, answer.data) == (204, b"")


def test_files_that_cannot_be_read_are_listed(client):
    assert client.get("/label/api/state").json["state"]["unreadable"] == 1
    assert "notes.txt" in client.get("/label/unreadable").text


@pytest.mark.parametrize(
    ("path", "content", "told"),
    [
        ("decide", {"action": "a", "ids": [999], "label": "moss"}, "no such picture"),
        ("decide", {"action": "a", "ids": "all", "label": "moss"}, "list of whole numbers"),
        ("decide", {"action": "a", "ids": [True], "label": "moss"}, "list of whole numbers"),
        ("decide", {"action": 5, "ids": [0], "label": "moss"}, "must be a text"),
        ("decide", {"action": "a", "ids": [0], "label": "a/b"}, "cannot be a class"),
        ("decide", {"action": "a b", "ids": [0], "label": "moss"}, "no id"),
        ("classes", {"name": " "}, "class"),
        ("classes/rename", {"action": "a", "old": "absent", "new": "fern"}, "is no class any more"),
        ("classes/rename", {"action": "a", "old": "absent"}, "must be a text"),
        ("groups/split", {"group": 999, "out": []}, "another window"),
    ],
)
def test_what_cannot_be_done_is_refused_in_a_sentence(tell, path, content, told):
    answer = tell(path, **content)
    assert answer.status_code == 400 and told in answer.json["detail"]


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("decide", {"action": "a1", "ids": [0], "label": 5}),
        ("decide", {"action": "a1", "ids": [0], "label": ["moss"]}),
        ("decide", {"action": "a1", "ids": [0], "label": {}}),
        ("groups/merge", {"groups": []}),
        ("groups/merge", {"groups": [1, 1]}),
    ],
)
def test_what_is_of_another_kind_is_refused_and_changes_nothing(tell, client, path, content):
    before = client.get("/label/api/state").json["state"]
    assert tell(path, **content).status_code == 400
    after = client.get("/label/api/state").json["state"]
    assert (after["decisions"], after["sheets"]) == (before["decisions"], before["sheets"])


def test_numbers_and_objects_without_end_are_refused(client, session):
    digits = "9" * 5000
    assert client.get(f"/label/api/pictures?ids={digits}").status_code == 400
    assert client.get(f"/label/api/next?count={digits}").status_code == 400
    told = client.post(
        "/label/api/decide",
        data="[" * 20_000,
        headers={"X-Session": session.number},
        content_type="application/json",
    )
    assert told.status_code == 400


def test_only_a_page_of_this_start_may_decide(tell, client):
    content = {"action": "a1", "ids": [0], "label": "moss"}
    assert tell("decide", headers={}, **content).status_code == 403
    answer = tell("decide", headers={"X-Session": "0" * 16}, **content)
    assert answer.status_code == 403 and "Load it again" in answer.json["detail"]
    assert client.get("/label/api/state").json["state"]["counts"]["undecided"] == 2 * PICTURES


def test_a_page_of_another_site_and_another_name_are_refused(tell, client, session):
    headers = {"X-Session": session.number, "Sec-Fetch-Site": "cross-site"}
    assert tell("decide", headers=headers, action="a", ids=[0], label="moss").status_code == 403
    assert client.get("/label/api/state", headers={"Host": "elsewhere.example"}).status_code == 400


def test_an_app_without_a_labelling_has_no_such_page(tmp_path):
    app = create_app([web_server.model(tmp_path / "model")])
    assert app.test_client().get("/label/").status_code == 404
    assert "/label/" not in app.test_client().get("/").text


def test_no_rule_of_a_style_sheet_is_written_twice(client):
    page = client.get("/label/").text
    sheets = re.findall(r'href="(/static/[^"]+[.]css)', page)
    assert any("label.css" in sheet for sheet in sheets)
    for sheet in sheets:
        rules = re.findall(r"^[^@{}]+{[^{}]+}", client.get(sheet).text, re.MULTILINE)
        assert [rule for rule, count in Counter(rules).items() if count > 1] == [], sheet
