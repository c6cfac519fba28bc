"""How long `import pigeonhole` and each program's --help take: medians of new processes, in seconds.

python benchmarks/start_time.py
"""

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path

import environment

ROOT = Path(__file__).parents[1]
REPEATS = 7


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=REPEATS, metavar="N", help=f"({REPEATS})")
    repeats = parser.parse_args().repeats
    print("\n".join(environment.lines(f"n = {repeats}")))
    commands = {"python itself": ("-c", "pass"), "import pigeonhole": ("-c", "import pigeonhole")}
    commands |= {f"{program.name} --help": (program.name, "--help") for program in sorted(ROOT.glob("*.py"))}
    for title, command in commands.items():
        times = seconds(repeats, *command)
        print(f"{statistics.median(times):6.3f}  {title}", flush=True)
        environment.note(title, times, "s")


def seconds(repeats: int, *command: str) -> list[float]:
    """The wall times of a Python command, without a first run that fills the disk cache."""
    times = []
    for _ in range(repeats + 1):
        started = time.perf_counter()
        subprocess.run([sys.executable, *command], cwd=ROOT, stdout=subprocess.DEVNULL, check=True)
        times.append(time.perf_counter() - started)
    return times[1:]


if __name__ == "__main__":
    main()
