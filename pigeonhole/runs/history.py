"""A run's history: what each validation of a training showed."""

import csv
from collections.abc import Iterable
from typing import TextIO

from pigeonhole import atomic_file
from pigeonhole.runs import seals
from pigeonhole.runs.records import Validation
from pigeonhole.runs.run import Run


class History:
    """A CSV file with one row for each validation, on disk as soon as it is known.

    It begins with the rows of `earlier`, which replace whatever the file held.
    """

    def __init__(self, run: Run, earlier: Iterable[Validation] = ()):
        self._file = run.history_file
        seals.forget(self._file)  # it is noted again when the training ends
        with atomic_file.write(self._file) as file:
            csv.writer(file, lineterminator="\n").writerow(_COLUMNS)
            for validation in earlier:
                _write(file, validation)

    def add(self, validation: Validation) -> None:
        """Append the validation's figures."""
        with self._file.open("a", newline="", encoding="utf-8") as file:
            _write(file, validation)


def _write(file: TextIO, validation: Validation) -> None:
    """Floats with six digits, which is more than they mean."""
    values = (f"{value:.6g}" if isinstance(value, float) else value for value in _row(validation))
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


def _row(validation: Validation) -> tuple[float | int, ...]:
    return (
        validation.epoch,
        validation.step,
        validation.learning_rate,
        validation.train.loss,
        validation.train.accuracy,
        validation.valid.loss,
        validation.valid.accuracy,
        validation.seconds,
        validation.pictures_per_second,
        validation.workers,
    )
