"""The models that a server answers with, chosen by name, and what may be said about each."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from werkzeug.exceptions import NotFound, ServiceUnavailable

from pigeonhole.errors import PigeonholeError
from pigeonhole.model.classifier import Classifier
from pigeonhole.model.engines.engine import AUTO
from pigeonhole.runs.run import Run
from pigeonhole.terminal import say

EXAMPLES = 6  # of each class
COMPUTE_THREADS = 1  # for one answer: requests are answered side by side instead


@dataclass(frozen=True)
class Accuracy:
    """The share of new pictures that is expected to be answered rightly, with its 95 % interval.

    `pictures`: how many validation pictures this rests on.
    """

    value: float
    low: float
    high: float
    pictures: int


@dataclass(frozen=True)
class Model:
    """A restored model under the name that it is chosen by, and the run that it came from."""

    name: str
    classifier: Classifier
    run: Run

    @property
    def classes(self) -> tuple[str, ...]:
        return self.classifier.classes

    @cached_property
    def accuracy(self) -> Accuracy | None:
        """What the run's own result says; None where it says nothing."""
        try:
            result = self.run.result()
            low, high = result["interval_95"]
            return Accuracy(result["expected_accuracy"], low, high, result["validation_pictures"])
        except (PigeonholeError, ValueError, KeyError, TypeError):
            return None

    @property
    def report(self) -> Path | None:
        """The run's own report, where it has one."""
        return self.run.report_page if self.run.report_page.is_file() else None

    @cached_property
    def examples(self) -> dict[str, list[Path]]:
        """For each class some pictures of the training folder, as far as they can still be read."""
        found: dict[str, list[Path]] = {name: [] for name in self.classes}
        for class_name, path in _training_pictures(self.run):
            if len(found.get(class_name, ())) < EXAMPLES and class_name in found and path.is_file():
                found[class_name].append(path)
        return found


def load(runs: Sequence[Run], engine: str = AUTO) -> list[Model]:
    """Each model restored once, for all requests."""
    return [Model(run.name, restore(run, engine), run) for run in runs]


def restore(run: Run, engine: str) -> Classifier:
    """The model by the engine that is asked for, with a note where that is not the fastest."""
    classifier = Classifier.load(run, engine=engine, threads=COMPUTE_THREADS)
    for reason in classifier.passed_over:
        say(f"note    TensorFlow answers: {reason}")
    return classifier


class Models:
    """The models of a server, the first of which answers unless another is named."""

    def __init__(self, models: Sequence[Model]):
        self._by_name = {model.name: model for model in models}

    def __iter__(self) -> Iterator[Model]:
        return iter(self._by_name.values())

    def __len__(self) -> int:
        return len(self._by_name)

    def choose(self, name: str | None) -> Model:
        """Raises NotFound for a name that no model has, ServiceUnavailable where there is no model at all."""
        if not self._by_name:
            raise ServiceUnavailable("This server has no model yet: it only follows a training.")
        if not name:
            return next(iter(self))
        if name not in self._by_name:
            raise NotFound(f"There is no model of that name. There is: {', '.join(self._by_name)}.")
        return self._by_name[name]


def _training_pictures(run: Run) -> Iterator[tuple[str, Path]]:
    """Class and path of each picture that the run was trained on; none where the run does not say."""
    try:
        data = Path(run.settings()["options"]["data"]).resolve()
        for row in run.split():
            path = (data / row["path"]).resolve()
            if row["side"] == "train" and path.is_relative_to(data):
                yield row["class"], path
    except (PigeonholeError, OSError, ValueError, KeyError, TypeError):
        return
