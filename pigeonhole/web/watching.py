"""A training as it goes, read from its run's folder: curves, speed and the latest mistakes."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import flask
from werkzeug.exceptions import NotFound

from pigeonhole.errors import PigeonholeError
from pigeonhole.runs import search
from pigeonhole.runs.run import Run
from pigeonhole.web.charts import Chart, chart

SILENT_AFTER = 120  # seconds without a word, beyond three times what the validations so far were apart
CHARTS = {
    "Accuracy": {"validation": "valid_accuracy", "training": "train_accuracy"},
    "Loss": {"validation": "valid_loss", "training": "train_loss"},
}

watching = flask.Blueprint("watching", __name__)


@dataclass(frozen=True)
class Mistake:
    """A validation picture that the network gets wrong at present."""

    name: str
    true: str
    predicted: str
    probability: float
    image: str  # a data URI


@dataclass(frozen=True)
class Training:
    """What a run's folder says about its training; None where it does not say.

    `state`: training, finished, stopped, or silent, when nothing was heard of it for long.
    """

    name: str
    state: str
    step: int
    total_steps: int | None
    epoch: float
    epochs: float | None
    pictures_per_second: float | None
    seconds: float | None
    seconds_left: float | None
    accuracy: float | None  # of the latest validation
    best: dict | None  # the row of an earlier validation that was better than the latest
    expected: dict | None  # the run's result, which allows for the choice among validations
    saved: bool  # its model can be asked
    charts: list[Chart]
    mistakes: list[Mistake]


@watching.get("/watch")
def watch() -> str:
    runs = _runs(flask.current_app.config["RUNS"])
    wanted = flask.request.args.get("run")
    if wanted and wanted not in runs:
        raise NotFound("There is no run of that name.")
    training = _training(runs[wanted or next(iter(runs))]) if runs else None
    return flask.render_template("watch.html", training=training, runs=list(runs)[:20])


def _runs(folder: Path) -> dict[str, Run]:
    """The runs in the folder, the one begun last first; or the folder itself, where it is a run.

    By their beginning, since two trainings at the same time would take turns in being the newest.
    """
    own = Run(folder)
    found = [own] if own.settings_file.is_file() else search.newest_first(folder)
    begun = {run: run.settings_file.stat().st_mtime_ns for run in found if run.settings_file.is_file()}
    return {run.name: run for run in sorted(begun, key=begun.get, reverse=True)}


def _training(run: Run) -> Training:
    settings, progress, history = _read(run.settings), _read(run.progress), _history(run)
    known = _numbers(settings) | (history[-1] if history else {}) | _numbers(progress)
    total_steps, steps_per_epoch = known.get("total_steps"), known.get("steps_per_epoch")
    epochs = total_steps / steps_per_epoch if total_steps and steps_per_epoch else None
    saved = run.has_model
    apart = known.get("seconds", 0) / max(len(history), 1)
    return Training(
        name=run.name,
        state=_state(run, progress.get("state", "finished" if saved else "training"), apart),
        step=int(known.get("step", 0)),
        total_steps=total_steps,
        epoch=known.get("epoch", 0),
        epochs=epochs,
        pictures_per_second=known.get("pictures_per_second"),
        seconds=known.get("seconds"),
        seconds_left=known.get("seconds_left"),
        accuracy=history[-1]["valid_accuracy"] if history else None,
        best=_best(history),
        expected=_expected(run) if saved else None,
        saved=saved,
        charts=[
            chart(title, [row["epoch"] for row in history], _series(history, columns), epochs)
            for title, columns in CHARTS.items()
        ],
        mistakes=_mistakes(progress),
    )


def _best(history: list[dict[str, float]]) -> dict[str, float] | None:
    """The first validation of the highest accuracy; None where no earlier one beats the latest."""
    best = max(history, key=lambda row: row["valid_accuracy"], default=None)
    return best if best and best["valid_accuracy"] > history[-1]["valid_accuracy"] else None


def _expected(run: Run) -> dict | None:
    """What the run's result expects of new pictures; None where it does not say."""
    result = _read(run.result)
    try:
        low, high = result["interval_95"]
        return {"value": float(result["expected_accuracy"]), "low": float(low), "high": float(high)}
    except (KeyError, TypeError, ValueError):
        return None


def _state(run: Run, written: str, apart: float) -> str:
    """The state that was written, or silent. `apart`: seconds from one validation to the next."""
    if written in ("finished", "stopped"):
        return written
    files = (run.settings_file, run.progress_file, run.history_file)
    age = time.time() - max(file.stat().st_mtime for file in files if file.is_file())
    return "silent" if age > SILENT_AFTER + 3 * apart else "training"


def _series(history: list[dict[str, float]], columns: dict[str, str]) -> dict[str, list[float]]:
    return {side: [row[column] for row in history] for side, column in columns.items()}


def _history(run: Run) -> list[dict[str, float]]:
    """The validations so far, where all that is drawn is known of them."""
    columns = _read(run.history)
    drawn = {"epoch", *(column for sides in CHARTS.values() for column in sides.values())}
    if not drawn <= columns.keys():
        return []
    rows = zip(*(column.tolist() for column in columns.values()), strict=True)
    return [dict(zip(columns, row, strict=True)) for row in rows]


def _read(reader: Callable[[], dict]) -> dict:
    """What a run says; empty where it does not say, or its file is damaged."""
    try:
        return reader()
    except PigeonholeError:
        return {}


def _numbers(content: dict) -> dict[str, float]:
    return {
        name: value
        for name, value in content.items()
        if isinstance(value, int | float) and math.isfinite(value)
    }


def _mistakes(progress: dict) -> list[Mistake]:
    """The mistakes with a picture inside the file: none may be fetched from elsewhere."""
    try:
        mistakes = [
            Mistake(**{name: mistake[name] for name in Mistake.__dataclass_fields__})
            for mistake in progress.get("mistakes", ())
        ]
        return [mistake for mistake in mistakes if mistake.image.startswith("data:image/")]
    except (TypeError, KeyError, AttributeError):
        return []
