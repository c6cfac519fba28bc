"""How long it takes to the first answer, and to the end, from the start of the command with nothing cached.

    python benchmarks/first_answer.py --data training_data
    python benchmarks/first_answer.py --data training_data -- --minutes 3

Each round is `train.py --quick`, or with the flags after `--` in its place, in a process of its own, with an
empty cache. The first answer counts when its line is printed. Beside it stands the processor time of all
cores, which other work on the machine changes less.
"""

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import environment

ROOT = Path(__file__).resolve().parents[1]
LINE = "first answer after"


class Round(NamedTuple):
    """Seconds from the start of the command."""

    first: float
    whole: float
    processor: float


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, metavar="FOLDER", help="one folder per class")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="(3)")
    parser.add_argument("flags", nargs="*", default=["--quick"], help="for train.py, after -- (--quick)")
    options = parser.parse_args()
    rounds = [measure(options.data, options.flags) for _ in range(options.rounds)]
    print("\n".join(environment.lines(f"n = {options.rounds}")))
    print(f"train.py --data {options.data} {' '.join(options.flags)}")
    for title, seconds in zip(
        ("first answer", "whole command", "processor"), zip(*rounds, strict=True), strict=True
    ):
        print(f"{title:<14} {statistics.median(seconds):7.1f} s   ({min(seconds):.1f} to {max(seconds):.1f})")
        environment.note(title, seconds, "s")


def measure(data: Path, flags: list[str]) -> Round:
    with tempfile.TemporaryDirectory() as scratch:
        command = [sys.executable, "-u", str(ROOT / "train.py"), "--data", str(data), "--output", scratch]
        command += ["--cache-dir", str(Path(scratch, "cache")), *flags]
        began, used = time.perf_counter(), _processor()
        first = None
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            for line in process.stdout:
                if line.startswith(LINE) and first is None:
                    first = time.perf_counter() - began
            told = process.stderr.read()
        if process.returncode or first is None:
            sys.exit(f"train.py gave no first answer, exit status {process.returncode}\n{told}")
        return Round(first, time.perf_counter() - began, _processor() - used)


def _processor() -> float:
    """Seconds of the processor that ended child processes have taken."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
