"""Hostile uploads and schema-driven requests against the running program: it tells nothing and stays."""

import contextlib
import gzip
import re
import shutil
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.support import saved_runs, web_server
from tests.support.odd_files import (
    CORPUS,
    PICTURE,
    encode,
    flip,
    jpeg_segment,
    png_chunk,
    png_of,
    with_segment,
)

ROOT = Path(__file__).parents[2]
RANDOM = np.random.default_rng(5)
PNG, JPEG, GIF = (encode(PICTURE, name) for name in ("PNG", "JPEG", "GIF"))
WEBP, TIFF, BMP = (encode(PICTURE, name) for name in ("WEBP", "TIFF", "BMP"))
FORMATS = (PNG, JPEG, GIF, WEBP, TIFF, BMP, encode(PICTURE, "AVIF"), encode(PICTURE, "PPM"))
SCRIPT = b"<script>alert(1)</script>"
ALLOWED = {100, 200, 400, 404, 405, 413, 415, 431}
MOST_GROWTH = 700 * 2**20  # bytes: the largest picture in every form in which it exists while it is decoded

pytestmark = pytest.mark.slow


def http(body: bytes, *headers: str, target: str = "/api/predict", method: str = "POST") -> bytes:
    """A request as bytes; its length is declared unless the headers speak of it themselves."""
    lines = [f"{method} {target} HTTP/1.1", "Host: localhost", "Connection: close", *headers]
    if not any(re.match("content-length|transfer-encoding", line, re.IGNORECASE) for line in headers):
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode("utf-8", "surrogateescape") + b"\r\n\r\n" + body


def part(name: str, body: bytes, *, target: str = "/api/predict", extra: bytes = b"") -> bytes:
    """A multipart form with one file."""
    disposition = f'Content-Disposition: form-data; name="pictures"; filename="{name}"\r\n'.encode(
        "utf-8", "surrogateescape"
    )
    content = b"--limit\r\n" + disposition + extra + b"\r\n" + body + b"\r\n--limit--\r\n"
    return http(content, "Content-Type: multipart/form-data; boundary=limit", target=target)


def cut_files() -> Iterator[bytes]:
    for data in FORMATS:
        yield from (http(data[: len(data) * tenth // 10]) for tenth in range(1, 10))


def flipped_files() -> Iterator[bytes]:
    for data in FORMATS:
        for position in RANDOM.integers(0, len(data), 8):
            yield http(flip(data, int(position), int(RANDOM.integers(8))))


def noise() -> Iterator[bytes]:
    for data in FORMATS:
        yield http(data[:16] + RANDOM.bytes(3000))
        yield http(RANDOM.bytes(3000))


def polyglots() -> Iterator[bytes]:
    page = b"<html>" + SCRIPT + b"</html>"
    archive = b"PK\x03\x04" + bytes(26) + b"PK\x05\x06" + bytes(18)
    for data in FORMATS:
        yield part("both.html", data + page, target="/")
        yield part("both.zip", data + archive, target="/")
        yield part("both.png", page + data, target="/")
    yield part("a.js", b"GIF89a/*" + GIF[8:] + b"*/=1;alert(1)", target="/")
    yield part("a.jpg", with_segment(JPEG, jpeg_segment(0xFE, SCRIPT)), target="/")
    yield part("a.png", PNG[:33] + png_chunk(b"tEXt", b"Title\0" + SCRIPT) + PNG[33:], target="/")
    yield part("a.svg", b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>', target="/")


def bombs() -> Iterator[bytes]:
    for width, height in ((60_000, 60_000), (2**31 - 1, 1), (1, 2**31 - 1), (14_000, 14_000), (0, 0)):
        yield http(png_of(np.zeros((1, 1, 3), np.uint8), 2, (width, height)))
    rows = zlib.compressobj(9)
    zeros = b"".join(rows.compress(bytes(2**20)) for _ in range(147)) + rows.flush()
    head = (7000).to_bytes(4, "big") * 2 + bytes([8, 2, 0, 0, 0])
    chunks = (png_chunk(b"IHDR", head), png_chunk(b"IDAT", zeros), png_chunk(b"IEND", b""))
    yield http(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))
    yield http(GIF[:6] + b"\xff\xff\xff\xff" + GIF[10:])
    yield http(BMP[:18] + b"\xff\xff\xff\x7f\xff\xff\xff\x7f" + BMP[26:])
    yield http(b"P6 65535 65535 255\n" + bytes(100))
    yield http(gzip.compress(bytes(50_000_000)), "Content-Encoding: gzip")
    yield http(PNG[:33] + png_chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(30_000_000))) + PNG[33:])


def hostile_names() -> Iterator[bytes]:
    names = (
        "../../../../etc/passwd",
        "..\\\\..\\\\windows\\\\win.ini",
        "/etc/shadow",
        "C:\\\\boot.ini",
        "\0.png",
        "a\0.png",
        "con",
        "-rf",
        "`id`",
        "$(id)",
        "{{7*7}}",
        "{% include 'layout.html' %}",
        "%s%n%x",
        "<img src=x onerror=alert(1)>",
        "'; DROP TABLE x;--",
        "\u202egnp.exe",
        "\x1b[31mred",
        "a" * 20_000,
        "é" * 3000,
        "\udcff\udcfe",
        ".",
        "..",
        " ",
        "\t",
        "a;filename=b.png",
        "😀.png",
    )
    for name in names:
        yield part(name, PNG, target="/")
        yield part(name, b"no picture")


def wrong_types() -> Iterator[bytes]:
    for kind in (
        "text/html",
        "application/json",
        "application/x-www-form-urlencoded",
        "image/svg+xml",
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/mixed; boundary=limit",
        "multipart/form-data; boundary=" + "b" * 5000,
        "multipart/form-data; boundary=\x01\x02",
        "image/png; charset=utf-16",
        "image/" + "x" * 9000,
        "/",
        ";",
        ",,,",
        "é/é",
    ):
        yield http(PNG, f"Content-Type: {kind}")
        yield http(b"{}", f"Content-Type: {kind}", target="/")


def broken_forms() -> Iterator[bytes]:
    kind = "Content-Type: multipart/form-data; boundary=limit"
    named = b'Content-Disposition: form-data; name="pictures"; filename="a.png"\r\n'
    for body in (
        b"",
        b"--limit",
        b"--limit\r\n",
        b"--limit--",
        b"--limit\r\n\r\n" + PNG,
        b"--limit\r\n" + named + b"\r\n" + PNG,
        b"--limit\r\n" + named * 500 + b"\r\n" + PNG + b"\r\n--limit--\r\n",
        b"--limit\r\n" + named + b"Content-Type: multipart/mixed; boundary=in\r\n\r\n--in\r\n\r\nx\r\n--in--",
        b"--limit\r\nContent-Disposition: form-data\r\n\r\nx\r\n--limit--\r\n",
        b"--limit\r\nX: " + b"y" * 100_000 + b"\r\n\r\nx\r\n--limit--\r\n",
        (b"--limit\r\n" + named + b"\r\nx\r\n") * 1500 + b"--limit--\r\n",
        b'--limit\r\nContent-Disposition: form-data; name="a"\r\n\r\n'
        + b"z" * 2_000_000
        + b"\r\n--limit--\r\n",
        b"\r\n" * 5000,
        b"--limit\r\n" + named + b"Content-Transfer-Encoding: base64\r\n\r\nAAAA\r\n--limit--\r\n",
    ):
        yield http(body, kind)
        yield http(body, kind, target="/")


def false_lengths() -> Iterator[bytes]:
    for length in (
        "-1",
        "0",
        "1",
        "abc",
        "1e3",
        "0x10",
        "99999999999999999999",
        "5, 6",
        "",
        " ",
        "+5",
        "33000000",
    ):
        yield http(PNG, f"Content-Length: {length}")
    for coding in ("chunked", "gzip", "chunked, gzip", "identity", "Chunked", "x" * 999):
        yield http(b"5\r\nhello\r\n0\r\n\r\n", f"Transfer-Encoding: {coding}")
        yield http(b"ffffffffffffffff\r\n", f"Transfer-Encoding: {coding}")
    yield http(b"0\r\n\r\n", "Content-Length: 4", "Transfer-Encoding: chunked")
    yield http(PNG, "Content-Length: 5", "Content-Length: 6")


def odd_heads() -> Iterator[bytes]:
    yield http(PNG, *(f"X-{number}: y" for number in range(900)))
    yield http(PNG, "X: " + "y" * 31_000)
    yield http(PNG, "X: " + "y" * 300_000)
    yield http(PNG, "Expect: 100-continue")
    yield http(PNG, "Expect: a miracle")
    yield http(PNG, "Host: other")
    yield http(PNG, "Accept: " + "text/html," * 3000)
    yield http(PNG, "Cookie: " + "a=b;" * 5000)
    yield http(PNG, "Authorization: Basic !!!")
    yield http(PNG, "X-Forwarded-For: 1.2.3.4", "X-Forwarded-Host: evil", "Forwarded: host=evil")
    yield http(PNG, "Range: bytes=0-1", "If-Range: x")
    for method in ("GET", "PUT", "DELETE", "TRACE", "CONNECT", "PATCH", "OPTIONS", "HEAD", "BREW", "é"):
        yield http(PNG, method=method)
    yield b"GET\r\n\r\n"
    yield b"\0" * 2000 + b"\r\n\r\n"
    yield b"GET / HTTP/9.9\r\nConnection: close\r\n\r\n"
    yield b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500) + b"\r\n\r\n"


def odd_targets() -> Iterator[bytes]:
    for target in (
        "/../../etc/passwd",
        "/static/../../../serve.py",
        "/static/%2e%2e/%2e%2e/serve.py",
        "/static/..%5c..%5cserve.py",
        "/static//etc/passwd",
        "/models/../report",
        "/models/%00/report",
        "/models/first/examples/99999999999999999999/0",
        "/models/first/examples/0/-1",
        "/models/" + "a" * 9000,
        "/%ff%fe",
        "/%zz",
        "//evil.example/%2f..",
        "http://evil.example/",
        "/api/predict?model=" + "%00" * 500,
        "/api/predict?top=" + "9" * 5000,
        "/api/predict?top[]=1&top=%F0%9F%98%80",
        "/api/model?model=../../x",
        "*",
        "/?" + "a=b&" * 4000,
        "/watch?run=../../..",
    ):
        yield http(PNG, target=target)
        yield http(b"", target=target, method="GET")


KINDS = {
    "odd files": lambda: (http(file.data) for file in CORPUS),
    "cut files": cut_files,
    "flipped files": flipped_files,
    "noise": noise,
    "polyglots": polyglots,
    "bombs": bombs,
    "hostile names": hostile_names,
    "wrong types": wrong_types,
    "broken forms": broken_forms,
    "false lengths": false_lengths,
    "odd heads": odd_heads,
    "odd targets": odd_targets,
}


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """The program, with a model: (process, address)."""
    home = tmp_path_factory.mktemp("served")
    saved_runs.ready(home / "first", onnx=True)
    with web_server.program("--model", "first", "--watch", ".", cwd=home) as (process, url):
        yield process, url
        process.terminate()
        process.communicate(timeout=60)
        errors = (home / web_server.LOG).read_text()
        assert "Traceback" not in errors, errors[-3000:]


def exchange(url: str, request: bytes) -> bytes:
    with web_server.connect(url) as connection:
        with contextlib.suppress(OSError):  # refused before it was sent to its end
            connection.sendall(request)
        connection.settimeout(3)
        with contextlib.suppress(TimeoutError):  # a request that promises more than it sends
            return web_server.read_all(connection)
        return b""


def resident(process: subprocess.Popen) -> int:
    """The most memory that the process ever had, in bytes."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return 1024 * int(re.search(r"VmHWM:\s+(\d+)", status)[1])


def test_there_are_many_of_many_kinds():
    assert len(KINDS) >= 10 and sum(len(list(made())) for made in KINDS.values()) >= 300


@pytest.mark.parametrize("kind", KINDS)
def test_hostile_uploads(served, kind, tmp_path_factory):
    process, url = served
    places = (str(ROOT), str(tmp_path_factory.getbasetemp()))
    secrets = [*(place.encode() for place in places), b"site-packages", b"Traceback", b'File "', SCRIPT]
    exchange(url, http(PNG))
    before = resident(process) if sys.platform == "linux" else 0
    for request in KINDS[kind]():
        response = exchange(url, request)
        if response:  # what was never whole gets none
            status = int(response.split(b" ", 2)[1])
            assert status in ALLOWED, (request[:300], response[:1000])
        assert not [secret for secret in secrets if secret in response], request[:300]
    assert process.poll() is None
    assert exchange(url, http(PNG)).startswith(b"HTTP/1.1 200")
    if sys.platform == "linux":
        assert resident(process) - before < MOST_GROWTH


def test_the_api_keeps_to_its_description(served):
    program = shutil.which("schemathesis", path=Path(sys.executable).parent)
    if program is None:
        pytest.skip("schemathesis is not installed")
    _, url = served
    # That a schema-valid body is accepted is not asked: no schema can say what a picture is.
    limits = ["--max-examples", "40", "--seed", "1", "--exclude-checks", "positive_data_acceptance"]
    done = subprocess.run(
        [program, "run", f"{url}/api/openapi.json", *limits, "--no-color"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-5000:]
