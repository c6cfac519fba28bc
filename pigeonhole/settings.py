"""settings.json: all that was asked for, all that followed from the data, and what it ran on."""

import hashlib
import json
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from pigeonhole import __version__
from pigeonhole.folders import Record
from pigeonhole.training import Trainer

FILE = "settings.json"


def write(
    run: Path,
    options: Mapping[str, object],
    machine: Mapping[str, object],
    classes: Sequence[str],
    records: Iterable[Record],
    trainer: Trainer,
) -> None:
    """Write the run's settings before its first step. `options`: the command line's flags by name."""
    given = {name: str(value) if isinstance(value, Path) else value for name, value in options.items()}
    settings = {
        "options": given,
        "classes": list(classes),
        "recipe": asdict(trainer.recipe),
        "total_steps": trainer.total_steps,
        "steps_per_epoch": trainer.steps_per_epoch,
        "machine": {**machine, "processor": platform.processor() or platform.machine()},
        "data_fingerprint": data_fingerprint(records),
        "versions": {
            "pigeonhole": __version__,
            "python": platform.python_version(),
            "tensorflow": tf.__version__,
            "keras": keras.__version__,
            "numpy": np.__version__,
        },
    }
    (run / FILE).write_text(json.dumps(settings, indent=2, ensure_ascii=False) + "\n", "utf-8")


def data_fingerprint(records: Iterable[Record]) -> str:
    """sha256 over the class and content of every used picture: equal for equal data, wherever it lies."""
    used = sorted(
        f"{record.entry.class_name} {record.digest}" for record in records if record.skipped is None
    )
    return hashlib.sha256("\n".join(used).encode("utf-8", "surrogateescape")).hexdigest()
