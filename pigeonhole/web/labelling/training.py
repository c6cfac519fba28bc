"""Training from the page: what runs, what has come of it, and its model in other forms to be taken along."""

import dataclasses
import io
import math
import threading
import zipfile
from pathlib import Path

import flask
from werkzeug.exceptions import BadRequest, NotFound

from pigeonhole.errors import PigeonholeError
from pigeonhole.jobs import workbench
from pigeonhole.jobs.workbench import Workbench
from pigeonhole.runs.run import Run
from pigeonhole.terminal import say, shown
from pigeonhole.web import models
from pigeonhole.web.labelling import asking
from pigeonhole.web.models import Models

MOST_MINUTES = 10_000

training = flask.Blueprint("labelling_training", __name__, url_prefix="/label/api/training")
asking.guard(training)


def load_newest(app: flask.Flask) -> None:
    """Have the newest model of the folder answer, once it is loaded."""
    if newest := bench_of(app).newest:
        threading.Thread(target=load, args=(app, newest), name="loading", daemon=True).start()


def load(app: flask.Flask, run: Run) -> None:
    """Have the model of the run answer, before the others; a note where it cannot be read."""
    loaded = [model for model in _models(app) if model.name == run.name and model.is_current]
    try:
        _models(app).put(*(loaded or models.load([run])))
    except (PigeonholeError, OSError) as error:
        say(f"note    {run} cannot be asked: {error}")


def bench_of(app: flask.Flask) -> Workbench:
    return app.extensions["workbench"]


@training.get("")
def state() -> flask.Response:
    return _state()


@training.post("/start")
def start() -> flask.Response:
    told = asking.told()
    minutes = told.get("minutes")
    if minutes is not None and (type(minutes) not in (int, float) or not 0 < minutes <= MOST_MINUTES):
        raise BadRequest(f"minutes must be a number from 0 to {MOST_MINUTES:,}.")
    _bench().train(bool(told.get("quick")), minutes)
    return _state()


@training.post("/stop")
def stop() -> flask.Response:
    _bench().stop()
    return _state()


@training.post("/resume")
def resume() -> flask.Response:
    _bench().resume(asking.text(asking.told(), "run"))
    return _state()


@training.post("/export")
def export() -> flask.Response:
    told = asking.told()
    _bench().export(asking.text(told, "run"), asking.text(told, "form"))
    return _state()


@training.get("/<name>/<form>")
def download(name: str, form: str) -> flask.Response:
    run = _bench().run(name)
    place = workbench.exported(run, form) if form in workbench.FORMS else None
    if place is None:
        raise NotFound("It has not been made yet.")
    if place.is_dir():
        named = f"{name}-{place.name}.zip"
        return flask.send_file(_zipped(place, f"{name}-{place.name}"), "application/zip", True, named)
    return flask.send_file(place.resolve(), None, True, f"{name}-{place.name}")


def _state() -> flask.Response:
    bench = _bench()
    job, compared = bench.job, bench.compared()
    asked = {model.name for model in _models(flask.current_app)}
    if job and job.state == workbench.RUNNING and job.run not in asked:
        _load_early(bench.run_of(job))
    return flask.jsonify(
        folder=shown(str(bench.source.output)),
        job=job and dataclasses.asdict(job),
        runs=[dataclasses.asdict(run) | {"asked": run.name in asked} for run in bench.runs],
        compared=compared
        and {
            "run": compared.run,
            "before": compared.before,
            "lines": compared.lines,
            "figures": compared.comparison and _figures(compared.comparison),
        },
    )


def _load_early(run: Run) -> None:
    """Have a model answer while its training still judges it; not by TensorFlow, which takes much memory."""
    app = flask.current_app._get_current_object()
    loading = app.extensions.setdefault("loading", set())
    if run.has_model and run.onnx_file.is_file() and run.name not in loading:
        loading.add(run.name)
        threading.Thread(target=load, args=(app, run), name="loading", daemon=True).start()


def _figures(comparison: workbench.Comparison) -> dict[str, float | int]:
    return {
        "total": comparison.total,
        "both": comparison.both,
        "only_before": comparison.only_first,
        "only_now": comparison.only_second,
        "p": comparison.p_value if math.isfinite(comparison.p_value) else 1.0,
    }


def _zipped(folder: Path, inside: str) -> io.BytesIO:
    """The folder as a zip archive, in which its files lie in a folder called `inside`."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                archive.write(path, f"{inside}/{path.relative_to(folder).as_posix()}")
    file.seek(0)
    return file


def _bench() -> Workbench:
    return bench_of(flask.current_app)


def _models(app: flask.Flask) -> Models:
    return app.extensions["models"]
