"""Pigeonhole: pictures sorted into folders in, a trained and restored image classifier out."""

import importlib
import os
from typing import TYPE_CHECKING

__version__ = "0.1.0"

# Where each public name comes from. It is imported when asked for: TensorFlow alone takes seconds.
_PLACES = {
    "Answer": "jobs.prediction",
    "Callback": "training.callbacks",
    "Classifier": "jobs.classifying",
    "Evaluation": "jobs.trained",
    "PigeonholeError": "errors",
    "Run": "jobs.trained",
    "UsageError": "errors",
    "train": "jobs.train",
}

if TYPE_CHECKING:
    from pigeonhole.errors import PigeonholeError as PigeonholeError
    from pigeonhole.errors import UsageError as UsageError
    from pigeonhole.jobs.classifying import Classifier as Classifier
    from pigeonhole.jobs.prediction import Answer as Answer
    from pigeonhole.jobs.train import train as train
    from pigeonhole.jobs.trained import Evaluation as Evaluation
    from pigeonhole.jobs.trained import Run as Run
    from pigeonhole.training.callbacks import Callback as Callback
else:

    def __getattr__(name: str) -> object:
        if name not in _PLACES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(importlib.import_module(f"{__name__}.{_PLACES[name]}"), name)

    def __dir__() -> list[str]:
        return sorted({*globals(), *_PLACES})


__all__ = [
    "Answer",
    "Callback",
    "Classifier",
    "Evaluation",
    "PigeonholeError",
    "Run",
    "UsageError",
    "__version__",
    "train",
]

# ONNX Runtime would report to its makers, and keep a number for this computer below ~/.cache.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
