"""What a benchmark's figures come from: the machine, and the versions of what computed them."""

import json
import os
import platform
import statistics
import sys
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from pigeonhole import __version__  # noqa: E402
from pigeonhole.data.parallel import available_cores  # noqa: E402

FIGURES = "PIGEONHOLE_BENCHMARK_FIGURES"  # the file, of suite.py, that figures are added to
INSTRUCTIONS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16")
PACKAGES = (
    "tensorflow-cpu",
    "tensorflow",
    "keras",
    "numpy",
    "opencv-python-headless",
    "onnxruntime",
    "torch",
    "fastai",
)


def lines(*details: str) -> list[str]:
    """The machine, with `details` of how it is used, and the versions."""
    machine = [processor(), f"{available_cores()} cores", *details]
    return [f"machine: {', '.join(machine)}", f"versions: {', '.join(versions())}"]


def processor() -> str:
    """The processor's name, family and the instructions that computing gains from, where the system tells.

    In a cloud, processors of several generations have one name: the family tells them apart.
    """
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor()
    pairs = (line.partition(":") for line in text.splitlines())
    facts = {name.strip(): value.strip() for name, _, value in pairs}
    family = f", family {facts['cpu family']}" if "cpu family" in facts else ""
    instructions = [instruction for instruction in INSTRUCTIONS if f" {instruction} " in text]
    return f"{facts.get('model name', '')}{family} ({' '.join(instructions) or 'no AVX2'})"


def versions() -> list[str]:
    """This program's, Python's and those of the packages that are installed."""
    found = [f"pigeonhole {__version__}", f"python {platform.python_version()}"]
    for package in PACKAGES:
        try:
            found.append(f"{package} {metadata.version(package)}")
        except metadata.PackageNotFoundError:
            continue
    return found


def note(figure: str, values: float | Iterable[float], unit: str) -> None:
    """Keep a figure for suite.py: the median of the values, and how many there are. Else nothing is done.

    `figure`: its name among those of this benchmark.
    """
    if FIGURES not in os.environ:
        return
    values = [float(value) for value in (values if isinstance(values, Iterable) else [values])]
    line = {"figure": figure, "median": statistics.median(values), "unit": unit, "n": len(values)}
    with open(os.environ[FIGURES], "a", encoding="utf-8") as lines:
        lines.write(json.dumps(line) + "\n")
