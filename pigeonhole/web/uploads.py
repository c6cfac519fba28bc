"""The pictures in a request: read from memory only, and never trusted for their names."""

import io
import unicodedata
from dataclasses import dataclass
from typing import IO

import flask
from werkzeug.exceptions import BadRequest

MOST_PICTURES = 100  # in one request
MOST_PARTS = 200  # in one form, fields and empty file fields included
_LONGEST_NAME = 120


class Request(flask.Request):
    """A request whose files stay in memory; werkzeug would write the larger ones to disk."""

    def _get_file_stream(self, *described: object, **also: object) -> IO[bytes]:
        return io.BytesIO()


@dataclass(frozen=True)
class Upload:
    """A file as it was received. `name` is for showing only."""

    name: str
    data: bytes


def is_form(request: flask.Request) -> bool:
    return request.mimetype == "multipart/form-data"


def pictures(request: flask.Request) -> list[Upload]:
    """The files of a multipart form, under whatever fields, or the body as one picture.

    Raises BadRequest when there are none or too many.
    """
    if is_form(request):
        files = (file for field in request.files for file in request.files.getlist(field))
        found = [Upload(shown(file.filename or ""), file.stream.getvalue()) for file in files]  # no copy
        found = [upload for upload in found if upload.data or upload.name]
    else:
        data = request.get_data(cache=False)
        found = [Upload("picture", data)] if data else []
    request.environ["wsgi.input"].close()  # it holds the same bytes once more
    if not found:
        raise BadRequest("There is no picture in the request.")
    if len(found) > MOST_PICTURES:
        raise BadRequest(f"{len(found)} pictures at once; up to {MOST_PICTURES} are accepted.")
    return found


def shown(name: str) -> str:
    """A client's name for a file as one short line: without folders and without control characters."""
    name = name.replace("\\", "/").rpartition("/")[2]
    plain = "".join("�" if unicodedata.category(letter).startswith("C") else letter for letter in name)
    return plain if len(plain) <= _LONGEST_NAME else f"{plain[: _LONGEST_NAME - 1]}…"
