"""history.csv: what each validation of a training showed."""

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import TextIO

from pigeonhole import whole_file
from pigeonhole.training import Checkup


class History:
    """A CSV file with one row for each validation, on disk as soon as it is known.

    It begins with the rows of `earlier`, which replace whatever the file held.
    """

    def __init__(self, path: Path, earlier: Iterable[Checkup] = ()):
        self.path = path
        with whole_file.write(path) as file:
            csv.writer(file, lineterminator="\n").writerow(_COLUMNS)
            for checkup in earlier:
                _write(file, checkup)

    def add(self, checkup: Checkup) -> None:
        """Append the validation's figures."""
        with self.path.open("a", newline="", encoding="utf-8") as file:
            _write(file, checkup)


def _write(file: TextIO, checkup: Checkup) -> None:
    """Floats with six digits, which is more than they mean."""
    values = (f"{value:.6g}" if isinstance(value, float) else value for value in _row(checkup))
    csv.writer(file, lineterminator="\n").writerow(values)


_COLUMNS = (
    "epoch",
    "step",
    "learning_rate",
    "train_loss",
    "train_accuracy",
    "valid_loss",
    "valid_accuracy",
    "seconds",
    "pictures_per_second",
    "workers",
)


def _row(checkup: Checkup) -> tuple[float | int, ...]:
    return (
        checkup.epoch,
        checkup.step,
        checkup.learning_rate,
        checkup.train.loss,
        checkup.train.accuracy,
        checkup.valid.loss,
        checkup.valid.accuracy,
        checkup.seconds,
        checkup.pictures_per_second,
        checkup.workers,
    )
