"""A run in the hands of another program: ask its model, test it, read what the training reached."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from pigeonhole import terminal
from pigeonhole.evaluation.evaluation import FolderTest
from pigeonhole.evaluation.measures import ClassMeasures
from pigeonhole.jobs.classifying import Classifier
from pigeonhole.model.engines.engine import AUTO
from pigeonhole.runs import run as runs
from pigeonhole.runs import search


@dataclass(frozen=True)
class Run(runs.Run):
    """A run's folder with all that it holds; `train` gives one, `Run.load` finds one."""

    @classmethod
    def load(cls, run: str | os.PathLike[str] | None = None) -> "Run":
        """The run of this folder or name; by default the newest finished one.

        Raises UsageError when there is none.
        """
        found = search.find(run if run is None or isinstance(run, str) else Path(run))
        return cls(found.folder, found.model_name, found.origin)

    @property
    def expected_accuracy(self) -> float:
        """0..1: what to expect on new pictures, from pictures that were not trained on."""
        return float(self.result()["expected_accuracy"])

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of `expected_accuracy`."""
        low, high = self.result()["interval_95"]
        return low, high

    def classifier(self, *, engine: str = AUTO, threads: int | None = None) -> Classifier:
        """The run's model, restored; see `Classifier.load`."""
        return Classifier.load(self, engine=engine, threads=threads)

    def evaluate(
        self, folder: str | os.PathLike[str], *, engine: str = AUTO, report: bool = False
    ) -> "Evaluation":
        """The model tested on a folder of class folders.

        `report`: whether the run's report gets its part about the test. Prints nothing. Raises UsageError
        where there is no such folder, PigeonholeError where nothing in it can be tested.
        """
        from pigeonhole import extras

        extras.require("evaluating", "sklearn", "scipy", *(["matplotlib"] if report else []))
        from pigeonhole.jobs.evaluating import EvaluationConfig, EvaluationJob

        config = EvaluationConfig(Path(folder), model=self, engine=engine, report=report)
        with terminal.silent(), EvaluationJob(config) as job:
            tested = job.test()
            job.write(tested)
        return Evaluation.of(tested.result)


@dataclass(frozen=True)
class Evaluation:
    """A model's answers for the N labelled pictures of a folder, and how good they are. Shares are 0..1.

    accuracy, interval  over all pictures, with Wilson's 95 % interval
    classes             K class names, in the order of the model's outputs
    confusion           int64 [K, K], how many pictures of the row's class got the column's answer
    per_class           for each class precision, recall, F1 and their intervals
    names               of the N pictures, posix paths relative to the folder
    labels, predicted   int64 [N], positions in `classes`
    probabilities       float32 [N, K]
    unsure              bool [N], where the model says "perhaps none of these"
    copies              which of the pictures the model has learnt from; None where the run has no record
    skipped             files that could not be read, and why
    details             everything else, with `to_json` for programs and `lines` for people
    """

    accuracy: float
    interval: tuple[float, float]
    classes: tuple[str, ...]
    confusion: np.ndarray = field(repr=False)
    per_class: tuple[ClassMeasures, ...] = field(repr=False)
    names: Sequence[str] = field(repr=False)
    labels: np.ndarray = field(repr=False)
    predicted: np.ndarray = field(repr=False)
    probabilities: np.ndarray = field(repr=False)
    unsure: np.ndarray = field(repr=False)
    copies: Sequence[str] | None = field(repr=False)
    skipped: dict[str, str] = field(repr=False)
    details: FolderTest = field(repr=False)

    @classmethod
    def of(cls, tested: FolderTest) -> "Evaluation":
        answers, measures = tested.evaluation, tested.measures
        return cls(
            accuracy=measures.accuracy,
            interval=measures.interval,
            classes=answers.classes,
            confusion=measures.confusion,
            per_class=measures.classes,
            names=answers.names,
            labels=answers.labels,
            predicted=answers.predicted,
            probabilities=answers.probabilities,
            unsure=answers.unsure,
            copies=None if tested.copies is None else list(tested.copies),
            skipped=answers.skipped,
            details=tested,
        )

    def __str__(self) -> str:
        """The lines that `pigeonhole evaluate` prints."""
        return "\n".join(self.details.lines())
