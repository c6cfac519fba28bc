"""Scans of digits as pictures to be labelled: real data that come with scikit-learn."""

import functools

import numpy as np
from sklearn.datasets import load_digits

from pigeonhole.features import axes


@functools.cache
def digits(count: int = 1000) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates float32 [n, d] and labels int64 [n], 0..9."""
    images, labels = load_digits(return_X_y=True)
    pixels = images[:count].astype(np.float32)
    return axes.leading(pixels, 40, 0.25).coordinates(pixels), labels[:count].astype(np.int64)


def some(labels: np.ndarray, count: int, seed: int = 0) -> np.ndarray:
    """The labels of `count` pictures chosen at random; -1 for the others."""
    rows = np.random.default_rng(seed).permutation(len(labels))[:count]
    found = np.full(len(labels), -1, np.int64)
    found[rows] = labels[rows]
    return found
