"""Every benchmark by one command: small, to see that each still works, or full, for figures to publish.

    python benchmarks/suite.py --data CIFAR --test CIFAR_TEST --photos TRAIN --photos-test TEST
    python benchmarks/suite.py --data CIFAR --test CIFAR_TEST --photos TRAIN --photos-test TEST --full

CIFAR and CIFAR_TEST are CIFAR-10's class folders, TRAIN and TEST those of photos, such as dogs and cats. The
small size takes a part of CIFAR-10 and few rounds: its figures are too noisy to quote. Full takes hours.

Each benchmark prints its table, and its figures are kept in `--results`: one JSON file for each run of this
program, named by its day, the commit and the size, with the machine and the versions. `history.py` compares
such files and draws them. A benchmark that fails is named at the end, and the exit status is 1.
"""

import argparse
import datetime
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import environment
from honesty import Laboratory

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "docs" / "benchmarks"
EACH, EACH_TESTED = 550, 20  # pictures of a class in the part of CIFAR-10 that is taken at small size


class Entry(NamedTuple):
    """The arguments of a benchmark, of both sizes and of each, with names in braces for what is given.

    `needs`: a program that must be installed.
    """

    both: str = ""
    small: str = ""
    full: str = ""
    needs: str = ""


TRAINED = "--data {data} --test {test}"
ENTRIES = {
    "start_time": Entry(small="--repeats 1"),
    "first_answer": Entry("--data {photos}", "--rounds 1"),
    "features": Entry("--data {photos}", "--pictures 64 --rounds 1"),
    "neighbours": Entry("--data {data}", "--pictures 1000 2000"),
    "picture_size": Entry("--data {photos}", "--seeds 1", "--least-side 320"),
    "reading": Entry("--data {photos}", "--rounds 1"),
    "folders": Entry("--data {data}", "--rounds 1"),
    "million": Entry("--scratch {scratch}/million", "--sizes 1000 2000 --rounds 1"),
    "training_speed": Entry("--network standard", "--steps 3 --rounds 1"),
    "fine_tuning": Entry(small="--side 96 --steps 2 --rounds 1"),
    "profile_step": Entry(small="--steps 2"),
    "growth": Entry(small="--steps 4"),
    "bulk": Entry("--photos {photos} --model {run}", "--count 100 --rounds 1"),
    "exact_rule": Entry("{run} {photos}", "--pictures 50", "--pictures 2000"),
    "serving": Entry("--model {thumbnail_run}", "--seconds 1", "--seconds 8 --rounds 3", needs="wrk"),
    "server_attacks": Entry("{run}", "--seconds 1", "--seconds 60"),
    "labelling": Entry("--sets photos={photos}{pathsep}{photos_test} " + "--results {scratch}/labelling.json "
                       "--plot {scratch}/labelling.svg", "--seeds 1"),
    "labelling_settings": Entry(
        "--sets photos={photos} --results {scratch}/settings.json", "--seeds 1 --only 'as it is'"
    ),
    "labelling_opening": Entry("--scratch {scratch}/opening", "--pictures 500 --rounds 1 --decisions 2"),
    "out_of_fold": Entry("--data {data}", "--problems 4 --image-size 96"),
    "honesty": Entry(TRAINED, "--only copies"),
    "accuracy": Entry(TRAINED, "--seeds 0 -- --network standard --steps 20", "-- --network standard"),
    "sizes": Entry(TRAINED, "--counts 100 --seeds 0"),
    "augmentation": Entry("--data {photos} --test {photos_test}", "--length 0.01 --seeds 0"),
    "classics": Entry(TRAINED + " --results {scratch}/classics.json --plot {scratch}/classics.png",
                      "--minutes 0.05 --networks standard,keras_example"),
    "transfer": Entry(TRAINED, "--seeds 0,1 --epochs 1 -- --steps 10"),
    "peers": Entry("--sets photos={photos}{pathsep}{photos_test} --results {scratch}/methods.csv "
                              "--plot {scratch}/methods.png", "--seeds 0 --minutes 0.6"),
    "workers": Entry(small="--rounds 2", full="--rounds 15"),
    "same_curve": Entry("--data {data} --learning-rate 3e-5", "--steps 3"),
}  # fmt: skip


def main() -> None:
    options = _parser().parse_args()
    size = "full" if options.full else "small"
    missing = {
        name: needs for name in options.only if (needs := ENTRIES[name].needs) and not shutil.which(needs)
    }
    if missing:
        sys.exit(
            f"{', '.join(missing.values())} is not installed: install it, or leave {', '.join(missing)} out"
        )
    with tempfile.TemporaryDirectory() as scratch:
        given = _given(options, Path(scratch))
        figures, seconds, failed = [], {}, {}
        for name in options.only:
            print(f"\n== {name}", flush=True)
            began = time.perf_counter()
            found, status = run(name, size, given)
            seconds[name] = round(time.perf_counter() - began, 1)
            figures += found
            if status:
                failed[name] = status
    kept = keep(options.results, size, {"figures": figures, "seconds": seconds, "failed": failed})
    taken = f"{sum(seconds.values()):,.0f} s"
    print(f"\n{len(figures)} figures of {len(options.only)} benchmarks in {taken}: {kept}")
    if failed:
        sys.exit(f"failed: {', '.join(failed)}; what they wrote stands above")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--data", type=_folder, required=True, metavar="FOLDER", help="CIFAR-10's class folders")
    add("--test", type=_folder, required=True, metavar="FOLDER", help="and those of its test")
    add("--photos", type=_folder, required=True, metavar="FOLDER", help="photos in class folders")
    add("--photos-test", type=_folder, required=True, metavar="FOLDER", help="and those of their test")
    add("--full", action="store_true", help="in hours instead of minutes")
    add("--only", type=_names, default=list(ENTRIES), metavar="A,B", help="only these benchmarks")
    add("--results", type=Path, default=RESULTS, metavar="FOLDER", help="(docs/benchmarks)")
    return parser


def _folder(text: str) -> Path:
    if not Path(text).is_dir():
        raise argparse.ArgumentTypeError(f"{text}: no such folder")
    return Path(text).resolve()


def _names(text: str) -> list[str]:
    if unknown := set(text.split(",")) - ENTRIES.keys():
        raise argparse.ArgumentTypeError(f"no benchmark {', '.join(sorted(unknown))}: {', '.join(ENTRIES)}")
    return [name for name in ENTRIES if name in text.split(",")]


def _given(options: argparse.Namespace, scratch: Path) -> dict[str, str]:
    """What stands for the names in braces. Runs are trained where a benchmark asks them."""
    data, test = options.data, options.test
    laboratory = Laboratory(data, test, scratch, seed=0)
    if not options.full:
        data = laboratory.lay_out({name: laboratory.draw(name, EACH) for name in laboratory.classes})
        test = laboratory.lay_out(
            {name: sorted((test / name).iterdir())[:EACH_TESTED] for name in laboratory.classes}
        )
    places = {"data": data, "test": test, "photos": options.photos, "photos_test": options.photos_test}
    for name, folder, flags in (
        ("run", options.photos, ("--quick",)),
        ("thumbnail_run", data, ("--network", "standard", "--steps", 20)),
    ):
        if any(f"{{{name}}}" in ENTRIES[each].both for each in options.only):
            print(f"training {name} ...", flush=True)
            places[name] = laboratory.train(folder, *flags, "--no-report")
    return {
        **{name: str(place) for name, place in places.items()},
        "scratch": str(scratch),
        "pathsep": os.pathsep,
    }


def run(name: str, size: str, given: dict[str, str]) -> tuple[list[dict], int]:
    """Let a benchmark print its table; its figures, and its exit status."""
    entry = ENTRIES[name]
    words = shlex.split(f"{entry.both} {getattr(entry, size)}")
    file = Path(given["scratch"], f"{name}.figures")
    done = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / f"{name}.py"), *(word.format(**given) for word in words)],
        env={**os.environ, environment.FIGURES: str(file)},
    )
    lines = file.read_text("utf-8").splitlines() if file.exists() else []
    return [{"benchmark": name, **json.loads(line)} for line in lines], done.returncode


def keep(folder: Path, size: str, outcome: dict) -> Path:
    """Write the outcome as JSON, with what it comes from, beside those of earlier days."""
    day, commit = datetime.date.today().isoformat(), _commit()
    about = {
        "day": day,
        "commit": commit,
        "size": size,
        "machine": f"{environment.processor()}, {environment.available_cores()} cores",
        "versions": environment.versions(),
    }
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{day}-{commit}-{size}.json"
    file.write_text(json.dumps({**about, **outcome}, indent=1) + "\n", "utf-8")
    return file


def _commit() -> str:
    """The commit that is measured, with "-changed" where files differ from it."""

    def told(*words: str) -> str:
        done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True)
        return done.stdout.strip()

    return (told("rev-parse", "--short", "HEAD") or "unknown") + "-changed" * bool(
        told("status", "--porcelain")
    )


if __name__ == "__main__":
    main()
