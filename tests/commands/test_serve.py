import argparse
import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request

import cv2
import flask
import numpy as np
import pytest

from pigeonhole.commands import api_key, serve
from pigeonhole.errors import PigeonholeError, UsageError
from pigeonhole.model.export import exporting
from pigeonhole.runs import search
from pigeonhole.runs.run import Run
from pigeonhole.web import address, models
from pigeonhole.web.gateway import RECEIVED, REFUSAL, Limits
from tests.support import saved_runs, web_server
from tests.support.odd_files import PICTURE, encode

PNG = encode(PICTURE, "PNG")


# --- the command line ---


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A folder without any run, in which the test runs."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "train first.*serve --watch"),
        (["--model", "none"], "--model none: no such run"),
        (["--watch", "none"], "--watch none: no such folder"),
        (["--watch", "--model", "none"], "--model none: no such run"),
        (["--watch", "--host", "256.1.1.1"], "--host 256.1.1.1 --port 8000: .*choose another"),
        (["--watch", "--host", ""], "--host '' --port 8000: .*choose another"),
    ],
)
def test_mistakes_are_told(home, arguments, said):
    with pytest.raises(UsageError, match=said):
        serve.main(arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--port", "x"],
        ["--port", "65536"],
        ["--threads", "0"],
        ["--queue", "-1"],
        ["--max-megabytes", "0"],
        ["--api-key", ""],
        ["--api-key", " "],
    ],
)
def test_wrong_values_are_told(arguments, capsys):
    with pytest.raises(SystemExit) as stopped:
        serve.main(arguments)
    assert stopped.value.code == 2 and arguments[0] in capsys.readouterr().err


def test_a_port_in_use_is_told(home):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=f"--port {port}: .*in use"):
            serve.main(["--watch", "--port", str(port)])


def test_two_models_of_one_name_are_told(home):
    for folder in ("a", "b"):
        saved_runs.ready(home / folder / "same")
    with pytest.raises(UsageError, match="same name"):
        serve.main(["--model", "a/same", "--model", "b/same"])


def test_the_key_may_come_from_the_environment(monkeypatch):
    monkeypatch.setenv(api_key.KEY_VARIABLE, "")
    assert serve.find_key(serve.parse([])) is None
    monkeypatch.setenv(api_key.KEY_VARIABLE, "from outside")
    assert serve.find_key(serve.parse([])) == "from outside"
    assert serve.find_key(serve.parse(["--api-key", "given"])) == "given"


def test_the_key_may_come_from_a_file(tmp_path):
    file = tmp_path / "key.txt"
    file.write_text("from a file\n")
    assert serve.find_key(serve.parse(["--api-key-file", str(file)])) == "from a file"
    for content in (b"", b"\n", b"two\nlines", b"\xff"):
        file.write_bytes(content)
        with pytest.raises(UsageError, match=r"--api-key-file .*key\.txt: "):
            serve.find_key(serve.parse(["--api-key-file", str(file)]))
    with pytest.raises(UsageError, match="no such file"):
        serve.find_key(serve.parse(["--api-key-file", str(tmp_path / "none")]))


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("127.0.0.1", True),
        ("127.1.2.3", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("a.b", False),
    ],
)
def test_which_address_is_this_computer_alone(host, local):
    assert address.is_loopback(host) == local


# --- the program ---


def post(url: str, data: bytes = PNG) -> dict:
    request = urllib.request.Request(f"{url}/api/predict", data, {"Content-Type": "image/png"})
    with urllib.request.urlopen(request, timeout=60) as response:
        return json.load(response)


@pytest.fixture(scope="module")
def prefix(tmp_path_factory):
    """The prefix of a saved model's files, its ONNX file among them."""
    run = saved_runs.ready(tmp_path_factory.mktemp("runs") / "run", onnx=True)
    return search.find(run).prefix


def test_answers_are_computed_without_tensorflow_where_they_can_be(prefix):
    code = f"""if True:
        import pathlib, sys; from pigeonhole.web import models
        models.restore(pathlib.Path({str(prefix)!r}), "auto")
        print("tensorflow" in sys.modules)"""
    shown = subprocess.run([sys.executable, "-c", code], cwd=web_server.ROOT, capture_output=True, text=True)
    assert shown.stdout == "False\n", shown.stderr


def test_tensorflow_answers_if_asked_for_and_where_the_onnx_file_cannot_be_used(prefix, tmp_path, capsys):
    with models.restore(prefix, "tensorflow") as classifier:
        assert classifier.has("conv1/output")
    assert not capsys.readouterr().out
    run = shutil.copytree(prefix.parent, tmp_path / "run")
    (run / Run.onnx_file.name).write_bytes(b"")
    with models.restore(search.find(run).prefix, "auto") as classifier:
        assert classifier.has("conv1/output")
    said = capsys.readouterr().out
    assert (
        said.startswith(f"note    TensorFlow answers: {run / Run.onnx_file.name}: ") and said.count("\n") == 1
    )
    with pytest.raises(PigeonholeError, match=Run.onnx_file.name):
        models.restore(search.find(run).prefix, "onnx")


def test_it_starts_at_once_to_watch_and_needs_no_model(tmp_path):
    (tmp_path / "runs").mkdir()
    with web_server.program("--watch", "runs", cwd=tmp_path) as (process, url):
        with urllib.request.urlopen(f"{url}/watch") as page:
            assert "No training yet" in page.read().decode()
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
    assert process.returncode == 0
    errors = (tmp_path / web_server.LOG).read_text()
    assert "GET /watch 200" in errors and "Traceback" not in errors


@pytest.mark.slow
def test_models_are_served_and_a_stop_under_load_loses_no_request(tmp_path):
    for name in ("first", "second"):
        saved_runs.save(tmp_path / name, saved_runs.network(seed=len(name)))
    exporting.export(tmp_path / "first")
    with web_server.program("--model", "first", "--model", "second", cwd=tmp_path) as (process, url):
        assert post(url)["model"] == "first"
        lost, answered, refused, clients = [], [], [], []
        for _ in range(20):
            clients.append(threading.Thread(target=ask_until_refused, args=(url, answered, refused, lost)))
            clients[-1].start()
        time.sleep(2)
        process.send_signal(signal.SIGTERM)
        for client in clients:
            client.join()
        output, _ = process.communicate(timeout=60)
    errors = (tmp_path / web_server.LOG).read_text()
    assert process.returncode == 0 and output.endswith("stopped\n")
    assert len(answered) > 50 and lost == [] and len(refused) <= 2
    assert errors.count("POST /api/predict 200") == len(answered) + 1


def ask_until_refused(url: str, answered: list, refused: list, lost: list) -> None:
    """Ask on ever new connections until none is accepted; every one that was must be answered.

    `refused`: connections that only the operating system took, in the moment in which the server went.
    """
    request = f"POST /api/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(PNG)}\r\n\r\n".encode()
    while True:
        try:
            connection = web_server.connect(url)
        except OSError:
            return
        with connection:
            try:
                connection.sendall(request.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n") + PNG)
                response = web_server.read_all(connection)
            except OSError:
                response = b""
        if response.startswith(b"HTTP/1.1 200") and response.endswith(b"}\n"):
            answered.append(1)
        else:
            (lost if response else refused).append(response)


# --- the server around an app ---


def slow_app(seconds: float = 0.3) -> flask.Flask:
    """Answers after a while; words the refusals of the server in front of it."""
    app = flask.Flask(__name__)

    @app.before_request
    def refuse():
        status = flask.request.environ.get(REFUSAL)
        return (f"refused {flask.request.environ[RECEIVED]}", status) if status else None

    @app.route("/", methods=["GET", "POST"])
    def answer():
        time.sleep(seconds)
        return f"got {len(flask.request.get_data())}"

    return app


def exchange(url: str, request: bytes) -> bytes:
    with web_server.connect(url) as connection:
        connection.sendall(request)
        return web_server.read_all(connection)


CHUNKED = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
GET = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


def test_a_full_queue_refuses_at_once_and_nothing_else_is_lost():
    with web_server.running(slow_app(), threads=2, limits=Limits(queue=3)) as url:
        responses: list[bytes] = []
        clients = [threading.Thread(target=lambda: responses.append(exchange(url, GET))) for _ in range(12)]
        for client in clients:
            client.start()
        for client in clients:
            client.join()
    statuses = sorted(response[9:12] for response in responses)
    assert set(statuses) == {b"200", b"503"} and statuses.count(b"200") >= 5


def test_a_steady_drip_is_cut_off():
    limits = Limits(idle=60, request_seconds=1)
    with web_server.running(slow_app(0), limits=limits) as url, web_server.connect(url) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n")
        started = time.monotonic()
        with pytest.raises(OSError):
            while time.monotonic() < started + 20:
                connection.sendall(b"x")
                time.sleep(0.1)
                connection.sendall(b"")
        assert time.monotonic() - started < 15


def test_silence_is_cut_off():
    with web_server.running(slow_app(0), limits=Limits(idle=1)) as url, web_server.connect(url) as connection:
        connection.sendall(b"GET / HT")
        assert web_server.read_all(connection) == b""


@pytest.mark.parametrize(
    "request_",
    [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/1.1\r\nbad header\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1" + b"0" * 23 + b"\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
        CHUNKED + b"zz\r\n",
        b"GET / HTTP/1.1\r\nX: " + b"a" * 100_000 + b"\r\n\r\n",
    ],
)
def test_what_is_no_http_gets_a_400(request_):
    with web_server.running(slow_app(0)) as url:
        assert exchange(url, request_)[9:12] == b"400"
        assert exchange(url, GET).endswith(b"got 0")


@pytest.mark.parametrize(
    "request_",
    [
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2001\r\n\r\n" + bytes(2001),
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999999\r\n\r\n" + bytes(50_000),
        CHUNKED + b"FFF\r\n" + bytes(4095) + b"\r\n0\r\n\r\n",
    ],
)
def test_what_is_too_long_is_refused_in_the_words_of_the_app(request_):
    with web_server.running(slow_app(0), limits=Limits(request_bytes=2000)) as url:
        response = exchange(url, request_)
        assert response[9:12] == b"413" and b"refused" in response
        assert exchange(url, GET).endswith(b"got 0")


def test_a_request_of_the_longest_length_is_accepted():
    with web_server.running(slow_app(0), limits=Limits(request_bytes=2000)) as url:
        head = b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2000\r\n\r\n"
        assert exchange(url, head + bytes(2000)).endswith(b"got 2000")


def test_uploads_together_are_bounded():
    limits = Limits(request_bytes=100_000, held_bytes=250_000)
    head = b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 100000\r\n\r\n"
    with web_server.running(slow_app(0), limits=limits) as url:
        waiting = [web_server.connect(url) for _ in range(2)]
        for connection in waiting:
            connection.sendall(head)
        assert exchange(url, head + bytes(100_000)).endswith(b"got 100000")  # only what has come counts
        for connection in waiting:
            connection.sendall(bytes(90_000))
        time.sleep(0.5)
        assert exchange(url, head + bytes(100_000))[9:12] == b"503"
        for connection in waiting:
            connection.sendall(bytes(10_000))
            assert web_server.read_all(connection).endswith(b"got 100000")
            connection.close()
        assert exchange(url, head + bytes(100_000)).endswith(b"got 100000")


def test_requests_on_a_connection_kept_alive_are_answered_in_order():
    one = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s"
    requests = b"".join(one % (length, bytes(length)) for length in (1, 20, 300))
    with web_server.running(slow_app(0)) as url:
        response = exchange(url, requests + GET)
    assert re.findall(rb"got (\d+)", response) == [b"1", b"20", b"300", b"0"]


def test_a_stop_finishes_what_has_begun_to_arrive():
    head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n"
    with web_server.running(slow_app(0.5), threads=1) as url:
        queued = [web_server.connect(url) for _ in range(3)]
        half = web_server.connect(url)
        for connection in queued:
            connection.sendall(head + b"whole")
        half.sendall(head + b"ha")
        time.sleep(0.2)
        finisher = threading.Timer(0.5, half.sendall, (b"lf.",))
        finisher.start()
    for connection in [*queued, half]:
        response = web_server.read_all(connection)
        assert response.endswith(b"got 5")
        connection.close()
    assert b"connection: close" in response.lower()


# --- container files and service unit, kept true ---


def instructions(name: str) -> list[tuple[str, str]]:
    """The Dockerfile's instructions with their arguments, continued lines joined."""
    text = re.sub(r"\\\n\s*", " ", (web_server.ROOT / name).read_text("utf-8"))
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [(line.split()[0], line.partition(" ")[2].strip()) for line in lines]


def flags_of(command: list[str]) -> argparse.Namespace:
    """What `serve` makes of a command line that starts it."""
    return serve.parse(command[command.index("serve") + 1 :])


def test_the_dockerfile_copies_what_there_is_and_starts_what_there_is():
    steps = instructions("Dockerfile")
    assert steps[0][0] == "FROM" and re.search(r"python:3\.1[1-9]", steps[0][1])
    for instruction, arguments in steps:
        if instruction == "COPY":
            for source in arguments.split()[:-1]:
                assert (web_server.ROOT / source).exists(), source
    entry = json.loads(dict(steps)["ENTRYPOINT"]) + json.loads(dict(steps)["CMD"])
    options = flags_of(entry)
    assert options.host == "0.0.0.0" and str(options.port) == dict(steps)["EXPOSE"]
    (install,) = [rest for step, rest in steps if step == "RUN" and "pip install" in rest]
    assert "--constraint /source/requirements.txt /source " in install  # the base alone
    assert dict(steps)["USER"] not in ("root", "0")


def test_every_program_file_is_in_the_image():
    copies = [rest.split()[:-1] for step, rest in instructions("Dockerfile") if step == "COPY"]
    copied = {source.rstrip("/") for sources in copies for source in sources}
    assert {"requirements.txt", "pyproject.toml", "pigeonhole"} <= copied
    ignored = (web_server.ROOT / ".dockerignore").read_text("utf-8").splitlines()
    assert ignored[0] == "*" and copied <= {line.removeprefix("!") for line in ignored}


def test_the_compose_file_agrees_with_the_dockerfile():
    import yaml

    (service,) = yaml.safe_load((web_server.ROOT / "compose.yaml").read_text("utf-8"))["services"].values()
    steps = dict(instructions("Dockerfile"))
    published = service["ports"][0]
    assert published.startswith("127.0.0.1:") and published.endswith(f":{steps['EXPOSE']}")
    command = json.loads(steps["ENTRYPOINT"]) + service.get("command", json.loads(steps["CMD"]))
    assert flags_of([str(part) for part in command]).host == "0.0.0.0"
    assert any(volume.startswith("./runs:") and volume.endswith(":ro") for volume in service["volumes"])
    assert set(service["environment"]) <= {api_key.KEY_VARIABLE}
    assert service["read_only"] is True


# --- the address for a phone ---


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", None),
        ("localhost", None),
        ("::1", None),
        ("192.168.1.5", "http://192.168.1.5:80/"),
        ("fd00::5", "http://[fd00::5]:80/"),
    ],
)
def test_a_phone_is_told_an_address_that_it_can_open(host, url):
    assert address.for_phone(host, 80) == url


def test_every_address_becomes_the_one_in_the_network(capsys):
    url = address.for_phone("0.0.0.0", 8000)
    serve.announce_for_phone("0.0.0.0", ["http://0.0.0.0:8000"])
    told = capsys.readouterr().out
    if url is None:  # this computer is in no network
        assert told == ""
    else:
        assert told == f"phone   {url} in the same network\n"
        assert not re.search(r"//(0\.0\.0\.0|127\.)", url)


def test_the_code_for_the_camera_is_the_address():
    lines = address.qr_code("http://192.168.1.5:8000/")
    halves = {"█": (255, 255), "▀": (255, 0), "▄": (0, 255), " ": (0, 0)}
    rows = [[halves[letter][half] for letter in line] for line in lines for half in (0, 1)]
    picture = np.array(rows, np.uint8).repeat(8, axis=0).repeat(8, axis=1)
    picture = np.pad(picture, 40, constant_values=255)
    assert cv2.QRCodeDetector().detectAndDecode(picture)[0] == "http://192.168.1.5:8000/"
