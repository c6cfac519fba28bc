"""Which pictures a list shows, in what order, and what is said of each."""

import numpy as np

from pigeonhole.errors import UsageError
from pigeonhole.labelling.collection import Collection
from pigeonhole.labelling.proposals import margins
from pigeonhole.labelling.refitting import Findings
from pigeonhole.labelling.state import State
from pigeonhole.labelling.status import Seen

ALL, UNDECIDED, DECIDED, REMOVED, CLASS, PROPOSED = (
    "all",
    "undecided",
    "decided",
    "removed",
    "class",
    "proposed",
)
RANKED = 3  # classes told of a picture
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


def following(state: State, findings: Findings | None, count: int) -> np.ndarray:
    """int64, at most so many rows without a label, the one to be labelled next in front."""
    undecided = state.undecided
    if findings and findings.queue is not None:
        queue = findings.queue[undecided[findings.queue]]
        if len(queue):
            return queue[:count]
    left = np.flatnonzero(undecided)
    # Before anything is known of the pictures, any of them is as good as another.
    order = np.random.default_rng(0).permutation(len(undecided))
    return left[np.argsort(order[left])][:count]


def seen(row: int, collection: Collection, state: State, findings: Findings | None) -> Seen:
    """One picture as it stands."""
    record = collection.records[row]
    ranked = []
    if findings and findings.fitted:
        probabilities = findings.fitted.probabilities[row]
        best = np.argsort(-probabilities, kind="stable")[:RANKED]
        ranked = [(state.classes[one], float(probabilities[one])) for one in best]
    return Seen(
        row=row,
        name=record.entry.name,
        digest=record.digest[:16],
        width=record.width,
        height=record.height,
        label=state.label(row),
        removed=bool(state.removed[row]),
        ranked=ranked,
    )


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
