"""The page, its pictures, and the list of files that cannot be read."""

from collections.abc import Callable

import flask
from werkzeug.exceptions import NotFound, ServiceUnavailable

from pigeonhole.data.folders import Record
from pigeonhole.errors import PigeonholeError
from pigeonhole.labelling import thumbnails
from pigeonhole.labelling.heatmaps import Busy
from pigeonhole.labelling.session import Session
from pigeonhole.terminal import shown
from pigeonhole.web import security
from pigeonhole.web.gateway import HAS_LEFT

FOREVER = "private, max-age=31536000, immutable"  # a picture's address names its content

pages = flask.Blueprint("labelling", __name__, url_prefix="/label")


@pages.app_context_processor
def common() -> dict[str, object]:
    return {"labelled": True}


@pages.get("/")
def page() -> flask.Response:
    session = current()
    page = flask.render_template(
        "label.html",
        base=pages.url_prefix,
        token=session.number,
        folder=shown(session.collection.folder.resolve().name),
        file=shown(str(session.journal.file)),
        recordings=shown(str(session.camera.folder)),
    )
    response = flask.Response(page)
    response.headers["Permissions-Policy"] = security.CAMERA_ALLOWED
    return response


@pages.get("/unreadable")
def unreadable() -> str:
    files = {shown(name): reason for name, reason in current().collection.unreadable.items()}
    return flask.render_template("unreadable.html", files=files)


@pages.get("/thumbnails/<int:row>")
def thumbnail(row: int) -> flask.Response:
    return _jpeg(row, current().thumbnails.get)


@pages.get("/pictures/<int:row>")
def picture(row: int) -> flask.Response:
    return _jpeg(row, thumbnails.drawn)


@pages.get("/heatmaps/<int:row>")
def heatmap(row: int) -> flask.Response:
    has_left = flask.request.environ.get(HAS_LEFT, lambda: False)

    def check() -> None:
        if has_left():
            raise Busy("The page asks for another one.")

    try:
        file = current().heatmap(row, flask.request.args.get("for", ""), check)
    except Busy as error:
        raise ServiceUnavailable(str(error)) from None
    except PigeonholeError as error:
        raise NotFound(str(error)) from None
    if file is None:
        raise NotFound("No model says what speaks for this class.")
    return flask.Response(file, content_type="image/jpeg") if file else flask.Response(status=204)


def current() -> Session:
    """The labelling of this app."""
    return flask.current_app.extensions["labelling"]


def _jpeg(row: int, draw: Callable[[Record], bytes]) -> flask.Response:
    records = current().collection.records
    if row >= len(records):
        raise NotFound("There is no such picture.")
    try:
        file = draw(records[row])
    except PigeonholeError:
        raise NotFound("This picture cannot be read any more.") from None
    response = flask.Response(file, content_type="image/jpeg")
    if flask.request.args.get("v") == records[row].digest[:16]:
        response.headers["Cache-Control"] = FOREVER
    return response
