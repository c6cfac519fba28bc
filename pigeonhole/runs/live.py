"""A run's progress: where a training stands, for those who watch it from elsewhere."""

import numpy as np

from pigeonhole.pictures.thumbnails import data_uri
from pigeonhole.runs import seals
from pigeonhole.runs.records import Validation
from pigeonhole.runs.run import Run

MISTAKES = 12  # the most confident ones of the latest validation


def write(run: Run, validation: Validation, trainer) -> None:
    """Replace the run's progress file after the last validation of `trainer`, a `Trainer`."""
    left = validation.seconds / max(validation.step, 1) * (trainer.total_steps - validation.step)
    run.write_progress(
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


def end(run: Run, state: str) -> None:
    """Say that the training is `"finished"` or `"stopped"`."""
    so_far = run.progress() if run.progress_file.is_file() else {}
    run.write_progress({**so_far, "state": state, "seconds_left": 0.0})
    if run.history_file.is_file():
        seals.note(run.history_file)


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
