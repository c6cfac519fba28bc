"""Between server and app: bodies are received within limits, then the WSGI app is asked in a thread."""

import asyncio
import contextlib
import io
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import flask
from werkzeug.exceptions import HTTPException

REFUSAL = "pigeonhole.refusal"  # in the WSGI environment: the status with which a request is to be refused
RECEIVED = "pigeonhole.received"  # and the length that it gave its body, in bytes
HAS_LEFT = "pigeonhole.has_left"  # a function: whether nobody waits for the answer any more

PROBES = ("/healthz",)
WRONG_KEY_SECONDS = 1.0  # before it is told that a key is wrong

IDLE, ARRIVING, ANSWERING = range(3)  # what a connection does
Address = tuple[str, int]
Answer = tuple[int, list[tuple[bytes, bytes]], bytes]


@dataclass(frozen=True)
class Limits:
    """What a client may cost.

    `queue`: requests that may wait for a thread. `request_bytes`: the longest body. `held_bytes`: what was
    received of all bodies together. `head_bytes`: the longest head of a request. `idle`: seconds in which a
    connection may be without a request. `request_seconds`: for all of a body. `grace`: seconds after which a
    body must have come at `least_rate` bytes a second. `stop_seconds`: how long a stop waits for the requests
    that are being answered. `connections`: open at the same time.
    """

    queue: int = 64
    request_bytes: int = 32_000_000
    held_bytes: int = 40_000_000
    head_bytes: int = 32_768
    idle: float = 20
    request_seconds: float = 60
    grace: float = 10
    least_rate: int = 20_000
    stop_seconds: int = 25
    connections: int = 500


class Gateway:
    """The ASGI application around a Flask app.

    `mark(client, stage)` is told when a request of that client arrives, is being answered, and has ended.
    """

    def __init__(self, app: flask.Flask, threads: int, limits: Limits, mark: Callable[[Address, int], None]):
        self.stopping = False
        self._app = app
        self._limits = limits
        self._mark = mark
        self._held = 0  # bytes of bodies
        self._waiting = -threads  # requests for which no thread is free
        self._workers = ThreadPoolExecutor(threads, "answer")
        self._aside = ThreadPoolExecutor(1, "aside")  # probes and refusals never wait for pictures
        self._closed = threading.Event()

    def close(self) -> None:
        """Stop what still computes for nobody, and wait for it."""
        self._closed.set()
        for pool in (self._workers, self._aside):
            pool.shutdown(cancel_futures=True)

    async def __call__(self, scope: dict, receive: Callable, send: Callable) -> None:
        request = _Request(scope, receive)
        self._mark(request.client, ARRIVING)
        try:
            status, headers, body = await self._answer(request)
            if self.stopping:
                headers.append((b"connection", b"close"))
            await send({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": body})
        except (_Left, asyncio.CancelledError):
            pass  # the stop has waited long enough, or nobody waits
        finally:
            self._forget(request)
            self._mark(request.client, IDLE)

    async def _answer(self, request: "_Request") -> Answer:
        status = self._refused_by_app(request.environ)
        if status:
            if status == 401 and "HTTP_AUTHORIZATION" in request.environ:
                await asyncio.sleep(WRONG_KEY_SECONDS)
            return await self._refuse(request)
        status = await self._receive(request)
        if not status and request.environ["PATH_INFO"] in PROBES:
            return await self._ask(self._aside, request)
        if status or self._waiting >= self._limits.queue:
            request.environ |= {REFUSAL: status or 503, RECEIVED: request.length}
            return await self._refuse(request)
        self._waiting += 1
        try:
            return await self._ask(self._workers, request)
        finally:
            self._waiting -= 1

    def _refused_by_app(self, environ: dict[str, Any]) -> int | None:
        """The status with which the app refuses a request by its head alone."""
        with self._app.request_context(environ):
            try:
                self._app.preprocess_request()
            except HTTPException as error:
                return error.code
        return None

    async def _receive(self, request: "_Request") -> int | None:
        """Take the body; gives the status where it is too long, comes too slowly or finds no room."""
        if request.length > self._limits.request_bytes:
            return 413
        try:
            async for part in request.parts(self._limits):
                if request.held + len(part) > self._limits.request_bytes:
                    return 413
                if self._held + len(part) > self._limits.held_bytes:
                    return 503
                self._held += len(part)
                request.held += len(part)
                request.body.write(part)
        except TimeoutError:
            return 408
        return None

    def _forget(self, request: "_Request") -> None:
        self._held -= request.held
        request.held = 0
        request.body = io.BytesIO()

    async def _refuse(self, request: "_Request") -> Answer:
        """Have the app word a refusal.

        A body that is on its way is read to its end and forgotten: a browser shows no answer to a form that
        it could not finish sending.
        """
        self._forget(request)
        if "HTTP_EXPECT" not in request.environ:
            unread = 8 * self._limits.request_bytes
            with contextlib.suppress(TimeoutError):
                async for part in request.parts(self._limits):
                    unread -= len(part)
                    if unread < 0:
                        break
        status, headers, body = await self._ask(self._aside, request)
        return status, [*headers, (b"connection", b"close")], body

    async def _ask(self, pool: ThreadPoolExecutor, request: "_Request") -> Answer:
        """The app's answer; raises `_Left` when the client leaves before it is there."""
        self._mark(request.client, ANSWERING)
        has_left = threading.Event()
        request.environ[HAS_LEFT] = lambda: has_left.is_set() or self._closed.is_set()
        job = pool.submit(_call, self._app, request)
        answer = asyncio.wrap_future(job)
        leaving = asyncio.create_task(request.leave())
        try:
            await asyncio.wait([answer, leaving], return_when=asyncio.FIRST_COMPLETED)
            if not answer.done():
                has_left.set()
                if not job.cancel():
                    await asyncio.wait([answer])  # its thread and its memory are still in use
                raise _Left
            return answer.result()
        finally:
            has_left.set()
            leaving.cancel()


class _Left(Exception):
    """The client has closed its connection."""


class _Request:
    """A request, its body as far as it was received."""

    def __init__(self, scope: dict, receive: Callable):
        self.client: Address = tuple(scope["client"] or ("", 0))
        self._receive = receive
        self._is_complete = False
        self._started = time.monotonic()
        self.body = io.BytesIO()
        self.held = 0  # bytes of it
        self.environ = _environ(scope)
        self.length = int(self.environ.get("CONTENT_LENGTH") or 0)

    async def parts(self, limits: Limits) -> AsyncIterator[bytes]:
        """The body's parts. Raises `_Left`, and TimeoutError where they come too slowly."""
        read = 0
        while not self._is_complete:
            allowed = min(limits.request_seconds, limits.grace + read / limits.least_rate)
            async with asyncio.timeout(max(0, self._started + allowed - time.monotonic())):
                message = await self._receive()
            if message["type"] == "http.disconnect":
                raise _Left
            self._is_complete = not message.get("more_body", False)
            read += len(message["body"])
            yield message["body"]

    async def leave(self) -> None:
        """Wait until the client has left; forever where its body is not complete."""
        if not self._is_complete:
            await asyncio.Event().wait()
        while (await self._receive())["type"] != "http.disconnect":
            pass


def _environ(scope: dict) -> dict[str, Any]:
    """The WSGI environment (PEP 3333) of a request, without its body."""
    host, port = scope["server"] or ("", 0)
    environ = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": "",
        "PATH_INFO": scope["path"].encode("utf-8", "surrogateescape").decode("latin-1"),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_NAME": host,
        "SERVER_PORT": str(port),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "REMOTE_ADDR": (scope["client"] or ("",))[0],
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope["scheme"],
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "wsgi.input_terminated": True,
    }
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1").upper().replace("-", "_"), raw_value.decode("latin-1")
        key = name if name in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{name}"
        environ[key] = f"{environ[key]},{value}" if key in environ else value
    return environ


def _call(app: flask.Flask, request: _Request) -> Answer:
    request.body.seek(0)
    environ = request.environ | {"CONTENT_LENGTH": str(request.held), "wsgi.input": request.body}
    environ.pop("HTTP_TRANSFER_ENCODING", None)  # its chunks are put together
    started: list[Any] = []
    parts: Iterable[bytes] = app(environ, lambda status, headers, *_: started.append((status, headers)))
    try:
        body = b"".join(parts)
    finally:
        if hasattr(parts, "close"):
            parts.close()
    status, headers = started[-1]
    names = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]
    return int(status.split()[0]), names, body
