import contextlib
import hashlib
import io
import json
import logging
import os
import re
import shutil
import sys
import tempfile
import time
from base64 import b64decode, b64encode
from pathlib import Path

import cv2
import numpy as np
import pytest

from pigeonhole.commands import predict
from pigeonhole.model.classifier import Classifier
from pigeonhole.runs.run import Run
from pigeonhole.web import Model, create_app, models, uploads
from pigeonhole.web.gateway import HAS_LEFT
from tests.support import saved_runs, web_server
from tests.support.odd_files import CORPUS, PICTURE, encode, png_of

CLASSES = list(saved_runs.CLASSES)
PNG = encode(PICTURE, "PNG")
RANDOM = np.random.default_rng(0)
NOISE = [encode(RANDOM.integers(0, 256, (20, 20, 3), np.uint8), "PNG") for _ in range(12)]
RESULT = {"expected_accuracy": 0.8125, "interval_95": [0.75, 0.875], "validation_pictures": 1234}


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """A run that was trained on pictures which are still there, with a result and a report."""
    home = tmp_path_factory.mktemp("home")
    model = web_server.model(home / "runs" / "first", onnx=True)
    outside = saved_runs.write_picture(home / "outside.png")
    digest = hashlib.sha256(outside.read_bytes()).hexdigest()
    rows = ["path,class,side,digest", f"../outside.png,cat,train,{digest}"]
    for label, name in enumerate(CLASSES):
        for number in range(8):
            file = saved_runs.write_picture(home / "data" / name / f"{number}.png", 10 * label + number)
            side = "valid" if number == 0 else "train"
            digest = hashlib.sha256(file.read_bytes()).hexdigest()
            rows.append(f"{file.relative_to(home / 'data').as_posix()},{name},{side},{digest}")
    run = model.run.folder
    (run / "split.csv").write_text("\n".join(rows), "utf-8")
    (run / "settings.json").write_text(json.dumps({"options": {"data": str(home / "data")}}))
    (run / "result.json").write_text(json.dumps(RESULT))
    (run / "report.html").write_text("<!doctype html><title>The report</title>")
    return model


@pytest.fixture(scope="module")
def second(tmp_path_factory):
    """A run of which only the model is left; its class names are hostile."""
    return web_server.model(tmp_path_factory.mktemp("runs") / "<b>&second", seed=1)


@pytest.fixture(scope="module")
def app(first, second, tmp_path_factory):
    return create_app([first, second], runs=tmp_path_factory.mktemp("watched"))


@pytest.fixture
def client(app):
    return app.test_client()


def form(*files: tuple[str, bytes], **fields: str) -> dict:
    """A form as a browser sends it."""
    return {"pictures": [(io.BytesIO(data), name) for name, data in files], **fields}


def predict_one(client, data: bytes = PNG, query: str = "", **options):
    return client.post(f"/api/predict{query}", data=data, content_type="image/png", **options)


# --- which request gets which status ---


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 200),
        ("HEAD", "/", 200),
        ("PUT", "/", 405),
        ("GET", "/models/first", 200),
        ("GET", "/models/none", 404),
        ("GET", "/models/first/report", 200),
        ("GET", "/models/%3Cb%3E&second", 200),
        ("GET", "/models/%3Cb%3E&second/report", 404),
        ("GET", "/models/first/examples/0/0", 200),
        ("GET", "/models/first/examples/0/99", 404),
        ("GET", "/models/first/examples/99/0", 404),
        ("GET", "/models/first/examples/-1/0", 404),
        ("GET", "/models/..%2F..%2Fetc/report", 404),
        ("GET", "/static/style.css", 200),
        ("GET", "/static/../__init__.py", 404),
        ("GET", "/static/%2e%2e/__init__.py", 404),
        ("GET", "/watch", 200),
        ("GET", "/watch?run=../..", 404),
        ("GET", "/api/model", 200),
        ("GET", "/api/model?model=none", 404),
        ("GET", "/api/openapi.json", 200),
        ("GET", "/api/predict", 405),
        ("POST", "/api/predict", 400),
        ("GET", "/api/none", 404),
        ("GET", "/healthz", 200),
        ("GET", "/metrics", 200),
        ("GET", "/none", 404),
    ],
)
def test_status(client, method, path, status):
    response = client.open(path, method=method)
    assert response.status_code == status
    if status >= 400 and path.startswith("/api"):
        assert response.mimetype == "application/problem+json"
        assert response.json["status"] == status


# --- the API ---


def test_the_api_answers_as_the_classifier(client, first):
    response = predict_one(client)
    (result,) = response.json["results"]
    answer = next(first.classifier.answer_each([PNG]))
    given = {each["class"]: each["probability"] for each in result["predictions"]}
    assert [given[name] for name in CLASSES] == pytest.approx(answer.probabilities.tolist(), abs=1e-6)
    shares = [each["probability"] for each in result["predictions"]]
    assert shares == sorted(shares, reverse=True)
    assert result["unsure"] == answer.unsure
    assert (result["width"], result["height"], result["channels"]) == (48, 32, 3)
    assert result["format"] == "png" and result["oddities"] == []
    assert response.json["model"] == "first" and result["milliseconds"] > 0


def test_several_pictures_are_answered_in_their_order(client):
    files = form(("a.png", PNG), ("b.txt", b"no picture"), ("c.jpg", encode(PICTURE, "JPEG", orientation=6)))
    results = client.post("/api/predict", data=files).json["results"]
    assert [result["name"] for result in results] == ["a.png", "b.txt", "c.jpg"]
    assert results[1] == {
        "name": "b.txt",
        "bytes": 10,
        "problem": {"type": "about:blank", "status": 415, "detail": "not a picture"},
    }
    assert results[2]["oddities"] == ["turned by EXIF"]
    assert (results[2]["width"], results[2]["height"]) == (32, 48)


def test_files_are_found_under_any_field(client):
    data = {"x": (io.BytesIO(PNG), "x.png"), "y": (io.BytesIO(PNG), "y.png")}
    assert len(client.post("/api/predict", data=data).json["results"]) == 2


@pytest.mark.parametrize(
    "content_type", ["image/png", "image/heic", "application/octet-stream", "text/plain", None]
)
def test_a_raw_body_is_judged_by_its_bytes(client, content_type):
    assert client.post("/api/predict", data=PNG, content_type=content_type).status_code == 200


@pytest.mark.parametrize(("top", "count"), [("1", 1), ("2", 2), ("99", 3)])
def test_top_limits_the_classes(client, top, count):
    (result,) = predict_one(client, query=f"?top={top}").json["results"]
    assert len(result["predictions"]) == count


@pytest.mark.parametrize("top", ["0", "-1", "x", "1.5", "", "٣", "9" * 5000])
def test_a_wrong_top_is_refused(client, top):
    assert predict_one(client, query=f"?top={top}").status_code == 400


def test_the_model_is_chosen_by_name(client, second):
    named = predict_one(client, query="?model=%3Cb%3E%26second").json
    assert named["model"] == second.name
    (probabilities,) = second.classifier.predict([PNG])
    best = named["results"][0]["predictions"][0]
    assert best["probability"] == pytest.approx(float(probabilities.max()), abs=1e-6)


def test_unsure_and_the_kind_of_doubt_are_passed_on(client, first):
    expected = [(answer.unsure, answer.doubt) for answer in first.classifier.answer_each(NOISE)]
    results = [predict_one(client, data).json["results"][0] for data in NOISE]
    got = [(result["unsure"], result["doubt"]) for result in results]
    assert got == expected and {True, False} == {unsure for unsure, _ in got}


def test_what_the_model_is(client):
    model = client.get("/api/model").json
    assert model["name"] == "first" and model["models"] == ["first", "<b>&second"]
    assert model["classes"] == CLASSES and model["image_size"] == saved_runs.SIZE
    assert model["accuracy"] == {"value": 0.8125, "low": 0.75, "high": 0.875, "pictures": 1234}
    assert client.get("/api/model?model=%3Cb%3E%26second").json["accuracy"] is None


@pytest.mark.parametrize("file", CORPUS, ids=lambda file: file.name)
def test_every_odd_file_gets_its_verdict(client, file):
    response = predict_one(client, file.data)
    if file.verdict == "used":
        assert response.status_code == 200
    elif file.data:
        assert response.status_code == 415
        assert response.json["pictures"][0]["problem"]["detail"] == file.verdict
        assert response.json["accepted"]["bytes"] == 32_000_000
        assert "PNG" in response.json["accepted"]["formats"]


def test_all_formats_that_are_read_are_said_to_be(client, monkeypatch):
    named = client.get("/api/model").json["accepted"]["formats"]
    assert {"JPEG", "PNG", "WebP", "AVIF", "JPEG XL", "HEIC"} <= set(named)
    assert ", ".join(named) in client.get("/").text
    monkeypatch.setitem(sys.modules, "pillow_heif", None)  # as in an installation without the extra
    assert "HEIC" not in client.get("/api/model").json["accepted"]["formats"]


# --- limits ---


def test_a_request_that_is_too_long_is_refused(first):
    client = create_app([first], most_bytes=1000).test_client()
    response = predict_one(client, PNG + bytes(1000))
    assert response.status_code == 413
    assert response.json["received"] == {"bytes": len(PNG) + 1000}
    assert response.json["accepted"]["bytes"] == 1000


def test_too_many_pixels_are_refused_before_decoding(first):
    client = create_app([first], most_pixels=48 * 32).test_client()
    assert predict_one(client).status_code == 200
    response = predict_one(client, encode(np.zeros((33, 48, 3), np.uint8), "PNG"))
    assert response.status_code == 413
    assert "48 x 33" in response.json["detail"]


def test_a_bomb_is_not_decoded(client):
    header = np.zeros((1, 1, 3), np.uint8)
    bomb = png_of(header, 2, (60_000, 60_000))
    started = time.process_time()
    assert predict_one(client, bomb).status_code in (413, 415)
    assert time.process_time() - started < 5


def test_too_many_pictures_are_refused(client):
    many = form(*((f"{number}.png", PNG) for number in range(uploads.MOST_PICTURES + 1)))
    assert client.post("/api/predict", data=many).status_code == 400


def test_nothing_is_written_to_disk(client, monkeypatch):
    def never(*given, **named):
        raise AssertionError("a temporary file")

    for name in ("TemporaryFile", "NamedTemporaryFile", "SpooledTemporaryFile", "mkstemp"):
        monkeypatch.setattr(tempfile, name, never)
    large = encode(np.random.default_rng(0).integers(0, 256, (900, 900, 3), np.uint8), "PNG")
    assert len(large) > 2_000_000
    response = client.post("/api/predict", data=form(("a.png", large), ("b.png", large)))
    assert [result["width"] for result in response.json["results"]] == [900, 900]


@pytest.mark.parametrize("shape", [(1, 1), (1, 900), (900, 1), (7, 13), (1200, 1600)])
def test_any_shape_is_accepted(client, shape):
    (result,) = predict_one(client, encode(np.full((*shape, 3), 99, np.uint8), "PNG")).json["results"]
    assert (result["height"], result["width"]) == shape


# --- the pages ---


def shares(page: str) -> dict[str, float]:
    """Class -> probability, as a result page shows them."""
    rows = re.findall(r'<th scope="row">(.*?)</th>.*?<data value="(.*?)">', page, re.DOTALL)
    return {name: float(value) for name, value in rows}


def test_the_result_page(client, first):
    page = client.post("/", data=form(("Ä dog.png", PNG))).text
    (probabilities,) = first.classifier.predict([PNG])
    assert shares(page) == pytest.approx(dict(zip(CLASSES, probabilities.tolist(), strict=True)), abs=1e-6)
    assert "Ä dog.png" in page and "48 \u00d7 32 \u00d7 3" in page and "data:image/png;base64," in page
    assert re.search(r"\d+\.\d ms", page)


def test_the_result_page_says_unsure(client, first):
    unsure = next(data for data in NOISE if next(first.classifier.answer_each([data])).unsure)
    assert "Unsure" in client.post("/", data=form(("noise.png", unsure))).text


def test_a_refused_picture_gets_a_page_that_says_what_is_accepted(client):
    response = client.post("/", data=form(("notes.txt", b"only words")))
    assert response.status_code == 415 and response.mimetype == "text/html"
    for part in ("notes.txt", "not a picture", "10 Bytes", "JPEG", "50 megapixels", '<form class="ask"'):
        assert part in response.text


def test_the_form_without_a_file_is_refused_with_a_page(client):
    response = client.post("/", data=form(("", b"")))
    assert response.status_code == 400 and "There is no picture" in response.text


def test_the_form_chooses_the_model(client, second):
    page = client.post("/", data=form(("a.png", PNG), model=second.name)).text
    (probabilities,) = second.classifier.predict([PNG])
    assert max(shares(page).values()) == pytest.approx(float(probabilities.max()), abs=1e-6)


def test_the_page_about_a_model(client):
    page = client.get("/models/first").text
    assert "81.2 %" in page and "75.0 % to 87.5 %" in page and "1,234" in page
    assert all(name in page for name in CLASSES)
    assert page.count("/examples/") == 6 * len(CLASSES)
    assert "/models/first/report" in page


def test_a_model_without_its_training_files_has_a_page_all_the_same(client):
    page = client.get("/models/%3Cb%3E&second").text
    assert all(name in page for name in CLASSES)
    assert "/examples/" not in page and "accuracy" not in page and "/report" not in page.split("<main")[1]


def test_examples_are_training_pictures_as_the_network_sees_them(client, first):
    import cv2

    response = client.get("/models/first/examples/1/0")
    shown = cv2.imdecode(np.frombuffer(response.data, np.uint8), cv2.IMREAD_COLOR_RGB)
    data = Path(json.loads((first.run.folder / "settings.json").read_text())["options"]["data"])
    np.testing.assert_array_equal(shown, first.classifier.read((data / "dog" / "1.png").read_bytes()))


def test_examples_come_from_the_data_folder_only(first):
    names = {picture.path.name for pictures in first.examples.values() for picture in pictures}
    assert "outside.png" not in names and "0.png" not in names


@pytest.fixture
def copied(first, tmp_path):
    """The first model from a run of its own, which a test may change."""
    return Model("first", first.classifier, Run(shutil.copytree(first.run.folder, tmp_path / "first")))


def page_of(model: Model, path: str = "") -> tuple[int, str]:
    response = create_app([model]).test_client().get(f"/models/{model.name}{path}")
    return response.status_code, response.data.decode("utf-8", "replace")


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_a_report_is_not_followed_out_of_its_run(copied, tmp_path):
    secret, page = tmp_path / "secret", copied.run.report_page
    secret.write_text("root:x:0:0")
    page.unlink()
    page.symlink_to(secret)
    assert page_of(copied, "/report")[0] == 404 and "/report" not in page_of(copied)[1].split("<main")[1]
    page.unlink()
    os.mkfifo(page)
    assert page_of(copied, "/report")[0] == 404
    page.unlink()
    page.mkdir()
    assert page_of(copied, "/report")[0] == 404


def test_only_pictures_whose_digest_was_recorded_are_shown(copied, tmp_path):
    """A run of a stranger names a folder and files of the one who serves it."""
    mine = saved_runs.write_picture(tmp_path / "home" / "private.png", 5)
    copied.run.settings_file.write_text(json.dumps({"options": {"data": tmp_path.anchor}}))
    row = mine.relative_to(tmp_path.anchor).as_posix()
    for digest, status in (("0" * 64, 404), ("", 404), (hashlib.sha256(mine.read_bytes()).hexdigest(), 200)):
        copied.run.split_file.write_text(f"path,class,side,digest\n{row},cat,train,{digest}\n")
        model = Model("first", copied.classifier, copied.run)
        assert page_of(model, "/examples/0/0")[0] == status


def test_a_picture_that_was_edited_since_is_not_shown(copied, tmp_path):
    data = shutil.copytree(Path(copied.run.settings()["options"]["data"]), tmp_path / "data")
    copied.run.settings_file.write_text(json.dumps({"options": {"data": str(data)}}))
    saved_runs.write_picture(data / "dog" / "1.png", 99)
    model = Model("changed", copied.classifier, copied.run)
    assert [page_of(model, f"/examples/1/{number}")[0] for number in (0, 1)] == [404, 200]


def test_the_latest_test_stands_on_the_page_as_in_the_report(copied):
    copied.run.write_tested({"accuracy": 0.9375, "interval_95": [0.9, 0.96], "pictures": 80})
    page = page_of(copied)[1]
    assert "93.8 %" in page and "90.0 % to 96.0 %" in page and "80 test pictures" in page
    assert page.index("93.8 %") < page.index("81.2 %")
    copied.run.write_tested({"accuracy": 0.5, "interval_95": [0.4, 0.6], "pictures": 80})
    assert "50.0 %" in page_of(copied)[1]


def test_pictures_that_were_judged_out_of_fold_are_not_called_validation_pictures(copied):
    assert "1,234 validation pictures" in page_of(copied)[1]
    copied.run.write_result({**RESULT, "out_of_fold": True})
    assert "1,234 pictures, each answered by a head that was not fitted to it" in page_of(copied)[1]


@pytest.fixture
def replaceable(tmp_path):
    """A run of its own, and a client of a server that answers with it and shows its result and report."""
    run = web_server.model(tmp_path / "first", onnx=True).run
    run.write_result(RESULT)
    run.report_page.write_text("<title>The report</title>")
    return run, create_app(models.load([run])).test_client()


def replace_run(run: Run, classes: int, seed: int) -> None:
    """As someone does who trains again under the same name."""
    shutil.rmtree(run.folder)
    saved_runs.ready(run.folder, seed, classes, onnx=True)
    run.write_result({**RESULT, "expected_accuracy": 0.9375})
    run.report_page.write_text("<title>Another report</title>")


def test_a_run_that_is_replaced_while_it_is_served_is_loaded_again(replaceable, capsys):
    run, client = replaceable
    assert client.get("/api/model").json["classes"] == CLASSES
    replace_run(run, classes=2, seed=5)
    assert client.get("/api/model").json["classes"] == CLASSES[:2]
    assert "model   first, loaded again" in capsys.readouterr().out
    (result,) = predict_one(client).json["results"]
    with Classifier.load(run) as classifier:
        expected = next(classifier.answer_each([PNG])).probabilities.tolist()
    given = {each["class"]: each["probability"] for each in result["predictions"]}
    assert [given[name] for name in CLASSES[:2]] == pytest.approx(expected, abs=1e-6)
    page = client.get("/models/first").text
    assert "93.8 %" in page and "81.2 %" not in page and "has been replaced" not in page
    assert "Another report" in client.get("/models/first/report").text
    assert "loaded again" not in capsys.readouterr().out, "once is enough"


@pytest.mark.parametrize("state", ["removed", "in training", "damaged"])
def test_the_former_model_answers_while_the_new_one_cannot_be_loaded(replaceable, monkeypatch, state):
    monkeypatch.setattr(models, "RETRY_SECONDS", 0)
    run, client = replaceable
    former = predict_one(client).json["results"][0]["predictions"]
    with contextlib.ExitStack() as training:
        replace_run(run, classes=3, seed=5)
        if state == "removed":
            shutil.rmtree(run.folder)
        elif state == "in training":
            training.enter_context(run.held())
        elif state == "damaged":
            for file in (run.onnx_file, Path(f"{run.prefix}.meta")):
                file.write_bytes(b"x")
        page = client.get("/models/first").text
        assert "has been replaced" in page and "81.2 %" not in page and "93.8 %" not in page
        assert client.get("/models/first/report").status_code == 404
        assert predict_one(client).json["results"][0]["predictions"] == former
    answers = predict_one(client).json["results"][0]["predictions"]
    assert (answers != former) is (state == "in training"), "which has ended"


@pytest.mark.parametrize("broken", ["not json", "[]", '{"options": null}', '{"options": {"data": 5}}'])
def test_broken_files_of_a_run_are_left_out(first, tmp_path, broken):
    run = shutil.copytree(first.run.folder, tmp_path / "broken")
    for name in ("settings.json", "result.json", "split.csv"):
        (run / name).write_text(broken)
    model = Model("broken", first.classifier, Run(run))
    assert model.accuracy is None and not any(model.examples.values())
    assert create_app([model]).test_client().get("/models/broken").status_code == 200


def test_hostile_names_are_escaped_and_cut(client):
    names = {
        "<script>alert(1)<script>.png": "alert(1)",
        "../../../etc/passwd": "passwd",
        "'><img src=x onerror=alert(1)>.png": "onerror",
        "line end\x1b[31m.png": "end",
        "x" * 5000 + ".png": "x" * 50,
    }
    for name, part in names.items():
        page = client.post("/", data=form((name, PNG))).text
        assert part in page and "<script>" not in page and "<img src=x" not in page and "\x1b" not in page
        assert "/etc" not in page and "x" * 200 not in page


def test_names_are_shown_in_one_line():
    assert uploads.shown("a/b\\c\n\u202ed.png") == "c��d.png"
    assert len(uploads.shown("é" * 500)) == 120


# --- headers, key, host ---


@pytest.mark.parametrize(
    "path", ["/", "/none", "/api/model", "/api/none", "/static/ask.js", "/metrics", "/watch"]
)
def test_the_headers_of_every_response(client, path):
    headers = client.get(path).headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert "Set-Cookie" not in headers and "Access-Control-Allow-Origin" not in headers


def test_the_report_is_shown_in_a_sandbox(client):
    response = client.get("/models/first/report")
    assert "The report" in response.text
    policy = response.headers["Content-Security-Policy"]
    assert policy.startswith("sandbox allow-scripts;") and "allow-same-origin" not in policy


@pytest.mark.parametrize("path", ["/", "/models/first", "/watch"])
def test_nothing_is_loaded_from_elsewhere_and_nothing_is_inline(client, path):
    page = client.get(path).text
    assert not re.search(r'(src|href|action)="(https?:)?//', page)
    assert not re.search(r"<script(?![^>]*src=)|<style|\sstyle=|\son\w+=", page)


@pytest.fixture(scope="module")
def locked(first):
    return create_app([first], api_key="sésame").test_client()


def basic(password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + b64encode(f"any:{password}".encode()).decode()}


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"Authorization": "Bearer wrong"}, 401),
        ({"Authorization": "Bearer "}, 401),
        ({"Authorization": "Bearer"}, 401),
        ({"Authorization": "Digest username=x"}, 401),
        ({"Authorization": "Basic ???"}, 401),
        (basic("wrong"), 401),
        (basic(""), 401),
        (basic("sésame"), 200),
        ({"Authorization": "Bearer sésame"}, 200),
    ],
)
@pytest.mark.parametrize("path", ["/", "/api/model", "/metrics", "/models/first/report"])
def test_the_key_is_asked_for(locked, headers, status, path):
    response = locked.get(path, headers=headers)
    assert response.status_code == status
    if status == 401:
        assert response.headers["WWW-Authenticate"].startswith("Basic")
        assert "first" not in response.text


def test_health_and_styles_need_no_key(locked):
    assert locked.get("/healthz").status_code == 200
    assert locked.get("/static/style.css").status_code == 200


@pytest.mark.parametrize(
    ("host", "status"),
    [("localhost:8000", 200), ("127.0.0.1", 200), ("[::1]:8000", 200), ("evil.example", 400), ("", 400)],
)
def test_a_local_server_answers_under_its_own_names_only(first, host, status):
    client = create_app([first], hosts=("localhost", "127.0.0.1", "::1")).test_client()
    assert client.get("/", headers={"Host": host}).status_code == status


def test_there_is_no_page_to_watch_unless_asked_for(first):
    assert create_app([first]).test_client().get("/watch").status_code == 404


# --- errors, log, metrics ---


def test_an_error_inside_shows_nothing_of_itself(first, monkeypatch, caplog):
    app = create_app([first])

    def fail(*given):
        raise RuntimeError(f"secret in {os.getcwd()}")

    monkeypatch.setattr(app.extensions["answerer"], "ask", fail)
    client = app.test_client()
    for response in (predict_one(client), client.post("/", data=form(("a.png", PNG)))):
        assert response.status_code == 500
        assert "secret" not in response.text and "Traceback" not in response.text
    assert predict_one(client).json["title"] == "Internal Server Error"
    assert "secret in" in caplog.text


def test_one_line_of_log_for_each_request(client, caplog):
    with caplog.at_level(logging.INFO, "pigeonhole.access"):
        client.get("/none%0Ainjected")
    assert re.fullmatch(r"127\.0\.0\.1 GET /none\\ninjected 404 \d+ [\d.]+ ms", caplog.messages[-1])


def test_metrics_count(first):
    client = create_app([first]).test_client()
    predict_one(client)
    predict_one(client, b"no picture")
    client.get("/some/path/of/which/there/are/many")
    text = client.get("/metrics").text
    assert 'pigeonhole_requests_total{method="POST",route="/api/predict",status="200"} 1.0' in text
    assert 'pigeonhole_requests_total{method="POST",route="/api/predict",status="415"} 1.0' in text
    assert 'pigeonhole_requests_total{method="GET",route="none",status="404"} 1.0' in text
    assert 'pigeonhole_pictures_total{outcome="refused"} 1.0' in text
    assert "pigeonhole_request_seconds_count 3.0" in text
    assert "# TYPE pigeonhole_request_seconds histogram" in text


# --- page, API and command line agree ---


def compare(client, folder: Path, count: int, capsys) -> None:
    pictures = []
    for seed in range(count):
        suffix = (".png", ".jpg", ".webp", ".bmp")[seed % 4]
        pictures.append(
            saved_runs.write_picture(folder / f"{seed:03}{suffix}", seed, height=20 + seed, width=90)
        )
    run = str(client.application.extensions["models"].choose("first").run)
    predict.main([str(folder), "--model", run, "--json", "--top", "9"])
    printed = json.loads(capsys.readouterr().out)
    for picture, line in zip(pictures, printed, strict=True):
        data = picture.read_bytes()
        by_line = {each["class"]: each["probability"] for each in line["predictions"]}
        (result,) = predict_one(client, data).json["results"]
        by_api = {each["class"]: each["probability"] for each in result["predictions"]}
        by_page = shares(client.post("/", data=form((picture.name, data))).text)
        assert by_api == pytest.approx(by_line, abs=1e-5)
        assert by_page == pytest.approx(by_line, abs=1e-5)


def test_page_api_and_command_line_agree(client, tmp_path, capsys):
    compare(client, tmp_path, 12, capsys)


@pytest.mark.slow
def test_page_api_and_command_line_agree_on_many(client, tmp_path, capsys):
    compare(client, tmp_path, 200, capsys)


# --- why an answer was given ---


@pytest.fixture(scope="module")
def explaining(tmp_path_factory):
    """The app with a run that keeps training pictures, and one of these pictures, of the class "dog"."""
    model = web_server.model(tmp_path_factory.mktemp("explained") / "first", onnx=True)
    pictures = saved_runs.keep_pictures(model.run.folder)
    return create_app([Model("first", model.classifier, model.run)]), encode(pictures[4], "PNG")


def as_jpeg(uri: str) -> np.ndarray:
    kind, _, text = uri.partition(",")
    assert kind == "data:image/jpeg;base64"
    return cv2.imdecode(np.frombuffer(b64decode(text), np.uint8), cv2.IMREAD_COLOR)


def test_the_api_gives_the_nearest_training_pictures(explaining):
    app, picture = explaining
    client = app.test_client()
    assert client.get("/api/model").json["known_pictures"] == 12
    (result,) = predict_one(client, picture, "?nearest=3").json["results"]
    assert result["nearest"][0]["file"] == "dog/4.png" and len(result["nearest"]) == 3
    assert result["nearest"][0]["class"] == "dog" and result["nearest"][0]["cosine"] > 0.999
    assert as_jpeg(result["nearest"][0]["thumbnail"]).shape == (saved_runs.SIZE, saved_runs.SIZE, 3)
    for nothing in ("", "?nearest=0&heatmap=0"):
        assert not {"nearest", "heatmap"} & predict_one(client, picture, nothing).json["results"][0].keys()
    assert predict_one(client, picture, "?heatmap=yes").status_code == 400


def test_the_page_shows_the_nearest_training_pictures_and_offers_a_heatmap(explaining, client):
    app, picture = explaining
    page = app.test_client().post("/", data=form(("a.png", picture))).text
    assert page.count("<li title=") == 5 and 'title="dog/4.png"' in page and "of 12:" in page
    assert "What spoke for it?" in page and 'class="heatmap"' not in page
    page = app.test_client().post("/", data=form(("a.png", picture), heatmap="1")).text
    assert 'class="heatmap" src="data:image/jpeg;base64,' in page and "What spoke for it?" not in page
    assert "<li title=" not in client.post("/", data=form(("a.png", PNG))).text


def test_the_api_shows_what_spoke_for_the_answer_of_one_picture(client):
    (result,) = predict_one(client, query="?heatmap=1&nearest=2").json["results"]
    assert as_jpeg(result["heatmap"]).shape == (saved_runs.SIZE, saved_runs.SIZE, 3)
    assert result["nearest"] == []  # this run keeps none
    two = client.post("/api/predict?heatmap=1", data=form(("a.png", PNG), ("b.png", PNG)))
    assert two.status_code == 400 and "one picture at a time" in two.json["detail"]


def test_only_one_heatmap_is_made_at_a_time(explaining):
    app, picture = explaining
    with app.extensions["answerer"]._heating:
        response = predict_one(app.test_client(), picture, "?heatmap=1")
    assert response.status_code == 503 and "Another heatmap" in response.json["detail"]
    assert int(response.headers["Retry-After"]) > 0
    assert predict_one(app.test_client(), picture, "?heatmap=1").status_code == 200


def test_a_heatmap_is_given_up_when_the_client_leaves(explaining):
    app, picture = explaining
    asked = []

    def has_left() -> bool:
        asked.append(1)
        return len(asked) > 10

    response = predict_one(app.test_client(), picture, "?heatmap=1", environ_overrides={HAS_LEFT: has_left})
    assert response.status_code == 503 and len(asked) == 11


def test_damaged_training_pictures_are_noted_and_left_out(explaining, tmp_path, capsys):
    app, _ = explaining
    run = Run(shutil.copytree(app.extensions["models"].choose(None).run.folder, tmp_path / "run"))
    run.known_file.write_bytes(run.known_file.read_bytes()[:-9])
    with Classifier.load(run) as classifier:
        assert Model("run", classifier, run).known is None
    assert "answers are not explained: " in capsys.readouterr().out


# --- the description of the API ---


def test_the_description_names_every_route(client):
    described = client.get("/api/openapi.json").json
    assert described["openapi"].startswith("3.1")
    routes = {rule.rule for rule in client.application.url_map.iter_rules()}
    programs = {route for route in routes if route.startswith(("/api", "/healthz", "/metrics"))}
    assert set(described["paths"]) == programs - {"/api/openapi.json"}


def explained(app, picture: bytes) -> dict:
    return predict_one(app.test_client(), picture, "?nearest=2&heatmap=1").json["results"][0]


@pytest.mark.parametrize(
    "response",
    ["answer", "explained", "problem", "model"],
)
def test_responses_are_as_described(client, explaining, response):
    import jsonschema_rs

    described = client.get("/api/openapi.json").json
    schemas = described["components"]["schemas"]
    got = {
        "answer": lambda: ("Answer", predict_one(client).json["results"][0]),
        "explained": lambda: ("Answer", explained(*explaining)),
        "problem": lambda: ("Problem", predict_one(client, b"no picture").json),
        "model": lambda: ("Model", client.get("/api/model").json),
    }
    name, instance = got[response]()
    schema = {**schemas[name], "components": {"schemas": schemas}}
    jsonschema_rs.validator_for(schema).validate(instance)
