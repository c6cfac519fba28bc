"""A model tested on a folder of class folders: what it was asked, how good it is, what spoils the figure."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from pigeonhole.data import tables
from pigeonhole.data.cache import Cache
from pigeonhole.data.folders import Record, Tree
from pigeonhole.errors import PigeonholeError
from pigeonhole.evaluation import leakage, measures, predictions
from pigeonhole.evaluation.balance import balance_to_json
from pigeonhole.evaluation.leakage import Copy, Fingerprints
from pigeonhole.evaluation.measures import Measures
from pigeonhole.evaluation.predictions import Evaluation
from pigeonhole.model import doubt
from pigeonhole.model.classifier import Classifier
from pigeonhole.runs.run import Run
from pigeonhole.statistics import accuracy_line, wilson_interval
from pigeonhole.terminal import counted, listed, shown, some

LISTED = 10  # lines of one list in the terminal
INDENT = 14  # columns before them


@dataclass(frozen=True)
class FolderTest:
    """The result of testing a run on a folder.

    run         the run that was tested
    tree        all that is in the tested folder
    records     the files in folders of classes that the model knows, read or skipped
    evaluation  the model's answers for those that could be read
    copies      which of these the run has learnt from, by name; None where the run has no record
    """

    run: Run
    tree: Tree
    records: Sequence[Record]
    evaluation: Evaluation
    measures: Measures
    copies: Mapping[str, Copy] | None

    @property
    def unknown(self) -> dict[str, int]:
        """The class folders that the model has no class for, and how many files were left out with each."""
        counts = Counter(entry.class_name for entry in self.tree.entries)
        return {name: counts[name] for name in self.tree.classes if name not in self.evaluation.classes}

    @property
    def missing(self) -> list[str]:
        """The model's classes that have no folder."""
        return [name for name in self.evaluation.classes if name not in self.tree.classes]

    @property
    def original(self) -> np.ndarray:
        """bool [N], the pictures that are no copies of what the run has learnt from."""
        return np.array([name not in (self.copies or {}) for name in self.evaluation.names], dtype=bool)

    def lines(self) -> list[str]:
        """The result as people read it in a terminal."""
        return [*self._read(), "", *self.measures.lines(), "", *self._copies()]

    def summary(self) -> list[str]:
        """The same in short: what was read, the accuracy, and what spoils it."""
        return [*self._read(), self.measures.summary()[0], *(self._copies() if self.copies else ())]

    def to_json(self) -> dict[str, object]:
        """The result for programs: nothing is cut, names are as on disk, shares are 0..1."""
        return {
            "model": str(self.run),
            "folder": str(self.tree.root),
            "found": len(self.records),
            "used": self.evaluation.total,
            "skipped": [{"name": name, "reason": why} for name, why in self.evaluation.skipped.items()],
            "unknown_classes": [{"class": name, "files": count} for name, count in self.unknown.items()],
            "missing_classes": self.missing,
            "strays": self.tree.strays,
            **_measures_to_json(self.measures),
            "copies": self._copies_to_json(),
            "without_copies": None if self.copies is None else self.without_copies(),
        }

    def without_copies(self) -> dict[str, object]:
        """The accuracy on the pictures that the run has not learnt from; None where it knows them all."""
        right, total = int(self.evaluation.right[self.original].sum()), int(self.original.sum())
        if not total:
            return {"right": 0, "total": 0, "accuracy": None, "interval": None}
        interval = wilson_interval(right, total)
        return {"right": right, "total": total, "accuracy": right / total, "interval": interval}

    def table(self) -> Iterator[list[str]]:
        """A row of texts for each record, the column names first."""
        classes, copies = self.evaluation.classes, self.copies or {}
        columns = ["file", "true_class", "prediction", "confidence", "right", "unsure", "copy_of", "error"]
        yield [*columns, *tables.share_columns(classes), doubt.COLUMN]
        answers = _cells(self.evaluation)
        for record in self.records:
            start = [str(record.entry.path), record.entry.class_name]
            if record.skipped is not None:
                yield [*start, *[""] * 5, record.skipped, *[""] * (len(classes) + 1)]
            else:
                copy, (said, shares) = copies.get(record.entry.name), next(answers)
                yield [*start, *said, copy.training_name if copy else "", "", *shares]

    def _copies_to_json(self) -> list[dict[str, object]] | None:
        if self.copies is None:
            return None
        return [{"name": name, **copy._asdict()} for name, copy in self.copies.items()]

    def _read(self) -> Iterator[str]:
        answers, tree = self.evaluation, self.tree
        parts = f"{answers.total:,} used + {len(answers.skipped):,} skipped"
        yield f"test        {shown(str(tree.root))}: {len(self.records):,} files found = {parts}"
        yield from listed(answers.skipped, LISTED, INDENT)
        if unknown := self.unknown:
            yield f"left out    {sum(unknown.values()):,} files of classes that the model does not know"
            files = {name: _files(count) for name, count in unknown.items()}
            yield from listed(files, LISTED, INDENT)
        if self.missing:
            yield f"missing     no folder for {some(self.missing)}: nothing is known of these classes"
        if tree.strays:
            yield f"not read    {_files(len(tree.strays))} outside the class folders ({some(tree.strays)})"

    def _copies(self) -> Iterator[str]:
        copies, total = self.copies, self.evaluation.total
        if copies is None:
            yield "copies      could not be searched for: the run has no record of its training pictures"
        elif not copies:
            yield "copies      none: no picture is one that the model learnt from"
        else:
            yield from self._found(copies, total)

    def _found(self, copies: Mapping[str, Copy], total: int) -> Iterator[str]:
        exact = sum(copy.exact for copy in copies.values())
        kinds = f"{exact:,} equal in content, {len(copies) - exact:,} by appearance"
        yield f"copies      the model learnt from {len(copies):,} of the {total:,} pictures ({kinds})"
        told = {name: f"{'=' if copy.exact else '~'} {copy.training_name}" for name, copy in copies.items()}
        yield from listed(told, LISTED, INDENT)
        rest = self.without_copies()
        if rest["total"]:
            yield f"            without them {accuracy_line(rest['right'], rest['total'])}"
        else:
            yield "            so the accuracy above says nothing about new pictures: test on others"


def judge(classifier: Classifier, run: Run, tree: Tree, store: Cache) -> FolderTest:
    """Test the model of `run` on every picture of `tree` whose class it knows.

    Raises PigeonholeError where it knows none of the classes, or no picture can be read.
    """
    entries = [entry for entry in tree.entries if entry.class_name in classifier.classes]
    if not entries:
        raise PigeonholeError(
            f"{tree.root}: holds {some(tree.classes)}, and the model knows none of these; "
            f"name class folders as it does: {some(classifier.classes)}"
        )
    records, pixels = store.survey(replace(tree, entries=entries), classifier.preprocessing)
    used = [record for record in records if record.skipped is None]
    if not used:
        raise PigeonholeError(f"{tree.root}: none of {_files(len(records))} is a picture that can be read")
    answers = predictions.answer(
        classifier,
        tree.root,
        [record.entry.name for record in used],
        [classifier.classes.index(record.entry.class_name) for record in used],
        pixels,
        [record.digest for record in used],
    )
    skipped = {record.entry.name: record.skipped for record in records if record.skipped is not None}
    answers = replace(answers, skipped=skipped)
    known = leakage.read(run)
    baseline = None if known is None else _nearest_thumbnail(known, answers)
    copies = None if known is None else leakage.copies(known, records, pixels)
    return FolderTest(run, tree, records, answers, measures.measure(answers, baseline), copies)


def _nearest_thumbnail(known: Fingerprints, answers: Evaluation) -> float:
    train = [row for row, side in enumerate(known.sides) if side == "train"]
    labels = np.array([answers.classes.index(known.classes[row]) for row in train], dtype=np.int64)
    thumbnails = leakage.colours(answers.images, answers.total)
    return measures.nearest_thumbnail(known.colours[train], labels, thumbnails, answers.labels)


def _measures_to_json(figures: Measures) -> dict[str, object]:
    majority, share = figures.majority
    return asdict(figures) | {
        **balance_to_json(figures.balance),
        "majority": {"class": majority, "share": share},
        "confusion": figures.confusion.tolist(),
    }


def _cells(answers: Evaluation) -> Iterator[tuple[list[str], list[str]]]:
    """For each picture (prediction, its probability, whether right, whether unsure); all probabilities and
    the kind of doubt."""
    columns = (answers.predicted, answers.right, answers.unsure, answers.torn, answers.probabilities)
    for predicted, right, unsure, torn, shares in zip(*columns, strict=True):
        flags = ["yes" if flag else "no" for flag in (right, unsure)]
        texts = [f"{share:.6f}" for share in shares]
        kind = doubt.STRANGER if unsure else doubt.TORN if torn else ""
        yield [answers.classes[predicted], texts[predicted], *flags], [*texts, kind]


def _files(count: int) -> str:
    return counted(count, "file", "files")
