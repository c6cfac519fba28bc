"""What is said and written when a training has ended."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from pigeonhole import cli, terminal
from pigeonhole.data import cache, fixes, folders
from pigeonhole.data.dataset import DataSets
from pigeonhole.evaluation import evaluation, judged_answers, measures, predictions, usefulness
from pigeonhole.evaluation.balance import balance_to_json
from pigeonhole.evaluation.predictions import Evaluation
from pigeonhole.evaluation.studies.audit import AuditResult, DataAudit
from pigeonhole.jobs import next_steps, trainers
from pigeonhole.jobs.following import Trained
from pigeonhole.jobs.next_steps import CutShort
from pigeonhole.jobs.setup import Setup
from pigeonhole.model import rejection
from pigeonhole.model.classifier import Classifier
from pigeonhole.report import writing
from pigeonhole.report.writing import Judged
from pigeonhole.runs import digests
from pigeonhole.runs.records import NextStep
from pigeonhole.runs.run import Run
from pigeonhole.statistics import CorrectedAccuracy
from pigeonhole.training import saving
from pigeonhole.training.progress import clock
from pigeonhole.training.trainer import Trainer


def conclude(setup: Setup, trainer: Trainer, run: Run, trained: Trained, began: float) -> int:
    """Save the network, say how good it is and what was found, write the report, and say what to do next.

    `began`: when the command did, by `time.perf_counter`. The exit status is that of the signal that ended a
    search of the data, 0 where there was none.
    """
    config, sets = setup.config, setup.sets
    stopped = trained.exit_status != 0
    audit = DataAudit(sets, trainers.retrainer(setup, trainer), config.seed)
    unseen = audit.unseen_classes() if config.check_unseen and not stopped else None
    findings = AuditResult(unseen=unseen)
    if reason := saving.finish(run.folder, trainer, rejection.COMBINED if unseen is None else unseen.rule):
        terminal.say(f"no {run.onnx_file.name}: {reason}")
    corrected = saving.expected_accuracy(trainer.validations, trainer.recipe)
    with Classifier.load(run, engine="tensorflow") as classifier:
        judged = judge(_answers(classifier, config.data, sets), sets, corrected)
        if not (stopped or config.no_report):
            findings = audit.look(judged.answers, findings, config.check_labels, config.learning_curve)
            terminal.say(*findings.lines())
            judged = judged._replace(
                next_steps=next_steps.find(config, run, judged, findings, _cut_short(setup, trainer))
            )
            write_report(run, sets, judged, classifier, findings)
        test_if_asked(setup, classifier, run)
    outcome = digests.digests(trainer.best_weights, trainer.validations, judged.answers.probabilities)
    write_result(run, judged, trained.seconds, findings, outcome)
    saved = f"the network of epoch {trainer.best.epoch:.1f}, chosen by its validation"
    times = (time.perf_counter() - began, trained.seconds)
    terminal.say(*last_lines(run, sets, saved, times, judged.next_steps))
    return audit.exit_status


def _cut_short(setup: Setup, trainer: Trainer) -> CutShort | None:
    minutes = setup.config.minutes
    return CutShort("the network", minutes) if minutes and trainer.is_cut_short else None


def _answers(classifier: Classifier, folder: Path, sets: DataSets) -> Evaluation:
    """What the saved network says to all validation pictures. `sets` were read from `folder`."""
    valid, digest_of = sets.valid, digests_of(sets)
    digests = [digest_of[name] for name in valid.names]
    return predictions.answer(classifier, folder, valid.names, valid.label_indices, valid.images, digests)


def judge(
    answers: Evaluation, sets: DataSets, corrected: CorrectedAccuracy, out_of_fold: bool = False
) -> Judged:
    """Say how good the answers are that a network gave to pictures from which it has not learnt.

    `out_of_fold`: they are all pictures, each answered by heads that were not fitted to it.
    """
    train, valid = sets.train, sets.valid
    thumbnail = measures.nearest_thumbnail(
        train.images, train.label_indices, valid.images, valid.label_indices
    )
    figures = measures.measure(answers, thumbnail)
    title, told = "validation", corrected.lines()
    if out_of_fold:
        title, told = "accuracy", [*told, "all pictures, each answered by a head that was not fitted to it"]
    lines = terminal.titled(title, told)
    if warning := usefulness.warning(corrected, figures):
        lines = [*terminal.titled("result", warning), *lines]
    terminal.say("", *lines, *figures.summary()[1:])
    return Judged(answers, figures, corrected, out_of_fold=out_of_fold)


def write_report(
    run: Run, sets: DataSets, judged: Judged, classifier: Classifier, findings: AuditResult
) -> None:
    """Write the run's report, and the list of labels to look at."""
    fixes.write(run.fixes_file, findings.suspects or (), digests_of(sets), sets.fixes)
    page = writing.write_training(run, sets, judged, classifier, findings)
    terminal.say(f"report      {page}")


def write_result(
    run: Run,
    judged: Judged,
    seconds: float,
    findings: AuditResult,
    outcome: Mapping[str, str],
) -> None:
    """Write what the training reached, for programs, and the answers that this rests on.

    Shares are 0..1; `outcome`: as of `digests.digests`.
    """
    expected = judged.corrected
    judged_answers.write(run, judged.answers)
    run.write_result(
        {
            "validation_pictures": expected.total,
            "out_of_fold": judged.out_of_fold,
            "validations": expected.validations,
            "expected_accuracy": expected.accuracy,
            "interval_95": list(expected.interval),
            "optimism": expected.optimism,
            "nothing_learnt": bool(usefulness.warning(expected, judged.figures)),
            "seconds": seconds,
            digests.KEY: dict(outcome),
            "before": [part["reached"] for part in run.settings().get("earlier", ())],
            "attempts": [asdict(attempt) for attempt in judged.attempts],
            **balance_to_json(judged.figures.balance),
            "next_steps": [asdict(step) for step in judged.next_steps],
            **run.tested(),
            **findings.to_json(),
        }
    )


def test_if_asked(setup: Setup, classifier: Classifier, run: Run) -> None:
    """Say how good the saved network is on all pictures of the test folder, and add that to the report."""
    config = setup.config
    folder = config.test or setup.sets.preflight.test
    if not folder:
        return
    store = cache.of_flags(config.cache_dir, config.no_cache)
    judged = evaluation.judge(classifier, run, folders.scan(Path(folder), for_training=False), store)
    terminal.say(*judged.summary())
    writing.write_test(run, judged.evaluation, judged.measures, judged.copies, classifier)


def digests_of(sets: DataSets) -> dict[str, str]:
    """Name -> sha256 of the content."""
    return {record.entry.name: record.digest for record in sets.records}


def last_lines(
    run: Run, sets: DataSets, saved: str, seconds: tuple[float, float], steps: Sequence[NextStep]
) -> list[str]:
    """How long it took, what was saved where, what to do next, and the command that asks the network.

    `saved`: the network in words. `seconds`: of everything, and of the training alone.
    """
    entries = (record.entry for record in sets.records if sets.sides.get(record.entry.name) == "valid")
    example = next(entries).path
    trained = f", {clock(seconds[1])} to train" if seconds[1] else ""  # the first answer trains no network
    return [
        f"time        {clock(seconds[0])} (minutes:seconds) for everything{trained}",
        f"saved       {run}",
        f"            {saved}",
        *next_steps.lines(steps),
        f"next        {cli.command('predict')} --model {cli.quote(run)} {cli.quote(example)}",
    ]
