"""Does the interval around answers out of fold hold the true accuracy? And by how much is it to be widened?

    python benchmarks/out_of_fold.py --data training_data

takes a folder of class folders with some thousand pictures, such as CIFAR-10's, draws small problems from it
(some of the classes, 20 to 400 pictures), fits the head of the first answer to each, and asks it about the
other pictures of these classes. No test picture is used: `statistics.OUT_OF_FOLD_VARIANCE` was chosen by it.
"""

import argparse
import math
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

import environment  # noqa: E402

from pigeonhole.data import bursts, cache, dataset  # noqa: E402
from pigeonhole.features import head, store  # noqa: E402
from pigeonhole.features.extractor import AUTO, open_pretrained  # noqa: E402
from pigeonhole.statistics import OUT_OF_FOLD_VARIANCE, wilson_interval  # noqa: E402

FEWEST, MOST = 20, 400  # pictures of a problem
MOST_CLASSES = 10
FEWEST_OTHERS, TIMES_OTHERS = 300, 2  # pictures to ask about, at least, and for each of the problem's
VARIANCES = (1.0, 1.25, OUT_OF_FOLD_VARIANCE, 2.0)


class Pictures(NamedTuple):
    """`plain` and `mirrored` float32 [n, D], of the pictures and their mirror images; `labels` and `groups`
    int64 [n], of which the latter are equal for copies and pictures of one burst."""

    plain: np.ndarray
    mirrored: np.ndarray
    labels: np.ndarray
    groups: np.ndarray
    last: slice


class Outcome(NamedTuple):
    """`right` of `total` by the answers out of fold, and the accuracy for `others` pictures."""

    right: int
    total: int
    true: float
    others: int

    def is_held(self, variance: float) -> bool:
        low, high = wilson_interval(self.right / variance, self.total / variance)
        return low <= self.true <= high

    @property
    def variance(self) -> float:
        """How many times that of independent answers; its mean over many problems is an estimate."""
        squared = (self.right / self.total - self.true) ** 2 / max(
            self.true * (1 - self.true), 1 / self.others
        )
        return (squared - 1 / self.others) * self.total


def main() -> None:
    options = _parser().parse_args()
    pictures = read(options.data, options.image_size)
    random = np.random.default_rng(options.seed)
    outcomes = []
    while len(outcomes) < options.problems:
        if outcome := solve(pictures, random, len(outcomes)):
            outcomes.append(outcome)
            print(f"\r{len(outcomes)} of {options.problems}", end="", file=sys.stderr)
    print(file=sys.stderr)
    print(*environment.lines(f"{len(pictures.labels):,} pictures, n = {len(outcomes)} problems"), sep="\n")
    spread = [each.variance for each in outcomes]
    error = np.std(spread) / math.sqrt(len(spread))
    environment.note("variance", spread, "times that of independent answers")
    print(f"variance, times that of independent answers: {np.mean(spread):.2f} (standard error {error:.2f})")
    for variance in VARIANCES:
        held = np.mean([each.is_held(variance) for each in outcomes])
        print(f"taken for {variance:.2f}: the 95 % interval holds the accuracy in {100 * held:.0f} %")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, metavar="FOLDER", help="class folders")
    parser.add_argument("--image-size", type=int, default=160, metavar="PIXELS", help="(160)")
    parser.add_argument("--problems", type=int, default=200, metavar="N", help="(200)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="(0)")
    return parser


def read(folder: Path, image_size: int) -> Pictures:
    sets = dataset.read_train_sets(folder, image_size)
    opened = open_pretrained(image_size, engine=AUTO)
    try:
        kept = store.of_sets(sets, opened, cache.of_flags(None, False))
        last = opened.last
    finally:
        opened.close()
    labels, groups = sets.everything.label_indices, bursts.group_numbers(sets)
    return Pictures(np.asarray(kept.plain), np.asarray(kept.mirrored), labels, groups, last)


def solve(pictures: Pictures, random: np.random.Generator, seed: int) -> Outcome | None:
    """A random problem; None where a class got no picture, or too few are left to tell the true accuracy."""
    classes = int(pictures.labels.max()) + 1
    chosen = random.choice(classes, random.integers(2, min(MOST_CLASSES, classes) + 1), replace=False)
    count = int(np.exp(random.uniform(math.log(FEWEST), math.log(MOST + 1))))
    drawn = random.permutation(np.flatnonzero(np.isin(pictures.labels, chosen)))
    rows, others = drawn[:count], drawn[count:]
    others = others[~np.isin(pictures.groups[others], pictures.groups[rows])]  # copies are known by heart
    labels = np.searchsorted(np.sort(chosen), pictures.labels)
    counts = np.bincount(labels[rows], minlength=len(chosen))
    too_few_others = len(others) < max(FEWEST_OTHERS, TIMES_OTHERS * count)
    if not counts.all() or counts.max() < 2 or too_few_others:
        return None
    fitted = head.fit(
        pictures.plain[rows],
        pictures.mirrored[rows],
        labels[rows],
        pictures.groups[rows],
        head.Options(seed=seed, last=pictures.last),
    )
    right = fitted.log_probabilities.argmax(axis=1) == labels[rows]
    answers = fitted.answer(pictures.plain[others], pictures.mirrored[others]).argmax(axis=1)
    return Outcome(int(right.sum()), count, float(np.mean(answers == labels[others])), len(others))


if __name__ == "__main__":
    main()
