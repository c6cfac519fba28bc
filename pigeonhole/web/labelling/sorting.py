"""Class folders from the page: sorting by labels and answers, how far it is, and taking it back."""

import flask

from pigeonhole.jobs.bulk.sorting import UNSURE
from pigeonhole.jobs.sorting_job import SortingJob
from pigeonhole.terminal import shown
from pigeonhole.web.labelling import asking
from pigeonhole.web.labelling.pages import current

sorting = flask.Blueprint("labelling_sorting", __name__, url_prefix="/label/api/sorting")
asking.guard(sorting)


@sorting.get("")
def state() -> flask.Response:
    return _state()


@sorting.post("/start")
def start() -> flask.Response:
    told = asking.told()
    _job().start(asking.text(told, "name"), current().places(UNSURE), bool(told.get("link")))
    return _state()


@sorting.post("/undo")
def undo() -> flask.Response:
    _job().undo()
    return _state()


def _state() -> flask.Response:
    job = _job()
    now = job.state
    return flask.jsonify(
        beside=shown(str(job.source.parent)),
        suggested=shown(job.suggested),
        folder=now.folder and shown(str(now.folder)),
        running=now.running,
        done=now.done,
        total=now.total,
        said=now.said,
        failed=now.failed,
        removed=now.removed,
    )


def _job() -> SortingJob:
    return flask.current_app.extensions["sorting"]
