"""settings.json: all that was asked for, all that followed from the data, and what it ran on."""

import hashlib
import json
import platform
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import cv2
import keras
import numpy as np
import tensorflow as tf

from pigeonhole import __version__, atomic_file
from pigeonhole.data.folders import Record
from pigeonhole.runs import runs

CPUINFO = Path("/proc/cpuinfo")  # of Linux
VECTOR_INSTRUCTIONS = re.compile(r"\b(?:avx|amx)\w*")


def write(
    run: Path,
    options: Mapping[str, object],
    machine: Mapping[str, object],
    classes: Sequence[str],
    records: Iterable[Record],
    training: Mapping[str, object],
    changed_midway: Sequence[str] = (),
) -> None:
    """Write the run's settings before its first step: with the file there is all that it takes to repeat it.

    `options`: the command line's flags by name. `training`: its recipe and how many steps it has.
    `changed_midway`: what is not as when the run was begun.
    """
    given = {name: str(value) if isinstance(value, Path) else value for name, value in options.items()}
    settings = {
        "options": given,
        "classes": list(classes),
        **training,
        "machine": {**machine, "processor": processor()},
        "data_fingerprint": data_fingerprint(records),
        "versions": versions(),
        "changed_midway": list(changed_midway),
    }
    with atomic_file.write(run / runs.SETTINGS) as file:
        file.write(json.dumps(settings, indent=2, ensure_ascii=False) + "\n")


def versions() -> dict[str, str]:
    """What the figures come from: this program, and what it computes with."""
    return {
        "pigeonhole": __version__,
        "python": platform.python_version(),
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "numpy": np.__version__,
        "opencv": cv2.__version__,
    }


def processor() -> str:
    """Its name, and the vector instructions by which TensorFlow chooses how to compute."""
    text = CPUINFO.read_text("utf-8") if CPUINFO.is_file() else ""
    named = re.search(r"^model name\s*: (.*)$", text, re.MULTILINE)
    name = named[1] if named else platform.processor() or platform.machine()
    return " ".join([name, *sorted(set(VECTOR_INSTRUCTIONS.findall(text)))])


def data_fingerprint(records: Iterable[Record]) -> str:
    """sha256 over the class and content of every used picture: equal for equal data, wherever it lies."""
    return fingerprint(
        f"{record.entry.class_name} {record.digest}" for record in records if not record.skipped
    )


def fingerprint(lines: Iterable[str]) -> str:
    """sha256 over lines whose order does not count."""
    return hashlib.sha256("\n".join(sorted(lines)).encode("utf-8", "surrogateescape")).hexdigest()
