"""What every request of the page's scripts has: who may ask, what it holds, how it is refused."""

import hmac

import flask
from werkzeug.exceptions import BadRequest, Forbidden, ServiceUnavailable

from pigeonhole.errors import PigeonholeError, UsageError
from pigeonhole.web.labelling.pages import current

LONGEST_NUMBER = 9  # digits


def guard(api: flask.Blueprint) -> None:
    """Let in what changes something only from a page of this start, and word what is refused."""
    api.before_request(_check_token)
    api.register_error_handler(UsageError, _refuse)
    api.register_error_handler(PigeonholeError, _fail)


def told() -> dict[str, object]:
    """The object in the request's body; BadRequest for anything else."""
    try:
        content = flask.request.get_json()
    except RecursionError:  # lists in lists without end
        content = None
    if not isinstance(content, dict):
        raise BadRequest("The request must hold a JSON object.")
    return content


def text(content: dict[str, object], name: str) -> str:
    """A text in what was told; BadRequest for anything else."""
    if not isinstance(content.get(name), str):
        raise BadRequest(f"{name} must be a text.")
    return content[name]


def number(written: str) -> int:
    """A whole number in an address; BadRequest for anything else."""
    if not (written.isascii() and written.isdecimal() and len(written) <= LONGEST_NUMBER):
        raise BadRequest("A whole number was expected.")
    return int(written)


def rows(content: dict[str, object], name: str) -> list[int]:
    """A list of rows in what was told; BadRequest for anything else."""
    found = content.get(name)
    if not isinstance(found, list) or not all(type(row) is int and row >= 0 for row in found):
        raise BadRequest(f"{name} must be a list of whole numbers.")
    return found


def _check_token() -> None:
    """Another site does not know this start's number, and the rows of an earlier start are other pictures."""
    given = flask.request.headers.get("X-Session", "")
    if flask.request.method != "GET" and not hmac.compare_digest(given.encode(), current().number.encode()):
        raise Forbidden("This page is from an earlier start of the program. Load it again.")


def _refuse(error: UsageError) -> flask.Response:
    return flask.current_app.handle_user_exception(BadRequest(str(error)))


def _fail(error: PigeonholeError) -> flask.Response:
    """Something outside, such as a full disk: the page tells the user, and tries again."""
    return flask.current_app.handle_user_exception(ServiceUnavailable(str(error)))
