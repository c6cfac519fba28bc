"""What runs beside the user: features, groups, a head that is fitted anew after each decision."""

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np

from pigeonhole.data.cache import Cache
from pigeonhole.errors import PigeonholeError
from pigeonhole.features.axes import Axes
from pigeonhole.features.extractor import Extractor
from pigeonhole.labelling import coordinates, curve, proposals
from pigeonhole.labelling.collection import Collection
from pigeonhole.labelling.learner import Accuracy, Fitted, Learner
from pigeonhole.labelling.shared_extractor import SharedExtractor

BATCH = 5  # pictures proposed at a time
FEWEST_FOR_ADVICE = 20  # labels
ADVICE_GROWTH = 1.1  # times as many labels, and the advice is made anew
IDLE = 1.5  # seconds without a decision before the advice is made


class _Stopped(Exception):
    """The session is closed."""


@dataclass(frozen=True)
class Wanted:
    """What the user has said so far: a copy. `number`: which decision was the last; `labels`, `removed` and
    `classes` as in `State`."""

    number: int
    labels: np.ndarray
    removed: np.ndarray
    classes: tuple[str, ...]

    def padded(self, count: int) -> "Wanted":
        """The same, for so many pictures, of which those that are more have no label."""
        new = (0, count - len(self.labels))
        labels = np.pad(self.labels, new, constant_values=-1)
        return replace(self, labels=labels, removed=np.pad(self.removed, new))


@dataclass(frozen=True)
class Progress:
    """Pictures that were looked at, and how long the rest will take, in seconds; None: not known."""

    done: int
    total: int
    seconds_left: float | None


@dataclass(frozen=True)
class Findings:
    """What is known of the pictures by the labels so far; None where it is not yet.

    wanted       the labels that it is by
    coordinates  float32 [n, d]
    groups       int64 [n], equal for copies of one picture
    fitted       the head; None before two classes have labels
    axes         give the coordinates that the head takes
    queue        int64, rows to be labelled next, the first one first
    advice       whether more labels are worth it, a sentence
    number       grows with every change
    """

    coordinates: np.ndarray
    groups: np.ndarray
    wanted: Wanted | None = None
    fitted: Fitted | None = None
    axes: Axes | None = None
    queue: np.ndarray | None = None
    advice: str = ""
    number: int = 0

    @property
    def accuracy(self) -> Accuracy | None:
        return self.fitted.accuracy if self.fitted else None

    def grown(self, coordinates: np.ndarray, groups: np.ndarray) -> "Findings":
        """The same before anything is known of the pictures that are more."""
        count = len(coordinates)
        return replace(
            self,
            coordinates=coordinates,
            groups=groups,
            wanted=self.wanted and self.wanted.padded(count),
            fitted=self.fitted and self.fitted.padded(count),
        )


class Refitter:
    """A thread that keeps `findings` up to date: the latest labels win, earlier ones may be passed over.

    open_extractor  opens the network whose features are computed where the cache lacks them
    wanted          gives the labels at present
    changed         is called by the thread after every change of `findings`, `progress` or `problem`
    grown           is called by the thread with a collection that has more pictures, and with a function that
                    it has to call at the moment when it goes over to that one: `findings` then do, too

    `problem`: why there is no model, in a sentence. `extractor`: the network, once it is open.
    """

    def __init__(
        self,
        collection: Collection,
        cache: Cache,
        open_extractor: Callable[[], Extractor],
        wanted: Callable[[], Wanted],
        changed: Callable[[], None],
        grown: Callable[[Collection, Callable[[], None]], None],
    ):
        self._collection, self._cache, self._open_extractor = collection, cache, open_extractor
        self._wanted, self._changed, self._grown = wanted, changed, grown
        self.extractor: SharedExtractor | None = None
        self._arrived: list[str] = []  # names of pictures
        self._arriving = threading.Lock()
        self.findings: Findings | None = None
        self.progress: Progress | None = Progress(0, len(collection), None)
        self.problem = ""
        self._advised_at = 0  # labels
        self._stopping = threading.Event()
        self._news = threading.Event()
        self._thread = threading.Thread(target=self._run, name="refitting", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Stop and wait for the thread."""
        self._stopping.set()
        self._news.set()
        if self._thread.ident:
            self._thread.join()

    def refit(self) -> None:
        """Say that the labels have changed."""
        self._news.set()

    def add(self, names: Iterable[str]) -> None:
        """Say that there are further pictures in the folder."""
        with self._arriving:
            self._arrived += names
        self._news.set()

    def is_behind(self, number: int) -> bool:
        """Whether the decision of this number is not yet in the findings."""
        if self.problem:
            return False
        return not self.findings or not self.findings.wanted or self.findings.wanted.number < number

    def _run(self) -> None:
        try:
            self._look()
            while not self._stopping.is_set():
                self._follow()
        except _Stopped:
            pass
        except PigeonholeError as error:
            self._fail(str(error))
        except Exception as error:
            self._fail(f"{type(error).__name__}: {error}")
            raise
        finally:
            if self.extractor:
                self.extractor.close()

    def _fail(self, reason: str) -> None:
        self.problem, self.progress = reason, None
        self._changed()

    def _look(self) -> None:
        """Compute or read the coordinates of all pictures."""
        started = time.monotonic()
        first_done: list[int] = []

        def tell(done: int, total: int) -> None:
            if self._stopping.is_set():
                raise _Stopped
            first_done[:] = first_done or [done]
            computed = done - first_done[0]
            left = (total - done) * (time.monotonic() - started) / computed if computed else None
            self.progress = Progress(done, total, left)
            self._changed()

        self.extractor = SharedExtractor(self._open_extractor())
        self.findings = self._know(self._collection, tell)
        self.progress = None
        self._changed()

    def _know(self, collection: Collection, tell: Callable[[int, int], None]) -> Findings:
        """Have all that follows be about these pictures."""
        found, axes = coordinates.read_with_axes(collection.records, self.extractor, self._cache, tell)
        findings = self.findings or Findings(found, collection.groups, axes=axes)
        self._collection, self._axes = collection, axes
        self._learner = Learner(found, collection.groups)
        return findings.grown(found, collection.groups)

    def _take_in(self) -> None:
        """Go over to a collection with the pictures that have arrived."""
        with self._arriving:
            names, self._arrived = self._arrived, []
        if not names:
            return
        collection = self._collection.with_more(names, self._cache)
        findings = self._know(collection, lambda done, total: None)

        def go_over() -> None:
            self.findings = findings

        self._grown(collection, go_over)

    def _follow(self) -> None:
        """Fit to the latest labels, then wait for others; where none come, advise."""
        self._take_in()
        wanted, now = self._wanted(), self.findings
        if now.wanted is None or wanted.number != now.wanted.number:
            fitted = None
            if len(np.unique(wanted.labels[wanted.labels >= 0])) > 1:
                fitted = self._learner.fit(wanted.labels, len(wanted.classes))
            self._publish(replace(now, wanted=wanted, fitted=fitted, axes=self._axes))
            self._publish(replace(self.findings, queue=self._propose(wanted, fitted)))
        if not self._news.wait(IDLE) and self._is_advice_due(wanted):
            self._advise(wanted)
        self._news.wait()
        # Cleared just before the labels and `_stopping` are looked at again, so that no news is lost.
        self._news.clear()

    def _propose(self, wanted: Wanted, fitted: Fitted | None) -> np.ndarray:
        """The next rows. The first pictures stand for parts of the heap: all of them are shown before others
        take their place."""
        labels, before = wanted.labels, self.findings.queue
        if before is not None and (labels >= 0).sum() < proposals.FIRST:
            left = before[(labels[before] < 0) & ~wanted.removed[before]]
            if len(left) > 1:
                return left
        kept = np.flatnonzero(~wanted.removed)
        probabilities = fitted.probabilities if fitted else None
        if len(kept) == len(labels):
            return proposals.propose(self.findings.coordinates, labels, probabilities, BATCH)
        if not len(kept):
            return kept
        some = probabilities[kept] if fitted else None
        return kept[proposals.propose(self.findings.coordinates[kept], labels[kept], some, BATCH)]

    def _is_advice_due(self, wanted: Wanted) -> bool:
        labelled = int((wanted.labels >= 0).sum())
        return labelled >= max(FEWEST_FOR_ADVICE, ADVICE_GROWTH * self._advised_at)

    def _advise(self, wanted: Wanted) -> None:
        self._advised_at = int((wanted.labels >= 0).sum())
        now = self.findings
        if not now.accuracy:
            return
        outlook = curve.outlook(self._learner, wanted.labels, len(wanted.classes), now.accuracy)
        if outlook:
            self._publish(replace(now, advice=outlook.sentence))

    def _publish(self, findings: Findings) -> None:
        self.findings = replace(findings, number=findings.number + 1)
        self._changed()
