"""What a benchmark's figures come from: the machine, and the versions of what computed them."""

import platform
import sys
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from pigeonhole import __version__  # noqa: E402
from pigeonhole.data.parallel import available_cores  # noqa: E402

INSTRUCTIONS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")
PACKAGES = (
    "tensorflow-cpu",
    "tensorflow",
    "keras",
    "numpy",
    "opencv-python-headless",
    "onnxruntime",
    "torch",
)


def lines(*details: str) -> list[str]:
    """The machine, with `details` of how it is used, and the versions."""
    machine = [processor(), f"{available_cores()} cores", *details]
    return [f"machine: {', '.join(machine)}", f"versions: {', '.join(versions())}"]


def processor() -> str:
    """The processor's name and the instructions that training gains from, where the system tells."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor()
    name = next((line.partition(":")[2].strip() for line in text.splitlines() if "model name" in line), "")
    instructions = [instruction for instruction in INSTRUCTIONS if f" {instruction} " in text]
    return f"{name} ({' '.join(instructions) or 'no AVX2'})"


def versions() -> list[str]:
    """This program's, Python's and those of the packages that are installed."""
    found = [f"pigeonhole {__version__}", f"python {platform.python_version()}"]
    for package in PACKAGES:
        try:
            found.append(f"{package} {metadata.version(package)}")
        except metadata.PackageNotFoundError:
            continue
    return found
