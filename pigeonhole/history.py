"""history.csv: what each validation of a training showed."""

import csv
from pathlib import Path

from pigeonhole.training import Checkup


class History:
    """A CSV file with one row for each validation, on disk as soon as it is known."""

    def __init__(self, path: Path):
        self.path = path
        self._header_written = False

    def add(self, checkup: Checkup) -> None:
        """Append the validation's figures; floats with six digits, which is more than they mean."""
        row = _row(checkup)
        with self.path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            if not self._header_written:
                writer.writerow(row)
                self._header_written = True
            writer.writerow(f"{value:.6g}" if isinstance(value, float) else value for value in row.values())


def _row(checkup: Checkup) -> dict[str, float | int]:
    return {
        "epoch": checkup.epoch,
        "step": checkup.step,
        "learning_rate": checkup.learning_rate,
        "train_loss": checkup.train.loss,
        "train_accuracy": checkup.train.accuracy,
        "valid_loss": checkup.valid.loss,
        "valid_accuracy": checkup.valid.accuracy,
        "seconds": checkup.seconds,
        "pictures_per_second": checkup.pictures_per_second,
    }
