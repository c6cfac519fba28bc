"""Pigeonhole: pictures sorted into folders in, a trained and restored image classifier out."""

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pigeonhole.model.classifier import Classifier

__version__ = "0.1.0"
__all__ = ["Classifier", "__version__"]

# ONNX Runtime would report to its makers, and keep a number for this computer below ~/.cache.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")


def __getattr__(name: str) -> Any:
    # Loading a model needs TensorFlow, which takes seconds to import; asking for the version must not.
    if name == "Classifier":
        from pigeonhole.model.classifier import Classifier

        return Classifier
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
