"""The web app with small saved models, a real server around it, and serve.py itself."""

import contextlib
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from flask import Flask

from pigeonhole import Classifier
from pigeonhole.runs.run import Run
from pigeonhole.web import Model
from pigeonhole.web.gateway import Limits
from pigeonhole.web.server import Server
from tests.support import saved_runs

ROOT = Path(__file__).parents[2]
LOG = "log.txt"  # of the program, in its working folder


def model(folder: Path, seed: int = 0, onnx: bool = False) -> Model:
    """A small random network as a finished run in `folder`, restored, by way of its ONNX file if asked."""
    run = saved_runs.ready(folder, seed, ruled=True, onnx=onnx)
    return Model(run.name, Classifier.load(run, threads=1), Run(run))


@contextlib.contextmanager
def running(app: Flask, threads: int = 4, limits: Limits | None = None) -> Iterator[str]:
    """The address of a server of the app, in a thread."""
    server = Server(app, "127.0.0.1", 0, threads, limits)
    stop = threading.Event()
    thread = threading.Thread(target=server.run, args=(stop.is_set,))
    thread.start()
    try:
        yield server.urls[0]
    finally:
        stop.set()
        thread.join()


@contextlib.contextmanager
def program(*arguments: str, cwd: Path) -> Iterator[tuple[subprocess.Popen, str]]:
    """serve.py in a process of its own, and its address once it listens."""
    command = [sys.executable, str(ROOT / "serve.py"), "--port", "0", *arguments]
    with (cwd / LOG).open("wb") as log:  # nobody reads along, and a full pipe would stop the server
        process = subprocess.Popen(command, cwd=cwd, stdout=subprocess.PIPE, stderr=log, text=True)
    try:
        lines = iter(process.stdout.readline, "")
        url = next(line.split()[1] for line in lines if line.startswith("open"))
        yield process, url.rstrip("/")
    finally:
        process.kill()
        process.communicate()


def connect(url: str) -> socket.socket:
    """A plain connection to the server, for what no HTTP library would send."""
    host, _, port = url.removeprefix("http://").partition(":")
    return socket.create_connection((host, int(port)), timeout=20)


def read_all(connection: socket.socket) -> bytes:
    """All that comes until the server closes the connection, also by force."""
    received = b""
    with contextlib.suppress(ConnectionResetError):
        while part := connection.recv(65536):
            received += part
    return received
