"""The pages on which a heap of pictures is labelled, in front of a `labelling.session.Session`.

Only `web` and `commands` may import it.
"""

import flask

from pigeonhole.labelling.session import Session
from pigeonhole.web.labelling import api, pages

__all__ = ["add_to"]


def add_to(app: flask.Flask, session: Session) -> None:
    """Add the pages and their API to an app of `create_app`; without a model they are its first page."""
    app.extensions["labelling"] = session
    app.register_blueprint(pages.pages)
    app.register_blueprint(api.api)
