"""What the workbench's proposals, groups and suspects are worth: the labels that they save, as a plot.

    python benchmarks/labelling.py --sets dogs=TRAIN:TEST weather=TRAIN:TEST signs=TRAIN:TEST

The labels of TRAIN are hidden and given one batch after the other, in the order that a method proposes; after
each batch the head is fitted anew and asked about TEST, which is never proposed. The methods:

proposed    `labelling.proposals`, as `pigeonhole label` asks for them
margin      the smallest margin between the two likeliest classes, after 10 labels of centres of clusters
badge       k-means++ on gradient embeddings (Ash et al., "Deep Batch Active Learning by Diverse, Uncertain
            Gradient Lower Bounds", 2020), after 10 labels of centres of clusters
typical     typical pictures of clusters without a label (Hacohen et al., "Active Learning on a Budget", 2022)
random      any order

Then: whether the accuracy that the page expects is true, how many are wrong when groups are named as a whole,
how many wrong labels the list of suspects finds, and how long a refit takes. Figures are means of the seeds.
"""

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

import environment  # noqa: E402

from pigeonhole.data import cache, folders  # noqa: E402
from pigeonhole.features.extractor import open_pretrained  # noqa: E402
from pigeonhole.labelling import coordinates, groups, proposals, review  # noqa: E402
from pigeonhole.labelling.learner import Learner  # noqa: E402
from pigeonhole.pictures.images import Preprocessing  # noqa: E402

# Labels between two refits: five, as the page has it, or a share of those given, which takes less time
AT_ONCE, AT_ONCE_SHARE = 5, 0.05
MARKS = (5, 10, 15, 20, 30, 40, 50, 60, 80, 100, 120, 160, 200, 240, 320, 400)
CHECKED = (20, 50, 100, 160, 240)  # labels at which the expected accuracy is compared
MOST_LABELLED = 0.3  # of the pictures
CENTRES = 10  # labels before the methods that need a head
TYPICAL_NEIGHBOURS = 20
WRONG_LABELS, REVIEWED = 0.05, 0.1  # shares
MIXED = 0.9  # of a group: with fewer of one class it is split
MOST_ACTIONS = 20
TIMED_LABELS = 5_000


class Pictures(NamedTuple):
    """`places` float32 [n + t, d] of the pictures to label and the test pictures, `labels` int64 [n + t]."""

    places: np.ndarray
    labels: np.ndarray
    to_label: int

    @property
    def classes(self) -> int:
        return int(self.labels.max()) + 1

    def hidden(self) -> np.ndarray:
        return np.full(len(self.labels), -1)

    def right(self, probabilities: np.ndarray) -> float:
        answers = probabilities[self.to_label :].argmax(axis=1)
        return float(np.mean(answers == self.labels[self.to_label :]))


def main() -> None:
    options = _parser().parse_args()
    kept = cache.of_flags(options.cache_dir, False)
    opened = open_pretrained()
    sets = {name: read(train, test, opened, kept) for name, train, test in options.sets}
    print("\n".join(environment.lines()))
    curves = {}
    for name, pictures in sets.items():
        curves[name] = {method: measured(pictures, method, options.seeds) for method in METHODS}
        print("\n" + "\n".join(table(name, curves[name])), flush=True)
        print(f"{name}: {expecting(pictures, options.seeds)}")
        print(f"{name}: {naming(pictures, options.seeds)}")
        print(f"{name}: {reviewing(pictures, options.seeds)}")
        print(f"{name}: {refitting(pictures)}", flush=True)
    found = {"machine": environment.lines(), "seeds": options.seeds, "accuracy": curves}
    options.results.write_text(json.dumps(found, indent=1) + "\n")
    draw(curves, options.plot)
    print(f"curves: {options.results}, plot: {options.plot}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    form = f"NAME=TRAIN{os.pathsep}TEST"
    parser.add_argument("--sets", type=_set, nargs="+", required=True, metavar=form, help="class folders")
    parser.add_argument("--seeds", type=int, default=3, metavar="N", help="seeds 0 to N-1 (3)")
    parser.add_argument("--cache-dir", metavar="FOLDER")
    parser.add_argument("--results", type=Path, default=Path("labelling.json"), metavar="FILE")
    parser.add_argument("--plot", type=Path, default=Path("labelling.svg"), metavar="FILE")
    return parser


def _set(text: str) -> tuple[str, Path, Path]:
    name, _, paths = text.partition("=")
    parts = [Path(part) for part in paths.split(os.pathsep)]
    if not name or len(parts) != 2 or not all(part.is_dir() for part in parts):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=TRAIN{os.pathsep}TEST of two folders")
    return name, *parts


def read(train: Path, test: Path, extractor, kept: cache.Cache) -> Pictures:
    """The axes are found by the pictures to label alone."""
    parts = [kept.survey(folders.scan(folder), Preprocessing(32))[0] for folder in (train, test)]
    ours, others = ([record for record in part if record.skipped is None] for part in parts)
    coordinates.read(ours, extractor, kept)
    places = coordinates.read(ours + others, extractor, kept)
    names = [record.entry.class_name for record in ours + others]
    return Pictures(places, np.unique(names, return_inverse=True)[1], len(ours))


Method = Callable[[np.ndarray, np.ndarray, np.ndarray | None, int, int], np.ndarray]


def by_margin(places: np.ndarray, given: np.ndarray, answers: np.ndarray | None, count: int, seed: int):
    if answers is None or (given >= 0).sum() < CENTRES:
        return proposals.propose(places, given, None, count, seed)
    free = np.flatnonzero(given < 0)
    return free[np.argsort(proposals.margins(answers[free]), kind="stable")[:count]]


def by_badge(places: np.ndarray, given: np.ndarray, answers: np.ndarray | None, count: int, seed: int):
    if answers is None or (given >= 0).sum() < CENTRES:
        return proposals.propose(places, given, None, count, seed)
    free = np.flatnonzero(given < 0)
    # The gradient is the outer product of the residual and the coordinates: only inner products are needed.
    residual = answers[free] - np.eye(answers.shape[1])[answers[free].argmax(axis=1)]
    inputs = np.column_stack([places[free] / np.sqrt(np.mean(np.sum(places**2, axis=1))), np.ones(len(free))])
    squares = (residual**2).sum(axis=1) * (inputs**2).sum(axis=1)
    random = np.random.default_rng([seed, int((given >= 0).sum())])
    picks, distances = [int(squares.argmax())], np.full(len(free), np.inf)
    while len(picks) < min(count, len(free)):
        last = picks[-1]
        products = (residual @ residual[last]) * (inputs @ inputs[last])
        distances = np.minimum(distances, np.maximum(squares + squares[last] - 2 * products, 0))
        distances[picks] = 0
        chances = (
            distances / distances.sum() if distances.sum() > 0 else np.isin(free, free[picks], invert=True)
        )
        picks.append(int(random.choice(len(free), p=chances / chances.sum())))
    return free[picks]


def by_type(places: np.ndarray, given: np.ndarray, answers: np.ndarray | None, count: int, seed: int):
    known = np.flatnonzero(given >= 0)
    centres, label = groups.clusters(places, min(len(known) + count, len(places)), seed)
    sizes = np.bincount(label, minlength=len(centres))
    sizes[label[known]] = 0
    picks = []
    for number in np.argsort(-sizes, kind="stable")[:count]:
        rows = np.flatnonzero((label == number) & (given < 0))
        apart = np.linalg.norm(places[rows, None] - places[None, rows], axis=2)
        near = np.sort(apart, axis=1)[:, : TYPICAL_NEIGHBOURS + 1]
        if len(rows):
            picks.append(rows[near.mean(axis=1).argmin()])
    return np.array(picks, np.int64)


def by_chance(places: np.ndarray, given: np.ndarray, answers: np.ndarray | None, count: int, seed: int):
    order = np.random.default_rng(seed).permutation(len(given))
    return order[given[order] < 0][:count]


METHODS: dict[str, Method] = {
    "proposed": proposals.propose, "margin": by_margin, "badge": by_badge, "typical": by_type,
    "random": by_chance,
}  # fmt: skip


def measured(pictures: Pictures, method: str, seeds: int) -> dict[int, list[float]]:
    """Labels given -> test accuracy, 0..1, for each seed."""
    found: dict[int, list[float]] = {}
    for seed in range(seeds):
        for count, fitted in _labelled(pictures, METHODS[method], seed):
            found.setdefault(count, []).append(pictures.right(fitted.probabilities))
    return found


def _labelled(pictures: Pictures, method: Method, seed: int):
    learner, given, answers = Learner(pictures.places), pictures.hidden(), None
    ours = slice(pictures.to_label)
    for mark in (mark for mark in MARKS if mark <= MOST_LABELLED * pictures.to_label):
        while (wanted := mark - (count := int((given >= 0).sum()))) > 0:
            own = None if answers is None else answers[ours]
            at_once = min(max(AT_ONCE, round(AT_ONCE_SHARE * count)), wanted)
            rows = method(pictures.places[ours], given[ours], own, at_once, seed)
            given[rows] = pictures.labels[rows]
            fitted = learner.fit(given, pictures.classes)
            answers = fitted.probabilities
        yield mark, fitted


def expecting(pictures: Pictures, seeds: int) -> str:
    """The accuracy that the page would show, against that for the test pictures."""
    checks = []
    for seed in range(seeds):
        for count, fitted in _labelled(pictures, proposals.propose, seed):
            if count in CHECKED and fitted.accuracy:
                checks.append((*fitted.accuracy[:3], pictures.right(fitted.probabilities)))
    value, low, high, true = np.array(checks).T
    return (
        f"expected {100 * value.mean():.1f} % where {100 * true.mean():.1f} % are right, the means of "
        f"{len(checks)} checks; {np.sum(true < low)} below the interval, {np.sum(true > high)} above"
    )


def table(name: str, curves: dict[str, dict[int, list[float]]]) -> list[str]:
    marks = list(curves["random"])
    lines = [f"| {name}: labels | {' | '.join(map(str, marks))} |", "|---|" + "---|" * len(marks)]
    for method, found in curves.items():
        means = [f"{100 * statistics.mean(found[mark]):.1f}" for mark in marks]
        lines.append(f"| {method} | {' | '.join(means)} |")
    return lines


def naming(pictures: Pictures, seeds: int) -> str:
    """A group is named where nine of ten are of one class, else split; the most mixed ones first."""
    actions, wrong = [], []
    for seed in range(seeds):
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


def reviewing(pictures: Pictures, seeds: int) -> str:
    ours, shares = slice(pictures.to_label), []
    for seed in range(seeds):
        random = np.random.default_rng(seed)
        given = pictures.labels[ours].copy()
        wrong = random.permutation(len(given))[: round(WRONG_LABELS * len(given))]
        given[wrong] = (given[wrong] + random.integers(1, pictures.classes, len(wrong))) % pictures.classes
        fitted = Learner(pictures.places[ours]).fit(given, pictures.classes)
        found = review.suspects(fitted, given, pictures.places[ours])[: round(REVIEWED * len(given))]
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

    figure = Figure(figsize=(4.2 * len(curves), 3.8), layout="constrained")
    panels = figure.subplots(1, len(curves), squeeze=False)[0]
    for panel, (name, methods) in zip(panels, curves.items(), strict=True):
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
    panels[-1].legend(loc="lower right")
    figure.savefig(file, metadata={"Date": None} if file.suffix == ".svg" else None)


if __name__ == "__main__":
    main()
