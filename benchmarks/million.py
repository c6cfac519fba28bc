"""How reading a folder grows with its pictures: seconds and peak memory of each step, 10,000 to 1,000,000.

    python benchmarks/million.py --scratch FOLDER           # 5 GB of pictures and 4 GB of cache for a million
    python benchmarks/million.py --scratch FOLDER --sizes 10000 --rounds 3

For each size it writes that many distinct PNGs of 32x32 pixels into class folders with subfolders, and takes
each step in a new process, the cache on the same disk:

    scan       folders.scan
    first      Cache.survey with an empty cache: every file read, hashed, decoded
    again      Cache.survey once more, nothing changed
    alike      duplicates.near_duplicates
    split      split.assign, split.csv
    prints     fingerprints.npz
    whole      dataset.read_train_sets, nothing changed

Seconds are those of the step, without the interpreter's start and the steps that it needs first: on the
clock, and on the processor by all threads, which tells more where other programs run. Memory is the most that
the process ever held. Medians over the rounds. The pictures are kept and used again; delete the folder
afterwards. Files just written lie in the system's memory: the disk's latency is not in the figures.

The pictures are noise whose amplitude falls with the frequency, as it does in photographs. Of each thousand,
5 are copies, 5 near copies (brighter, and through JPEG), and 1 is cut off; `alike` also tells how many of the
near copies were found.
"""

import argparse
import json
import math
import resource
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import cv2
import environment
import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

SIDE, DRAWN_SIDE, CLASSES, SUBFOLDERS = 32, 48, 10, 10
COPIES = NEAR_COPIES = 0.005
CUT_OFF = 0.001
BATCH = 1000
LEVELS, COLOUR = 45.0, 0.3  # the pictures' standard deviation in grey levels; how strong their colours are
STEPS = ("scan", "first", "again", "alike", "split", "prints", "whole")
FORECAST = 10_000_000
FIGURES = ("seconds", "processor", "megabytes")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scratch", type=Path, required=True, help="where pictures and cache may lie")
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--rounds", type=int, nargs="+", default=[3, 3, 1], help="for each size, or for all")
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)  # what a new process is to measure
    options = parser.parse_args()
    if options.step:
        print(json.dumps(measure(options.step, options.scratch / "pictures", options.scratch / "cache")))
        return
    rounds = options.rounds * len(options.sizes) if len(options.rounds) == 1 else options.rounds
    measured = {}
    for size, count in zip(options.sizes, rounds, strict=False):
        measured[size] = measure_size(options.scratch / str(size), size, count)
    for size, steps in measured.items():
        for step, figures in steps.items():
            environment.note(f"{size:,}, {step}", figures["processor"], "processor s")
    for line in table(measured):
        print(line)


def measure_size(folder: Path, size: int, rounds: int) -> dict[str, dict[str, float]]:
    """For each step the median seconds and megabytes."""
    if not (folder / "pictures").exists():
        shutil.rmtree(folder, ignore_errors=True)
        write_pictures(folder / "unfinished", size)
        (folder / "unfinished").rename(folder / "pictures")
    found: dict[str, list[dict[str, float]]] = {step: [] for step in STEPS}
    for number in range(rounds):
        shutil.rmtree(folder / "cache", ignore_errors=True)
        for step in STEPS:
            found[step].append(in_new_process(step, folder))
            print(f"{size:>10,}  round {number + 1}  {step:<6}  {found[step][-1]}", flush=True)
    return {
        step: {key: statistics.median(one[key] for one in results) for key in results[0]}
        for step, results in found.items()
    }


def in_new_process(step: str, folder: Path) -> dict[str, float]:
    command = [sys.executable, __file__, "--scratch", str(folder), "--step", step]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def measure(step: str, pictures: Path, directory: Path) -> dict[str, float]:
    """What a step took in this process, and what else it has to tell."""
    from pigeonhole.data import cache, dataset, duplicates, folders, split
    from pigeonhole.evaluation import leakage
    from pigeonhole.pictures import images
    from pigeonhole.runs.run import Run

    figures = {}

    def timed(action: Callable, *arguments: object) -> object:
        started, used = time.perf_counter(), time.process_time()
        result = action(*arguments)
        figures["seconds"] = round(time.perf_counter() - started, 3)
        figures["processor"] = round(time.process_time() - used, 3)
        return result

    if step == "whole":
        timed(lambda: dataset.read_train_sets(pictures, SIDE, cache_dir=directory))
    else:
        tree = timed(folders.scan, pictures)
        if step != "scan":
            records, pixels = timed(cache.Cache(directory).survey, tree, images.Preprocessing(SIDE))
        if step == "alike":
            pairs = timed(duplicates.near_duplicates, records, pixels)
            figures |= {"near copies found": share_found(records, pairs), "pairs": len(pairs)}
        if step == "split":
            timed(
                lambda: split.write_split(Run(directory).split_file, records, split.assign(records, 0.2, 0))
            )
        if step == "prints":
            sides = dict.fromkeys((record.entry.name for record in records), "train")
            timed(leakage.write, Run(directory), records, pixels, sides)
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # on Linux
    return {**figures, "megabytes": round(kilobytes / 1024, 1)}


def share_found(records, pairs) -> float:
    """The share of the near copies that were written which is among the pairs."""
    names = {record.entry.name for record in records if not record.skipped}
    near = [name for name in names if name.endswith(".near.png")]
    planted = {(name.removesuffix(".near.png") + ".png", name) for name in near}
    return round(len(planted & {tuple(sorted(pair, key=len)) for pair in pairs}) / len(planted), 4)


def write_pictures(folder: Path, count: int) -> None:
    """Exactly `count` files below `folder`, always the same ones for a count."""
    for class_number in range(CLASSES):
        for number in range(SUBFOLDERS):
            subfolder(folder, class_number, number).mkdir(parents=True)
    with ProcessPoolExecutor() as pool:
        for done in [pool.submit(write_batch, folder, start, count) for start in range(0, count, BATCH)]:
            done.result()


def subfolder(folder: Path, class_number: int, number: int) -> Path:
    """One of a class: no two classes have folders of one name, or they could be parts of a split."""
    return folder / f"class{class_number}" / f"{class_number}-{number:02}"


def write_batch(folder: Path, start: int, count: int) -> None:
    random = np.random.default_rng(start)
    files = distinct_files(folder, start, random)
    remaining = min(BATCH, count - start)
    for path, picture in files:
        data = encoded(picture)
        chance = random.random()
        versions = [(path, data)]
        if chance < CUT_OFF:
            versions = [(path, data[: len(data) // 2])]
        elif chance < CUT_OFF + COPIES:
            versions.append((path.with_suffix(".copy.png"), data))
        elif chance < CUT_OFF + COPIES + NEAR_COPIES:
            versions.append((path.with_suffix(".near.png"), encoded(near_copy(picture))))
        for name, content in versions[:remaining]:
            name.write_bytes(content)
        remaining -= len(versions[:remaining])
        if not remaining:
            return


def distinct_files(
    folder: Path, start: int, random: np.random.Generator
) -> Iterator[tuple[Path, np.ndarray]]:
    for number, picture in enumerate(draw(random, BATCH), start):
        place = subfolder(folder, number % CLASSES, number // CLASSES % SUBFOLDERS)
        yield place / f"{number:08}.png", picture


def draw(random: np.random.Generator, count: int) -> np.ndarray:
    """Noise with the spectrum of photographs, amplitude 1 / frequency, in colour: uint8 [n, 32, 32, 3]."""
    # Drawn larger and cut, since a spectrum's picture is periodic and photographs are not.
    frequency = np.hypot(np.fft.fftfreq(DRAWN_SIDE)[:, None], np.fft.rfftfreq(DRAWN_SIDE)[None, :])
    amplitude = (1 / np.maximum(frequency, 1 / DRAWN_SIDE)).astype(np.float32)
    noise = random.standard_normal((count, 4, *amplitude.shape, 2), np.float32).view(np.complex64)[..., 0]
    waves = np.fft.irfft2(noise * amplitude, (DRAWN_SIDE, DRAWN_SIDE))[..., :SIDE, :SIDE]
    light, colour = waves[:, :1], waves[:, 1:]
    pictures = (light + COLOUR * colour) * (LEVELS / waves.std())
    return np.clip(128 + pictures, 0, 255).astype(np.uint8).transpose(0, 2, 3, 1)


def near_copy(picture: np.ndarray) -> np.ndarray:
    """The picture a little brighter, as JPEG of quality 85 leaves it."""
    brighter = cv2.convertScaleAbs(picture, alpha=1.02, beta=3)
    _, data = cv2.imencode(".jpg", brighter, [cv2.IMWRITE_JPEG_QUALITY, 85])
    return cv2.imdecode(data, cv2.IMREAD_COLOR)


def encoded(picture: np.ndarray) -> bytes:
    return cv2.imencode(".png", picture, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes()


def table(measured: dict[int, dict[str, dict[str, float]]]) -> Iterator[str]:
    """The figures of each step and size, and what the growth between the largest two leads to."""
    sizes = sorted(measured)
    yield from environment.lines()
    yield "seconds on the clock, seconds of the processor, megabytes at the most"
    for step in STEPS:
        yield step
        for size in sizes:
            yield row(f"{size:,}", [measured[size][step][figure] for figure in FIGURES])
        if len(sizes) > 1:
            yield row(f"{FORECAST:,} forecast", [forecast(measured, step, figure) for figure in FIGURES])
    for size in sizes:
        yield f"{size:,}: near copies found: {measured[size]['alike']['near copies found']:.1%}"


def row(title: str, figures: list[float]) -> str:
    return f"{title:>22}" + "".join(f"{figure:>12,.1f}" for figure in figures)


def forecast(measured: dict[int, dict[str, dict[str, float]]], step: str, figure: str) -> float:
    """At `FORECAST` pictures: memory by the straight line through the two largest sizes, time by a power."""
    smaller, larger = sorted(measured)[-2:]
    low, high = (measured[size][step][figure] for size in (smaller, larger))
    if figure == "megabytes":
        return high + (high - low) / (larger - smaller) * (FORECAST - larger)
    return high * (FORECAST / larger) ** (math.log(high / low) / math.log(larger / smaller))


if __name__ == "__main__":
    main()
