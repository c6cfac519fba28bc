"""The sections about a model's answers to labelled pictures: those of a validation and of a test alike."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from pigeonhole.evaluation import insight, usefulness
from pigeonhole.evaluation.leakage import Copy
from pigeonhole.evaluation.measures import Measures
from pigeonhole.evaluation.predictions import Evaluation
from pigeonhole.features.known import KnownPictures
from pigeonhole.pictures.thumbnails import as_uri, data_uri
from pigeonhole.report import figures, rendering
from pigeonhole.report.confusion import confusion
from pigeonhole.report.page import TEST, Section, percent, render, sentence
from pigeonhole.report.pictures import LISTED_CLASSES, Limits, tiles
from pigeonhole.statistics import CorrectedAccuracy

SEED = 0  # of the random grid
CALIBRATED = 0.03  # a mean error of confidence up to this can be passed over
WIDE = 0.1  # an interval from which on an accuracy says little
NEAREST = 3  # training pictures next to a mistake
LOOKED_AT = 6  # mistakes whose heat is computed


@dataclass(frozen=True)
class Answers:
    """What there is to say about one set of labelled pictures.

    `attention`: rows of `evaluation` and, for each, where the network looked, float32 [n, S, S] 0..1.
    `corrected`: where the network was chosen on these pictures, what is to be expected without that.
    `copies`: the test pictures that are copies of pictures of the training; None where that is not known.
    `out_of_fold`: they are all pictures, each answered by heads that were not fitted to it.
    `known`: the training pictures that the run keeps, by which mistakes are explained.
    """

    evaluation: Evaluation
    measures: Measures
    attention: tuple[np.ndarray, np.ndarray]
    of_test: bool
    corrected: CorrectedAccuracy | None = None
    copies: Mapping[str, Copy] | None = None
    out_of_fold: bool = False
    known: KnownPictures | None = None

    @property
    def accuracy(self) -> float:
        """What to expect of new pictures."""
        return self.corrected.accuracy if self.corrected else self.measures.accuracy

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of `accuracy`."""
        return self.corrected.interval if self.corrected else self.measures.interval

    @property
    def prefix(self) -> str:
        return TEST if self.of_test else ""

    @property
    def pictures(self) -> str:
        """What they are called in a sentence."""
        if self.out_of_fold:
            return "pictures"
        return "test pictures" if self.of_test else "validation pictures"

    def sections(self, limits: Limits) -> list[Section]:
        """All of them; those without pictures to show are left out."""
        build = (
            self._summary,
            self._figures,
            self._mistakes,
            self._doubtful,
            self._attention,
            self._classes,
            self._calibration,
            self._random,
        )
        made = [make(limits) for make in build]
        made.append(confusion(self.evaluation, self.measures.confusion, self.prefix, limits))
        return [section for section in made if section is not None]

    def _section(self, name: str, title: str, **values: object) -> Section:
        html = render(f"{name}.html", answers=self, measures=self.measures, prefix=self.prefix, **values)
        return Section(self.prefix + name, title, html)

    def _summary(self, limits: Limits) -> Section:
        sentences = list(in_short(self.measures, self.interval))
        if self.corrected and (warning := usefulness.warning(self.corrected, self.measures)):
            sentences[0] = f"{sentence(' '.join(warning))}."
        if self.copies and not self._copies_are_harmless:
            sentences[0] = (
                f"This says nothing about new pictures: {len(self.copies):,} of the {self.measures.total:,} "
                "test pictures, or near-copies of them, were used in training."
            )
        return self._section("summary", "In short", sentences=sentences)

    @property
    def _copies_are_harmless(self) -> bool:
        """Whether the accuracy on the pictures that are no copies lies in the interval of all."""
        right = self.evaluation.right[[name not in self.copies for name in self.evaluation.names]]
        return bool(len(right)) and self.interval[0] <= right.mean() <= self.interval[1]

    def _figures(self, limits: Limits) -> Section:
        return self._section("figures", "The honest figures")

    def _mistakes(self, limits: Limits) -> Section:
        wrong = most_confident_mistakes(self.evaluation)
        rows = wrong[: limits.gallery]
        shown = list(zip(tiles(self.evaluation, rows, limits.side), self._nearest(rows), strict=True))
        return self._section("mistakes", "Most confident mistakes", tiles=shown, total=len(wrong))

    def _nearest(self, rows: np.ndarray) -> list[list[dict[str, str]]]:
        """For each of these pictures the training pictures most like it; a picture is none of its own."""
        if self.known is None or not len(rows):
            return [[] for _ in rows]
        digests = None if self.of_test else [self.evaluation.digests[row] for row in rows]
        found = self.known.nearest(self.evaluation.features[rows], NEAREST, digests)
        return [
            [
                {"src": as_uri(near.thumbnail, "jpeg"), "name": near.name, "class_name": near.class_name}
                for near in each
            ]
            for each in found
        ]

    def _doubtful(self, limits: Limits) -> Section | None:
        right = least_confident_hits(self.evaluation)
        shown = tiles(self.evaluation, right[: limits.gallery // 2], limits.side)
        return self._section("doubtful", "Right, but only just", tiles=shown) if shown else None

    def _attention(self, limits: Limits) -> Section | None:
        rows, heat = (part[: limits.gallery] for part in self.attention)
        if not len(rows):
            return None
        shown = tiles(self.evaluation, rows, limits.side)
        lit = [
            data_uri(insight.spotlight(self.evaluation.images[row], warmth), limits.side)
            for row, warmth in zip(rows, heat, strict=True)
        ]
        return self._section(
            "attention", "Where the network looked", pairs=list(zip(shown, lit, strict=True))
        )

    def _classes(self, limits: Limits) -> Section:
        return self._section("classes", "Class by class", listed=LISTED_CLASSES)

    def _calibration(self, limits: Limits) -> Section:
        of = self.measures
        drawn = figures.reliability(
            of.reliability_raw, of.reliability_calibrated, of.ece_raw, of.ece_calibrated
        )
        title = f"Reliability diagram of the {self.pictures}"
        return self._section(
            "calibration", "Can its confidence be believed?", drawing=rendering.svg(drawn, title)
        )

    def _random(self, limits: Limits) -> Section:
        chosen = np.random.default_rng(SEED).permutation(self.evaluation.total)[: limits.gallery]
        return self._section(
            "random", "A random sample", tiles=tiles(self.evaluation, chosen, limits.side), seed=SEED
        )


def most_confident_mistakes(evaluation: Evaluation) -> np.ndarray:
    """int64: the rows answered wrongly, the most confident first."""
    return _sorted(~evaluation.right, -evaluation.confidence)


def least_confident_hits(evaluation: Evaluation) -> np.ndarray:
    """int64: the rows answered right, the least confident first."""
    return _sorted(evaluation.right, evaluation.confidence)


def _sorted(chosen: np.ndarray, by: np.ndarray) -> np.ndarray:
    rows = np.flatnonzero(chosen)
    return rows[np.argsort(by[rows], kind="stable")]


def in_short(measures: Measures, interval: tuple[float, float]) -> Iterator[str]:
    """How far to trust the model, in sentences for everybody: the first is the one that matters.

    `interval`: that of the accuracy on new pictures.
    """
    low, high = interval
    name, share = measures.majority
    if low <= share:
        yield (
            f"Do not rely on it: always answering “{name}” would be right in {percent(share)} of these "
            "pictures, and the model is not measurably better than that."
        )
    else:
        yield (
            f"Of 100 new pictures like these, expect it to get {_between(100 * low, 100 * high)} right; "
            f"always answering “{name}” would get {round(100 * share)}."
        )
    if high - low > WIDE:
        yield f"That range is wide because there were only {measures.total:,} pictures to measure on."
    yield _confidence_in_words(measures)


def _confidence_in_words(measures: Measures) -> str:
    error = 100 * measures.ece_calibrated
    if measures.ece_calibrated <= CALIBRATED:
        return (
            "Its confidence can be trusted: of the answers with 90\N{NO-BREAK SPACE}% confidence, about nine "
            f"in ten are right (on average, confidence and accuracy differ by {error:.1f} percentage points)."
        )
    return (
        "Do not rely on its confidence: on average, confidence and accuracy differ by "
        f"{error:.1f} percentage points."
    )


def _between(low: float, high: float) -> str:
    low, high = int(low), min(100, -int(-high // 1))
    return f"{low}" if low == high else f"{low} to {high}"
