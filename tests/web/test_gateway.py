"""What hostile, slow and impatient clients cost the others: attacks on the real server and the real app."""

import contextlib
import io
import signal
import socket
import threading
import time

import flask
import numpy as np
import pytest

from pigeonhole.web import create_app, server
from pigeonhole.web.answering import LARGE_REQUESTS
from pigeonhole.web.gateway import HAS_LEFT, REFUSAL, Limits
from tests.support import web_server
from tests.support.odd_files import PICTURE, encode

PNG = encode(PICTURE, "PNG")
PIXELS = PICTURE.shape[0] * PICTURE.shape[1]
GET = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
PROBE = GET.replace(b"/ ", b"/healthz ", 1)
PROMISE = b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 1000000\r\n\r\n"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return web_server.model(tmp_path_factory.mktemp("runs") / "run", onnx=True)


@pytest.fixture
def client(model):
    return create_app([model], api_key="right").test_client()


def small_app() -> flask.Flask:
    """Answers at once, on /slow after a while or when the client has left; /left tells whether one did."""
    app = flask.Flask(__name__)
    left = []

    @app.before_request
    def refuse():
        status = flask.request.environ.get(REFUSAL)
        return ("refused", status) if status else None

    @app.route("/", methods=["GET", "POST"])
    @app.get("/healthz")
    def answer():
        return f"got {len(flask.request.get_data())}"

    @app.get("/slow")
    def wait():
        until = time.monotonic() + 3
        while time.monotonic() < until and not left:
            if flask.request.environ[HAS_LEFT]():
                left.append(True)
            time.sleep(0.01)
        return "waited"

    @app.get("/left")
    def tell():
        return f"left {len(left)}"

    return app


def exchange(url: str, request: bytes) -> bytes:
    with web_server.connect(url) as connection:
        connection.sendall(request)
        return web_server.read_all(connection)


def form(*pictures: bytes) -> dict:
    return {"pictures": [(io.BytesIO(data), "a.png") for data in pictures]}


def test_the_body_of_an_answer_does_not_wait_until_its_head_is_acknowledged(monkeypatch):
    delays = []
    real = server._Connection.connection_made

    def connection_made(self, transport):
        real(self, transport)
        accepted = transport.get_extra_info("socket")
        delays.append(not accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))

    monkeypatch.setattr(server._Connection, "connection_made", connection_made)
    with web_server.running(small_app()) as url:
        assert exchange(url, GET).endswith(b"got 0")
    assert delays == [False]


# --- what the app refuses ---


@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "text/plain", "image/png"])
def test_only_multipart_is_a_form(client, kind):
    key = {"Authorization": "Bearer right"}
    assert client.post("/", data=b"a=1&" * 1000, content_type=kind, headers=key).status_code == 415


def test_a_form_has_few_parts(client):
    many = {f"field{number}": "" for number in range(300)}
    response = client.post("/", data=many | form(PNG), headers={"Authorization": "Bearer right"})
    assert response.status_code == 413


@pytest.mark.parametrize("path", ["/", "/api/predict"])
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Origin": "http://localhost"}, 200),
        ({"Origin": "http://elsewhere"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "https://behind-a-proxy"}, 200),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site", "Origin": "http://localhost"}, 403),
    ],
)
def test_pages_of_other_sites_may_not_ask(client, path, headers, status):
    headers = headers | {"Authorization": "Bearer right"}
    assert client.post(path, data=form(PNG), headers=headers).status_code == status


def test_a_request_has_a_budget_of_pixels(model):
    client = create_app([model], most_pixels=PIXELS).test_client()
    results = client.post("/api/predict", data=form(*[PNG] * 6)).json["results"]
    assert ["predictions" in result for result in results] == [True] * 4 + [False] * 2
    assert results[4]["problem"]["status"] == 413 and "megapixels" in results[4]["problem"]["detail"]


def test_large_requests_leave_room_for_small_ones(model):
    app = create_app([model], most_pixels=8 * PIXELS)
    started, finish, statuses = threading.Semaphore(0), threading.Event(), []

    def has_left() -> bool:
        started.release()
        return not finish.wait(20)

    def ask_much() -> None:
        data = form(*[PNG] * 3)
        response = app.test_client().post("/api/predict", data=data, environ_overrides={HAS_LEFT: has_left})
        statuses.append(response.status_code)

    large = [threading.Thread(target=ask_much) for _ in range(LARGE_REQUESTS)]
    for thread in large:
        thread.start()
    assert all(started.acquire(timeout=20) for _ in large)
    refused = app.test_client().post("/api/predict", data=form(*[PNG] * 3))
    assert refused.status_code == 503 and refused.headers["Retry-After"]
    assert app.test_client().post("/api/predict", data=form(PNG)).status_code == 200
    finish.set()
    for thread in large:
        thread.join()
    assert statuses == [200] * LARGE_REQUESTS
    assert app.test_client().post("/api/predict", data=form(*[PNG] * 3)).status_code == 200


# --- what the server refuses, and what it costs the others ---


def test_the_app_learns_that_a_client_has_left():
    with web_server.running(small_app()) as url:
        with web_server.connect(url) as connection:
            connection.sendall(GET.replace(b"/ ", b"/slow ", 1))
            time.sleep(0.3)
        time.sleep(0.3)
        assert exchange(url, GET.replace(b"/ ", b"/left ", 1)).endswith(b"left 1")


@pytest.mark.parametrize(
    "beginning", [b"", b"GET / HT", GET.replace(b"close", b"keep-alive"), PROMISE + b"x"]
)
def test_connections_that_only_wait_make_room(beginning):
    with web_server.running(small_app(), limits=Limits(connections=10)) as url:
        idle = [web_server.connect(url) for _ in range(30)]
        for connection in idle:
            with contextlib.suppress(OSError):  # it has made room already
                connection.sendall(beginning)
                if beginning.startswith(b"GET /") and beginning.endswith(b"\r\n\r\n"):
                    connection.recv(1)  # answered, it waits for nothing but another request
        started = time.monotonic()
        assert exchange(url, GET).endswith(b"got 0") and exchange(url, PROBE).endswith(b"got 0")
        assert time.monotonic() - started < 2
        for connection in idle:
            connection.close()


def test_probes_do_not_wait_for_a_thread():
    with web_server.running(small_app(), threads=1) as url:
        waiting = [web_server.connect(url) for _ in range(3)]
        for connection in waiting:
            connection.sendall(GET.replace(b"/ ", b"/slow ", 1))
        time.sleep(0.2)
        started = time.monotonic()
        assert exchange(url, PROBE).endswith(b"got 0")
        assert time.monotonic() - started < 1
        for connection in waiting:
            connection.close()


def test_promises_cost_nothing_and_slow_bodies_are_cut_off():
    limits = Limits(request_bytes=1_000_000, held_bytes=2_000_000, grace=1)
    with web_server.running(small_app(), limits=limits) as url:
        slow = [web_server.connect(url) for _ in range(16)]
        for connection in slow:
            connection.sendall(PROMISE + b"x")
        assert exchange(url, PROMISE + bytes(1_000_000)).endswith(b"got 1000000")
        for connection in slow:
            assert web_server.read_all(connection)[9:12] == b"408"
            connection.close()


def test_a_steady_body_may_take_its_time():
    limits = Limits(grace=0.5, least_rate=10_000)
    with web_server.running(small_app(), limits=limits) as url, web_server.connect(url) as connection:
        connection.sendall(PROMISE.replace(b"1000000", b"40000"))
        for _ in range(10):
            connection.sendall(bytes(4000))
            time.sleep(0.2)
        assert web_server.read_all(connection).endswith(b"got 40000")


def test_nothing_is_asked_for_without_the_key(model):
    head = b"POST /api/predict HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\nExpect: 100-continue\r\n"
    with web_server.running(create_app([model], api_key="right")) as url:
        assert exchange(url, head + b"\r\n")[9:12] == b"401"
        with web_server.connect(url) as connection:
            connection.sendall(head + b"Connection: close\r\nAuthorization: Bearer right\r\n\r\n")
            assert connection.recv(100)[9:12] == b"100"
            connection.sendall(b"no image.")
            assert web_server.read_all(connection)[9:12] == b"415"


@pytest.mark.parametrize(
    ("key", "status", "delayed"), [("", 401, False), ("wrong", 401, True), ("right", 404, False)]
)
def test_a_wrong_key_is_told_late(model, key, status, delayed):
    header = f"Authorization: Bearer {key}\r\n".encode() if key else b""
    with web_server.running(create_app([model], api_key="right")) as url:
        started = time.monotonic()
        response = exchange(url, b"GET /none HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + header + b"\r\n")
        assert response[9:12] == str(status).encode()
        assert (time.monotonic() - started >= 1) == delayed


@pytest.mark.slow
def test_a_stop_amid_large_pictures_ends_well(tmp_path, model):
    large = encode(np.zeros((7000, 7000, 3), np.uint8), "PNG")
    head = f"POST /api/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(large)}\r\n\r\n".encode()
    with web_server.program("--model", str(model.run.folder), cwd=tmp_path) as (process, url):
        clients = [web_server.connect(url) for _ in range(16)]
        for connection in clients:
            connection.sendall(head + large)
        time.sleep(1)
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=35)
        for connection in clients:
            connection.close()
    assert process.returncode == 0 and output.endswith("stopped\n")
