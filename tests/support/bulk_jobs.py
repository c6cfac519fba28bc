"""A small classifier, a folder of pictures with two that cannot be read, and jobs that answer for it."""

from pathlib import Path

from pigeonhole.jobs.bulk.job import BulkConfig, BulkJob
from pigeonhole.jobs.prediction import Why
from pigeonhole.model.classifier import Classifier
from tests.support import saved_runs

UNREADABLE = ("torn.png", "notes.txt")


def write_pictures(folder: Path, count: int = 12) -> list[str]:
    """So many pictures in two folders, and the unreadable ones; gives all paths in the order of a job."""
    for number in range(count):
        saved_runs.write_picture(folder / f"{number % 2}" / f"{number:03}.png", number)
    (folder / "torn.png").write_bytes((folder / "0" / "000.png").read_bytes()[:-20])
    (folder / "notes.txt").write_text("no picture")
    return sorted(str(path) for path in folder.rglob("*") if path.is_file())


def answer(classifier: Classifier, *places: Path | str, model: str = "0123", **config) -> BulkJob:
    """A job that has ended. `model`: the digest that it takes for the model's."""
    job = BulkJob(BulkConfig(**config), [str(place) for place in places])
    job.run(classifier, model, Why())
    return job
