"""The WSGI server: waitress with a bounded queue, deadlines for slow clients, and a stop that loses nothing.

Three things are added to waitress. A request that finds the queue full, or the memory for uploads promised to
others, is refused at once by a thread of its own. A request must arrive whole within a deadline, however
steadily its bytes drip. And after a stop is asked for, what was accepted is still answered.
"""

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from wsgiref.types import WSGIApplication

from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser
from waitress.server import TcpWSGIServer
from waitress.task import ThreadedTaskDispatcher, WSGITask
from waitress.utilities import BadRequest, Error, RequestEntityTooLarge, ServerNotImplemented

REFUSAL = "pigeonhole.refusal"  # in the WSGI environment: the status with which a request is to be refused
RECEIVED = "pigeonhole.received"  # and the length of its body, in bytes

_CONNECTIONS = 200
_NEVER_ON_DISK = 2**62
_LINGER = 0.5  # seconds in which a connection kept alive may still send, once the server stops


@dataclass(frozen=True)
class Limits:
    """What a client may cost.

    `queue`: requests that may wait for a thread. `request_bytes`: the longest body. `held_bytes`: all bodies
    together. `idle` and `request_seconds`: without a byte, and for a whole request. `stop_seconds`: how long
    a stop waits for the requests under way.
    """

    queue: int = 64
    request_bytes: int = 32_000_000
    held_bytes: int = 512_000_000
    idle: float = 20
    request_seconds: float = 60
    stop_seconds: float = 30


class Server:
    """Listens from its creation on; `run` answers until told to stop."""

    def __init__(
        self, application: WSGIApplication, host: str, port: int, threads: int, limits: Limits | None = None
    ):
        limits = limits or Limits()
        logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # it counts every waiting request aloud
        adjustments = _adjustments(host, port, limits)
        self._limits = limits
        self._sockets: dict[int, wasyncore.dispatcher] = {}
        self._workers, self._refusers = ThreadedTaskDispatcher(), ThreadedTaskDispatcher()
        self._listeners = [
            _Listener(application, self._sockets, self._workers, self._refusers, limits, adjustments, address)
            for address in adjustments.listen
        ]
        self._workers.set_thread_count(threads)
        self._refusers.set_thread_count(1)

    @property
    def urls(self) -> list[str]:
        """Where it listens, such as http://127.0.0.1:8000; one for each address that the host name has."""
        hosts = ((listener.effective_host, listener.effective_port) for listener in self._listeners)
        return [f"http://{f'[{host}]' if ':' in host else host}:{port}" for host, port in hosts]

    def run(self, should_stop: Callable[[], bool]) -> None:
        """Answer until `should_stop()`, then finish every request that has begun to arrive."""
        while not should_stop():
            self._turn(0.5)
        self._finish()
        for dispatcher in (self._workers, self._refusers):
            dispatcher.shutdown()
        for listener in self._listeners:
            listener.trigger.close()

    def _finish(self) -> None:
        for listener in self._listeners:
            listener.stop_listening()
        stopped = time.monotonic()
        while (channels := list(self._channels())) and time.monotonic() < stopped + self._limits.stop_seconds:
            if time.monotonic() > stopped + _LINGER:
                for channel in channels:
                    channel.will_close |= channel.idle
            self._turn(0.05)

    def _channels(self) -> Iterator["_Channel"]:
        return (channel for listener in self._listeners for channel in listener.active_channels.values())

    def _turn(self, seconds: float) -> None:
        """Wait so long for something to happen on the sockets, and handle it."""
        wasyncore.loop(seconds, use_poll=True, map=self._sockets, count=1)


def _adjustments(host: str, port: int, limits: Limits) -> Adjustments:
    return Adjustments(
        host=host,
        port=port,
        ident="Pigeonhole",
        connection_limit=_CONNECTIONS,
        channel_timeout=limits.idle,
        cleanup_interval=1,
        max_request_header_size=32 * 2**10,
        max_request_body_size=limits.request_bytes + 1,  # waitress refuses from this length on
        inbuf_overflow=_NEVER_ON_DISK,
        outbuf_overflow=_NEVER_ON_DISK,
        outbuf_high_watermark=_NEVER_ON_DISK,
        log_socket_errors=False,
    )


class _Full(Error):
    code = 503
    reason = "Service Unavailable"


class _Request(HTTPRequestParser):
    """A request on its way in.

    The body of one that is refused is read to its end and forgotten: a browser shows no answer to a form that
    it could not finish sending.
    """

    def __init__(self, adjustments: Adjustments):
        super().__init__(adjustments)
        self.since = time.time()
        self.admitted = False
        self._unread = 0

    @property
    def promised(self) -> int:
        """The bytes that its body may come to hold."""
        if self.error:
            return 0
        return self.adj.max_request_body_size if self.chunked else self.content_length

    def received(self, data: bytes) -> int:
        if self._unread:
            taken = min(len(data), self._unread)
            self._unread -= taken
            self.completed = not self._unread
            return taken
        taken = super().received(data)
        if self.error and self.completed:
            self.refuse(self.error)
        return taken

    def refuse(self, error: Error) -> None:
        # A transfer coding that nobody knows is no fault of this server.
        self.error = BadRequest(error.body) if isinstance(error, ServerNotImplemented) else error
        waits_to_send, self.expect_continue = self.expect_continue, False
        if isinstance(error, _Full | RequestEntityTooLarge):
            if not (waits_to_send or self.chunked):
                rest = self.content_length - self.body_bytes_received
                self._unread = min(rest, 8 * self.adj.max_request_body_size)
        else:  # nothing that it said of itself can be relied on
            self.headers.clear()
            self.parse_header(b"GET / HTTP/1.0\r\n")
        self.completed = not self._unread

    expect_continue = False


class _Task(WSGITask):
    def build_response_header(self) -> bytes:
        if self.channel.server.stopping:
            self.set_close_on_finish()
        return super().build_response_header()


class _Refusal(WSGITask):
    """Lets the application word the refusal, so that every error looks the same."""

    def execute(self) -> None:
        self.set_close_on_finish()
        super().execute()

    def get_environment(self) -> dict[str, object]:
        environment = super().get_environment()
        refusal = {REFUSAL: self.request.error.code, RECEIVED: self.request.content_length}
        return environment | refusal | {"CONTENT_LENGTH": "0"}


class _Channel(HTTPChannel):
    parser_class = _Request
    task_class = _Task
    error_task_class = _Refusal

    @property
    def idle(self) -> bool:
        return self.request is None and not self.requests and not self.total_outbufs_len

    @property
    def promised(self) -> int:
        arriving = [self.request] if self.request else []
        return sum(request.promised for request in [*self.requests, *arriving])

    def received(self, data: bytes) -> bool:
        taken = super().received(data)
        request = self.request
        if request is not None and request.headers_finished and not request.admitted:
            request.admitted = True
            if self.server.overpromised:
                request.refuse(_Full("too many uploads at once"))
        return taken


class _Listener(TcpWSGIServer):
    channel_class = _Channel

    def __init__(self, application, sockets, workers, refusers, limits: Limits, adjustments, address):
        self.stopping = False
        self._refusers = refusers
        self._limits = limits
        super().__init__(application, sockets, dispatcher=workers, adj=adjustments, sockinfo=address)

    @property
    def overpromised(self) -> bool:
        channels = list(self.active_channels.values())
        return sum(channel.promised for channel in channels) > self._limits.held_bytes

    def add_task(self, channel: _Channel) -> None:
        request = channel.requests[0]
        if not request.error and len(self.task_dispatcher.queue) >= self._limits.queue:
            request.error = _Full("the queue is full")
        dispatcher = self._refusers if request.error else self.task_dispatcher
        dispatcher.add_task(channel)

    def maintenance(self, now: float) -> None:
        super().maintenance(now)
        for channel in self.active_channels.values():
            request = channel.request
            if request and not channel.requests and request.since < now - self._limits.request_seconds:
                channel.will_close = True

    def stop_listening(self) -> None:
        """Take the connections that wait already, and no more."""
        self.stopping = True
        before = -1
        while before < len(self.active_channels):
            before = len(self.active_channels)
            self.handle_accept()
        wasyncore.dispatcher.close(self)
