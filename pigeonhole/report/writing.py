"""Writing a run's report: the training writes its sections, each evaluation renews its own."""

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from pigeonhole import atomic_file
from pigeonhole.data.augmentation import NONE, Augmentation
from pigeonhole.data.dataset import DataSets
from pigeonhole.errors import PigeonholeError
from pigeonhole.evaluation import insight
from pigeonhole.evaluation.predictions import Evaluation
from pigeonhole.features import known
from pigeonhole.features.known import KnownPictures
from pigeonhole.model.classifier import Classifier
from pigeonhole.model.engines.engine import ONNX
from pigeonhole.pictures.images import as_input
from pigeonhole.report import data, page, training
from pigeonhole.report.answers import LOOKED_AT, Answers, least_confident_hits, most_confident_mistakes
from pigeonhole.report.atlas import Atlas
from pigeonhole.report.copies import copies_section, skipped_section
from pigeonhole.report.network import Inside
from pigeonhole.report.page import Section
from pigeonhole.report.pictures import Limits, fitting
from pigeonhole.runs.run import MODEL, Run

if TYPE_CHECKING:
    from pigeonhole.evaluation.leakage import Copy
    from pigeonhole.evaluation.measures import Measures
    from pigeonhole.evaluation.studies.audit import AuditResult
    from pigeonhole.runs.records import Attempt, NextStep
    from pigeonhole.statistics import CorrectedAccuracy

TRAINING_BYTES = 2_800_000
TEST_BYTES = page.MAX_BYTES - page.FRAME_BYTES - TRAINING_BYTES


class Judged(NamedTuple):
    """What the saved network says to all validation pictures, and how good that is.

    `corrected`: what is left of the accuracy once the choice among validations is allowed for. `attempts`:
    the ways to train that were tried, where they were several. `next_steps`: what to do next. `out_of_fold`:
    the pictures are all there are, each answered by heads that were not fitted to it.
    """

    answers: Evaluation
    figures: "Measures"
    corrected: "CorrectedAccuracy"
    attempts: "Sequence[Attempt]" = ()
    next_steps: "Sequence[NextStep]" = ()
    out_of_fold: bool = False


def write_training(
    run: Run, sets: DataSets, judged: Judged, classifier: Classifier, findings: "AuditResult"
) -> Path:
    """Write the run's report after its training and give the page's path; an earlier test's part is kept.

    `run` holds its settings and its history; `classifier` is the saved network. Raises OSError where the
    page cannot be written.
    """
    evaluation, measures, corrected = judged.answers, judged.figures, judged.corrected
    kept = known.read(run)
    answers = Answers(
        evaluation,
        measures,
        attention(run, classifier, evaluation),
        False,
        corrected,
        out_of_fold=judged.out_of_fold,
        known=kept,
    )
    inside = Inside.of(classifier, evaluation, telling(evaluation))
    varying = None if judged.attempts else _varying(run)
    parameters = sum(layer.parameters for layer in inside.layers)
    fixed = training.sections(run, sets, parameters, corrected.kept, findings)
    atlas = kept and _atlas(kept, evaluation, findings)
    if judged.attempts:
        fixed.insert(1, training.attempts_section(judged.attempts))
    if judged.next_steps:
        html = page.render("next-steps.html", steps=judged.next_steps)
        fixed.append(Section("next-steps", "What to do next", html))
    if judged.out_of_fold:
        fixed.append(
            Section(page.OUT_OF_FOLD, "How all pictures can judge it", page.render("out-of-fold.html"))
        )

    def build(limits: Limits) -> list[Section]:
        return [
            *fixed,
            *answers.sections(limits),
            *data.sections(sets, varying, findings, limits),
            *([atlas.section(limits)] if atlas else []),
            *inside.sections(limits),
        ]

    return page.update(run, fitting(build, TRAINING_BYTES))


def write_test(
    run: Run,
    evaluation: Evaluation,
    measures: "Measures",
    copies: "Mapping[str, Copy] | None",
    classifier: Classifier,
) -> Path:
    """Renew the test's part of the run's report and of its result, and give the page's path.

    `evaluation` and `measures` are of all readable test pictures; `copies` those that are copies of pictures
    of the training, by name, None where that cannot be known. Raises OSError where it cannot be written.
    """
    answers = _tested(run, evaluation, measures, copies, classifier)
    path = page.update(run, fitting(lambda limits: _of_test(answers, limits), TEST_BYTES))
    run.write_tested(
        {"accuracy": answers.accuracy, "interval_95": answers.interval, "pictures": evaluation.total}
    )
    return path


def write_test_alone(
    file: Path,
    run: Run,
    evaluation: Evaluation,
    measures: "Measures",
    copies: "Mapping[str, Copy] | None",
    classifier: Classifier,
) -> None:
    """Write a report of the test, and of what the model's convolutions show, into `file`; not into the run.

    The rest as for `write_test`.
    """
    answers = _tested(run, evaluation, measures, copies, classifier)
    inside = Inside.of(classifier, evaluation, telling(evaluation))

    def build(limits: Limits) -> list[Section]:
        return [*_of_test(answers, limits), *inside.sections(limits)]

    sections = fitting(build, page.MAX_BYTES - page.FRAME_BYTES)
    title = run.name if run.model_name == MODEL else f"{run.name}/{run.model_name}"
    with atomic_file.write_out(file) as written:
        written.write(page.assemble(title, {section.id: section for section in sections}))


def _tested(
    run: Run,
    evaluation: Evaluation,
    measures: "Measures",
    copies: "Mapping[str, Copy] | None",
    classifier: Classifier,
) -> Answers:
    heat = attention(run, classifier, evaluation)
    return Answers(evaluation, measures, heat, True, copies=copies, known=known.read(run))


def _of_test(answers: Answers, limits: Limits) -> list[Section]:
    sections = [*answers.sections(limits), copies_section(answers.evaluation, answers.copies)]
    if answers.evaluation.skipped:
        sections.append(skipped_section(answers.evaluation))
    return sections


def _varying(run: Run) -> tuple[Augmentation, str]:
    """How pictures were varied in the run's training, and for what network."""
    settings = run.settings()
    recipe = settings["recipe"]
    return Augmentation(**recipe["augmentation"]) if recipe else NONE, settings["options"]["network"]


def _atlas(kept: KnownPictures, evaluation: Evaluation, findings: "AuditResult") -> Atlas | None:
    mistakes = {evaluation.names[row] for row in np.flatnonzero(~evaluation.right)}
    suspects = {suspect.name for suspect in findings.suspects or ()}
    return Atlas.of(kept, evaluation.classes, mistakes, suspects)


def attention(run: Run, classifier: Classifier, evaluation: Evaluation) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the most confident mistakes, and the heat float32 [n, S, S] of what was answered there.

    The run's ONNX file is asked where it is whole: hundreds of times, which TensorFlow would take much longer
    for; else the `classifier`.
    """
    rows = most_confident_mistakes(evaluation)[:LOOKED_AT]
    pixels = as_input(evaluation.images[rows], classifier.preprocessing)
    with contextlib.ExitStack() as stack:
        asked = classifier
        if len(rows):
            with contextlib.suppress(PigeonholeError):
                asked = stack.enter_context(Classifier.load(run, engine=ONNX, threads=1))
        return rows, insight.occlusion(asked, pixels, evaluation.predicted[rows])


def telling(evaluation: Evaluation) -> np.ndarray:
    """Rows of up to three pictures worth a look inside: a sure hit, a sure mistake, a hesitant hit."""
    hits, mistakes = least_confident_hits(evaluation), most_confident_mistakes(evaluation)
    return np.unique(np.concatenate([hits[-1:], mistakes[:1], hits[:1]]))
