"""What the user names to be labelled: a folder of pictures, or a run whose pictures are reviewed."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pigeonhole.data import label_table
from pigeonhole.data.cache import Cache
from pigeonhole.data.fixes import Suspect
from pigeonhole.errors import UsageError
from pigeonhole.labelling.collection import Collection
from pigeonhole.labelling.journal import Journal
from pigeonhole.labelling.run_review import RunReview
from pigeonhole.runs.run import Run


@dataclass(frozen=True)
class Opened:
    """The pictures and the decisions about them; of a run also what it doubts, the worst first."""

    collection: Collection
    journal: Journal
    run: Run | None = None
    suspects: Sequence[Suspect] = ()

    def labels(self) -> dict[str, str]:
        """Name -> class by the decisions, by the folders where nothing is decided; no picture left out."""
        decided, _ = self.collection.decided(self.journal.decisions())
        called = self.journal.called
        by_folder = [called.get(name, name) for name in self.collection.given]
        given = dict(zip(self.collection.names, by_folder, strict=True))
        return {name: label for name, label in (given | decided).items() if label}


def opened(
    place: Path,
    cache: Cache,
    labels: Path | None = None,
    classes: Sequence[str] | None = None,
    progress: bool | None = None,
) -> Opened:
    """What lies at `place`: a run where that is a run's folder, else a folder of pictures.

    `labels`: the journal, by default `labels.csv` in the folder; `classes`: see `Collection.open`. Neither is
    for a run. Raises UsageError and PigeonholeError as `Collection.open`, `Journal` and `RunReview` do.
    """
    run = Run(place)
    if run.settings_file.is_file():
        for flag, value in (("--labels", labels), ("--classes", classes)):
            if value is not None:
                raise UsageError(f"{flag}: is for a folder of pictures, and {place} is a run; leave it out")
        review = RunReview.open(run, cache, progress)
        return Opened(review.collection, review.journal(), run, review.suspects)
    file = labels or place / label_table.NAME
    collection = Collection.open(place, cache, classes, [file], progress)
    return Opened(collection, Journal(file, collection.classes))
