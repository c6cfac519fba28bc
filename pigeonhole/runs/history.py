"""A run's history: what each validation of a training showed."""

from collections.abc import Iterable
from operator import attrgetter
from typing import TextIO

from pigeonhole import atomic_file
from pigeonhole.data import tables
from pigeonhole.runs import seals
from pigeonhole.runs.records import Validation
from pigeonhole.runs.run import Run

# Attributes of a `Validation`; a column's name has an underscore for the dot.
_FIGURES = (
    "epoch", "step", "learning_rate", "train.loss", "train.accuracy", "valid.loss", "valid.accuracy",
    "seconds", "pictures_per_second", "workers",
)  # fmt: skip


class History:
    """A CSV file with one row for each validation, on disk as soon as it is known.

    It begins with the rows of `earlier`, which replace whatever the file held.
    """

    def __init__(self, run: Run, earlier: Iterable[Validation] = ()):
        self._file = run.history_file
        seals.forget(self._file)  # it is noted again when the training ends
        with atomic_file.write(self._file) as file:
            tables.adder(file)(name.replace(".", "_") for name in _FIGURES)
            for validation in earlier:
                _write(file, validation)

    def add(self, validation: Validation) -> None:
        """Append the validation's figures."""
        with (
            atomic_file.naming(self._file),
            self._file.open("a", newline="", encoding="utf-8") as file,
        ):
            _write(file, validation)


def _write(file: TextIO, validation: Validation) -> None:
    """Floats with six digits, which is more than they mean."""
    figures = attrgetter(*_FIGURES)(validation)
    tables.adder(file)(f"{value:.6g}" if isinstance(value, float) else value for value in figures)
