"""How fast a folder of photos is read, beside Keras' own reader and a plain OpenCV loop.

    python benchmarks/reading.py --data training_data --image-size 128

Every contender reads in a process of its own, all pictures at the training's size, and they take turns;
medians over the rounds. The first epoch of this project also checks every file, finds duplicates and writes
the cache. "decoding alone" only decodes and resizes: on one core it is to be held against the OpenCV loop,
which is one core as well, on all cores against Keras' reader, which does no more either. The file cache of
the operating system is warm for all.
"""

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
sys.path.insert(0, str(ROOT / "benchmarks"))

import environment  # noqa: E402

from pigeonhole.data.parallel import available_cores  # noqa: E402

BATCH = 32

Epoch = Callable[[], int]  # reads all pictures once, and gives their number


def ours(data: Path, size: int) -> Iterator[Epoch]:
    """Reading as train.py does it; the second epoch comes from the cache, in a shuffled order."""
    from pigeonhole.data import dataset

    with tempfile.TemporaryDirectory() as cache:
        sets = None

        def first() -> int:
            nonlocal sets
            sets = dataset.read_train_sets(data, size, cache_dir=cache, progress=False)
            return sets.train.num_examples + sets.valid.num_examples

        def second() -> int:
            images = 0
            while not sets.train.epochs_done:
                images += len(sets.train.next_batch(BATCH)[0])
            return images

        yield first
        yield second


def decoding(data: Path, size: int, threads: int) -> Iterator[Epoch]:
    """This project's decoder, in so many loops at once."""
    import cv2

    from pigeonhole.pictures import images

    cv2.setNumThreads(1)
    preprocessing = images.Preprocessing(size)

    def read(file: Path):
        return images.preprocess(file.read_bytes(), preprocessing)

    with ThreadPoolExecutor(threads) as pool:
        yield lambda: len([*pool.map(read, files(data))])


def opencv(data: Path, size: int, area: bool) -> Iterator[Epoch]:
    """The loop of the classic tutorials; `area` resizes without skipping pixels."""
    import cv2

    cv2.setNumThreads(1)
    rule = cv2.INTER_AREA if area else cv2.INTER_LINEAR

    def read(file: Path):
        return cv2.resize(cv2.imread(str(file)), (size, size), interpolation=rule)

    yield lambda: len([read(file) for file in files(data)])


def keras_reader(data: Path, size: int) -> Iterator[Epoch]:
    """`image_dataset_from_directory`, which decodes again in every epoch."""
    import keras

    def epoch() -> int:
        read = keras.utils.image_dataset_from_directory(
            data, image_size=(size, size), batch_size=BATCH, verbose=False
        )
        return sum(len(images) for images, _ in read)

    yield epoch
    yield epoch


KINDS: dict[str, Callable[[Path, int], Iterator[Epoch]]] = {
    "Pigeonhole": ours,
    "Pigeonhole, decoding alone": lambda data, size: decoding(data, size, threads=1),
    "the same on all cores": lambda data, size: decoding(data, size, available_cores()),
    "OpenCV loop, linear resize": lambda data, size: opencv(data, size, area=False),
    "OpenCV loop, area resize": lambda data, size: opencv(data, size, area=True),
    "Keras image_dataset_from_directory": keras_reader,
}


def files(data: Path) -> list[Path]:
    return [file for file in sorted(data.rglob("*")) if file.is_file()]


def measure(kind: str, data: Path, size: int) -> None:
    """Print pictures per second of each epoch, and the process's peak memory in MB."""
    speeds = []
    for epoch in KINDS[kind](data, size):
        started = time.perf_counter()
        count = epoch()
        speeds.append(count / (time.perf_counter() - started))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(*speeds, peak, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, metavar="FOLDER", help="one folder per class")
    parser.add_argument("--image-size", type=int, default=128, metavar="PIXELS", help="(128)")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="how often each has its turn (3)")
    parser.add_argument("--kind", choices=KINDS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.kind:
        measure(options.kind, options.data, options.image_size)
    else:
        compare(options)


def compare(options: argparse.Namespace) -> None:
    print("\n".join(environment.lines()))
    print(f"{len(files(options.data)):,} files, {options.image_size} px, {options.rounds} rounds", flush=True)
    found: dict[str, list[list[float]]] = {kind: [] for kind in KINDS}
    for _ in range(options.rounds):
        for kind, rounds in found.items():
            shown = subprocess.run(
                [sys.executable, *sys.argv, "--kind", kind], capture_output=True, text=True, check=True
            )
            rounds.append([float(figure) for figure in shown.stdout.split()])
    print(f"\n{'pictures/s':36} {'first epoch':>11} {'second':>8} {'peak MB':>8}")
    for kind, rounds in found.items():
        *speeds, peak = (statistics.median(figures) for figures in zip(*rounds, strict=True))
        second = f"{speeds[1]:8,.0f}" if len(speeds) > 1 else f"{'as first':>8}"
        print(f"{kind:36} {speeds[0]:11,.0f} {second} {peak:8,.0f}")
        environment.note(kind, [figures[0] for figures in rounds], "pictures/s")
    for mine, other in (
        ("Pigeonhole, decoding alone", "OpenCV loop, linear resize"),
        ("Pigeonhole, decoding alone", "OpenCV loop, area resize"),
        ("the same on all cores", "Keras image_dataset_from_directory"),
        ("Pigeonhole", "Keras image_dataset_from_directory"),
    ):
        ratios = [one[0] / two[0] for one, two in zip(found[mine], found[other], strict=True)]
        print(f"{mine} is {statistics.median(ratios):.2f}x {other}")
        environment.note(f"{mine} / {other}", ratios, "times")


if __name__ == "__main__":
    main()
