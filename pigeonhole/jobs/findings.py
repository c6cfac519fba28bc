"""What an automatic training finds in its data and in the first answer, from features and in seconds."""

from dataclasses import replace

import numpy as np

from pigeonhole.data.dataset import DataSets
from pigeonhole.errors import PigeonholeError
from pigeonhole.evaluation.studies import feature_curve, learning_curve, suspects, unseen
from pigeonhole.evaluation.studies.audit import AuditResult, DataAudit
from pigeonhole.evaluation.studies.learning_curve import Curve
from pigeonhole.evaluation.studies.unseen import Unseen
from pigeonhole.features import strangers
from pigeonhole.jobs.first_answer import FirstAnswer
from pigeonhole.jobs.setup import Setup
from pigeonhole.networks.lite_layout import NUM_FEATURES
from pigeonhole.runs.config import TrainingConfig
from pigeonhole.terminal import say

MOST_SECONDS = 10.0  # for which a study is made without being asked for


def require(config: TrainingConfig, sets: DataSets) -> None:
    """Raise PigeonholeError where the pictures are too few for the studies that are asked for."""
    if config.learning_curve:
        learning_curve.require(sets.everything.num_examples, len(sets.classes))
    if config.check_unseen:
        unseen.left_out(sets.classes, config.seed)


def look(setup: Setup, first: FirstAnswer) -> AuditResult:
    """All that is to be found; with --no-report only what is asked for by its own flag."""
    config, sets = setup.config, setup.sets
    curve, noticed = _learning_curve(setup, first), _unseen(setup, first)
    if config.no_report:
        return AuditResult(unseen=noticed, learning_curve=curve, copies=first.copies)
    every = sets.everything
    probabilities = np.where(first.head.judged[:, None], np.exp(first.head.log_probabilities), np.nan)
    wrong = suspects.find(probabilities, every.label_indices, every.names, every.class_names)
    shortcuts = DataAudit(sets, None, config.seed).shortcuts()
    return AuditResult(shortcuts, wrong, True, noticed, curve, first.copies)


def curve_seconds(pictures: int, classes: int) -> float:
    """About how long the learning curve takes on two cores: the axes by one of them, then the heads."""
    axes = 1e-10 * min(pictures, NUM_FEATURES) ** 3
    return 0.3 + axes + pictures * (2e-4 + 1.1e-4 * classes)


def unseen_seconds(pictures: int, classes: int) -> float:
    """The same for the check with classes left out."""
    each = 0.2 + 1e-7 * min(pictures, unseen.most_fitted(classes)) ** 2
    return min(classes, unseen.MOST_CLASSES) * each


def _learning_curve(setup: Setup, first: FirstAnswer) -> Curve | None:
    config, every = setup.config, setup.sets.everything
    seconds = curve_seconds(every.num_examples, len(every.class_names))
    if not _is_wanted("the learning curve", config.learning_curve, config.no_report, seconds):
        return None
    try:
        found = feature_curve.measure(
            first.features, every.label_indices, first.head.folds, every.class_names, config.seed
        )
    except PigeonholeError:  # too few pictures; where it was asked for, `require` has said so
        return None
    return replace(found, learner=first.title)


def _unseen(setup: Setup, first: FirstAnswer) -> Unseen | None:
    config, every = setup.config, setup.sets.everything
    seconds = unseen_seconds(every.num_examples, len(every.class_names))
    if not _is_wanted("the check for unseen classes", config.check_unseen, config.no_report, seconds):
        return None
    enough = np.bincount(every.label_indices).max() + strangers.FEWEST <= every.num_examples
    if not (enough and len(every.class_names) >= unseen.FEWEST_CLASSES):
        return None
    return unseen.leave_one_out_of_features(
        first.features, every.label_indices, first.head.folds, first.last, every.class_names, config.seed
    )


def _is_wanted(title: str, is_asked: bool, no_report: bool, seconds: float) -> bool:
    """Whether a study is asked for or takes little time. Says how long it takes where that is long."""
    if is_asked and seconds > MOST_SECONDS:
        say(f"{title} takes about {seconds:.0f} s")
    return is_asked or (not no_report and seconds <= MOST_SECONDS)
