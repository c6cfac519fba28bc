"""Models exported as static web pages, and a host for such a folder."""

import contextlib
import functools
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

from pigeonhole.model import metagraph
from pigeonhole.model.export import web, web_runtime
from pigeonhole.model.export.exporter import Source
from pigeonhole.runs.run import Run

RUNTIME = Path(__file__).parents[2] / "node_modules" / web_runtime.PACKAGE
WHY_NOT = f"{web_runtime.PACKAGE} is not installed (npm install {web_runtime.PACKAGE}@{web_runtime.VERSION})"


def export(run: Path, place: Path, calibration=None) -> Path:
    """The run's web page in the folder `place`."""
    session = metagraph.restore(Run(run).prefix)
    try:
        web.write(Source(Run(run), session, calibration, RUNTIME), place)
    finally:
        session.close()
    return place


class Host(http.server.ThreadingHTTPServer):
    """A static host of `folder`, which may be changed, at `address`."""

    def __init__(self, folder: Path, port: int = 0):
        self.folder, self.asked = folder, []
        super().__init__(("127.0.0.1", port), functools.partial(_Handler, host=self))
        self.address = f"http://127.0.0.1:{self.server_address[1]}/"


class _Handler(http.server.SimpleHTTPRequestHandler):
    def __init__(self, *arguments, host: Host):
        self.host = host
        super().__init__(*arguments)

    def translate_path(self, path: str) -> str:
        self.directory = str(self.host.folder)  # by now: browsers open connections in advance
        return super().translate_path(path)

    def log_message(self, *_) -> None:
        self.host.asked.append(self.path)


@contextlib.contextmanager
def hosting(folder: Path, port: int = 0) -> Iterator[Host]:
    host = Host(folder, port)
    thread = threading.Thread(target=host.serve_forever)
    thread.start()
    try:
        yield host
    finally:
        host.shutdown()
        host.server_close()
        thread.join()
