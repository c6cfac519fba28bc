"""What is said and written when a training has ended."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pigeonhole import atomic_file, terminal
from pigeonhole.data import fixes, folders
from pigeonhole.evaluation import evaluation, measures, predictions
from pigeonhole.evaluation.measures import Measures
from pigeonhole.evaluation.predictions import Evaluation
from pigeonhole.evaluation.studies.audit import Findings
from pigeonhole.report import writing
from pigeonhole.runs import digests
from pigeonhole.statistics import CorrectedAccuracy

if TYPE_CHECKING:
    from pigeonhole.data.cache import Cache
    from pigeonhole.model.classifier import Classifier

FIXES = "fixes.csv"


def tell_accuracy(
    classifier: "Classifier", folder: Path, sets, corrected: CorrectedAccuracy
) -> tuple[Evaluation, Measures]:
    """Ask the saved network for all validation pictures, and say how good its answers are.

    `sets`: a `dataset.DataSets`, read from `folder`. `corrected`: what is left of the accuracy once the
    choice of the best validation is allowed for.
    """
    train, valid = sets.train, sets.valid
    digest_of = _digests(sets)
    answers = predictions.answer(
        classifier,
        folder,
        valid.names,
        valid.label_indices,
        valid.images,
        [digest_of[name] for name in valid.names],
    )
    thumbnail = measures.nearest_thumbnail(
        train.images, train.label_indices, valid.images, valid.label_indices
    )
    figures = measures.measure(answers, thumbnail)
    lines = [*terminal.titled("validation", corrected.lines()), *figures.summary()[1:]]
    print("", *lines, sep="\n", flush=True)
    return answers, figures


def write_report(
    run: Path,
    sets,
    answers: Evaluation,
    figures: Measures,
    classifier: "Classifier",
    corrected: CorrectedAccuracy,
    findings: Findings,
) -> None:
    """Write the run's report, and the list of labels to look at."""
    fixes.write(run / FIXES, findings.suspects or (), _digests(sets), sets.fixes)
    page = writing.write_training(run, sets, answers, figures, classifier, corrected, findings)
    print(f"report      {page}")


def write_result(
    run: Path,
    expected: CorrectedAccuracy,
    seconds: float,
    findings: Findings,
    outcome: Mapping[str, str],
) -> None:
    """Write what the training reached, for programs. Shares are 0..1; `outcome`: as of `digests.digests`."""
    content = {
        "validation_pictures": expected.total,
        "validations": expected.validations,
        "expected_accuracy": expected.accuracy,
        "interval_95": list(expected.interval),
        "optimism": expected.optimism,
        "seconds": seconds,
        digests.KEY: dict(outcome),
        **findings.to_json(),
    }
    with atomic_file.write(run / digests.FILE) as file:
        json.dump(content, file, indent=2)


def test(classifier: "Classifier", run: Path, folder: Path, store: "Cache") -> None:
    """Say how good the saved network is on all pictures of a folder, and add that to the report."""
    judged = evaluation.judge(classifier, run, folders.scan(folder), store)
    print("\n".join(judged.summary()))
    writing.write_test(run, judged.evaluation, judged.measures, judged.copies, classifier)


def _digests(sets) -> dict[str, str]:
    """Name -> sha256 of the content."""
    return {record.entry.name: record.digest for record in sets.records}
