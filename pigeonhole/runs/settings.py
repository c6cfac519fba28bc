"""A run's settings: all that was asked for, all that followed from the data, and what it ran on."""

import contextlib
import hashlib
import importlib
import platform
import re
from collections.abc import Iterable
from dataclasses import asdict
from importlib import metadata
from pathlib import Path

import cv2
import numpy as np

from pigeonhole import __version__
from pigeonhole.arguments import Effect
from pigeonhole.data.dataset import DataSets
from pigeonhole.data.folders import Record
from pigeonhole.runs.config import Settled, TrainingConfig
from pigeonhole.runs.run import Run

CPUINFO = Path("/proc/cpuinfo")  # of Linux
VECTOR_INSTRUCTIONS = re.compile(r"\b(?:avx|amx)\w*")


def write(run: Run, config: TrainingConfig, settled: Settled, sets: DataSets) -> None:
    """Write the run's settings before its first step: the file holds all that a repetition needs."""
    kept = (effect for effect in Effect if effect is not Effect.CALL)
    run.write_settings(
        {
            "options": {**config.values(*kept), **settled.options},
            "classes": sets.classes,
            "image_size": settled.image_size,
            "recipe": asdict(settled.recipe) if settled.recipe else {},
            "total_steps": settled.total_steps,
            "steps_per_epoch": settled.steps_per_epoch,
            "machine": {**asdict(settled.machine), "processor": processor()},
            "data_fingerprint": data_fingerprint(sets.records),
            "versions": versions(),
            "changed_midway": settled.changes,
            "may_restart": settled.may_restart,
            "restarted_after": settled.restarted_after,
            "candidates": [asdict(candidate) for candidate in settled.candidates],
            "earlier": [asdict(part) for part in settled.earlier],
        }
    )


def versions() -> dict[str, str]:
    """What the figures come from: this program, and what it computes with."""
    return {
        "pigeonhole": __version__,
        "python": platform.python_version(),
        "tensorflow": _installed("tensorflow", "tensorflow-cpu"),
        "keras": _installed("keras"),
        "numpy": np.__version__,
        "opencv": cv2.__version__,
    }


def _installed(*names: str) -> str:
    """The version of a package, which goes by one of these names; it is not imported, which takes seconds."""
    for name in names:
        with contextlib.suppress(metadata.PackageNotFoundError):
            return metadata.version(name)
    return importlib.import_module(names[0]).__version__  # built under another name


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
    """sha256 over lines in any order."""
    return hashlib.sha256("\n".join(sorted(lines)).encode("utf-8", "surrogateescape")).hexdigest()
