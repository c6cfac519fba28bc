"""What to do next: the few things that follow from what a training has found, the most worthwhile first.

Nothing is suggested that no finding speaks for, and no gain is named that is not computed from one.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from pigeonhole import cli
from pigeonhole.evaluation import usefulness
from pigeonhole.evaluation.balance import Balance
from pigeonhole.evaluation.measures import Measures
from pigeonhole.evaluation.studies.audit import AuditResult
from pigeonhole.evaluation.studies.learning_curve import LITTLE_GAIN
from pigeonhole.networks.recipes import THUMBNAIL
from pigeonhole.networks.registry import AUTO
from pigeonhole.report.writing import Judged
from pigeonhole.runs.config import TrainingConfig
from pigeonhole.runs.records import NextStep
from pigeonhole.runs.run import Run
from pigeonhole.terminal import counted, shown, titled

MOST = 3
FEWEST_MISTAKES = 5  # with fewer there is too little to win by training longer
FEWEST_JUDGED = 20  # pictures; among fewer a wrong label cannot be told from a mistake of a weak network
CHANCE = 0.05  # with which a class may be called weaker that is not


class CutShort(NamedTuple):
    """What was still getting better when its time was over, in words, and the minutes that all had."""

    title: str
    minutes: float


def find(
    config: TrainingConfig, run: Run, judged: Judged, findings: AuditResult, cut_short: CutShort | None = None
) -> list[NextStep]:
    """Up to three steps. First what puts the accuracy itself in doubt, since the gains of all others are
    computed from it; then by expected gain; then those whose gain nobody can know.
    """
    command = _command(config)
    doubts = _shortcuts(findings)
    others = [
        *_labels(run, judged, findings, command),
        *_pictures(judged.figures, findings),
        *_longer(judged.figures, cut_short, command),
        *_network(config, judged),
    ]
    others.sort(key=lambda step: -(step.gain or 0.0))
    return [*doubts, *others][:MOST]


def lines(steps: Sequence[NextStep]) -> list[str]:
    """For people; none where nothing follows."""
    told = []
    for number, step in enumerate(steps, 1):
        told += [f"{number}. {step.action}", f"   {step.why}"]
        if step.command:
            told.append(f"   {step.command}")
    return titled("what next", told)


def _command(config: TrainingConfig) -> Callable[..., str]:
    """Gives the command of a training like this one with further flags."""

    def make(*flags: str) -> str:
        network = () if config.network in (None, AUTO) else ("--network", config.network)
        if config.backbone is not None:
            network = ("--backbone", cli.quote(config.backbone))
            network += ("--weights", cli.quote(config.weights)) if config.weights else ()
        return " ".join([cli.command("train"), "--data", cli.quote(config.data), *network, *flags])

    return make


def _shortcuts(findings: AuditResult) -> Iterator[NextStep]:
    if findings.shortcuts is None or not findings.shortcuts.fires:
        return
    kinds = [finding.kind for finding in findings.shortcuts.findings if finding.fires]
    yield NextStep(
        f"make the pictures of all classes alike in {' and '.join(kinds)}, then train again",
        f"{findings.shortcuts.warnings()[0].rstrip('.')}; on other pictures expect less",
    )


def _labels(
    run: Run, judged: Judged, findings: AuditResult, command: Callable[..., str]
) -> Iterator[NextStep]:
    suspects = findings.suspects or ()
    wrong = sum(suspect.score for suspect in suspects)
    if round(wrong) < 1 or judged.answers.total < FEWEST_JUDGED:
        return
    measured = set(judged.answers.names)
    gain = sum(suspect.score for suspect in suspects if suspect.name in measured) / judged.answers.total
    told = f"about {wrong:.0f} {'is' if round(wrong) == 1 else 'are'} probably wrong"
    yield NextStep(
        f"look at the {counted(len(suspects), 'label', 'labels')} in fixes.csv, write the right ones there, "
        "and train with it",
        f"{told}; put right, the accuracy that is measured rises by about {_points(gain)}" if gain else told,
        command("--fixes", cli.quote(run.fixes_file)),
        gain or None,
    )


def _pictures(figures: Measures, findings: AuditResult) -> Iterator[NextStep]:
    """More of them: by the learning curve where there is one, else of a class that is surely weaker."""
    curve, balance = findings.learning_curve, figures.balance
    if curve is not None:
        if curve.gain >= LITTLE_GAIN:
            most = curve.outlooks[0]
            yield NextStep(
                f"add as many pictures again ({curve.pictures:,}), above all of {shown(most.class_name)!r}",
                f"the learning curve expects {_points(curve.gain)} more, and {_points(most.gain)} more of "
                f"{shown(most.class_name)!r}",
                gain=curve.gain,
            )
    elif balance is not None and _is_surely_weaker(balance, figures):
        yield NextStep(
            f"add pictures of {shown(balance.weakest)!r}",
            f"{balance.right:,} of its {balance.pictures:,} are right, of all pictures "
            f"{100 * figures.accuracy:.0f} %; --learning-curve tells what more would bring",
        )


def _is_surely_weaker(balance: Balance, figures: Measures) -> bool:
    """Whether the weakest of so many classes is weaker than all together by more than chance (Bonferroni)."""
    from scipy.stats import binom

    chance = binom.cdf(balance.right, balance.pictures, figures.accuracy)
    return bool(chance * len(figures.classes) < CHANCE)


def _longer(figures: Measures, cut_short: CutShort | None, command: Callable[..., str]) -> Iterator[NextStep]:
    if cut_short and figures.total - figures.right >= FEWEST_MISTAKES:
        yield NextStep(
            "train longer",
            f"{cut_short.title} was still getting better when its time was over",
            command("--minutes", str(math.ceil(2 * cut_short.minutes))),
        )


def _network(config: TrainingConfig, judged: Judged) -> Iterator[NextStep]:
    is_useless = bool(usefulness.warning(judged.corrected, judged.figures))
    if is_useless and config.network != AUTO and judged.answers.images.shape[1] > THUMBNAIL:
        yield NextStep(
            "start from a network that has seen many photos",
            "what was trained here from nothing is no better than a rule without learning",
            f"{cli.command('train')} --data {cli.quote(config.data)} --network {AUTO}",
        )


def _points(share: float) -> str:
    return f"{100 * share:.1f} percentage points"
