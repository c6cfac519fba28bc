"""Attacks a server while good clients use it, and prints what they and the operator saw.

    python benchmarks/server_attacks.py RUN
    python benchmarks/server_attacks.py RUN --seconds 60 --attacks idle slow
    python benchmarks/server_attacks.py RUN --command "python other_server.py {port} {run}"

Each attack runs in a process of its own for the given time, against a server that was started for it. Two
clients send a small picture every 50 ms, a third asks /healthz. SIGTERM comes while the attack still goes on.
"""

import argparse
import contextlib
import http.client
import multiprocessing
import re
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import environment
import numpy as np

ROOT = Path(__file__).parents[1]
KEY = "right-key"
BOUNDARY = "limit"
Address = tuple[str, int]


def picture(side: int) -> bytes:
    return cv2.imencode(".png", np.zeros((side, side, 3), np.uint8))[1].tobytes()


def head(path: str, length: int | str, kind: str, *more: str) -> bytes:
    lines = [
        f"POST {path} HTTP/1.1",
        "Host: localhost",
        f"Authorization: Bearer {KEY}",
        f"Content-Type: {kind}",
    ]
    return "\r\n".join([*lines, f"Content-Length: {length}", *more]).encode() + b"\r\n\r\n"


def send(address: Address, data: bytes, patience: float = 10) -> bytes:
    """The beginning of the answer; empty where none came in time."""
    with contextlib.suppress(OSError), socket.create_connection(address, timeout=patience) as connection:
        with contextlib.suppress(OSError):
            connection.sendall(data)
        return connection.recv(1000)
    return b""


def together(count: int, work: Callable[[], None]) -> None:
    """Repeat `work` for ever in so many threads."""

    def repeat() -> None:
        while True:
            with contextlib.suppress(OSError):
                work()
            time.sleep(0.01)

    for _ in range(count):
        threading.Thread(target=repeat, daemon=True).start()
    while True:
        time.sleep(1)


def form(address: Address) -> None:
    """30 MB of `a=1&` as a urlencoded form, four at a time."""
    body = b"a=1&" * 7_500_000
    request = head("/", len(body), "application/x-www-form-urlencoded") + body
    together(4, lambda: send(address, request, 60) and None)


def pictures(address: Address) -> None:
    """100 pictures of 49 megapixels in a request, eight at a time; the clients leave after 10 seconds."""
    part = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="p"; filename="a.png"\r\n\r\n'.encode()
    body = (part + picture(7000) + b"\r\n") * 100 + f"--{BOUNDARY}--\r\n".encode()
    request = head("/api/predict", len(body), f"multipart/form-data; boundary={BOUNDARY}") + body
    together(8, lambda: send(address, request) and None)


def idle(address: Address) -> None:
    """260 connections that are kept alive and ask nothing more; each is opened anew when it is closed."""

    def stay() -> None:
        with socket.create_connection(address, timeout=60) as connection:
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            while connection.recv(1000):
                pass

    together(260, stay)


def silent(address: Address) -> None:
    """260 connections that never say a word."""

    def stay() -> None:
        with socket.create_connection(address, timeout=60) as connection:
            connection.recv(1000)

    together(260, stay)


def slow(address: Address) -> None:
    """16 clients that promise 32 MB and send a byte every three seconds."""

    def drip() -> None:
        with socket.create_connection(address, timeout=60) as connection:
            connection.sendall(head("/api/predict", 31_000_000, "image/png"))
            while True:
                connection.sendall(b"x")
                time.sleep(3)

    together(16, drip)


def keys(address: Address) -> None:
    """Wrong keys as fast as they are answered, eight at a time."""
    wrong = head("/api/predict", 0, "image/png", "Connection: close").replace(KEY.encode(), b"wrong")
    together(8, lambda: send(address, wrong) and None)


ATTACKS = {attack.__name__: attack for attack in (form, pictures, idle, silent, slow, keys)}
ODDITIES = {
    "100 without a key": head("/api/predict", 5, "image/png", "Expect: 100-continue").replace(
        b"right", b"no"
    ),
    "chunked, chunked": b"POST /api/predict HTTP/1.1\r\nHost: localhost\r\n"
    b"Transfer-Encoding: chunked, chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
    "length 10^23": head("/api/predict", "1" + "0" * 23, "image/png"),
}


@dataclass
class Seen:
    """What good clients saw: seconds of each answered request, and how many were not answered."""

    seconds: list[float] = field(default_factory=list)
    failed: int = 0

    @property
    def p99(self) -> float:
        """Milliseconds. There is one where something was answered."""
        return 1000 * float(np.percentile(self.seconds, 99))

    def describe(self) -> str:
        worst = f"{self.p99:6.0f}" if self.seconds else "     -"
        return f"{len(self.seconds):6d} {self.failed:6d} {worst}"


def ask(address: Address, path: str, body: bytes | None, seen: Seen, until: float) -> None:
    """Send one request after the other until that time."""
    while time.monotonic() < until:
        started = time.monotonic()
        connection = http.client.HTTPConnection(*address, timeout=20)
        try:
            headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "image/png"}
            connection.request("POST" if body else "GET", path, body, headers)
            answered = connection.getresponse()
            answered.read()
            if answered.status != 200:
                raise http.client.HTTPException
            seen.seconds.append(time.monotonic() - started)
        except (OSError, http.client.HTTPException):
            seen.failed += 1
        finally:
            connection.close()
        time.sleep(0.05)


def memory(process: int) -> int:
    """The most that a process and its children have held, in MB (Linux)."""
    children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    status = Path(f"/proc/{process}/status").read_text()
    own = int(re.search(r"VmHWM:\s+(\d+)", status)[1]) // 1024
    return own + sum(memory(int(child)) for child in children)


def start(command: str, run: Path) -> tuple[subprocess.Popen, Address]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = free.getsockname()
    filled = command.format(port=address[1], run=run, key=KEY)
    process = subprocess.Popen(shlex.split(filled), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(300):
        if send(address, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", 1):
            return process, address
        time.sleep(0.1)
    process.kill()
    raise SystemExit(f"{filled} does not answer")


def measure(name: str, command: str, run: Path, seconds: float) -> str:
    process, address = start(command, run)
    attacker = multiprocessing.get_context("spawn").Process(
        target=ATTACKS[name], args=(address,), daemon=True
    )
    attacker.start()
    time.sleep(1)
    asked, probed, small = Seen(), Seen(), picture(32)
    until = time.monotonic() + seconds
    clients = [threading.Thread(target=ask, args=(address, "/api/predict", small, asked, until))]
    clients += [threading.Thread(target=ask, args=(address, "/api/predict", small, asked, until))]
    clients += [threading.Thread(target=ask, args=(address, "/healthz", None, probed, until))]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    held, started = memory(process.pid), time.monotonic()
    process.send_signal(signal.SIGTERM)
    try:
        status = str(process.wait(60))
    except subprocess.TimeoutExpired:
        status = "none"
        process.kill()
    stopped = time.monotonic() - started
    if asked.seconds:
        environment.note(f"{name}, p99", asked.p99, "ms")
    attacker.kill()
    return f"{name:9} {asked.describe()} {probed.describe()} {held:6d} {status:>6} {stopped:6.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, help="the run that the server answers with")
    parser.add_argument("--seconds", type=float, default=15, help="of each attack (15)")
    parser.add_argument("--attacks", nargs="+", choices=ATTACKS, default=list(ATTACKS))
    own = f"{sys.executable} {ROOT / 'serve.py'} --port {{port}} --model {{run}} --api-key {{key}}"
    parser.add_argument("--command", default=own, help="starts the server; with {port}, {run} and {key}")
    options = parser.parse_args()
    print("\n".join(environment.lines(f"{options.seconds:g} s for each attack")))
    print("          good: answered, failed, p99 ms; /healthz: the same; MB; SIGTERM: status, seconds")
    for name in options.attacks:
        print(measure(name, options.command, options.run.resolve(), options.seconds), flush=True)
    process, address = start(options.command, options.run.resolve())
    for name, request in ODDITIES.items():
        answer = send(address, request).split(b"\r\n")[0].decode("latin-1")
        print(f"{name:20} {answer or 'no answer'}")
    process.kill()


if __name__ == "__main__":
    main()
