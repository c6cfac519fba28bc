"""What the workbench's proposals, groups and suspects are worth: the labels that they save, as a plot.

    python benchmarks/labelling.py --sets dogs=TRAIN:TEST weather=TRAIN:TEST signs=TRAIN:TEST ants=TRAIN:TEST
    python benchmarks/labelling.py --sets dogs=TRAIN weather=TRAIN

The labels of TRAIN are hidden and given one batch after the other, in the order that a method proposes; after
each batch the head is fitted anew and asked about TEST, which is never proposed. Without TEST it is asked
about a third of TRAIN, another one for each seed: that is how to try a change, for what was chosen by its
figures for TEST is not tested by them. The methods are those of labelling_orders.py.

Then: whether the accuracy that the page expects is true, how many are wrong when groups are named as a whole,
how many wrong labels the list of suspects finds, and how long a refit takes. Figures are means of the seeds.
"""

import argparse
import json
import os
import statistics
import sys
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

import environment  # noqa: E402
from labelling_orders import METHODS, WITHOUT_HEAD, Method  # noqa: E402

from pigeonhole.data import cache  # noqa: E402
from pigeonhole.data.folds import deal  # noqa: E402
from pigeonhole.features import store  # noqa: E402
from pigeonhole.features.extractor import open_pretrained  # noqa: E402
from pigeonhole.labelling import coordinates, groups, review  # noqa: E402
from pigeonhole.labelling.collection import Collection  # noqa: E402
from pigeonhole.labelling.learner import Learner  # noqa: E402

# Labels between two refits: five, as the page has it, or a share of those given, which takes less time
AT_ONCE, AT_ONCE_SHARE = 5, 0.1
MARKS = (5, 10, 15, 20, 30, 40, 50, 60, 80, 100, 120, 160, 200, 240, 320, 400)
CHECKED = (20, 50, 100, 160, 240)  # labels at which the expected accuracy is compared
MOST_LABELLED = 0.3  # of the pictures
PARTS = 3  # of TRAIN, one of which is held out where there is no TEST
WRONG_LABELS, REVIEWED = 0.05, 0.1  # shares
MIXED = 0.9  # of a group: with fewer of one class it is split
MOST_ACTIONS = 20
TIMED_LABELS = 5_000


class Pictures(NamedTuple):
    """`places` float32 [n + t, d] of the pictures to label and the test pictures, `labels` int64 [n + t];
    `copies` int64 [n]: equal for copies."""

    places: np.ndarray
    labels: np.ndarray
    copies: np.ndarray

    @property
    def to_label(self) -> int:
        return len(self.copies)

    @property
    def classes(self) -> int:
        return int(self.labels.max()) + 1

    def hidden(self) -> np.ndarray:
        return np.full(len(self.labels), -1)

    def right(self, probabilities: np.ndarray) -> float:
        answers = probabilities[self.to_label :].argmax(axis=1)
        return float(np.mean(answers == self.labels[self.to_label :]))


class Seen(NamedTuple):
    """What is known of the pictures of TRAIN, and behind them those of TEST, if any."""

    features: store.Features
    last: slice
    labels: np.ndarray
    copies: np.ndarray
    to_label: int

    def pictures(self, seed: int) -> Pictures:
        """The axes are found by the pictures to label alone."""
        ours = np.arange(len(self.labels)) < self.to_label
        if ours.all():
            ours = deal(self.labels, self.copies, PARTS, seed) > 0
        features = self.features.select(np.flatnonzero(ours))
        axes = coordinates.leading(features, self.last)
        others = coordinates.of(self.features.select(np.flatnonzero(~ours)), axes, self.last)
        places = np.concatenate([coordinates.of(features, axes, self.last), others])
        return Pictures(
            places,
            np.concatenate([self.labels[ours], self.labels[~ours]]),
            self.copies[ours[: self.to_label]],
        )


class Check(NamedTuple):
    """The accuracy that the page would show after so many labels, and that for the test pictures."""

    labels: int
    value: float
    low: float
    high: float
    true: float


def main() -> None:
    options = _parser().parse_args()
    kept = cache.of_flags(options.cache_dir, False)
    opened = open_pretrained()
    sets = {name: read(*parts, opened, kept) for name, *parts in options.sets}
    print("\n".join(environment.lines()))
    curves, checked = {}, {}
    for name, seen in sets.items():
        splits = [seen.pictures(seed) for seed in range(options.seeds)]
        found = {method: measured(splits, method) for method in METHODS}
        curves[name] = {method: curve for method, (curve, _) in found.items()}
        checked[name] = {method: checks for method, (_, checks) in found.items() if checks}
        print("\n" + "\n".join(table(name, curves[name])), flush=True)
        for method, checks in checked[name].items():
            print(f"{name}, {method}: {expecting(checks)}")
        print(f"{name}: {naming(splits)}")
        print(f"{name}: {reviewing(splits)}")
        print(f"{name}: {refitting(splits[0])}", flush=True)
        found = {"machine": environment.lines(), "seeds": options.seeds, "accuracy": curves}
        options.results.write_text(json.dumps(found | {"expected": checked}, indent=1) + "\n")
        draw(curves, options.plot)
    print(f"curves: {options.results}, plot: {options.plot}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    form = f"NAME=TRAIN[{os.pathsep}TEST]"
    parser.add_argument("--sets", type=_set, nargs="+", required=True, metavar=form, help="class folders")
    parser.add_argument("--seeds", type=int, default=3, metavar="N", help="seeds 0 to N-1 (3)")
    parser.add_argument("--cache-dir", metavar="FOLDER")
    parser.add_argument("--results", type=Path, default=Path("labelling.json"), metavar="FILE")
    parser.add_argument("--plot", type=Path, default=Path("labelling.svg"), metavar="FILE")
    return parser


def _set(text: str) -> tuple[str, Path, Path | None]:
    name, _, paths = text.partition("=")
    parts = [Path(part) for part in paths.split(os.pathsep)]
    if not name or not paths or len(parts) > 2 or not all(part.is_dir() for part in parts):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not NAME=TRAIN or NAME=TRAIN{os.pathsep}TEST of folders"
        )
    return name, parts[0], parts[1] if len(parts) == 2 else None


def read(train: Path, test: Path | None, extractor, kept: cache.Cache) -> Seen:
    ours = Collection.open(train, kept)
    others = [] if test is None else Collection.open(test, kept).records
    features = store.read(ours.records + others, extractor, kept)
    names = ours.given + [record.entry.class_name for record in others]
    labels = np.unique(names, return_inverse=True)[1]
    return Seen(features, extractor.last, labels, ours.groups, len(ours))


def measured(splits: list[Pictures], method: str) -> tuple[dict[int, list[float]], list[Check]]:
    """Labels given -> test accuracy, 0..1, for each seed; and the checks of the expected one."""
    found: dict[int, list[float]] = {}
    checks = []
    for seed, pictures in enumerate(splits):
        for count, given, true in labelled(pictures, METHODS[method], seed):
            found.setdefault(count, []).append(true)
            if count in CHECKED and method in ("proposed", "random"):
                # The page knows the pictures to label alone
                ours = slice(pictures.to_label)
                heap = Learner(pictures.places[ours], pictures.copies)
                if accuracy := heap.fit(given[ours], pictures.classes).accuracy:
                    checks.append(Check(count, *accuracy[:3], true))
    return found, checks


def labelled(pictures: Pictures, method: Method, seed: int, marks: tuple[int, ...] = MARKS):
    """After so many labels: their number, int64 [n + t] with -1 for none, and the test accuracy, 0..1."""
    ours, tested = slice(pictures.to_label), np.arange(len(pictures.labels)) + len(pictures.labels)
    copies = np.concatenate([pictures.copies, tested[pictures.to_label :]])
    learner, given, answers = Learner(pictures.places, copies), pictures.hidden(), None
    for mark in (mark for mark in marks if mark <= MOST_LABELLED * pictures.to_label):
        while (wanted := mark - (count := int((given >= 0).sum()))) > 0:
            own = None if answers is None else answers[ours]
            at_once = min(max(AT_ONCE, round(AT_ONCE_SHARE * count)), wanted)
            rows = method(pictures.places[ours], given[ours], own, at_once, seed)
            given[rows] = pictures.labels[rows]
            if method not in WITHOUT_HEAD or wanted == len(rows):
                answers = learner.fit(given, pictures.classes).probabilities
        yield mark, given, pictures.right(answers)


def expecting(checks: list[Check]) -> str:
    _, value, low, high, true = np.array(checks).T
    return (
        f"expected {100 * value.mean():.1f} % where {100 * true.mean():.1f} % are right, the means of "
        f"{len(checks)} checks; {np.sum(true < low)} below the interval, {np.sum(true > high)} above"
    )


def table(name: str, curves: dict[str, dict[int, list[float]]]) -> list[str]:
    marks = list(curves["random"])
    lines = [f"| {name}: labels | {' | '.join(map(str, marks))} |", "|---|" + "---|" * len(marks)]
    for method, found in curves.items():
        for mark in marks[:1] + marks[-1:]:
            environment.note(f"{name}, {method}, {mark} labels", found[mark], "share")
        means = [f"{100 * statistics.mean(found[mark]):.1f}" for mark in marks]
        lines.append(f"| {method} | {' | '.join(means)} |")
    return lines


def naming(splits: list[Pictures]) -> str:
    """A group is named where nine of ten are of one class, else split; the most mixed ones first."""
    actions, wrong = [], []
    for seed, pictures in enumerate(splits):
        labels, places = pictures.labels[: pictures.to_label], pictures.places[: pictures.to_label]
        heap = groups.groups(places, seed=seed)
        done = 0
        while True:
            shares = [np.bincount(labels[rows]).max() / len(rows) for rows in heap]
            worst = int(np.argmin(shares))
            if shares[worst] >= MIXED or done + len(heap) + 2 > MOST_ACTIONS:
                break
            heap += groups.split(places, heap.pop(worst), seed=seed)
            done += 1
        right = sum(int(np.bincount(labels[rows]).max()) for rows in heap)
        actions.append(done + len(heap))
        wrong.append(1 - right / len(labels))
    return (
        f"named as groups in {statistics.mean(actions):.1f} actions, "
        f"{100 * statistics.mean(wrong):.1f} % wrong (at most {100 * max(wrong):.1f} %)"
    )


def reviewing(splits: list[Pictures]) -> str:
    shares = []
    for seed, pictures in enumerate(splits):
        ours, random = slice(pictures.to_label), np.random.default_rng(seed)
        given = pictures.labels[ours].copy()
        wrong = random.permutation(len(given))[: round(WRONG_LABELS * len(given))]
        given[wrong] = (given[wrong] + random.integers(1, pictures.classes, len(wrong))) % pictures.classes
        fitted = Learner(pictures.places[ours], pictures.copies).fit(given, pictures.classes)
        found = review.suspects(fitted, given)[: round(REVIEWED * len(given))]
        shares.append(np.isin(wrong, [each.row for each in found]).mean())
    return (
        f"{100 * WRONG_LABELS:.0f} % wrong labels: the first {100 * REVIEWED:.0f} % of the suspects hold "
        f"{100 * statistics.mean(shares):.1f} % of them (at least {100 * min(shares):.1f} %)"
    )


def refitting(pictures: Pictures) -> str:
    """With more labels than there are pictures: each is taken several times, at slightly another place."""
    random = np.random.default_rng(0)
    rows = random.integers(pictures.to_label, size=TIMED_LABELS)
    places = pictures.places[rows]
    places = places + random.standard_normal(places.shape).astype(np.float32) * places.std(axis=0) / 2
    seconds = []
    for _ in range(5):
        started = time.process_time()
        Learner(places).fit(pictures.labels[rows], pictures.classes)
        seconds.append(time.process_time() - started)
    return f"{TIMED_LABELS:,} labels fitted in {statistics.median(seconds):.2f} s of one core (median of 5)"


def draw(curves: dict[str, dict[str, dict[int, list[float]]]], file: Path) -> None:
    from matplotlib.figure import Figure

    columns, rows = min(len(curves), 2), (len(curves) + 1) // 2
    figure = Figure(figsize=(4.5 * columns, 3.6 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for panel in panels[len(curves) :]:
        panel.set_axis_off()
    for panel, (name, methods) in zip(panels, curves.items(), strict=False):
        for method, found in methods.items():
            marks = list(found)
            middle = [100 * statistics.mean(found[mark]) for mark in marks]
            width = 2.5 if method in ("proposed", "random") else 1
            panel.plot(marks, middle, label=method, linewidth=width, marker="o", markersize=2 + width)
        panel.set(title=name, xlabel="labels given", ylabel="test accuracy, %", xscale="log")
        panel.set_xticks([mark for mark in (5, 10, 20, 50, 100, 200, 500) if mark <= marks[-1]])
        panel.xaxis.set_major_formatter("{x:.0f}")
        panel.xaxis.set_minor_formatter("")
        panel.grid(alpha=0.3)
    panels[0].legend(loc="lower right")
    figure.savefig(file, metadata={"Date": None} if file.suffix == ".svg" else None)


if __name__ == "__main__":
    main()
