"""Training from the labelling page: its API, and the page with the models that have come of it."""

import io
import zipfile

import pytest

from pigeonhole.jobs import workbench
from pigeonhole.jobs.workbench import Source
from pigeonhole.web import create_app, labelling
from tests.support import run_folders, saved_runs, web_server
from tests.support.labelling_sessions import open_session, started, wait_until


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return run_folders.make(tmp_path_factory.mktemp("runs"))


@pytest.fixture
def session(run, tmp_path):
    folder = run.folder.parent / "pictures"
    with started(open_session(folder, tmp_path / "cache", tmp_path / "labels.csv")) as session:
        yield session


@pytest.fixture
def app(session, run):
    app = create_app([], runs=run.folder.parent)
    source = Source(session.collection.folder, session.journal.file, run.folder.parent, ["--no-cache"])
    with labelling.add_to(app, session, source):
        yield app


@pytest.fixture
def tell(app, session):
    """`tell(path, **content)` as the page does."""
    client = app.test_client()
    headers = {"X-Session": session.number}
    return lambda path, **content: client.post(f"/label/api/training/{path}", json=content, headers=headers)


def test_the_newest_model_is_listed_and_asked_in_the_same_app(app, run, tmp_path):
    client = app.test_client()
    state = client.get("/label/api/training").json
    assert state["job"] is None and state["compared"] is None
    assert [(each["name"], each["asked"]) for each in state["runs"]] == [(run.name, False)]
    assert client.get("/").location == "/label/"
    labelling.load_newest(app)
    wait_until(lambda: client.get("/label/api/training").json["runs"][0]["asked"])
    assert "What is it?" in client.get("/").text
    picture = saved_runs.write_picture(tmp_path / "a.png", 1).read_bytes()
    answer = client.post("/", data={"pictures": (io.BytesIO(picture), "a.png")})
    assert answer.status_code == 200 and any(name in answer.text for name in saved_runs.CLASSES)
    assert 'href="/watch"' in client.get("/label/").text


def test_what_was_exported_is_taken_along(app, run):
    client = app.test_client()
    assert client.get(f"/label/api/training/{run.name}/onnx").status_code == 404
    page = run.exports_folder / workbench.FORMS["web"]
    page.mkdir(parents=True)
    (page / "index.html").write_text("<p>answers</p>")
    (run.exports_folder / workbench.FORMS["bundle"]).write_bytes(b"PK")
    assert client.get("/label/api/training").json["runs"][0]["forms"] == ["bundle", "web"]
    answer = client.get(f"/label/api/training/{run.name}/web")
    assert answer.headers["Content-Disposition"] == f"attachment; filename={run.name}-web.zip"
    with zipfile.ZipFile(io.BytesIO(answer.data)) as archive:
        assert archive.namelist() == [f"{run.name}-web/index.html"]
    assert client.get(f"/label/api/training/{run.name}/bundle").data == b"PK"
    assert client.get(f"/label/api/training/{run.name}/settings.json").status_code == 404
    assert client.get("/label/api/training/other/bundle").status_code == 400


@pytest.mark.parametrize(
    ("path", "content", "told"),
    [
        ("start", {"minutes": "many"}, "minutes"),
        ("start", {"minutes": -1}, "minutes"),
        ("start", {"minutes": True}, "minutes"),
        ("resume", {"run": "other"}, "no run of that name"),
        ("export", {"run": "run", "form": "picture"}, "no form"),
        ("export", {"run": 5, "form": "onnx"}, "must be a text"),
    ],
)
def test_what_cannot_be_done_is_refused_in_a_sentence(tell, path, content, told):
    answer = tell(path, **content)
    assert answer.status_code == 400 and told in answer.json["detail"]


def test_only_a_page_of_this_start_may_train(app):
    client = app.test_client()
    for path in ("start", "stop", "resume", "export"):
        assert client.post(f"/label/api/training/{path}", json={}).status_code == 403


def test_a_model_takes_the_place_of_the_former_one(tmp_path):
    first, second = (web_server.model(tmp_path / name, seed) for seed, name in enumerate(("first", "second")))
    app = create_app([first])
    models = app.extensions["models"]
    models.put(second)
    assert [model.name for model in models] == ["second", "first"] and models.choose(None) is second
    models.put(first)
    assert [model.name for model in models] == ["first", "second"]
