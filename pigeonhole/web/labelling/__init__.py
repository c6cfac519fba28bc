"""The pages on which a heap of pictures is labelled, in front of a `labelling.session.Session`.

Only `web` and `commands` may import it.
"""

from contextlib import ExitStack

import flask

from pigeonhole.jobs.sorting_job import SortingJob
from pigeonhole.jobs.workbench import Source, Workbench
from pigeonhole.labelling.session import Session
from pigeonhole.runs.run import Run
from pigeonhole.web.labelling import api, camera, pages, sorting, training
from pigeonhole.web.labelling.training import load_newest

__all__ = ["add_to", "load_newest"]


def add_to(app: flask.Flask, session: Session, source: Source | None = None) -> ExitStack:
    """Add the pages and their API to an app of `create_app`; without a model they are its first page.

    source  what is trained on from the page; None: the session's folder and journal

    Gives the jobs that the pages start, to be closed before the session: what runs is stopped then.
    """

    def load(run: Run) -> None:
        training.load(app, run)

    bench = Workbench(source or Source(session.collection.folder, session.journal.file), load)
    folders = SortingJob(session.collection.folder)
    app.extensions |= {"labelling": session, "workbench": bench, "sorting": folders}
    for each in (pages.pages, api.api, camera.camera, training.training, sorting.sorting):
        app.register_blueprint(each)
    jobs = ExitStack()
    jobs.callback(bench.close)
    jobs.callback(folders.close)
    return jobs
