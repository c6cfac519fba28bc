"""One labelling: what a page shows and what its user does, put together. Safe for threads.

A picture goes by its row in the collection. Every decision is in the journal before the call returns.
"""

import secrets
import threading
import time
from collections.abc import Callable, Collection, Sequence

import numpy as np

from pigeonhole.data.cache import Cache
from pigeonhole.errors import UsageError
from pigeonhole.features import extractor
from pigeonhole.features.extractor import Extractor
from pigeonhole.labelling import answers, listing, review
from pigeonhole.labelling import collection as collections
from pigeonhole.labelling.answers import Answers, Sheet
from pigeonhole.labelling.camera import Camera
from pigeonhole.labelling.journal import Journal, Label
from pigeonhole.labelling.refitting import Findings, Refitter, Wanted
from pigeonhole.labelling.sheets import Sheets
from pigeonhole.labelling.state import State
from pigeonhole.labelling.status import Group, Point, Seen, Status, Suspect
from pigeonhole.labelling.thumbnails import Thumbnails

REFRESH_SECONDS = 0.5  # between two looks at what other windows and programs have written
RANKED = 3  # classes told of a picture
LEAST_DOUBT = 0.05  # of a label that is listed for review
MOST_SUSPECTS = 500


class Session:
    """Labelling of the pictures of a collection. `start` begins to look at them; `close` ends that.

    `number` is another one at each start: rows mean nothing to a page of an earlier one.
    """

    def __init__(
        self,
        collection: collections.Collection,
        journal: Journal,
        cache: Cache,
        open_extractor: Callable[[], Extractor] = extractor.open_pretrained,
    ):
        self.collection, self.journal = collection, journal
        self.thumbnails = Thumbnails(cache)
        self.number = secrets.token_hex(8)
        self._mutex = threading.RLock()
        self._state = State(collection, journal)
        self._sheets: Sheets | None = None
        self._curve: list[Point] = []
        self._kept: set[tuple[int, int]] = set()  # rows and labels that were reviewed and kept
        self._answers: Answers | None = None  # of a file
        self._version = 0
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
            names = self._state.names(rows)
            digests = {name: self.collection.digests[name] for name in names}
            self.journal.act(action, dict.fromkeys(names, label), digests, source)
            self._take(self.journal.refresh())
            if source == "review":
                self._kept |= {(row, int(self._state.labels[row])) for row in rows}

    def undo(self, action: str) -> list[int]:
        """Take back the last action; gives its pictures."""
        return self._restore(self.journal.undo, action)

    def redo(self, action: str) -> list[int]:
        """Do again what was taken back last; gives its pictures."""
        return self._restore(self.journal.redo, action)

    def add_class(self, name: str) -> None:
        """Add a class without pictures; it is kept once a picture has it. Raises UsageError for no name."""
        spelt = self.journal.spelt(name)
        if not spelt:
            raise UsageError("A class needs a name.")
        with self._mutex:
            self._state.position(spelt)
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
                counts=dict(zip(state.classes, state.counts().tolist(), strict=True)),
                accuracy=findings.accuracy if findings else None,
                curve=list(self._curve),
                advice=findings.advice if findings else "",
                progress=self._refitter.progress,
                problem=self._refitter.problem,
                busy=behind,
                can_undo=self.journal.actions > 0,
                can_redo=self.journal.can_redo,
            )

    def seen(self, rows: Sequence[int]) -> list[Seen]:
        """These pictures as they stand. Raises UsageError for a row that is none."""
        with self._mutex:
            self._check(rows)
            return [self._seen(row) for row in rows]

    def next(self, count: int) -> list[int]:
        """At most so many rows without a label, the one to be labelled next in front."""
        with self._mutex:
            self._refresh()
            findings, undecided = self.findings, self._state.undecided
            if findings and findings.queue is not None:
                queue = findings.queue[undecided[findings.queue]]
                if len(queue):
                    return queue[:count].tolist()
            left = np.flatnonzero(undecided)
            # Before anything is known of the pictures, any of them is as good as another.
            order = np.random.default_rng(0).permutation(len(undecided))
            return left[np.argsort(order[left])][:count].tolist()

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
            for name in told.classes:
                self._state.position(name)
            self._version += 1

    @property
    def answered(self) -> Answers | None:
        """What `look_over` was given, or else what the model says; None before there is one."""
        findings = self.findings
        if self._answers or not findings or not findings.fitted:
            return self._answers
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
            findings, labels = self.findings, self._state.labels.copy()
            classes, kept = list(self._state.classes), set(self._kept)
        if not findings or not findings.fitted:
            return []
        by = findings.wanted.labels
        doubted = [
            each
            for each in review.suspects(findings.fitted, by)
            if each.doubt >= LEAST_DOUBT
            and labels[each.row] == each.given
            and (each.row, each.given) not in kept
        ][:MOST_SUSPECTS]
        rows = np.array([each.row for each in doubted], np.int64)
        alike = review.look_alikes(findings.coordinates, rows, findings.fitted.rows)
        return [
            Suspect(each.row, classes[each.given], classes[each.proposed], each.doubt, near.tolist())
            for each, near in zip(doubted, alike, strict=True)
        ]

    def divided_copies(self) -> list[list[int]]:
        """Rows of near copies whose labels differ, group by group, without those that were reviewed."""
        with self._mutex:
            if not self.findings:
                return []
            labels, kept = self._state.labels, self._kept
            found = review.divided_copies(labels, self.findings.groups)
            return [
                rows.tolist() for rows in found if not all((row, int(labels[row])) in kept for row in rows)
            ]

    # Inside

    def _restore(self, change: Callable[[str], list[str]], action: str) -> list[int]:
        with self._mutex:
            names = change(action)
            self._take(self.journal.refresh())
            return [row for name in names if (row := self.collection.row_of.get(name)) is not None]

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
        if time.monotonic() - self._refreshed >= REFRESH_SECONDS:
            self._take(self.journal.refresh())
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

    def _seen(self, row: int) -> Seen:
        record, label = self.collection.records[row], int(self._state.labels[row])
        ranked = []
        if self.findings and self.findings.fitted:
            probabilities = self.findings.fitted.probabilities[row]
            best = np.argsort(-probabilities, kind="stable")[:RANKED]
            ranked = [(self._state.classes[one], float(probabilities[one])) for one in best]
        return Seen(
            row=row,
            name=record.entry.name,
            digest=record.digest[:16],
            width=record.width,
            height=record.height,
            label=self._state.classes[label] if label >= 0 else None,
            removed=bool(self._state.removed[row]),
            ranked=ranked,
        )
