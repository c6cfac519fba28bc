"""The pages on which a heap of pictures is labelled, in front of a `labelling.session.Session`.

Only `web` and `commands` may import it.
"""

import flask

from pigeonhole.jobs.workbench import Source, Workbench
from pigeonhole.labelling.session import Session
from pigeonhole.runs.run import Run
from pigeonhole.web.labelling import api, pages, training
from pigeonhole.web.labelling.training import load_newest

__all__ = ["add_to", "load_newest"]


def add_to(app: flask.Flask, session: Session, source: Source | None = None) -> Workbench:
    """Add the pages and their API to an app of `create_app`; without a model they are its first page.

    source  what is trained on from the page; None: the session's folder and journal

    Gives the trainings, which are to be closed with the session.
    """

    def load(run: Run) -> None:
        training.load(app, run)

    bench = Workbench(source or Source(session.collection.folder, session.journal.file), load)
    app.extensions["labelling"] = session
    app.extensions["workbench"] = bench
    app.register_blueprint(pages.pages)
    app.register_blueprint(api.api)
    app.register_blueprint(training.training)
    return bench
