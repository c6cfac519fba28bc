"""A server that answers by https, with a certificate of its own."""

import http.client
import ssl
import subprocess
import threading

import pytest

from pigeonhole.errors import UsageError
from pigeonhole.web import certificate, create_app
from pigeonhole.web.certificate import Tls
from pigeonhole.web.server import Server


@pytest.fixture(scope="module")
def tls(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    found = Tls(folder / "certificate.pem", folder / "key.pem")
    kind = [
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-noenc",
        "-subj",
        "/CN=localhost",
    ]
    files = ["-addext", "subjectAltName=IP:127.0.0.1", "-out", found.certificate, "-keyout", found.key]
    subprocess.run(["openssl", "req", *kind, *files], check=True, capture_output=True)
    return found


def test_connections_are_encrypted_kept_and_closed(tls, caplog):
    server = Server(create_app([]), "127.0.0.1", 0, 2, tls=certificate.checked(*tls))
    (url,) = server.urls
    assert url.startswith("https://127.0.0.1:")
    stop = threading.Event()
    thread = threading.Thread(target=server.run, args=(stop.is_set,))
    thread.start()
    try:
        trusting = ssl.create_default_context(cafile=tls.certificate)
        for _ in range(2):  # the second one is answered after the first was closed
            there = http.client.HTTPSConnection(url.removeprefix("https://"), context=trusting, timeout=20)
            for _ in range(2):
                there.request("GET", "/static/style.css")
                answer = there.getresponse()
                assert answer.status == 200 and answer.read()
            there.close()
        plain = http.client.HTTPConnection(url.removeprefix("https://"), timeout=20)
        with pytest.raises((http.client.HTTPException, OSError)):
            plain.request("GET", "/static/style.css")
            plain.getresponse()
    finally:
        stop.set()
        thread.join()
    assert not caplog.records


def test_files_that_are_no_certificate_and_key_are_told(tls, tmp_path):
    assert certificate.checked(None, None) is None
    with pytest.raises(UsageError, match="give both"):
        certificate.checked(tls.certificate, None)
    with pytest.raises(UsageError, match="no such file"):
        certificate.checked(tls.certificate, tmp_path / "absent.pem")
    with pytest.raises(UsageError, match="not a certificate and its key"):
        certificate.checked(tls.certificate, tls.certificate)
    (tmp_path / "words.pem").write_text("words")
    with pytest.raises(UsageError, match="not a certificate and its key"):
        certificate.checked(tmp_path / "words.pem", tls.key)
