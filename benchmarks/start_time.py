"""How long `import pigeonhole` and each program's --help take: medians of new processes, in seconds.

python benchmarks/start_time.py
"""

import statistics
import subprocess
import sys
import time
from pathlib import Path

import environment

ROOT = Path(__file__).parents[1]
REPEATS = 7


def seconds(*command: str) -> float:
    """Return the median wall time of a Python command, without a first run that fills the disk cache."""
    times = []
    for _ in range(REPEATS + 1):
        started = time.perf_counter()
        subprocess.run([sys.executable, *command], cwd=ROOT, stdout=subprocess.DEVNULL, check=True)
        times.append(time.perf_counter() - started)
    return statistics.median(times[1:])


if __name__ == "__main__":
    print("\n".join(environment.lines(f"n = {REPEATS}")))
    print(f"{seconds('-c', 'pass'):6.3f}  python itself")
    print(f"{seconds('-c', 'import pigeonhole'):6.3f}  import pigeonhole")
    for program in sorted(ROOT.glob("*.py")):
        print(f"{seconds(program.name, '--help'):6.3f}  {program.name} --help")
