"""What it brings to start a small problem from a run on other classes, over several seeds.

    python benchmarks/transfer.py --data training_data --test testing_data

takes CIFAR-10 as class folders. One run learns the first five classes, in the order of the alphabet, from all
their pictures. Then each seed draws a hundred pictures of each of the other five and trains on these twice by
the same recipe and for the same number of steps: once from random weights, once from that run. Both models
answer for every test picture of the five classes. What follows `--` goes to both of a pair's trainings.
"""

import argparse
import statistics
import tempfile
from pathlib import Path

import environment
from honesty import Laboratory
from scipy.stats import t as student

from pigeonhole.runs.run import Run

EACH = 100  # pictures of a class
ONE = ("--network", "standard")  # several ways start from trained weights anyway


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--test", type=Path, required=True)
    parser.add_argument("--seeds", default="0,1,2,3,4")
    parser.add_argument("--epochs", default="5", help="of the run on the first five classes")
    parser.add_argument("flags", nargs="*", help="for the trainings on the other five, after --")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        laboratory = Laboratory(options.data, options.test, Path(scratch), seed=0)
        first, other = laboratory.classes[:5], laboratory.classes[5:]
        everything = laboratory.lay_out({name: (options.data / name).iterdir() for name in first})
        start = laboratory.train(everything, *ONE, "--epochs", options.epochs, "--no-report")
        describe(start)
        test = laboratory.lay_out({name: (options.test / name).iterdir() for name in other})
        differences = []
        for seed in options.seeds.split(","):
            scratch_accuracy, warm_accuracy = pair(laboratory, other, test, start, seed, options.flags)
            differences.append(warm_accuracy - scratch_accuracy)
            print(
                f"seed {seed}: from random weights {scratch_accuracy:.2%}, from the run {warm_accuracy:.2%}, "
                f"difference {100 * differences[-1]:+.2f} points",
                flush=True,
            )
    environment.note("gain", [100 * difference for difference in differences], "percentage points")
    print(summary(differences))


def describe(run: Path) -> None:
    """Say what everything is computed with, and how good the run is that is started from."""
    settings = Run(run).settings()
    print("\n".join(environment.lines(settings["machine"]["precision"])))
    low, high = Run(run).result()["interval_95"]
    print(f"the run on {', '.join(settings['classes'])}: {low:.1%} to {high:.1%} right", flush=True)


def pair(
    laboratory: Laboratory, classes: list[str], test: Path, start: Path, seed: str, flags: list[str]
) -> tuple[float, float]:
    """The test accuracy from random weights and from the run, on the pictures that `seed` draws."""
    drawing = Laboratory(laboratory.data, laboratory.test, laboratory.scratch, int(seed))
    folder = laboratory.lay_out({name: drawing.draw(name, EACH) for name in classes})
    accuracies = []
    for more in ((), ("--weights", start)):
        run = laboratory.train(folder, *ONE, "--seed", seed, "--no-report", *more, *flags)
        accuracies.append(laboratory.evaluate(run, test)["accuracy"])
    return accuracies[0], accuracies[1]


def summary(differences: list[float]) -> str:
    """The mean difference with its 95 % interval, by Student's t."""
    count = len(differences)
    mean = statistics.mean(differences)
    half = student.ppf(0.975, count - 1) * statistics.stdev(differences) / count**0.5
    return (
        f"n = {count} pairs: mean difference {100 * mean:+.2f} points, "
        f"95 % interval {100 * (mean - half):+.2f} to {100 * (mean + half):+.2f}"
    )


if __name__ == "__main__":
    main()
