"""A run under review: the pictures it was trained on, what it doubts, and decisions for its fixes.csv."""

from dataclasses import dataclass, replace
from pathlib import Path

from pigeonhole.data import fixes
from pigeonhole.data.cache import Cache
from pigeonhole.data.fixes import Fix, Suspect
from pigeonhole.data.journal import removal
from pigeonhole.errors import PigeonholeError
from pigeonhole.labelling.collection import Collection
from pigeonhole.labelling.journal import UNDECIDED, Journal
from pigeonhole.runs.run import Run


@dataclass(frozen=True)
class RunReview:
    """What there is to review about a run.

    collection  the pictures of its data folder; `given` is the class with which it was trained
    suspects    the doubted pictures of its fixes.csv, the likeliest mistake first, decided or not
    """

    run: Run
    collection: Collection
    suspects: list[Suspect]

    @classmethod
    def open(cls, run: Run, cache: Cache, progress: bool | None = None) -> "RunReview":
        """Raises PigeonholeError where settings or pictures are not there; see `Collection.open`."""
        data = Path(run.settings()["options"]["data"])
        if not data.is_dir():
            raise PigeonholeError(
                f"{run}: was trained on {data}, which is no folder here; start where it was trained"
            )
        found = Collection.open(data, cache, progress=progress)
        trained = {row["path"]: row for row in run.split()}
        records = []
        for record in found.records:
            row = trained.get(record.entry.name)
            if row and row["digest"] == record.digest:
                record = replace(record, entry=replace(record.entry, class_name=row["class"]))
            records.append(record)
        suspects = fixes.suspects(run.fixes_file) if run.fixes_file.is_file() else []
        known = [suspect for suspect in suspects if suspect.name in found.row_of]
        return cls(run, replace(found, records=records, classes=run.labels()), known)

    def journal(self) -> Journal:
        """The journal in the run's folder, which keeps the run's fixes.csv up to date.

        What was typed into fixes.csv since the last decision is taken over as one action. A class that the
        run does not know stays in the journal alone, for fixes cannot name it.
        """
        journal = Journal(self.run.decisions_file, self.collection.classes, self._write_fixes, is_fixed=True)
        if changes := self._typed(journal):
            action = f"typed-{self.run.fixes_file.stat().st_mtime_ns}"
            journal.act(action, changes, self.collection.digests, "typed")
        elif self.run.decisions_file.is_file():
            self._write_fixes(journal)
        return journal

    def _typed(self, journal: Journal) -> dict[str, str | None]:
        """What was typed into fixes.csv after the last decision: name -> label, "" for one taken away."""
        file, decisions = self.run.fixes_file, self.run.decisions_file
        if not file.is_file():
            return {}
        if decisions.is_file() and decisions.stat().st_mtime_ns > file.stat().st_mtime_ns:
            return {}  # a kill came between the two
        known = {fix.name: fix.new_label for fix in self._nameable(journal)}
        typed = {fix.name: fix.new_label for fix in fixes.read(file, self.collection.classes)}
        typed |= dict.fromkeys(known.keys() & set(fixes.undecided(file)), UNDECIDED)
        return {name: label for name, label in typed.items() if known.get(name, UNDECIDED) != label}

    def _nameable(self, journal: Journal) -> list[Fix]:
        """The decisions that the run's fixes can name."""
        wanted = {*self.collection.classes, None}
        return [fix for fix in journal.decisions() if fix.new_label in wanted]

    def _write_fixes(self, journal: Journal) -> None:
        leave_out = removal(self.collection.classes)
        decided = [replace(fix, new_label=fix.new_label or leave_out) for fix in self._nameable(journal)]
        others = {*journal.undecided(), *(fix.name for fix in journal.decisions())}
        try:
            fixes.decide(self.run.fixes_file, decided, others - {fix.name for fix in decided})
        except OSError as error:
            raise PigeonholeError(
                f"{self.run.fixes_file}: cannot be written ({error.strerror}); the decision is kept in "
                f"{journal.file} and comes at the next start"
            ) from error
