"""Labels that look wrong, the likeliest first, with what helps to decide."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from pigeonhole.evaluation.studies.suspects import doubt
from pigeonhole.features.neighbours import nearest
from pigeonhole.labelling.learner import Fitted
from pigeonhole.labelling.refitting import Findings
from pigeonhole.labelling.status import Suspect

NEAREST = 6  # labelled pictures shown beside a suspect
LEAST_DOUBT = 0.05  # of a label that is listed
MOST_LISTED = 500


class Doubted(NamedTuple):
    """A label that looks wrong: of the picture in this row, given and proposed class as positions.

    doubt    the probability that the label is wrong, 0..1
    """

    row: int
    given: int
    proposed: int
    doubt: float


def suspects(fitted: Fitted, labels: np.ndarray) -> list[Doubted]:
    """All labels that can be judged, the likeliest to be wrong first.

    labels  int [n], -1 for none, those that `fitted` was fitted to

    See `suspects.doubt` for how likely each is.
    """
    rows, answers = fitted.rows[fitted.judged], fitted.out_of_fold[fitted.judged]
    if not len(rows):
        return []
    given = labels[rows]
    doubts = doubt(answers, given)
    order = np.argsort(-doubts, kind="stable")
    others = np.where(np.arange(answers.shape[1]) == given[:, None], -1, answers)
    return [
        Doubted(int(rows[place]), int(given[place]), int(others[place].argmax()), float(doubts[place]))
        for place in order
    ]


def listed(
    findings: Findings, labels: np.ndarray, reviewed: np.ndarray, classes: Sequence[str]
) -> list[Suspect]:
    """Labels that look wrong, the likeliest first, of those that are as they were when the head was fitted.

    labels    int64 [n], -1 for none, at present
    reviewed  bool [n], labels that are not asked about again
    """
    doubted = [
        each
        for each in suspects(findings.fitted, findings.wanted.labels)
        if each.doubt >= LEAST_DOUBT and labels[each.row] == each.given and not reviewed[each.row]
    ][:MOST_LISTED]
    rows = np.array([each.row for each in doubted], np.int64)
    alike = look_alikes(findings.coordinates, rows, findings.fitted.rows)
    return [
        Suspect(each.row, classes[each.given], classes[each.proposed], each.doubt, near.tolist())
        for each, near in zip(doubted, alike, strict=True)
    ]


def look_alikes(coordinates: np.ndarray, rows: np.ndarray, known: np.ndarray) -> list[np.ndarray]:
    """For each of these labelled pictures the rows int64 [at most 6] of others most like it, best first.

    coordinates  float32 [n, d]
    rows         int [r], some of `known`
    known        int64 [m], the labelled pictures, ascending
    """
    own = np.searchsorted(known, rows)
    found = nearest(coordinates[rows], coordinates[known], NEAREST, own).rows
    return [known[each[each >= 0]] for each in found]


def divided_copies(labels: np.ndarray, groups: np.ndarray) -> list[np.ndarray]:
    """The rows int64 of copies of one picture whose labels differ, group by group.

    labels  int [n], -1 for none
    groups  int64 [n], equal for copies of one picture
    """
    rows = np.flatnonzero(np.asarray(labels) >= 0)
    rows = rows[np.argsort(groups[rows], kind="stable")]
    parts = np.split(rows, np.flatnonzero(np.diff(groups[rows])) + 1)
    return [part for part in parts if len(np.unique(labels[part])) > 1]
