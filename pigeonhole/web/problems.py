"""Every error in one form: problem details (RFC 9457) for programs, a page for people."""

from collections.abc import Sequence

import flask
from werkzeug.exceptions import HTTPException, InternalServerError, default_exceptions

from pigeonhole.pictures import images
from pigeonhole.web.answering import Refused
from pigeonhole.web.gateway import RECEIVED, REFUSAL

_FOR_PROGRAMS = ("/api/", "/label/api/", "/metrics", "/healthz")
_RETRY_AFTER = 1  # seconds


class NothingReadable(HTTPException):
    """Not one of the pictures in a request could be answered."""

    def __init__(self, refused: Sequence[Refused]):
        first = refused[0]
        super().__init__(f"{first.name}: {first.reason}.")
        self.code = first.status
        self.refused = refused


def register(app: flask.Flask) -> None:
    """Answer every error of the app, and those of the server in front of it."""

    @app.before_request
    def refuse_what_the_server_refused() -> None:
        if status := flask.request.environ.get(REFUSAL):
            raise default_exceptions[status]()

    @app.errorhandler(HTTPException)
    def show(error: HTTPException) -> flask.Response:
        # Some of werkzeug's texts name what they met inside; only their codes are passed on.
        if error.code is None or error.response is not None:
            return error.get_response()
        problem = _problem(error)
        # A page would name the models to whoever lacks the key.
        if error.code == 401 or flask.request.path.startswith(_FOR_PROGRAMS):
            response = flask.jsonify(problem)
            response.mimetype = "application/problem+json"
        else:
            response = flask.make_response(flask.render_template("problem.html", problem=problem))
        response.status_code = error.code
        headers = [(name, value) for name, value in error.get_headers() if name != "Content-Type"]
        response.headers.extend(headers)
        if error.code == 503:
            response.headers["Retry-After"] = str(_RETRY_AFTER)
        return response

    @app.errorhandler(Exception)
    def hide(error: Exception) -> flask.Response:
        app.logger.exception("%s %s", flask.request.method, ascii(flask.request.path))
        return show(InternalServerError())


def accepted() -> dict[str, object]:
    """What this server takes: formats, the most bytes of a request, the most pixels of a picture."""
    settings = flask.current_app.config
    return {
        "formats": images.readable_formats(),
        "bytes": settings["MAX_CONTENT_LENGTH"],
        "pixels": flask.current_app.extensions["answerer"].most_pixels,
    }


def refusal(refused: Refused) -> dict[str, object]:
    """One refused picture as a problem of its own."""
    return {
        "name": refused.name,
        "bytes": refused.size,
        "problem": {"type": "about:blank", "status": refused.status, "detail": refused.reason},
    }


def _problem(error: HTTPException) -> dict[str, object]:
    problem = {"type": "about:blank", "title": error.name, "status": error.code, "detail": _detail(error)}
    if isinstance(error, NothingReadable):
        problem |= {"pictures": [refusal(one) for one in error.refused], "accepted": accepted()}
    elif error.code == 413:
        received = flask.request.environ.get(RECEIVED) or flask.request.content_length
        problem |= {"received": {"bytes": received}, "accepted": accepted()}
    return problem


def _detail(error: HTTPException) -> str:
    default = type(error).description
    if error.code == 413 and error.description == default:
        return "The request is larger than this server accepts."
    if error.code == 500:
        return "Something went wrong in this server. Its log says what."
    if error.code == 503 and error.description == default:
        return "More requests wait than this server takes on. Try again shortly."
    return error.description or error.name
