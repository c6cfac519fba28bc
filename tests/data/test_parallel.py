"""Memory of a process that decodes for long."""

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import resource, sys
from concurrent.futures import ThreadPoolExecutor
import numpy as np
from pigeonhole.data.parallel import keep_freed_memory

if sys.argv[1] == "keep":
    keep_freed_memory(2)
with ThreadPoolExecutor(2) as pool:
    def work():
        list(pool.map(lambda size: np.ones(size, np.uint8).sum(), [1_000_000, 600_000] * 100))
    work()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    work()
    print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the C library is another")
def test_memory_of_a_picture_serves_the_next_one():
    faults, root = [], Path(__file__).parents[2]
    for what in ("leave", "keep"):
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, what],
            cwd=root,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        faults.append(int(done.stdout))
    assert faults[1] < 200 or faults[1] < faults[0] / 10  # of 40,000 pages that are written
