"""Downloads from a server on this machine that breaks off, is slow of understanding, or lies."""

import hashlib
import http.server
import socket
import threading

import pytest

from pigeonhole.data.sources.downloads import DownloadError, fetch

CONTENT = bytes(range(256)) * 4000
MD5 = hashlib.md5(CONTENT).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves CONTENT. The server's attributes say how badly: see `serve`."""

    def do_GET(self):
        self.server.ranges.append(self.headers.get("Range"))
        start = int(self.headers.get("Range", "bytes=0-")[6:-1]) if self.server.understands_ranges else 0
        if start >= len(CONTENT):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(CONTENT)}")
            self.end_headers()
            return
        self.send_response(206 if start else self.server.status)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}")
        if self.server.tells_length:
            self.send_header("Content-Length", str(len(CONTENT) - start))
        self.end_headers()
        end = self.server.breaks.pop(0) if self.server.breaks else len(CONTENT)
        self.wfile.write(CONTENT[start : max(start, end)])

    def log_message(self, *_):
        pass


@pytest.fixture
def serve():
    """A function that starts a server: `breaks` are the offsets at which its answers break off, in turn."""
    servers = []

    def start(breaks=(), understands_ranges=True, tells_length=True, status=200):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.breaks, server.ranges, server.status = list(breaks), [], status
        server.understands_ranges, server.tells_length = understands_ranges, tells_length
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        servers.append(server)
        return server, f"http://127.0.0.1:{server.server_port}/archive.tar.gz"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_whole_file(tmp_path, serve):
    _, url = serve()
    fetch(url, tmp_path / "new folder" / "archive", MD5)
    assert (tmp_path / "new folder" / "archive").read_bytes() == CONTENT
    assert [path.name for path in (tmp_path / "new folder").iterdir()] == ["archive"]


def test_goes_on_where_it_broke_off(tmp_path, serve):
    server, url = serve(breaks=[300_000, 700_001])
    fetch(url, tmp_path / "archive", MD5)
    assert (tmp_path / "archive").read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=300000-", "bytes=700001-"]


def test_goes_on_where_an_earlier_run_was_killed(tmp_path, serve):
    server, url = serve()
    (tmp_path / "archive.part").write_bytes(CONTENT[:12345])
    fetch(url, tmp_path / "archive", MD5)
    assert (tmp_path / "archive").read_bytes() == CONTENT
    assert server.ranges == ["bytes=12345-"]


def test_an_earlier_run_was_killed_after_the_last_byte(tmp_path, serve):
    server, url = serve()
    (tmp_path / "archive.part").write_bytes(CONTENT)
    fetch(url, tmp_path / "archive", MD5)
    assert (tmp_path / "archive").read_bytes() == CONTENT
    assert len(server.ranges) == 1


def test_what_is_longer_than_the_file_is_begun_again(tmp_path, serve):
    server, url = serve()
    (tmp_path / "archive.part").write_bytes(CONTENT + b"x")
    fetch(url, tmp_path / "archive", MD5)
    assert (tmp_path / "archive").read_bytes() == CONTENT
    assert server.ranges[1:] == [None]


def test_a_server_without_ranges_is_asked_from_the_start(tmp_path, serve):
    _, url = serve(breaks=[300_000], understands_ranges=False)
    fetch(url, tmp_path / "archive", MD5)
    assert (tmp_path / "archive").read_bytes() == CONTENT


def test_a_server_that_always_breaks_off_is_given_up(tmp_path, serve):
    server, url = serve(breaks=[300_000] * 50)
    with pytest.raises(DownloadError, match="300,000 of 1,024,000"):
        fetch(url, tmp_path / "archive", MD5)
    assert len(server.ranges) < 10
    assert (tmp_path / "archive.part").read_bytes() == CONTENT[:300_000]  # for the next run
    assert not (tmp_path / "archive").exists()


def test_a_server_without_ranges_that_always_breaks_off_is_given_up(tmp_path, serve):
    server, url = serve(breaks=[300_000] * 50, understands_ranges=False)
    with pytest.raises(DownloadError):
        fetch(url, tmp_path / "archive", MD5)
    assert len(server.ranges) < 10


def test_a_wrong_file_is_not_kept(tmp_path, serve):
    _, url = serve()
    (tmp_path / "archive.part").write_bytes(b"another file's beginning")
    with pytest.raises(DownloadError, match="not the published one"):
        fetch(url, tmp_path / "archive", MD5)
    assert not list(tmp_path.iterdir())
    fetch(url, tmp_path / "archive", MD5)


def test_a_break_that_the_length_does_not_tell_is_found_by_the_checksum(tmp_path, serve):
    _, url = serve(breaks=[300_000], tells_length=False)
    with pytest.raises(DownloadError, match="not the published one"):
        fetch(url, tmp_path / "archive", MD5)
    assert not (tmp_path / "archive").exists()


def test_an_error_of_the_server_is_told_in_one_line(tmp_path, serve):
    server, _ = serve(status=404)
    url = f"http://127.0.0.1:{server.server_port}/gone"
    with pytest.raises(DownloadError, match=r"gone answers 404"):
        fetch(url, tmp_path / "archive", MD5)
    assert not list(tmp_path.iterdir())


def test_nobody_listens(tmp_path):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/archive"
    with pytest.raises(DownloadError, match="cannot be reached"):
        fetch(url, tmp_path / "archive", MD5)


def test_a_disk_error_is_not_taken_for_the_network(tmp_path, serve):
    _, url = serve()
    (tmp_path / "archive.part").mkdir()
    with pytest.raises(OSError):
        fetch(url, tmp_path / "archive", MD5)
