"""The server: uvicorn in front, which reads requests and costs no thread per client, the WSGI app behind it.

uvicorn reads HTTP, keeps connections alive and stops gracefully. `gateway` receives bodies within limits and
asks the app. Here connections get deadlines: an idle one is closed after a while. When the table is full, the
longest idle one makes room at once, or else the one whose request has been arriving for longest.
"""

import asyncio
import contextlib
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import flask
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from pigeonhole.web.certificate import Tls
from pigeonhole.web.gateway import ANSWERING, IDLE, Address, Gateway, Limits


@dataclass
class _Seat:
    """A connection. `since`: when its stage began (time.monotonic)."""

    transport: asyncio.Transport
    since: float
    stage: int = IDLE


class Server:
    """Listens from its creation on; `run` answers until told to stop. It runs once."""

    def __init__(
        self,
        app: flask.Flask,
        host: str,
        port: int,
        threads: int,
        limits: Limits | None = None,
        tls: Tls | None = None,
    ):
        """`tls`: answer by https, and by that alone."""
        self._tls = tls
        self._limits = limits or Limits()
        self._gateway = Gateway(app, threads, self._limits, self._mark)
        self._seats: dict[Address, _Seat] = {}
        self._sockets = _listen(host, port)

    @property
    def urls(self) -> list[str]:
        """Where it listens, such as http://127.0.0.1:8000; one for each address that the host name has."""
        hosts = (listener.getsockname() for listener in self._sockets)
        scheme = "https" if self._tls else "http"
        return [f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}" for host, port, *_ in hosts]

    def run(self, should_stop: Callable[[], bool]) -> None:
        """Answer until `should_stop()`, then finish every request that has begun to arrive."""
        server = _Uvicorn(
            uvicorn.Config(
                self._gateway,
                http=self._connection,
                interface="asgi3",
                loop="asyncio",
                ws="none",
                lifespan="off",
                log_config=None,
                log_level="error",
                access_log=False,
                proxy_headers=False,  # anyone on this computer could claim any address
                headers=[("Server", "Pigeonhole")],
                server_header=False,
                ssl_certfile=self._tls and self._tls.certificate,
                ssl_keyfile=self._tls and self._tls.key,
                timeout_keep_alive=max(1, int(self._limits.idle)),
                timeout_graceful_shutdown=self._limits.stop_seconds,
                h11_max_incomplete_event_size=self._limits.head_bytes,
            )
        )
        asyncio.run(self._serve(server, should_stop))
        self._gateway.close()

    async def _serve(self, server: uvicorn.Server, should_stop: Callable[[], bool]) -> None:
        serving = asyncio.create_task(server.serve(self._sockets))
        while not serving.done():
            await asyncio.wait([serving], timeout=0.2)
            server.should_exit |= should_stop()
            self._gateway.stopping |= server.should_exit
            for seat in list(self._seats.values()):
                is_sending = seat.transport.get_write_buffer_size() > 0
                most = self._limits.request_seconds if is_sending else self._limits.idle
                if seat.stage == IDLE and seat.since < time.monotonic() - most:
                    seat.transport.abort()
        await serving

    def _connection(self, **settings: object) -> asyncio.Protocol:
        return _Connection(self._seats, self._limits.connections, **settings)

    def _mark(self, client: Address, stage: int) -> None:
        if seat := self._seats.get(client):
            seat.stage, seat.since = stage, time.monotonic()


class _Uvicorn(uvicorn.Server):
    """uvicorn, which in stopping also answers those who wait in the queue of the operating system."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        loop = asyncio.get_running_loop()
        for listener in sockets or ():
            loop.remove_reader(listener)
        await asyncio.sleep(0.01)  # for the connections that are just being made
        settings = {"config": self.config, "server_state": self.server_state, "app_state": {}}
        connecting = [
            asyncio.create_task(
                loop.connect_accepted_socket(
                    lambda: self.config.http(**settings), waiting, ssl=self.config.ssl
                )
            )
            for listener in sockets or ()
            for waiting in _waiting(listener)
        ]
        await super().shutdown(sockets)  # closes the listeners before anything else
        await asyncio.gather(*connecting, return_exceptions=True)


def _waiting(listener: socket.socket) -> Iterator[socket.socket]:
    with contextlib.suppress(BlockingIOError):
        while True:
            yield listener.accept()[0]


class _Connection(H11Protocol):
    """uvicorn's connection, which takes a seat while it lasts."""

    def __init__(self, seats: dict[Address, _Seat], most: int, **settings):
        super().__init__(**settings)
        self._seats, self._most = seats, most

    def connection_made(self, transport: asyncio.Transport) -> None:
        super().connection_made(transport)
        # asyncio does so only where a socket names its protocol. Otherwise the body of an answer waits until
        # the client has acknowledged its head, which it does 40 ms later.
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._place = (transport.get_extra_info("peername") or ("", 0))[:2]  # later, TLS tells it no more
        if len(self._seats) >= self._most:
            seats = [
                seat
                for seat in self._seats.values()
                if seat.stage != ANSWERING and not seat.transport.is_closing()
            ]
            least = min(seats, key=lambda seat: (seat.stage, seat.since), default=None)
            (least.transport if least else transport).abort()
        self._seats[self._place] = _Seat(transport, time.monotonic())

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._seats.pop(self._place, None)


def _listen(host: str, port: int) -> list[socket.socket]:
    """A socket for each address of the host; with port 0 the first one chooses for all."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    listeners = []
    for family, place in dict.fromkeys((family, place[:2]) for family, *_, place in found):
        port = port or (listeners[0].getsockname()[1] if listeners else 0)
        listeners.append(socket.create_server((place[0], port), family=family, backlog=1024))
    return listeners
