"""How long a folder of pictures takes to export and to check, beside the plainest OpenCV loop over it.

    python benchmarks/folders.py --source cifar-10-python.tar.gz     # exports it to a temporary folder first
    python benchmarks/folders.py --data training_data

Each round: the export (with --source), the pre-flight with an empty cache, the pre-flight again, and the
plain loop: `cv2.imread` and `cv2.resize` to the same size in one thread, checking, hashing and keeping
nothing. Medians over the rounds; ratios are taken within a round.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import environment

ROOT = Path(__file__).resolve().parents[1]
SIZE = 32


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--source", type=Path, help="a CIFAR archive or unpacked folder")
    source.add_argument("--data", type=Path, help="a folder of class folders")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    seconds: dict[str, list[float]] = {}
    for _ in range(options.rounds):
        with tempfile.TemporaryDirectory() as folder:
            for name, taken in one_round(options, Path(folder)):
                seconds.setdefault(name, []).append(taken)
    print("\n".join(environment.lines(f"n = {options.rounds}")))
    for name, times in seconds.items():
        ratios = [taken / plain for taken, plain in zip(times, seconds["plain loop"], strict=True)]
        print(f"{name:<20} {statistics.median(times):7.1f} s   {statistics.median(ratios):5.2f} x plain loop")
        environment.note(name, times, "s")
        environment.note(f"{name} / plain loop", ratios, "times")


def one_round(options: argparse.Namespace, folder: Path):
    """(what, seconds) of each part."""
    data = options.data
    if options.source:
        data = folder / "training_data"
        testing = folder / "testing_data"
        yield (
            "export",
            run(
                "export_cifar_folders.py",
                "--source",
                options.source,
                "--train-dir",
                data,
                "--test-dir",
                testing,
            ),
        )
    check = ("dataset.py", data, "--image-size", SIZE, "--cache-dir", folder / "cache")
    yield "pre-flight, first", run(*check)
    yield "pre-flight, again", run(*check)
    started = time.perf_counter()
    cv2.setNumThreads(1)
    for path in sorted(data.glob("*/*")):
        cv2.resize(cv2.imread(str(path)), (SIZE, SIZE), interpolation=cv2.INTER_AREA)
    yield "plain loop", time.perf_counter() - started


def run(program: str, *arguments: object) -> float:
    """Seconds that the program takes as a whole process."""
    started = time.perf_counter()
    command = [sys.executable, str(ROOT / program), *map(str, arguments)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=ROOT)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
