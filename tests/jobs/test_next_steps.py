"""What is suggested follows from the findings, with gains that are computed from them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pigeonhole.data.fixes import Suspect
from pigeonhole.evaluation.measures import measure
from pigeonhole.evaluation.studies.audit import AuditResult
from pigeonhole.evaluation.studies.learning_curve import carry_on
from pigeonhole.evaluation.studies.shortcuts import Finding, Question, ShortcutCheck
from pigeonhole.jobs import next_steps
from pigeonhole.jobs.next_steps import CutShort
from pigeonhole.report.writing import Judged
from pigeonhole.runs.config import TrainingConfig
from pigeonhole.runs.run import Run
from pigeonhole.statistics import CorrectedAccuracy
from tests.support.made_answers import evaluation

RUN = Run(Path("runs/one"))
LABELS = [0] * 50 + [1] * 50


def judged(labels: list[int] = LABELS, wrong: int = 5) -> Judged:
    """Of the last class so many are wrong."""
    answers = evaluation(labels, [*labels[: len(labels) - wrong], *[0] * wrong], ("ants", "bees"))
    figures = measure(answers)
    return Judged(answers, figures, CorrectedAccuracy(figures.right, figures.total, 0.0, 1, 0))


def steps(findings: AuditResult, of: Judged | None = None, cut_short: CutShort | None = None, **flags):
    config = TrainingConfig(**{"data": Path("photos"), "network": "auto", **flags})
    return next_steps.find(config, RUN, of or judged(), findings, cut_short)


def suspect(name: str, score: float) -> Suspect:
    return Suspect(name, "ants", "bees", 0.02, 0.9, score)


def curve(ever_better: bool):
    """Of 100 pictures, by a quarter, half and all as many."""
    wrong = (40, 24, 15) if ever_better else (15, 15, 15)
    right = np.array([[row % 100 >= count for row in range(0, 3700, 37)] for count in wrong])
    return carry_on([25, 50, 100], right, np.array(LABELS), [50, 50], ("ants", "bees"))


def shortcut() -> ShortcutCheck:
    told = Question(None, 0.9, 0.5, 1e-9, True)
    return ShortcutCheck(100, 0.9, 0.5, "ants", 1e-9, (Finding("file size", told, ()),), {})


def test_where_nothing_was_found_nothing_is_said():
    assert steps(AuditResult(suspects=[], copies=[], learning_curve=curve(ever_better=False))) == []
    assert next_steps.lines([]) == []


def test_suspected_labels_gain_what_their_scores_promise():
    found = [suspect("0.png", 0.9), suspect("1.png", 0.7), suspect("of training.png", 0.8)]
    (step,) = steps(AuditResult(suspects=found, all_labels=True))
    assert step.gain == pytest.approx((0.9 + 0.7) / 100)
    assert "the 3 labels" in step.action
    assert step.why == (
        "about 2 are probably wrong; put right, the accuracy that is measured rises by about "
        "1.6 percentage points"
    )
    assert step.command.endswith(f"--data photos --fixes {RUN.fixes_file}")


def test_labels_of_which_hardly_one_is_wrong_are_not_worth_a_look():
    assert steps(AuditResult(suspects=[suspect("0.png", 0.4)])) == []


def test_labels_are_not_doubted_where_few_pictures_are_judged():
    found = AuditResult(suspects=[suspect("0.png", 0.9), suspect("1.png", 0.9)])
    assert steps(found, judged([0] * 3 + [1] * 2, wrong=1)) == []
    assert steps(found, judged([0] * 10 + [1] * 10, wrong=1))


def test_no_gain_is_named_for_labels_of_pictures_that_nothing_is_measured_by():
    (step,) = steps(AuditResult(suspects=[suspect("of training.png", 0.8)]))
    assert step.gain is None and step.why == "about 1 is probably wrong"


def test_more_pictures_gain_what_the_learning_curve_expects():
    found = curve(ever_better=True)
    (step,) = steps(AuditResult(learning_curve=found))
    assert step.gain == found.gain > 0.01
    assert f"above all of {found.outlooks[0].class_name!r}" in step.action and "(100)" in step.action


def test_doubts_come_first_then_the_largest_gain_and_three_in_all():
    suspects = [suspect(f"{row}.png", 0.9) for row in range(2)]
    findings = AuditResult(suspects=suspects, learning_curve=curve(ever_better=True))
    more, labels, longer = steps(findings, cut_short=CutShort("the small network", 2.0))
    assert more.gain > labels.gain > 0 and longer.gain is None
    assert longer.command.endswith("--minutes 4")
    doubted = replace(findings, shortcuts=shortcut(), copies=[("0.png", "1.png")])  # judged together
    found = steps(doubted, cut_short=CutShort("the small network", 2.0))
    assert [step.gain for step in found] == [None, more.gain, labels.gain]
    assert "alike in file size" in found[0].action


def test_without_a_curve_a_class_that_is_surely_weaker_wants_pictures():
    (step,) = steps(AuditResult(), judged([0] * 80 + [1] * 20, wrong=15))
    assert step.action == "add pictures of 'bees'" and step.gain is None
    assert steps(AuditResult(), judged([0] * 80 + [1] * 20, wrong=2)) == []
    flat = AuditResult(learning_curve=curve(ever_better=False))
    assert steps(flat, judged([0] * 80 + [1] * 20, wrong=15)) == []


def test_a_network_from_nothing_that_learnt_nothing_may_start_from_another():
    useless = judged(wrong=45)
    assert steps(AuditResult(), useless, network="standard") == []  # thumbnails
    photos = np.zeros((100, 64, 64, 3), np.uint8)
    useless = useless._replace(answers=replace(useless.answers, images=photos))
    (step,) = steps(AuditResult(), useless, network="standard")
    assert step.command.endswith("--data photos --network auto")
    assert steps(AuditResult(), useless) == []


def test_a_network_that_hardly_makes_a_mistake_need_not_train_longer():
    longer = CutShort("the network", 1.0)
    assert [step.action for step in steps(AuditResult(), judged(wrong=5), longer)] == ["train longer"]
    assert steps(AuditResult(), judged(wrong=4), longer) == []


def test_lines_are_numbered():
    found = [suspect("0.png", 0.9), suspect("1.png", 0.7)]
    first, second, third = next_steps.lines(steps(AuditResult(suspects=found)))
    assert first.startswith("what next   1. look at the 2 labels")
    assert second.startswith("               about 2 are") and "--fixes" in third
