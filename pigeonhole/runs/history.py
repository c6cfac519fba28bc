"""A run's history: what each validation of a training showed, and the steps that are logged between them."""

from collections.abc import Iterable
from operator import attrgetter

from pigeonhole import atomic_file
from pigeonhole.data import tables
from pigeonhole.errors import PigeonholeError
from pigeonhole.runs import seals
from pigeonhole.runs.records import Progress, Validation
from pigeonhole.runs.run import Run

# Attributes of a `Validation`; a column's name has an underscore for the dot.
_FIGURES = (
    "epoch", "step", "learning_rate", "train.loss", "train.accuracy", "valid.loss", "valid.accuracy",
    "seconds", "pictures_per_second", "workers",
)  # fmt: skip


class History:
    """A CSV file with one row for each validation, on disk as soon as it is known, and one for each step that
    is logged, which has the figures of that step's batch and no others.

    It begins with the rows of `earlier` and what the file held of steps up to `steps_done`; these replace all
    else that it held.
    """

    def __init__(
        self, run: Run, earlier: Iterable[Validation] = (), steps_done: int = 0, every: int | None = None
    ):
        """`every`: how many steps apart those are that are logged; None: none is."""
        self._file, self._every = run.history_file, every
        rows = [(each.step, 1, _row(each)) for each in earlier]
        rows += [(int(row[1]), 0, row) for row in _logged(run) if int(row[1]) <= steps_done]
        seals.forget(self._file)  # it is noted again when the training ends
        with atomic_file.write(self._file) as file:
            add = tables.adder(file)
            add(name.replace(".", "_") for name in _FIGURES)
            for _, _, row in sorted(rows, key=lambda each: each[:2]):
                add(row)

    def add(self, validation: Validation) -> None:
        """Append the validation's figures."""
        self._append(_row(validation))

    def log(self, progress: Progress, steps_per_epoch: int) -> None:
        """Append the figures of a step, if it is one of those that are logged."""
        if not self._every or progress.step % self._every:
            return
        epoch = progress.step / steps_per_epoch
        known = (
            epoch,
            progress.step,
            progress.learning_rate,
            progress.loss,
            progress.right / progress.pictures,
        )
        self._append([*map(_told, known), *[""] * (len(_FIGURES) - len(known))])

    def _append(self, row: Iterable[object]) -> None:
        with (
            atomic_file.naming(self._file),
            self._file.open("a", newline="", encoding="utf-8") as file,
        ):
            tables.adder(file)(row)


def _row(validation: Validation) -> list[object]:
    return [_told(value) for value in attrgetter(*_FIGURES)(validation)]


def _told(value: object) -> object:
    """Floats with six digits, which is more than they mean."""
    return f"{value:.6g}" if isinstance(value, float) else value


def _logged(run: Run) -> list[list[object]]:
    """The rows of steps that the run's file has; none where it is not there or damaged."""
    try:
        columns = run.logged()
    except PigeonholeError:
        return []
    rows = zip(*(columns[name.replace(".", "_")].tolist() for name in _FIGURES), strict=True)
    return [[_told(value) if value == value else "" for value in row] for row in rows]  # NaN is not itself
