"""What a training looks for in its data: shortcuts, wrong labels, unseen classes, the gain from more data."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TypeVar

import numpy as np

from pigeonhole.data import bursts
from pigeonhole.data.duplicates import Pair
from pigeonhole.data.fixes import Suspect
from pigeonhole.evaluation.predictions import Evaluation
from pigeonhole.evaluation.studies import learning_curve, shortcuts, suspects, unseen
from pigeonhole.evaluation.studies.learning_curve import Curve
from pigeonhole.evaluation.studies.shortcuts import ShortcutCheck
from pigeonhole.evaluation.studies.study import StudyLine
from pigeonhole.evaluation.studies.unseen import Unseen
from pigeonhole.interrupts import Stopped, StopRequest
from pigeonhole.terminal import counted, say, shown, titled
from pigeonhole.training.failures import Diverged
from pigeonhole.training.retraining import Retrainer

Found = TypeVar("Found")


@dataclass(frozen=True)
class AuditResult:
    """None stands for what was not looked for.

    `suspects` are sought among all pictures where `all_labels`, else among the validation pictures. `copies`
    are pairs of names that show one picture and that the pre-flight check does not know.
    """

    shortcuts: ShortcutCheck | None = None
    suspects: Sequence[Suspect] | None = None
    all_labels: bool = False
    unseen: Unseen | None = None
    learning_curve: Curve | None = None
    copies: Sequence[Pair] | None = None

    def lines(self) -> list[str]:
        """For people: what each search found, and what to do about it."""
        found = []
        if self.copies:
            found += titled("copies", self._copies_lines())
        if self.shortcuts is not None:
            found += titled(
                "shortcuts", self.shortcuts.warnings() or ["none found; the report has the figures"]
            )
        if self.suspects is not None:
            found += titled("labels", [self._suspects_line()])
        if self.unseen is not None:
            found += titled("unseen", self.unseen.lines())
        if self.learning_curve is not None:
            found += titled("more data", self.learning_curve.lines())
        return found

    def _copies_lines(self) -> list[str]:
        first = " ~ ".join(map(shown, self.copies[0])) + (" ..." if self.copies[1:] else "")
        more = counted(len(self.copies), "more pair of pictures seems", "more pairs of pictures seem")
        return [
            f"{more} to show the same, mirrored, cropped or changed: {first}",
            "they are judged together, so that none flatters the accuracy; the report lists them",
        ]

    def _suspects_line(self) -> str:
        where = "all pictures" if self.all_labels else "the validation pictures"
        count, wrong = len(self.suspects or ()), sum(suspect.score for suspect in self.suspects or ())
        if not count:
            line = f"none of {where} seems to have a wrong label"
        elif count == 1:
            line = f"1 of {where} may have a wrong label: see fixes.csv"
        else:
            line = f"{count:,} of {where} may have wrong labels, about {wrong:.0f} probably do: see fixes.csv"
        return line if self.all_labels else f"{line}; --check-labels searches all pictures"

    def to_json(self) -> dict[str, object]:
        """For programs."""
        found: dict[str, object] = {}
        if self.copies is not None:
            found["copies_by_features"] = [list(pair) for pair in self.copies]
        if self.shortcuts is not None:
            found["shortcuts"] = {"fires": self.shortcuts.fires, "lines": self.shortcuts.lines()}
        if self.suspects is not None:
            found["suspects"] = {"pictures": len(self.suspects), "among_all": self.all_labels}
        if self.unseen is not None:
            found["unseen"] = asdict(self.unseen)
        if self.learning_curve is not None:
            found["learning_curve"] = self.learning_curve.to_json()
        return found


def require(sets, seed: int, unseen_classes: bool, more_data: bool) -> None:
    """Raise PigeonholeError, before any training, where the data are too few for what is asked for."""
    if unseen_classes:
        unseen.require(sets, seed)
    if more_data:
        learning_curve.part_sizes(sets.train)


class DataAudit:
    """Searches a training's data `sets`, a `dataset.DataSets`; some searches train further networks.

    Ctrl-C or a termination ends a search and leaves out those that were still to come; what was found by then
    is kept, and `exit_status` says so: 0, or 128 + the signal's number.
    """

    def __init__(self, sets, retrainer: Retrainer, seed: int):
        self._sets, self._retrainer, self._seed = sets, retrainer, seed
        self._request = StopRequest()

    @property
    def exit_status(self) -> int:
        return self._request.exit_status

    def look(
        self, evaluation: Evaluation, found: AuditResult, check_labels: bool, more_data: bool
    ) -> AuditResult:
        """All that is to be found, added to what was `found`; `evaluation` is of the validation pictures."""
        found = replace(found, shortcuts=self.shortcuts(), suspects=among_validation(evaluation))
        if check_labels and (everywhere := self._unless_stopped(self.suspects)) is not None:
            found = replace(found, suspects=everywhere, all_labels=True)
        if more_data:
            curve = self._unless_stopped(lambda: self.learning_curve(evaluation.right))
            found = replace(found, learning_curve=curve)
        return found

    def unseen_classes(self) -> Unseen | None:
        """How often a class that the network does not know would be flagged; None where that was stopped."""
        return self._unless_stopped(self.unseen)

    def _unless_stopped(self, search: Callable[[], Found]) -> Found | None:
        if self.exit_status:
            return None
        with self._request:
            try:
                return search()
            except Stopped:
                say("", "stopped; what was found so far is kept")
                return None
            except Diverged as error:
                say("", f"left out, for one of its networks failed: {error}")
                return None

    def shortcuts(self) -> ShortcutCheck:
        """Whether something other than the object reveals the class."""
        every = self._sets.everything
        record_of = {record.entry.name: record for record in self._sets.records}
        records = [record_of[name] for name in every.names]
        numbers = bursts.group_numbers(self._sets)
        return shortcuts.check(
            records, every.images, every.label_indices, every.class_names, numbers, self._seed
        )

    def suspects(self) -> list[Suspect]:
        """All pictures with a label that networks trained without them find unlikely."""
        every = self._sets.everything
        line = self._line(
            "label check", suspects.FOLDS, suspects.seconds(self._retrainer, every.num_examples)
        )
        groups = bursts.groups_of(self._sets)
        probabilities = suspects.out_of_fold(self._retrainer, every, groups, on_step=line.step)
        line.done()
        return suspects.find(probabilities, every.label_indices, every.names, every.class_names)

    def unseen(self) -> Unseen:
        """How often a class that the network does not know would be flagged.

        Raises PigeonholeError where there are too few classes or pictures to tell.
        """
        train = self._sets.train
        names = unseen.left_out(train.class_names, self._seed)
        line = self._line("unseen classes", len(names), unseen.seconds(self._retrainer, train, self._seed))
        started: list[str] = []
        found = unseen.leave_one_out(
            self._retrainer,
            self._sets,
            self._seed,
            on_class=started.append,
            on_step=lambda progress: line.step(len(started) - 1, progress),
        )
        line.done()
        return found

    def learning_curve(self, right: np.ndarray) -> Curve:
        """What more pictures would bring; `right` bool [n]: which validation pictures the network has right.

        Raises PigeonholeError where there are too few pictures to tell.
        """
        train, valid = self._sets.train, self._sets.valid
        trainings = len(learning_curve.part_sizes(train))
        line = self._line("learning curve", trainings, learning_curve.seconds(self._retrainer, train))
        found = learning_curve.measure(self._retrainer, train, valid, right, line.step)
        line.done()
        return found

    def _line(self, title: str, trainings: int, seconds: float) -> StudyLine:
        return StudyLine(title, trainings, seconds, self._request.check)


def among_validation(evaluation: Evaluation) -> list[Suspect]:
    """The validation pictures with a label that the trained network, which never saw them, finds unlikely."""
    return suspects.find(evaluation.probabilities, evaluation.labels, evaluation.names, evaluation.classes)
