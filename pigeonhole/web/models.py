"""The models that a server answers with, chosen by name, and what may be said about each."""

import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from werkzeug.exceptions import NotFound, ServiceUnavailable

from pigeonhole.errors import PigeonholeError
from pigeonhole.features import known
from pigeonhole.features.known import KnownPictures
from pigeonhole.model.classifier import Classifier
from pigeonhole.model.engines.engine import AUTO
from pigeonhole.model.interface import ForeignCheckpoint
from pigeonhole.runs.run import Run, TrainingPicture
from pigeonhole.terminal import say

EXAMPLES = 6  # of each class
COMPUTE_THREADS = 1  # for one answer: requests are answered side by side instead
RETRY_SECONDS = 10  # after a replaced run could not be loaded


@dataclass(frozen=True)
class Accuracy:
    """The share of pictures that is answered correctly, with its 95 % interval.

    `pictures`: how many this rests on.
    """

    value: float
    low: float
    high: float
    pictures: int


@dataclass(frozen=True)
class Model:
    """A restored model under the name that it is chosen by, and the run that it came from.

    Once another model is in the run's place, nothing is said any more of what the run says. `stamp`: that of
    the run when the model was restored; None: its present one. `known`: the training pictures that the run
    keeps; they are read with the model.
    """

    name: str
    classifier: Classifier
    run: Run
    stamp: tuple[tuple[int, ...], ...] | None = None
    engine: str = AUTO  # asked for
    foreign: ForeignCheckpoint | None = None  # as `load` takes it
    known: KnownPictures | None = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if self.stamp is None:
            object.__setattr__(self, "stamp", self.run.stamp)
        object.__setattr__(self, "known", _known(self.run, self.classifier))

    @property
    def is_current(self) -> bool:
        """Whether the run still holds this model, so that its report and figures are about it."""
        return self.run.stamp == self.stamp

    @property
    def classes(self) -> tuple[str, ...]:
        return self.classifier.classes

    @property
    def has_heatmaps(self) -> bool:
        """Whether it can be shown what spoke for an answer."""
        return self.classifier.has("logits") and not self.classifier.is_foreign

    @property
    def accuracy(self) -> Accuracy | None:
        """What the run's own result expects for new pictures; None where it says nothing."""
        return self._accuracy("expected_accuracy", "validation_pictures")

    @property
    def judged_by(self) -> str:
        """What the pictures are that `accuracy` rests on, in words."""
        try:
            out_of_fold = self.run.result().get("out_of_fold")
        except (PigeonholeError, ValueError):
            out_of_fold = False
        return (
            "pictures, each answered by a head that was not fitted to it"
            if out_of_fold
            else "validation pictures"
        )

    @property
    def tested(self) -> Accuracy | None:
        """What the last test of the run said; None without one."""
        return self._accuracy("accuracy", "pictures", "test")

    @property
    def report(self) -> bytes | None:
        """The page of the run's own report, where it has one."""
        try:
            return self.run.report() if self.is_current else None
        except PigeonholeError:
            return None

    @property
    def examples(self) -> dict[str, list[TrainingPicture]]:
        """For each class some pictures of the training folder, as far as they are still there."""
        return self._examples if self.is_current else {name: [] for name in self.classes}

    @cached_property
    def _examples(self) -> dict[str, list[TrainingPicture]]:
        found: dict[str, list[TrainingPicture]] = {name: [] for name in self.classes}
        for picture in self.run.training_pictures():
            chosen = found.get(picture.class_name)
            if chosen is not None and len(chosen) < EXAMPLES and picture.path.is_file():
                chosen.append(picture)
        return found

    def _accuracy(self, value: str, pictures: str, part: str | None = None) -> Accuracy | None:
        try:
            result = self.run.result() if self.is_current else {}
            result = result[part] if part else result
            low, high = result["interval_95"]
            return Accuracy(float(result[value]), float(low), float(high), int(result[pictures]))
        except (PigeonholeError, ValueError, KeyError, TypeError, OverflowError):
            return None


def load(runs: Sequence[Run], engine: str = AUTO, foreign: ForeignCheckpoint | None = None) -> list[Model]:
    """Each model restored once, for all requests. `foreign`: what other programs' checkpoints do not say."""
    return [_load(run.name, run, engine, foreign) for run in runs]


def _load(name: str, run: Run, engine: str, foreign: ForeignCheckpoint | None) -> Model:
    stamp = run.stamp  # read before, so that a run that is replaced meanwhile is noticed
    return Model(name, restore(run, engine, foreign), run, stamp, engine, foreign)


def _known(run: Run, classifier: Classifier) -> KnownPictures | None:
    """The training pictures that the run keeps; None, and a note, where they are no good."""
    try:
        kept = known.read(run)
        if kept:
            side, channels = classifier.preprocessing.image_size, classifier.preprocessing.channels
            (features,) = classifier.fetch(np.zeros((0, side, side, channels)), ["features"])
            kept.nearest(features, 1)  # which refuses other features than its own
    except PigeonholeError as error:
        say(f"note    answers are not explained: {error}")
        return None
    return kept


def restore(run: Run, engine: str, foreign: ForeignCheckpoint | None = None) -> Classifier:
    """The model by the engine that is asked for, with a note where that is not the fastest."""
    classifier = Classifier.load(run, engine=engine, threads=COMPUTE_THREADS, foreign=foreign)
    for reason in classifier.passed_over:
        say(f"note    TensorFlow answers: {reason}")
    return classifier


class Models:
    """The models of a server, the first of which answers unless another is named.

    A run that is replaced is loaded again at the next request for it.
    """

    def __init__(self, models: Sequence[Model]):
        self._by_name = {model.name: model for model in models}
        self._loading = threading.Lock()
        self._not_before = 0.0  # by time.monotonic

    def __iter__(self) -> Iterator[Model]:
        return iter(self._by_name.values())

    def __len__(self) -> int:
        return len(self._by_name)

    def put(self, model: Model) -> None:
        """Have the model answer, and first; it takes the place of one of the same name."""
        with self._loading:
            others = {name: each for name, each in self._by_name.items() if name != model.name}
            self._by_name = {model.name: model, **others}

    def choose(self, name: str | None) -> Model:
        """Raises NotFound for a name that no model has, ServiceUnavailable where there is no model at all."""
        if not self._by_name:
            raise ServiceUnavailable("This server has no model yet: it only follows a training.")
        name = name or next(iter(self._by_name))
        if name not in self._by_name:
            raise NotFound(f"There is no model of that name. Choose from: {', '.join(self._by_name)}.")
        # While one request loads the new model, the others get the former one.
        if not self._by_name[name].is_current and self._loading.acquire(blocking=False):
            try:
                self._renew(name)
            finally:
                self._loading.release()
        return self._by_name[name]

    def _renew(self, name: str) -> None:
        """Load the model that has taken this one's place, once its training has ended."""
        model = self._by_name[name]
        if model.is_current or time.monotonic() < self._not_before:
            return
        try:
            if model.run.has_model and not model.run.is_held:
                self._by_name[name] = _load(name, model.run, model.engine, model.foreign)
                say(f"model   {name}, loaded again: its run was replaced")
        except (PigeonholeError, OSError) as error:
            self._not_before = time.monotonic() + RETRY_SECONDS
            say(f"note    {name}: its run was replaced, but the former model answers: {error}")
