"""Which pictures a list shows, and in what order."""

import numpy as np

from pigeonhole.errors import UsageError
from pigeonhole.labelling.proposals import margins
from pigeonhole.labelling.refitting import Findings
from pigeonhole.labelling.state import State

ALL, UNDECIDED, DECIDED, REMOVED, CLASS, PROPOSED = (
    "all",
    "undecided",
    "decided",
    "removed",
    "class",
    "proposed",
)
NAME, ALIKE, SURE, UNSURE, LATEST = ORDERS = ("name", "alike", "sure", "unsure", "latest")


def rows(state: State, findings: Findings | None, show: str, order: str) -> np.ndarray:
    """int64 rows of the pictures.

    show   "all", "undecided", "decided", "removed", "class/NAME" with this label, or "proposed/NAME" without
           a label and taken for that class
    order  "name"; "alike", those that look alike together; "sure" and "unsure", by how sure the model is;
           "latest", the last decision first. Where nothing is known of the pictures yet: by name

    Raises UsageError for anything else.
    """
    kind, _, name = show.partition("/")
    shown = np.flatnonzero(_shown(state, findings, kind, name))
    if order not in ORDERS:
        raise UsageError(f"There is no order {order!r}.")
    if order == LATEST:
        return shown[np.argsort(-state.decided_at[shown], kind="stable")]
    if order in (SURE, UNSURE) and findings and findings.fitted:
        margin = margins(findings.fitted.probabilities[shown])
        return shown[np.argsort(-margin if order == SURE else margin, kind="stable")]
    if order == ALIKE and findings and len(shown):
        return shown[np.argsort(_along(findings.coordinates[shown]), kind="stable")]
    return shown


def _shown(state: State, findings: Findings | None, kind: str, name: str) -> np.ndarray:
    """bool [n]."""
    simple = {
        ALL: lambda: np.ones(len(state.labels), bool),
        UNDECIDED: lambda: state.undecided,
        DECIDED: lambda: state.labels >= 0,
        REMOVED: lambda: state.removed,
    }
    if kind in simple:
        return simple[kind]()
    if kind not in (CLASS, PROPOSED) or name not in state.classes:
        raise UsageError(f"There is nothing called {kind!r} to be shown.")
    label = state.classes.index(name)
    if kind == CLASS:
        return state.labels == label
    if not findings or not findings.fitted:
        return np.zeros(len(state.labels), bool)
    return state.undecided & (findings.fitted.probabilities.argmax(axis=1) == label)


def _along(coordinates: np.ndarray) -> np.ndarray:
    """A number for each picture by which those that look alike come together: first the side of the first
    axis's mean on which it lies, then that of the second, and so on; in the end the next axis itself."""
    halves = min(4, coordinates.shape[1] - 1)
    above = coordinates[:, :halves] > np.median(coordinates[:, :halves], axis=0)
    number = np.zeros(len(coordinates))
    for axis in range(halves):
        number = 2 * number + (above[:, axis] ^ (number.astype(np.int64) & 1 == 1))  # Gray code: no jumps
    last = coordinates[:, halves].astype(np.float64)
    spread = np.ptp(last) or 1.0
    return number + 0.999 * (last - last.min()) / spread
