"""A training as it goes, read from its run's folder: curves, speed and the latest mistakes."""

import csv
import json
import math
import time
from dataclasses import dataclass
from pathlib import Path

import flask
from werkzeug.exceptions import NotFound

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
    accuracy: float | None
    saved: bool  # its model can be asked
    charts: list[Chart]
    mistakes: list[Mistake]


@watching.get("/watch")
def watch() -> str:
    folder: Path = flask.current_app.config["RUNS"]
    runs = _runs(folder)
    wanted = flask.request.args.get("run")
    if wanted and wanted not in runs:
        raise NotFound("There is no run of that name.")
    training = _training(runs[wanted or next(iter(runs))]) if runs else None
    return flask.render_template("watch.html", training=training, runs=list(runs)[:20])


def _runs(folder: Path) -> dict[str, Path]:
    """The runs in the folder, the newest first; or the folder itself, where it is a run."""
    found = [folder] if (folder / "settings.json").is_file() else []
    if not found and folder.is_dir():
        found = [run for run in folder.iterdir() if (run / "settings.json").is_file()]
    return {run.name: run for run in sorted(found, key=_started, reverse=True)}


def _started(run: Path) -> int:
    return (run / "settings.json").stat().st_mtime_ns


def _training(run: Path) -> Training:
    settings, progress, history = _json(run / "settings.json"), _json(run / "progress.json"), _history(run)
    known = _numbers(settings) | (history[-1] if history else {}) | _numbers(progress)
    total_steps, steps_per_epoch = known.get("total_steps"), known.get("steps_per_epoch")
    epochs = total_steps / steps_per_epoch if total_steps and steps_per_epoch else None
    saved = (run / "checkpoint").is_file()
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
        accuracy=max((row["valid_accuracy"] for row in history), default=None),
        saved=saved,
        charts=[
            chart(title, [row["epoch"] for row in history], _series(history, columns), epochs)
            for title, columns in CHARTS.items()
        ],
        mistakes=_mistakes(progress),
    )


def _state(run: Path, written: str, apart: float) -> str:
    """The state that was written, or silent. `apart`: seconds from one validation to the next."""
    if written in ("finished", "stopped"):
        return written
    files = [run / name for name in ("settings.json", "progress.json", "history.csv")]
    age = time.time() - max(file.stat().st_mtime for file in files if file.is_file())
    return "silent" if age > SILENT_AFTER + 3 * apart else "training"


def _series(history: list[dict[str, float]], columns: dict[str, str]) -> dict[str, list[float]]:
    return {side: [row[column] for row in history] for side, column in columns.items()}


def _history(run: Path) -> list[dict[str, float]]:
    """The validations so far, without a last line that is being written."""
    try:
        rows = list(csv.DictReader((run / "history.csv").read_text("utf-8").splitlines()))
        drawn = {"epoch", *(column for columns in CHARTS.values() for column in columns.values())}
        whole = [row for row in rows if all(row.values()) and drawn <= row.keys()]
        return [{name: float(value) for name, value in row.items()} for row in whole]
    except (OSError, ValueError, TypeError, csv.Error):
        return []


def _json(path: Path) -> dict:
    """The object in the file; empty where there is none."""
    try:
        content = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


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
