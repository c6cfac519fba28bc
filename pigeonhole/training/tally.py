"""How well a network did: on given logits, and over the steps since the last validation."""

import math
import time

import numpy as np

from pigeonhole.runs.records import Score


def score(logits: np.ndarray, label_indices: np.ndarray) -> Score:
    """How well logits float32 [n, K] agree with the labels int64 [n]."""
    log_shares = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
    right = int((logits.argmax(axis=1) == label_indices).sum())
    losses = -log_shares[np.arange(len(label_indices)), label_indices]
    return Score(right, len(label_indices), float(losses.mean(dtype=np.float64)))


class Tally:
    """Sums losses and right answers over batches, and the time since it began."""

    def __init__(self, loss: float = 0.0, right: int = 0, total: int = 0, seconds: float = 0.0):
        self._loss, self._right, self._total, self._seconds = loss, right, total, seconds
        self._here = 0  # pictures that this process has computed on since it began
        self._started = time.perf_counter()

    def resume(self) -> None:
        """Count the time from now on, in addition to what was counted before."""
        self._started = time.perf_counter()

    def figures(self) -> tuple[float, int, int, float]:
        """What `Tally(*figures)` goes on from: loss, right answers, pictures and seconds."""
        return self._loss, self._right, self._total, self._elapsed

    def add(self, mean_loss: float, right: int, pictures: int, here: int) -> None:
        """`pictures`: in the global batch; `here`: of them, how many this process computed on."""
        self._loss += mean_loss * pictures
        self._right += right
        self._total += pictures
        self._here += here

    def score(self) -> Score:
        return Score(self._right, self._total, self._loss / self._total if self._total else math.nan)

    def speed(self) -> float:
        """Pictures per second of all workers together."""
        return self._total / max(self._elapsed, 1e-9)

    def speed_here(self) -> float:
        """Pictures per second of this process."""
        return self._here / max(time.perf_counter() - self._started, 1e-9)

    @property
    def _elapsed(self) -> float:
        return self._seconds + time.perf_counter() - self._started
