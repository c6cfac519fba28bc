"""progress.json: where a training stands, for those who watch it from elsewhere."""

import json
from pathlib import Path

import numpy as np

from pigeonhole import atomic_file
from pigeonhole.pictures.thumbnails import data_uri
from pigeonhole.runs.records import Validation

FILE = "progress.json"
MISTAKES = 12  # the most confident ones of the latest validation


def write(run: Path, validation: Validation, trainer) -> None:
    """Replace the run's progress file as a whole, after the last validation of `trainer`, a `Trainer`."""
    left = validation.seconds / max(validation.step, 1) * (trainer.total_steps - validation.step)
    _write(
        run,
        {
            "state": "training",
            "step": validation.step,
            "total_steps": trainer.total_steps,
            "epoch": validation.epoch,
            "epochs": trainer.total_steps / trainer.steps_per_epoch,
            "pictures_per_second": validation.pictures_per_second,
            "seconds": validation.seconds,
            "seconds_left": left,
            "mistakes": mistakes(trainer.valid_logits, trainer.valid),
        },
    )


def end(run: Path, state: str) -> None:
    """Say that the training is `"finished"` or `"stopped"`."""
    content = json.loads((run / FILE).read_text("utf-8")) if (run / FILE).is_file() else {}
    _write(run, {**content, "state": state, "seconds_left": 0.0})


def _write(run: Path, content: dict) -> None:
    with atomic_file.write(run / FILE) as file:
        json.dump(content, file)


def mistakes(logits: np.ndarray, data, most: int = MISTAKES) -> list[dict]:
    """The pictures of `data`, a `dataset.DataSet`, that logits float32 [n, K] answer wrongly, worst first."""
    shares = np.exp(logits - np.logaddexp.reduce(logits, axis=1, keepdims=True))
    predicted = logits.argmax(axis=1)
    wrong = np.flatnonzero(predicted != data.label_indices)
    worst = wrong[np.argsort(-shares[wrong, predicted[wrong]], kind="stable")[:most]]
    return [
        {
            "name": data.names[row],
            "true": data.class_names[data.label_indices[row]],
            "predicted": data.class_names[predicted[row]],
            "probability": float(shares[row, predicted[row]]),
            "image": data_uri(data.images[int(row)]),
        }
        for row in worst
    ]
