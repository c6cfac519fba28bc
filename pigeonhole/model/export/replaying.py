"""What an exported form must answer as the model that it was made from, and how far it does."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pigeonhole.model.export.exporter import Answer

BATCH = 32
TIMED = 30  # pictures whose answers are timed one by one
WARM_UP = 3  # before that; the first answers of a runtime take longer


@dataclass(frozen=True)
class Examples:
    """Pictures, and what the model says to them.

    golden         float [G, S, S, C], the golden examples, and `golden_probabilities` float32 [G, K]
    kind           what the others are, in words, such as "validation pictures"
    pixels         uint8 [n, S, S, C], as the network takes them; n may be 0
    probabilities  float32 [n, K]
    labels         int64 [n], their true classes; None where an accuracy would say nothing
    missing        how many of the validation pictures that were to be asked for cannot be read any more
    """

    golden: np.ndarray
    golden_probabilities: np.ndarray
    kind: str
    pixels: np.ndarray
    probabilities: np.ndarray
    labels: np.ndarray | None = None
    missing: int = 0


@dataclass(frozen=True)
class Replayed:
    """The answers of an exported form to the examples.

    golden_probabilities  float32 [G, K], and `probabilities` float32 [n, K]
    milliseconds          the median time of an answer to one picture, which is decoded and resized already
    """

    examples: Examples
    golden_probabilities: np.ndarray
    probabilities: np.ndarray
    milliseconds: float

    @cached_property
    def golden_difference(self) -> float:
        """The largest difference of a probability of the golden examples."""
        return _largest(self.golden_probabilities, self.examples.golden_probabilities)

    @cached_property
    def largest_difference(self) -> float:
        """The largest difference of a probability of the other pictures, 0 where there are none."""
        return _largest(self.probabilities, self.examples.probabilities)

    @property
    def equal(self) -> int:
        """How many of the n pictures get the same class."""
        return int((self.probabilities.argmax(1) == self.examples.probabilities.argmax(1)).sum())

    @property
    def right(self) -> np.ndarray | None:
        """bool [n], or None without labels."""
        return None if self.examples.labels is None else self.probabilities.argmax(1) == self.examples.labels

    @property
    def model_right(self) -> np.ndarray | None:
        """The same of the model itself."""
        labels = self.examples.labels
        return None if labels is None else self.examples.probabilities.argmax(1) == labels


def replay(answer: Answer, examples: Examples) -> Replayed:
    """Ask an exported form for all examples."""
    golden = answer(examples.golden)
    parts = [answer(part) for part in batches(examples.pixels)]
    probabilities = np.concatenate(parts) if parts else np.zeros_like(examples.probabilities)
    return Replayed(examples, golden, probabilities, milliseconds(answer, examples))


def batches(pixels: np.ndarray) -> Iterator[np.ndarray]:
    """The pictures in parts that fit into memory."""
    return (pixels[start : start + BATCH] for start in range(0, len(pixels), BATCH))


def milliseconds(answer: Answer, examples: Examples) -> float:
    """The median time of the answer to one picture."""
    pictures = examples.pixels if len(examples.pixels) else examples.golden
    seconds = []
    for number in range(WARM_UP + TIMED):
        picture = pictures[number % len(pictures)][np.newaxis]
        began = time.perf_counter()
        answer(picture)
        seconds.append(time.perf_counter() - began)
    return 1000 * float(np.median(seconds[WARM_UP:]))


def _largest(now: np.ndarray, expected: np.ndarray) -> float:
    if now.shape != expected.shape or not np.isfinite(now).all():
        return float("inf")
    return float(np.abs(now - expected).max(initial=0.0))
