"""Pigeonhole's default beside other ways to learn photos: test accuracy and seconds, as a table and a plot.

    python benchmarks/peers.py --sets ants_bees=hymenoptera/train:hymenoptera/test dogs=TRAIN:TEST

pigeonhole          `train.py` with nothing but --data and --seed; its saved model answers
pytorch_frozen      the same pretrained weights in PyTorch: features, then a logistic regression
pytorch_fine_tuned  all layers of the same in PyTorch, by the recipe of its transfer learning tutorial
fastai_fine_tuned   the same in fastai, by its `fine_tune` with its defaults
keras_tutorial      the same weights by the recipe of Keras' guide to transfer learning
standard            a network from nothing: `train.py --network standard`

peer_recipes.py has the recipes of others and what differs in them. Those of PyTorch and fastai that fine-tune
and keras_tutorial have as long as Pigeonhole took with the same pictures and seed. Every training is a
process of its own on all cores and begins without a cache. Seconds are from its start to its end, with
imports and decoding, for train.py also with the report; without the answers for the test pictures.

Every outcome is a row of --results, and what is there is not trained again: an interrupted run goes on, and
the table can grow. Where one set's rows are of several machines or lengths, nothing more is trained for it.
"""

import argparse
import csv
import dataclasses
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

import accuracy  # noqa: E402
import environment  # noqa: E402

from pigeonhole import quiet  # noqa: E402
from pigeonhole.statistics import accuracy_line  # noqa: E402

OURS = "pigeonhole"
TORCH = {"torch": "torch", "efficientnet_lite_pytorch": "efficientnet-lite-pytorch"}  # module to package
FASTAI = {**TORCH, "fastai": "fastai"}
MOST_COLUMNS = 3  # of the plot


class Method(NamedTuple):
    """`flags` for train.py; None: a kind of peer_recipes.py. `as_long`: as Pigeonhole's own training.
    `needs`: modules, and the packages that bring them.
    """

    title: str
    flags: tuple[str, ...] | None = None
    as_long: bool = False
    needs: Mapping[str, str] = {}


METHODS = {
    OURS: Method("Pigeonhole, default", ()),
    "pytorch_frozen": Method("PyTorch, frozen, logistic regression", needs=TORCH),
    "pytorch_fine_tuned": Method("PyTorch, fine-tuned", as_long=True, needs=TORCH),
    "fastai_fine_tuned": Method("fastai, fine-tuned", as_long=True, needs=FASTAI),
    "keras_tutorial": Method("Keras' guide: head, then all layers", as_long=True),
    "standard": Method("from nothing, `--network standard`", ("--network", "standard")),
}


class PictureSet(NamedTuple):
    name: str
    train: Path
    test: Path


@dataclasses.dataclass(frozen=True)
class Outcome:
    """A row of the results: `right` of `total` test pictures after `seconds`. `origin`: `Bench.origin`."""

    set: str
    method: str
    seed: int
    right: int
    total: int
    seconds: float
    origin: str

    @property
    def accuracy(self) -> float:
        return self.right / self.total

    @property
    def key(self) -> tuple[str, str, int]:
        return self.set, self.method, self.seed


COLUMNS = [field.name for field in dataclasses.fields(Outcome)]


def main(arguments: list[str] | None = None) -> None:
    options = _parser().parse_args(arguments)
    outcomes = read_results(options.results)
    ahead = _runnable(
        [
            (pictures, name, seed)
            for pictures in options.sets
            for seed in options.seeds
            for name in options.methods
            if (pictures.name, name, seed) not in outcomes
        ]
    )
    check(ahead, outcomes, options)
    for pictures, name, seed in ahead:
        reference = outcomes.get((pictures.name, OURS, seed))
        outcome = train(pictures, name, seed, options.minutes, reference.seconds if reference else 0)
        append(outcome, options.results)
        outcomes[outcome.key] = outcome
        result = f"{accuracy_line(outcome.right, outcome.total)}, {outcome.seconds:.0f} s"
        print(f"{pictures.name}, {name}, seed {seed}: {result}", file=sys.stderr, flush=True)
    names = [pictures.name for pictures in options.sets]
    wanted = [each for each in outcomes.values() if each.set in names and each.seed in options.seeds]
    done = {
        (name, method): chosen
        for name in names
        for method in options.methods
        if (chosen := [each for each in wanted if (each.set, each.method) == (name, method)])
    }
    if not done:
        sys.exit("nothing can be shown: no method that is left has an outcome")
    print("\n".join([*table(done), *environment.lines()]))
    draw(done, options.plot)
    print(f"plot: {options.plot}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    form = f"NAME=TRAIN{os.pathsep}TEST"
    add("--sets", type=_picture_set, nargs="+", required=True, metavar=form, help="folders of class folders")
    add("--seeds", type=_seeds, default=[0, 1, 2], metavar="N,N", help="(0,1,2)")
    add("--methods", type=_methods, default=list(METHODS), metavar="A,B", help="only these")
    add("--minutes", type=float, help="for train.py and those that take as long, to try it out quickly")
    add("--results", type=Path, default=Path("peers.csv"), metavar="FILE")
    add("--plot", type=Path, default=Path("peers.png"), metavar="FILE")
    return parser


def _picture_set(text: str) -> PictureSet:
    name, is_named, folders = text.partition("=")
    parts = folders.split(os.pathsep)
    if not (name and is_named and len(parts) == 2 and all(parts)):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=TRAIN{os.pathsep}TEST")
    return PictureSet(name, *map(Path, parts))


def _seeds(text: str) -> list[int]:
    if not all(part.isdecimal() for part in text.split(",")):
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of whole numbers such as 0,1,2")
    return sorted({int(part) for part in text.split(",")})


def _methods(text: str) -> list[str]:
    if unknown := set(text.split(",")) - METHODS.keys():
        raise argparse.ArgumentTypeError(
            f"no method {', '.join(sorted(unknown))}; there are {', '.join(METHODS)}"
        )
    return [name for name in METHODS if name in text.split(",")]  # Pigeonhole first: others take as long


def _runnable(ahead: list[tuple[PictureSet, str, int]]) -> list[tuple[PictureSet, str, int]]:
    """Those whose packages are here; one line for each of the others names what it needs."""
    missing = {
        name: [package for module, package in METHODS[name].needs.items() if not find_spec(module)]
        for name in dict.fromkeys(name for _, name, _ in ahead)
    }
    for name, packages in missing.items():
        if packages:
            print(f"without {name}: pip install {' '.join(packages)}", file=sys.stderr)
    return [each for each in ahead if not missing[each[1]]]


def check(ahead: list[tuple[PictureSet, str, int]], outcomes: dict, options: argparse.Namespace) -> None:
    """Leave with one line where something that is ahead cannot be done, before hours are spent."""
    planned = {(pictures.name, name, seed) for pictures, name, seed in ahead}
    for pictures, name, seed in ahead:
        for folder in (pictures.train, pictures.test):
            if not folder.is_dir():
                sys.exit(f"{folder}: no such folder")
        reference = (pictures.name, OURS, seed)
        if METHODS[name].as_long and reference not in planned | outcomes.keys():
            sys.exit(f"{name} takes as long as {OURS} with the same seed: add {OURS} to --methods")
        own = origin(pictures, options.minutes)
        for each in outcomes.values():
            if each.set == pictures.name and each.origin != own:
                sys.exit(
                    f"{options.results}: has outcomes for {each.set} of another origin ({each.origin}, now "
                    f"{own}); name another file with --results"
                )


def origin(pictures: PictureSet, minutes: float | None) -> str:
    """What the outcomes for one set must have in common to stand in one table."""
    length = f"--minutes {minutes:g}" if minutes else "default length"
    cores = f"{environment.available_cores()} cores"
    return f"{pictures.train}{os.pathsep}{pictures.test}; {length}; {environment.processor()}, {cores}"


def read_results(file: Path) -> dict[tuple[str, str, int], Outcome]:
    """The outcomes so far by set, method and seed."""
    if not file.exists():
        return {}
    try:
        with file.open(newline="", encoding="utf-8") as lines:
            rows = [_outcome(row) for row in csv.DictReader(lines, strict=True)]
    except (ValueError, TypeError, KeyError, csv.Error):
        sys.exit(f"{file}: holds no results that this program wrote; name another file with --results")
    return {row.key: row for row in rows}


def _outcome(row: dict[str, str]) -> Outcome:
    numbers = {"seed": int, "right": int, "total": int, "seconds": float}
    return Outcome(**{name: numbers.get(name, str)(value) for name, value in row.items()})


def append(outcome: Outcome, file: Path) -> None:
    begins = not file.exists()
    with file.open("a", newline="", encoding="utf-8") as lines:
        writer = csv.DictWriter(lines, COLUMNS)
        if begins:
            writer.writeheader()
        writer.writerow({**dataclasses.asdict(outcome), "seconds": round(outcome.seconds, 1)})


def train(pictures: PictureSet, name: str, seed: int, minutes: float | None, as_long: float) -> Outcome:
    """`as_long`: the seconds that a method has which takes as long as Pigeonhole."""
    method = METHODS[name]
    if method.flags is None:
        right, total, seconds = learn_as_others(name, pictures, seed, as_long)
    else:
        length = ("--minutes", str(minutes)) if minutes else ()
        right, total, seconds = learn_as_we_do(pictures, seed, [*method.flags, *length])
    return Outcome(pictures.name, name, seed, right, total, seconds, origin(pictures, minutes))


def learn_as_we_do(pictures: PictureSet, seed: int, flags: list[str]) -> tuple[int, int, float]:
    """(right, total, seconds) by train.py, which finds nothing in a cache."""
    quiet.import_tensorflow()  # for the test
    with tempfile.TemporaryDirectory() as folder:
        cache = ["--cache-dir", str(Path(folder, "cache"))]
        options = argparse.Namespace(data=pictures.train, flags=[*cache, *flags])
        started = time.perf_counter()
        run = accuracy.train(options, Path(folder), str(seed))
        seconds = time.perf_counter() - started
        right, total, _ = accuracy.test(run, pictures.test)
    return right, total, seconds


def learn_as_others(
    kind: str, pictures: PictureSet, seed: int, most_seconds: float
) -> tuple[int, int, float]:
    """(right, total, seconds) by a recipe of peer_recipes.py."""
    command = [sys.executable, ROOT / "benchmarks" / "peer_recipes.py", kind]
    command += [pictures.train, pictures.test, str(seed), str(most_seconds)]
    started = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        trained = process.stdout.readline()
        seconds = time.perf_counter() - started
        told = process.stdout.read()
    if process.returncode or trained != "trained\n":
        sys.exit(f"{kind}: ended with status {process.returncode}; what it wrote stands above")
    answers = json.loads(told)
    return answers["right"], answers["total"], seconds


def table(done: dict[tuple[str, str], list[Outcome]]) -> list[str]:
    """Lines of Markdown, one for each set and method, and then where the figures come from."""
    lines = [
        "| pictures | method | test accuracy, median | lowest to highest | seconds, median | n |",
        "|---|---|---|---|---|---|",
    ]
    for (name, method), outcomes in done.items():
        shares = [each.accuracy for each in outcomes]
        median, lowest, highest = (f"{100 * of(shares):.1f}" for of in (statistics.median, min, max))
        seconds = statistics.median(each.seconds for each in outcomes)
        cells = [name, METHODS[method].title, f"{median} %", f"{lowest} to {highest} %", f"{seconds:,.0f}"]
        lines.append(f"| {' | '.join([*cells, str(len(outcomes))])} |")
        environment.note(f"{name}, {method}", shares, "share")
        environment.note(f"{name}, {method}, time", [each.seconds for each in outcomes], "s")
    origins = dict.fromkeys(f"{each.set}: {each.origin}" for outcomes in done.values() for each in outcomes)
    return [*lines, "", *origins]


def draw(done: dict[tuple[str, str], list[Outcome]], file: Path) -> None:
    """Test accuracy against seconds, a panel for each set: a point for each seed, a large one for medians."""
    import matplotlib
    from matplotlib.figure import Figure

    names = list(dict.fromkeys(name for name, _ in done))
    columns = min(MOST_COLUMNS, len(names))
    rows = -(-len(names) // columns)
    figure = Figure(figsize=(4 * columns + 3.2, 3.6 * rows), layout="constrained")
    panels = dict(zip(names, figure.subplots(rows, columns, squeeze=False).flat, strict=False))
    colors = dict(zip(METHODS, matplotlib.colormaps["tab10"].colors, strict=False))
    handles = {}
    for (name, method), outcomes in done.items():
        seconds = [each.seconds for each in outcomes]
        percent = [100 * each.accuracy for each in outcomes]
        panels[name].scatter(seconds, percent, s=14, color=colors[method], alpha=0.6, linewidths=0)
        middle = [statistics.median(seconds)], [statistics.median(percent)]
        handles[method] = panels[name].scatter(*middle, s=80, color=colors[method])
    for name, axes in panels.items():
        axes.set(xlabel="seconds", ylabel="test accuracy, %", title=name)
        axes.set_xlim(left=0)
        axes.grid(alpha=0.3)
    for axes in figure.axes[len(names) :]:
        axes.remove()
    titles = [METHODS[method].title.replace("`", "") for method in handles]
    figure.legend(handles.values(), titles, loc="outside right upper", fontsize=9)
    figure.savefig(file, dpi=150)


if __name__ == "__main__":
    main()
