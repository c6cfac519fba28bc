"""The web app: a page to drop pictures on, and an API, in front of restored models."""

from collections.abc import Sequence
from pathlib import Path

import flask

from pigeonhole.web import api, observing, pages, problems, security, uploads, watching
from pigeonhole.web.answering import Answerer
from pigeonhole.web.models import Model, Models

__all__ = ["Model", "create_app"]


class _App(flask.Flask):
    request_class = uploads.Request


def create_app(
    models: Sequence[Model],
    *,
    runs: Path | None = None,
    api_key: str | None = None,
    most_bytes: int = 32_000_000,
    most_pixels: int = 50_000_000,
    hosts: Sequence[str] | None = None,
) -> flask.Flask:
    """The WSGI application that answers with `models`, the first of them unless a request names another.

    runs         the folder whose newest training is followed on the page /watch; None: there is no such page
    api_key      what every request must carry, as a bearer token or as the password of HTTP Basic
    most_bytes   the longest request
    most_pixels  the largest picture, and the most that are decoded at one time
    hosts        the only host names under which the app answers; None: any
    """
    app = _App(__name__)
    app.config.update(
        MAX_CONTENT_LENGTH=most_bytes,
        MAX_FORM_PARTS=uploads.MOST_PARTS,
        RUNS=runs,
    )
    app.extensions["models"] = Models(models)
    app.extensions["answerer"] = Answerer(most_pixels)
    app.json.sort_keys = False
    app.url_map.merge_slashes = False  # a redirect would repeat whatever host the client named
    observing.observe(app)
    problems.register(app)
    security.protect(app, api_key, hosts)
    app.register_blueprint(pages.pages)
    app.register_blueprint(api.api)
    if runs is not None:
        app.register_blueprint(watching.watching)
    return app
