"""Fetches a large file over HTTP, with progress, going on where a broken download stopped."""

import hashlib
import http.client
import ssl
import urllib.error
import urllib.request
from pathlib import Path

from tqdm import tqdm

from pigeonhole import __version__
from pigeonhole.errors import PigeonholeError

FOLDER = Path("downloads")  # of the working directory
BLOCK = 1 << 18  # bytes
TIMEOUT = 30  # seconds without a byte
TRIES = 3  # in a row that bring nothing
NETWORK_ERRORS = (
    urllib.error.URLError,
    http.client.HTTPException,
    ssl.SSLError,
    ConnectionError,
    TimeoutError,
)


class DownloadError(PigeonholeError):
    """The file could not be fetched, now or not at all."""


def md5(path: Path) -> str:
    """Return the hexadecimal md5 of a file: weak against malice, but what data sets publish."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def once(url: str, path: Path, checksum: str | None = None, flag: str = "--source") -> Path:
    """Give `path`, fetched from `url` unless it is there. The error says what else the user can do.

    `checksum`: the md5 that the file must have. `flag`: which takes such a file from the user. Raises
    `DownloadError`.
    """
    if path.exists():
        if checksum and md5(path) != checksum:
            raise DownloadError(f"{path} is not the published file: delete it, or take it with {flag}")
        return path
    try:
        fetch(url, path, checksum)
    except DownloadError as error:
        raise DownloadError(
            f"{error}; try again, or download it by other means and add {flag} FILE"
        ) from error
    return path


def fetch(url: str, path: Path, checksum: str | None = None) -> None:
    """Download `url` to `path`, through `path`.part, which a later call continues after a break or a kill.

    `checksum`: the md5 that the file must have; a file with another one is removed. Raises `DownloadError`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    failures = 0
    while failures < TRIES:
        size_before = _size(part)
        try:
            _continue(url, part)
            break
        except urllib.error.HTTPError as error:
            raise DownloadError(f"{url} answers {error.code} {error.reason}") from error
        except NETWORK_ERRORS as error:
            failures = failures + 1 if _size(part) <= size_before else 0
            reason = getattr(error, "reason", error)
    else:
        raise DownloadError(f"{url} cannot be reached ({reason})")
    if checksum and md5(part) != checksum:
        part.unlink()
        raise DownloadError(f"{url} sent a file that is not the published one")
    part.replace(path)


def _continue(url: str, part: Path) -> None:
    """Append to `part` what it lacks, or begin again where the server cannot; a break is a network error."""
    start = _size(part)
    headers = {"User-Agent": f"pigeonhole/{__version__}"}
    if start:
        headers["Range"] = f"bytes={start}-"
    try:
        with urllib.request.urlopen(
            urllib.request.Request(url, headers=headers), timeout=TIMEOUT
        ) as response:
            continued = response.headers.get("Content-Range", "").startswith(f"bytes {start}-")
            _receive(response, part, start if continued else 0)
    except urllib.error.HTTPError as error:
        if error.code != http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise
        if error.headers.get("Content-Range") != f"bytes */{start}":  # else nothing is lacking
            part.unlink()
            _continue(url, part)


def _receive(response: http.client.HTTPResponse, part: Path, start: int) -> None:
    length = response.headers.get("Content-Length")
    total = start + int(length) if length else None
    bar = tqdm(total=total, initial=start, desc=part.stem, unit="B", unit_scale=True, disable=None)
    with bar, part.open("ab" if start else "wb") as file:
        while block := response.read(BLOCK):
            file.write(block)
            bar.update(len(block))
    if total is not None and _size(part) != total:
        raise ConnectionError(f"broke off after {_size(part):,} of {total:,} bytes")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
