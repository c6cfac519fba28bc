"""Figures that say how far an accuracy can be trusted."""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

BOOTSTRAPS = 1000
NO_OPTIMISM = 0.0005  # less would be shown as 0.0 points
# Answers out of fold are by models that share most of their pictures, and so vary together. By
# benchmarks/out_of_fold.py, the variance of their accuracy is this many times that of independent ones.
OUT_OF_FOLD_VARIANCE = 1.5
BLOCK = 4_000_000  # pictures drawn at a time
_Z = NormalDist().inv_cdf(0.975)  # standard errors to either side of a 95 % interval


def wilson_interval(right: float, total: float) -> tuple[float, float]:
    """The 95 % interval, as fractions, for a share of `right` among `total` (Wilson, 1927)."""
    return _wilson_bound(right / total, total), 1 - _wilson_bound(1 - right / total, total)


def _wilson_bound(share: float, total: float) -> float:
    """The lower one, exactly 0 for a share of 0."""
    z2 = _Z**2 / total
    half_width = math.sqrt(z2 * share * (1 - share) + z2**2 / 4)
    return max(0.0, (share + z2 / 2 - half_width) / (1 + z2))


def majority_share(labels: Sequence) -> tuple[object, float]:
    """The most frequent label and its share: the accuracy of always answering with it."""
    label, count = Counter(labels).most_common(1)[0]
    return label, count / len(labels)


def accuracy_line(right: int, total: int, interval: tuple[float, float] | None = None) -> str:
    """`8,321 of 10,000 right: 83.2 % (95 % interval 82.5 to 83.9 %)`, by default with Wilson's interval."""
    share = _percent(right / total, interval or wilson_interval(right, total))
    return f"{right:,} of {total:,} right: {share}"


@dataclass(frozen=True)
class CorrectedAccuracy:
    """What a network that was chosen by some validations may be expected to get right.

    right        of `total` pictures, after the correction; seldom a whole number
    total        the validation pictures
    optimism     the share of the pictures by which the choice makes its accuracy too high, 0 or more
    validations  how many networks it was chosen from
    kept         which of them it is, from 0, the earliest
    out_of_fold  whether each picture was answered by a model that was fitted to the others
    """

    right: float
    total: int
    optimism: float
    validations: int
    kept: int
    out_of_fold: bool = False

    @property
    def accuracy(self) -> float:
        return self.right / self.total

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the accuracy on new pictures, Wilson's around the corrected figure.

        In simulated trainings with 20 to 400 validation pictures it holds the true accuracy in 96 %, where
        Wilson's around the figure that was chosen for being the highest does so in 89 %, at times in 63 %.

        For answers out of fold it is that of so many pictures as tell as much. Cross-validation understates
        its variance (Bates, Hastie and Tibshirani, "Cross-validation: what does it estimate and how well does
        it do it?", 2024): of small problems, it holds the true accuracy in 94 %, Wilson's in 88 %.
        """
        share = 1 / OUT_OF_FOLD_VARIANCE if self.out_of_fold else 1
        return wilson_interval(share * self.right, share * self.total)

    def expectation(self) -> str:
        """`98.8 % (95 % interval 97.9 to 99.3 %)`, of new pictures."""
        return _percent(self.accuracy, self.interval)

    def lines(self) -> list[str]:
        """What may be expected and what was seen; one line where these are the same."""
        seen = round(self.right + self.optimism * self.total)
        if self.optimism < NO_OPTIMISM:
            return [accuracy_line(seen, self.total, self.interval)]
        return [
            f"on new pictures expect {self.expectation()}",
            f"seen: {seen:,} of {self.total:,} right, {100 * seen / self.total:.1f} %, by the network chosen "
            f"from {self.validations} validations; luck in choosing makes that about "
            f"{100 * self.optimism:.1f} percentage points too high",
        ]


def fewest_right(most: np.ndarray | float, total: int, settles: bool) -> np.ndarray | float:
    """How many of `total` validation pictures a network must have right to be kept, if the best has `most`.

    Of those that have so many the latest is kept. Where a falling rate settles what was learnt (`settles`),
    two standard errors less will do: the later network is the better one but for chance, and to ask for the
    highest of many figures would be to ask for luck. (Breiman et al., "Classification and Regression Trees",
    1984, allow one and take the simplest of such models. But of forty that are alike, the highest is seen two
    above their mean.)
    """
    return most - 2 * np.sqrt(most * (total - most) / total) if settles else most


def selection_corrected(right_at: np.ndarray, settles: bool = False) -> CorrectedAccuracy:
    """Take from the kept network's accuracy what it owes to having been chosen.

    `right_at`: bool [V, n], which of the n validation pictures each of V validations had right, the
    earliest first. The network kept is the last with `fewest_right` of them.

    Pictures are drawn with replacement, the choice is made again by those drawn, and the pictures left out
    say how much worse the choice so made does than the network that was kept, which they helped to choose
    (Tsamardinos, Greasidou and Borboudakis, "Bootstrapping the out-of-sample predictions for efficient and
    accurate cross-validation", 2018). A difference on the same pictures, rather than the level alone, has the
    same expectation and less variance: it is exactly 0 where there was nothing to choose.
    """
    validations, total = right_at.shape
    kept = int(_kept(right_at.sum(axis=1), total, settles))
    lost, left_out = 0.0, 0.0
    for drawn in _bootstraps(total):
        by_picture = right_at.T.astype(np.float32)
        chosen = _kept(drawn @ by_picture, total, settles)
        outside = (drawn == 0).astype(np.float32)
        right = outside @ by_picture
        lost += float(np.sum(right[:, kept] - right[np.arange(len(right)), chosen], dtype=np.float64))
        left_out += float(np.sum(outside, dtype=np.float64))
    optimism = max(0.0, lost / left_out) if left_out else 0.0
    right = int(right_at[kept].sum())
    return CorrectedAccuracy(right - optimism * total, total, optimism, validations, kept)


def _kept(right: np.ndarray, total: int, settles: bool) -> np.ndarray:
    """The position of the network that is kept, of numbers [..., V] that were right."""
    enough = right >= fewest_right(right.max(axis=-1, keepdims=True), total, settles)
    return right.shape[-1] - 1 - np.argmax(enough[..., ::-1], axis=-1)


def _bootstraps(total: int) -> Iterator[np.ndarray]:
    """float32 [b, total], how often each picture is drawn in each of b bootstraps; the same at every call."""
    random = np.random.default_rng(0)
    step = max(1, BLOCK // total)
    for start in range(0, BOOTSTRAPS, step):
        count = min(step, BOOTSTRAPS - start)
        cells = random.integers(total, size=(count, total)) + total * np.arange(count)[:, None]
        yield np.bincount(cells.ravel(), minlength=cells.size).reshape(cells.shape).astype(np.float32)


def _percent(share: float, interval: tuple[float, float]) -> str:
    low, high = interval
    return f"{100 * share:.1f} % (95 % interval {100 * low:.1f} to {100 * high:.1f} %)"
