"""What a session tells: where the labelling stands, a picture, a group, a label that looks wrong."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from pigeonhole.labelling.learner import Accuracy
from pigeonhole.labelling.refitting import Progress

MOST_POINTS = 200  # of a curve


@dataclass(frozen=True)
class Point:
    """The accuracy when so many pictures had labels."""

    labels: int
    accuracy: Accuracy

    def added(self, curve: Sequence["Point"]) -> list["Point"]:
        """The curve with this point; what was found by as many labels or more gives way."""
        kept = [each for each in curve if each.labels < self.labels]
        return [*(kept[::2] if len(kept) >= MOST_POINTS else kept), self]


@dataclass(frozen=True)
class Status:
    """Where the labelling stands. `version` grows with every change of anything in it but `progress`.

    decisions  grows with every decision; fit and sheets: with every change of the model and of the groups
    counts     pictures of each class
    called     class -> another name that the user has given it
    problem    why there is no model, else empty
    notice     what has befallen the file of decisions and what to do, else empty
    busy       whether something is being computed
    """

    version: int
    decisions: int
    fit: int
    sheets: int
    pictures: int
    undecided: int
    removed: int
    unreadable: int
    counts: dict[str, int]
    called: dict[str, str]
    accuracy: Accuracy | None
    curve: list[Point]
    advice: str
    progress: Progress | None
    problem: str
    notice: str
    busy: bool
    can_undo: bool
    can_redo: bool


class Restored(NamedTuple):
    """What was taken back, or done again: the pictures, and whether a class has another name by that."""

    rows: list[int]
    is_renamed: bool


@dataclass(frozen=True)
class Seen:
    """One picture. `label`: its class, or None. `ranked`: the likeliest classes with their probabilities."""

    row: int
    name: str
    digest: str
    width: int
    height: int
    label: str | None
    removed: bool
    ranked: list[tuple[str, float]]


@dataclass(frozen=True)
class Group:
    """Pictures that look alike and have no label. `proposed`: the class that most of them are taken for, and
    the share of them; None before there is a model."""

    number: int
    rows: list[int]
    proposed: tuple[str, float] | None


@dataclass(frozen=True)
class Suspect:
    """A label that looks wrong; see `review.Doubted`."""

    row: int
    given: str
    proposed: str
    doubt: float
    nearest: list[int]
