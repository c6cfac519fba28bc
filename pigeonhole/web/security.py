"""Who may ask, and what a browser may do with the answer."""

import hmac
import urllib.parse
from collections.abc import Collection

import flask
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import BadRequest, Forbidden, Unauthorized

_POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data: blob:",
    "connect-src": "'self'",
    "form-action": "'self'",
    "base-uri": "'none'",
    "frame-ancestors": "'none'",
}
# A report is a page of its own with its styles and scripts inside: it may run them, but reach nothing.
REPORT_POLICY = (
    "sandbox allow-scripts; default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "img-src data:; font-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
# For the page that teaches by a camera, and for no other.
CAMERA_ALLOWED = "camera=(self), microphone=(), geolocation=()"
_HEADERS = {
    "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in _POLICY.items()),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Cache-Control": "no-store",
}

_CHALLENGE = WWWAuthenticate("basic", {"realm": "Pigeonhole"})


def protect(app: flask.Flask, api_key: str | None, hosts: Collection[str] | None) -> None:
    """Set the headers on every response; let in only who names one of the `hosts` and holds the key.

    The host matters to a server of this computer alone: under a name of its own that leads here, a page from
    elsewhere could read the answers ("DNS rebinding").
    """

    @app.after_request
    def set_headers(response: flask.Response) -> flask.Response:
        for name, value in _HEADERS.items():
            response.headers.setdefault(name, value)
        return response

    @app.before_request
    def check_origin() -> None:
        if flask.request.method not in ("GET", "HEAD", "OPTIONS") and _is_from_elsewhere(flask.request):
            raise Forbidden("A page of another site may not ask this server.")

    if hosts:

        @app.before_request
        def check_host() -> None:
            if urllib.parse.urlsplit(f"//{flask.request.host}").hostname not in hosts:
                raise BadRequest(f"This server answers under these names only: {', '.join(hosts)}.")

    if api_key:

        @app.before_request
        def ask_for_key() -> None:
            public = flask.request.endpoint in ("observing.health", "static")
            if not public and not _holds(flask.request, api_key):
                raise Unauthorized("This server asks for its key.", www_authenticate=_CHALLENGE)


def _is_from_elsewhere(request: flask.Request) -> bool:
    """Whether a browser says that a page of another site sends the request. Programs say nothing of it."""
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    if site is not None:
        return site not in ("same-origin", "none")
    return origin is not None and urllib.parse.urlsplit(origin).netloc != request.host


def _holds(request: flask.Request, api_key: str) -> bool:
    """Whether the request carries the key: as a bearer token or, as browsers do, as a password."""
    given = request.authorization
    if given is None:
        return False
    key = given.token if given.type == "bearer" else given.get("password")
    return hmac.compare_digest((key or "").encode("utf-8"), api_key.encode("utf-8"))
