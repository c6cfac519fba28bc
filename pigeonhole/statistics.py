"""Figures that say how far an accuracy can be trusted."""

from collections import Counter
from collections.abc import Sequence


def wilson_interval(right: int, total: int) -> tuple[float, float]:
    """The 95 % interval, as fractions, for a share of `right` among `total` (Wilson, 1927)."""
    from scipy.stats import binomtest

    interval = binomtest(right, total).proportion_ci(0.95, method="wilson")
    return float(interval.low), float(interval.high)


def majority_share(labels: Sequence) -> tuple[object, float]:
    """The most frequent label and its share: the accuracy of always answering with it."""
    label, count = Counter(labels).most_common(1)[0]
    return label, count / len(labels)


def accuracy_line(right: int, total: int) -> str:
    """`8,321 of 10,000 right: 83.2 % (95 % interval 82.5 to 83.9 %)`."""
    low, high = wilson_interval(right, total)
    return (
        f"{right:,} of {total:,} right: {100 * right / total:.1f} % "
        f"(95 % interval {100 * low:.1f} to {100 * high:.1f} %)"
    )
