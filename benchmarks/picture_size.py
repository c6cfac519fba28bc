"""At which size should the pretrained network look at photos, and is the mirror image worth as much?

    python benchmarks/picture_size.py --data TRAIN --least-side 320 --strangers OTHER_TRAIN

takes a folder of class folders, and of it the pictures whose shorter side has at least so many pixels. With
each seed 30 % of them are held out, the head of the first answer is fitted to the others, and asked about
those. All sizes take the same parts. A size followed by m, as in 224m, is with the mirror images, which takes
twice as long.

--strangers: folders of class folders with pictures of something else. Printed is the area under the ROC curve
(AUROC) between the pictures held out with the first seed and these, and which share of these is noticed at
the limit that is saved with a model.
"""

import argparse
import re
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

import environment  # noqa: E402
from sklearn.metrics import roc_auc_score  # noqa: E402

from pigeonhole.data import cache, dataset  # noqa: E402
from pigeonhole.features import head, store, strangers  # noqa: E402
from pigeonhole.features.extractor import AUTO, open_pretrained  # noqa: E402
from pigeonhole.pictures import images  # noqa: E402

HELD_OUT = 0.3
FEWEST = 20  # pictures of the largest class
FOLDS = 5  # in which strangers are told from known pictures


class View(NamedTuple):
    """How pictures are looked at."""

    side: int
    mirrored: bool

    def __str__(self) -> str:
        return f"{self.side}{' and mirrored' if self.mirrored else ''}"


class Seen(NamedTuple):
    """Features float32 [n, D] of pictures and of their mirror images, labels int [n], shorter sides [n]."""

    plain: np.ndarray
    mirrored: np.ndarray | None
    labels: np.ndarray
    sides: np.ndarray
    last: slice

    def select(self, rows: np.ndarray) -> "Seen":
        return Seen(*(each if each is None else each[rows] for each in self[:4]), self.last)


def main() -> None:
    options = _parser().parse_args()
    lines = []
    for view in options.views:
        known = look(options.data, view)
        known = known.select(np.flatnonzero(known.sides >= options.least_side))
        if np.bincount(known.labels).max(initial=0) < FEWEST:
            sys.exit(f"{options.data}: too few pictures with {options.least_side} pixels on the shorter side")
        parts = [split(len(known.labels), seed) for seed in range(options.seeds)]
        judged = [
            judge(known.select(rows), known.select(others), seed) for seed, (rows, others) in enumerate(parts)
        ]
        shares, losses = np.array(judged).T
        environment.note(f"{view}: right", list(shares), "%")
        rows, others = parts[0]
        told = [
            tell(known.select(rows), known.select(others), look(each, view)) for each in options.strangers
        ]
        lines.append(f"{view!s:18}{np.mean(shares):8.2f} %{np.mean(losses):10.4f}   {'   '.join(told)}")
    count = f"{len(known.labels):,} pictures, {HELD_OUT:.0%} of them held out, n = {options.seeds} seeds"
    print(
        *environment.lines(count), f"{'pixels':18}{'right':>10}{'log-loss':>10}   strangers", *lines, sep="\n"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--data", type=Path, required=True, metavar="FOLDER", help="class folders")
    add("--views", type=_view, nargs="+", default=[View(224, True), View(320, False)], metavar="SIZE")
    add("--least-side", type=int, default=0, metavar="PIXELS", help="of the shorter side of a picture (0)")
    add("--seeds", type=int, default=8, metavar="N", help="how many (8)")
    add("--strangers", type=Path, nargs="+", default=[], metavar="FOLDER", help="class folders")
    return parser


def _view(text: str) -> View:
    if not re.fullmatch(r"[1-9]\d{1,3}m?", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of pixels such as 224 or 224m")
    return View(int(text.rstrip("m")), text.endswith("m"))


def look(folder: Path, view: View) -> Seen:
    """Every picture of the folder."""
    sets = dataset.read_train_sets(folder, view.side)
    opened = open_pretrained(view.side, engine=AUTO)
    try:
        kept = store.of_sets(sets, opened, cache.of_flags(None, False), view.mirrored)
        last = opened.last
    finally:
        opened.close()
    path_of = {record.entry.name: record.entry.path for record in sets.records}
    facts = [images.inspect(path_of[name].read_bytes()) for name in sets.everything.names]
    sides = np.array([min(each.width, each.height) for each in facts])
    mirrored = None if kept.mirrored is None else np.asarray(kept.mirrored)
    return Seen(np.asarray(kept.plain), mirrored, np.asarray(sets.everything.label_indices), sides, last)


def split(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows to learn from and rows that are held out."""
    rows = np.random.default_rng(seed).permutation(count)
    return np.split(rows, [count - round(HELD_OUT * count)])


def judge(known: Seen, others: Seen, seed: int) -> tuple[float, float]:
    """Which share of the others a head fitted to the known ones answers rightly, in %, and its log-loss."""
    groups = np.arange(len(known.labels))
    fitted = head.fit(
        known.plain, known.mirrored, known.labels, groups, head.Options(seed=seed, last=known.last)
    )
    answers = fitted.answer(others.plain, others.mirrored)
    right = 100 * np.mean(answers.argmax(axis=1) == others.labels)
    return float(right), float(-answers[np.arange(len(others.labels)), others.labels].mean())


def tell(known: Seen, others: Seen, unknown: Seen) -> str:
    """How well strangers are told from further pictures of the known classes."""
    folds = np.arange(len(known.labels)) % FOLDS
    fitted = strangers.fit(known.plain, known.labels, folds, known.last)
    certain, uncertain = fitted.certainty(others.plain), fitted.certainty(unknown.plain)
    is_known = np.repeat([1, 0], [len(certain), len(uncertain)])
    area = roc_auc_score(is_known, np.concatenate([certain, uncertain]))
    return f"AUROC {area:.4f}, {np.mean(uncertain < fitted.limit):.0%} noticed"


if __name__ == "__main__":
    main()
