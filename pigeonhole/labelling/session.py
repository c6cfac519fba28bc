"""One labelling: what a page shows and what its user does, put together. Safe for threads.

A picture goes by its row in the collection. Every decision is in the journal before the call returns.
"""

import secrets
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence

import numpy as np

from pigeonhole.data.cache import Cache
from pigeonhole.data.journal import Row
from pigeonhole.errors import PigeonholeError, UsageError
from pigeonhole.features import extractor
from pigeonhole.features.extractor import Extractor
from pigeonhole.labelling import answers, listing, review
from pigeonhole.labelling import collection as collections
from pigeonhole.labelling.answers import Answers, Sheet
from pigeonhole.labelling.camera import Camera
from pigeonhole.labelling.heatmaps import Heatmaps
from pigeonhole.labelling.journal import REVIEW, Journal, Label
from pigeonhole.labelling.refitting import Findings, Refitter, Wanted
from pigeonhole.labelling.sheets import Sheets
from pigeonhole.labelling.state import State
from pigeonhole.labelling.status import Group, Point, Restored, Seen, Status, Suspect
from pigeonhole.labelling.thumbnails import Thumbnails

REFRESH_SECONDS = 0.5  # between two looks at what other windows and programs have written


class Session:
    """Labelling of the pictures of a collection. `start` begins to look at them; `close` ends that.

    `number` is another one at each start: rows mean nothing to a page of an earlier one.
    """

    def __init__(
        self,
        collection: collections.Collection,
        journal: Journal,
        cache: Cache,
        open_extractor: Callable[[], Extractor] = lambda: extractor.open_pretrained(engine=extractor.AUTO),
    ):
        self.collection, self.journal = collection, journal
        self.thumbnails, self._heatmaps = Thumbnails(cache), Heatmaps()
        self.number = secrets.token_hex(8)
        self._mutex = threading.RLock()
        self._state = State(collection, journal)
        self._sheets: Sheets | None = None
        self._curve: list[Point] = []
        self._answers: Answers | None = None  # of a file
        self._version = 0
        self._notice = ""
        self._refreshed = time.monotonic()
        self._refitter = Refitter(collection, cache, open_extractor, self._wanted, self._learnt, self._grow)
        self.camera = Camera(collection.folder, journal, self._refitter)

    def start(self) -> None:
        self._refitter.start()

    def close(self) -> None:
        self._refitter.close()
        self.thumbnails.close()

    @property
    def findings(self) -> Findings | None:
        return self._refitter.findings

    @property
    def classes(self) -> list[str]:
        with self._mutex:
            return list(self._state.classes)

    # What the user does

    def decide(self, action: str, rows: Sequence[int], label: Label, source: str) -> None:
        """Give pictures, and all of the same content, a class; UNDECIDED: none; None: leave them out.

        action  an id of the user's action; see `Journal.act`

        Raises UsageError for a label that cannot be a class and for a row that is none.
        """
        with self._mutex:
            self._check(rows)
            self._act(action, dict.fromkeys(self._state.names(rows), label), source)

    def keep(self, action: str, rows: Sequence[int]) -> None:
        """Confirm the labels of these pictures as they stand: they are doubted no more.

        Those without one stay so. Raises UsageError as `decide` does.
        """
        with self._mutex:
            self._check(rows)
            labels = {self.collection.names[row]: self._state.label(row) for row in rows}
            self._act(action, {name: label for name, label in labels.items() if label}, REVIEW)

    def rename(self, action: str, old: str, new: str) -> None:
        """Call a class by another name; by that of another class, the two are one. See `Journal.rename`.

        Raises UsageError where there is no class of the old name, or the new one cannot be one.
        """
        with self._mutex:
            state = self._state
            if old not in [state.classes[place] for place in state.shown]:
                raise UsageError(f"{old}: is no class any more; it was renamed in another window")
            rows = np.flatnonzero(state.labels == state.classes.index(old))
            names = [self.collection.names[row] for row in rows]
            self.journal.rename(action, old, new, {name: self.collection.digests[name] for name in names})
            self._take(self.journal.refresh())

    def undo(self, action: str) -> Restored:
        """Take back the last action."""
        return self._restore(self.journal.undo, action)

    def redo(self, action: str) -> Restored:
        """Do again what was taken back last."""
        return self._restore(self.journal.redo, action)

    def add_class(self, name: str) -> None:
        """Add a class without pictures; it is kept once a picture has it. Raises UsageError for no name."""
        spelt = self.journal.spelt(name)
        if not spelt:
            raise UsageError("A class needs a name.")
        with self._mutex:
            self._state.add(spelt)
            self._version += 1

    def split(self, number: int, out: Collection[int] = ()) -> None:
        """Divide a group; see `Sheets.split`."""
        with self._mutex:
            self._grouped().split(number, out, self._state.undecided)
            self._version += 1

    def merge(self, numbers: Collection[int]) -> None:
        """Make one group of several."""
        with self._mutex:
            self._grouped().merge(numbers)
            self._version += 1

    def regroup(self) -> None:
        """Group what has no label anew."""
        with self._mutex:
            sheets, rows = self._grouped(), np.flatnonzero(self._state.undecided)
        found = sheets.grouped(rows)
        with self._mutex:
            sheets.put(rows, found)
            self._version += 1

    # What the page shows

    def status(self) -> Status:
        """Where the labelling stands, with what other windows have decided meanwhile."""
        with self._mutex:
            self._refresh()
            state, findings = self._state, self.findings
            undecided = int(state.undecided.sum())
            behind = self._refitter.is_behind(state.decisions)
            return Status(
                version=self._version,
                decisions=state.decisions,
                fit=findings.number if findings else 0,
                sheets=self._sheets.version if self._sheets else 0,
                pictures=len(self.collection),
                undecided=undecided,
                removed=int(state.removed.sum()),
                unreadable=len(self.collection.unreadable),
                counts=state.counts_by_name(),
                called=state.called,
                accuracy=findings.accuracy if findings else None,
                curve=list(self._curve),
                advice=findings.advice if findings else "",
                progress=self._refitter.progress,
                problem=self._refitter.problem,
                notice=self._notice,
                busy=behind,
                can_undo=self.journal.actions > 0,
                can_redo=self.journal.can_redo,
            )

    def seen(self, rows: Sequence[int]) -> list[Seen]:
        """These pictures as they stand. Raises UsageError for a row that is none."""
        with self._mutex:
            self._check(rows)
            return [listing.seen(row, self.collection, self._state, self.findings) for row in rows]

    def next(self, count: int) -> list[int]:
        """At most so many rows without a label, the one to be labelled next in front."""
        with self._mutex:
            self._refresh()
            return listing.following(self._state, self.findings, count).tolist()

    def listed(self, show: str, order: str) -> list[int]:
        """Rows; see `listing`. Raises UsageError for what cannot be shown."""
        with self._mutex:
            self._refresh()
            return listing.rows(self._state, self.findings, show, order).tolist()

    def groups(self) -> list[Group]:
        """The groups with pictures that have no label yet; none until the pictures have been looked at."""
        with self._mutex:
            self._refresh()
            if self._sheets is None:
                return []
            undecided = self._state.undecided
            found = ((number, rows[undecided[rows]]) for number, rows in self._sheets)
            return [Group(number, rows.tolist(), self._common(rows)) for number, rows in found if len(rows)]

    def look_over(self, told: Answers) -> None:
        """Show these answers in the place of those of the model that learns along."""
        with self._mutex:
            self._answers = told
            for name in told.renamed(self._state.called).classes:
                self._state.position(name)
            self._version += 1

    @property
    def answered(self) -> Answers | None:
        """What `look_over` was given, or else what the model says; None before there is one."""
        findings = self.findings
        if self._answers:
            return self._answers.renamed(self._state.called)
        if not findings or not findings.fitted:
            return None
        return answers.by_model(findings.fitted, findings.wanted.classes)

    def answer_sheets(self) -> list[Sheet]:
        """The pictures without a label by the answers that were given to them; see `answers.sheets`."""
        with self._mutex:
            self._refresh()
            told = self.answered
            return answers.sheets(self._state, told) if told else []

    def places(self, unsure: str) -> dict[str, str]:
        """Name -> class by labels and answers; see `answers.places`."""
        with self._mutex:
            self._refresh()
            return answers.places(self._state, self.collection, self.answered, unsure)

    def suspects(self) -> list[Suspect]:
        """Labels that look wrong, the likeliest first, without those that were reviewed."""
        with self._mutex:
            findings, state = self.findings, self._state
            labels, reviewed, classes = state.labels.copy(), state.reviewed.copy(), list(state.classes)
        return review.listed(findings, labels, reviewed, classes) if findings and findings.fitted else []

    def heatmap(self, row: int, name: str, check: Callable[[], None] = lambda: None) -> bytes | None:
        """A picture as `Heatmaps.draw` gives it; None where no model tells what speaks for this class.

        Raises UsageError for a row that is none, and as `Heatmaps.draw`.
        """
        with self._mutex:
            self._check([row])
            findings, extractor, classes = self.findings, self._refitter.extractor, self._state.classes
            position = classes.index(name) if name in classes else None
        if not extractor or not findings or not findings.fitted or not findings.fitted.head:
            return None
        if position is None or position >= findings.fitted.probabilities.shape[1]:
            return None
        return self._heatmaps.draw(self.collection.records[row], position, findings, extractor, check)

    def divided_copies(self) -> list[list[int]]:
        """Rows of near copies whose labels differ, group by group, without those that were reviewed."""
        with self._mutex:
            if not self.findings:
                return []
            found = review.divided_copies(self._state.labels, self.findings.groups)
            return [rows.tolist() for rows in found if not self._state.reviewed[rows].all()]

    # Inside

    def _act(self, action: str, labels: Mapping[str, Label], source: str) -> None:
        digests = {name: self.collection.digests[name] for name in labels}
        self.journal.act(action, labels, digests, source)
        self._take(self.journal.refresh())

    def _restore(self, change: Callable[[str], list[str]], action: str) -> Restored:
        with self._mutex:
            names = change(action)
            self._take(self.journal.refresh())
            rows = [row for name in names if (row := self.collection.row_of.get(name)) is not None]
            return Restored(rows, any(Row(name, "").class_name for name in names))

    def _check(self, rows: Sequence[int]) -> None:
        if not all(0 <= row < len(self.collection) for row in rows):
            raise UsageError("There is no such picture.")

    def _take(self, names: Collection[str]) -> None:
        if names:
            self._state.take(names)
            self._version += 1
            self._refitter.refit()

    def _refresh(self) -> None:
        """Take in what others have written to the journal, now and then."""
        if time.monotonic() - self._refreshed < REFRESH_SECONDS:
            return
        try:
            self._take(self.journal.refresh())
            self._notice = self.journal.notice
        except PigeonholeError as error:
            self._notice = str(error)
        self._refreshed = time.monotonic()

    def _wanted(self) -> Wanted:
        with self._mutex:
            state = self._state
            return Wanted(state.decisions, state.labels.copy(), state.removed.copy(), tuple(state.classes))

    def _learnt(self) -> None:
        """The refitter has found something; called by its thread."""
        findings = self.findings
        if findings and self._sheets is None:
            sheets = Sheets(findings.coordinates)
            with self._mutex:
                rows = np.flatnonzero(self._state.undecided)
            found = sheets.grouped(rows)
            with self._mutex:
                sheets.put(rows, found)
                self._sheets = sheets
        with self._mutex:
            if findings and findings.accuracy:
                labels = int((findings.wanted.labels >= 0).sum())
                self._curve = Point(labels, findings.accuracy).added(self._curve)
            if not self._refitter.progress:
                self._version += 1

    def _grow(self, collection: collections.Collection, go_over: Callable[[], None]) -> None:
        """Take over pictures that have arrived; called by the refitter's thread."""
        with self._mutex:
            self._state.grow(collection)
            self.collection = collection
            go_over()
            self._answers = self._answers and self._answers.padded(len(collection))
            if self._sheets:
                self._sheets.coordinates = self.findings.coordinates
            self._version += 1

    def _grouped(self) -> Sheets:
        if self._sheets is None:
            raise UsageError("The pictures have not been looked at yet.")
        return self._sheets

    def _common(self, rows: np.ndarray) -> tuple[str, float] | None:
        if not self.findings or not self.findings.fitted:
            return None
        counts = np.bincount(self.findings.fitted.probabilities[rows].argmax(axis=1))
        return self._state.classes[int(counts.argmax())], float(counts.max() / len(rows))
