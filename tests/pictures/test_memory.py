"""What a large picture takes while it is decoded, of a file that is small."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.support.odd_files import encode, png_of

SIDE = 6000
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="asks Linux for its memory"),
]

MEASURE = """
import re, sys
from pathlib import Path
from pigeonhole.pictures import images

def held(name):
    return int(re.search(name + r":\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024

images.decode(Path(sys.argv[1]).read_bytes())
Path("/proc/self/clear_refs").write_text("5")
before = held("VmRSS")
images.decode(Path(sys.argv[2]).read_bytes())
print(held("VmHWM") - before)
"""


def picture(kind: str, side: int) -> bytes:
    if kind == "PBM":
        return b"P4\n%d %d\n" % (side, side) + bytes(-(-side // 8) * side)
    channels = {"grey PNG": 1, "PNG": 3, "PNG with opacity": 4, "WebP": 3}[kind]
    samples = np.zeros((side, side, channels), np.uint8)
    return encode(samples, "WebP") if kind == "WebP" else png_of(samples, {1: 0, 3: 2, 4: 6}[channels])


@pytest.mark.parametrize(
    ("kind", "bytes_each"),
    [("grey PNG", 4.0), ("PNG", 3.0), ("PNG with opacity", 4.5), ("WebP", 3.5), ("PBM", 4.3)],
)
def test_memory_is_little_more_than_that_of_the_pixels(tmp_path: Path, kind: str, bytes_each: float) -> None:
    for name, side in (("small", 9), ("large", SIDE)):
        (tmp_path / name).write_bytes(picture(kind, side))
    program = [sys.executable, "-c", MEASURE, tmp_path / "small", tmp_path / "large"]
    taken = float(subprocess.run(program, capture_output=True, check=True, text=True).stdout)
    assert taken < 1.1 * bytes_each * SIDE**2 / 1e6
