"""Whether another program's checkpoint sees pictures otherwise than was said: labelled pictures tell."""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from pigeonhole.evaluation.comparison import mcnemar
from pigeonhole.evaluation.predictions import Evaluation
from pigeonhole.model.classifier import Classifier
from pigeonhole.pictures.images import Preprocessing, as_input

SAMPLE = 200  # pictures that are asked about again
SEED = 0  # of the sample
LIMIT = 0.001  # how probable it may be that a way is named that is no better


@dataclass(frozen=True)
class BetterWay:
    """Of `total` pictures `right` are answered right with these `flags`, `right_as_told` without."""

    flags: str
    right: int
    right_as_told: int
    total: int

    def line(self) -> str:
        told = f"{self.right:,} of {self.total:,} pictures would be right, not {self.right_as_told:,}"
        return f"note        with {self.flags} {told}: was it trained so?"


def better_way(classifier: Classifier, evaluation: Evaluation) -> BetterWay | None:
    """The colour order or scale by which a checkpoint of another program answers better than as it was told.

    None for a model that knows how it sees, and where what is better may be so by chance (McNemar's test).
    """
    if not classifier.is_foreign:
        return None
    rows = np.sort(np.random.default_rng(SEED).permutation(evaluation.total)[:SAMPLE])
    part = evaluation.select(rows)
    ways = dict(_other_ways(classifier.preprocessing))
    found = []
    for flags, way in ways.items():
        with warnings.catch_warnings(action="ignore"):  # it is asked with another scale on purpose
            answers = classifier.predict_pixels(as_input(part.images, way))
        right = answers.argmax(axis=1) == part.labels
        gained, lost = int((right & ~part.right).sum()), int((part.right & ~right).sum())
        if gained > lost and mcnemar(lost, gained) < LIMIT / len(ways):
            found.append(BetterWay(flags, int(right.sum()), int(part.right.sum()), part.total))
    return max(found, key=lambda way: way.right, default=None)


def _other_ways(told: Preprocessing) -> Iterator[tuple[str, Preprocessing]]:
    """By the flags that say so."""
    order = "rgb" if told.colour_order == "bgr" else "bgr"
    scale, factor = (1.0, "1") if told.scale < 1 else (1 / 255, "1/255")
    yield f"--scale {factor}", replace(told, scale=scale)
    if told.channels == 3:
        yield f"--colour-order {order}", replace(told, colour_order=order)
        both = replace(told, colour_order=order, scale=scale)
        yield f"--colour-order {order} --scale {factor}", both
