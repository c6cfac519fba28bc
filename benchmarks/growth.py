"""How the cost of training grows: with the pictures' side, the number of classes, the number of pictures.

    python benchmarks/growth.py

Trains network `standard` on noise for some steps, in a process of its own for each line, and prints pictures
per second (median of the steps) and the process's peak memory. Pictures lie in a file on disk, as the cache
keeps them. What it costs to read them from a folder is measured by reading.py and million.py.
"""

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
sys.path.insert(0, str(ROOT / "benchmarks"))

import environment  # noqa: E402

USUAL = {"side": 32, "classes": 10, "pictures": 10_000}
LINES = {
    "side": (32, 48, 64, 96, 128, 224),
    "classes": (10, 100, 1_000),
    "pictures": (1_000, 10_000, 60_000, 200_000),
}
WRITTEN_AT_ONCE = 1_000
WARM_UP = 2  # steps
FEWEST_STEPS = WARM_UP + 2


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=30, metavar="N", help="of each training (30)")
    parser.add_argument("--train", nargs=3, type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.steps < FEWEST_STEPS:
        parser.error(f"--steps: at least {FEWEST_STEPS}, since the first ones do not count")
    if options.train:
        train(*options.train, options.steps)
    else:
        tell(options.steps)


def tell(steps: int) -> None:
    print("\n".join(environment.lines()))
    print(f"network standard, {steps} steps for each line\n")
    print(f"{'side':>6} {'classes':>8} {'pictures':>9} {'batch':>6} {'pictures/s':>11} {'peak MB':>8}")
    for varied, values in LINES.items():
        for value in values:
            setting = {**USUAL, varied: value}
            command = [
                sys.executable,
                __file__,
                "--steps",
                str(steps),
                "--train",
                *map(str, setting.values()),
            ]
            shown = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
            batch, speed, peak = map(float, shown.stdout.split())
            side, classes, pictures = setting.values()
            print(f"{side:6} {classes:8,} {pictures:9,} {batch:6.0f} {speed:11,.0f} {peak:8,.0f}", flush=True)
            environment.note(f"{varied} {value:,}", speed, "pictures/s")


def train(side: int, classes: int, count: int, steps: int) -> None:
    """Print the batch size, pictures per second and peak memory in MB of a training."""
    from pigeonhole.quiet import import_tensorflow

    import_tensorflow()
    from pigeonhole.data.dataset import DataSet
    from pigeonhole.networks.registry import NETWORKS
    from pigeonhole.training import precision
    from pigeonhole.training.blueprint import Blueprint

    with tempfile.TemporaryDirectory() as folder:
        images = noise(Path(folder, "pixels"), count, side)
        names = [str(index) for index in range(count)]
        data = DataSet(images, np.arange(count) % classes, names, [f"{index:04}" for index in range(classes)])
        recipe = NETWORKS["standard"].recipe(side, count, all_grey=False)
        trainer = Blueprint("standard", 0, precision.choose("auto")[0]).trainer(recipe, data)
        trainer.total_steps = steps
        moments: list[float] = []
        trainer.learn(lambda progress: moments.append(time.perf_counter()))
    per_step = statistics.median(np.diff(moments[WARM_UP:]))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(recipe.batch_size, recipe.batch_size / per_step, peak)


def noise(file: Path, count: int, side: int):
    """Pictures uint8 [count, side, side, 3] on disk, kept as the cache keeps them."""
    from pigeonhole.data.pixels import RowFile

    random = np.random.default_rng(0)
    rows = RowFile(file, (side, side, 3))
    for start in range(0, count, WRITTEN_AT_ONCE):
        part = random.integers(0, 256, (min(WRITTEN_AT_ONCE, count - start), rows.row_bytes), np.uint8)
        rows.append(start, [row.tobytes() for row in part])
    return rows.open(range(count))


if __name__ == "__main__":
    main()
