"""Packages that an installation may lack, and the one line that says how to get them."""

import importlib.util

from pigeonhole.errors import PigeonholeError

# Top-level module -> what people call it, and the extra of pyproject.toml that brings it.
OPTIONAL = {
    "tensorflow": ("TensorFlow", "train"),
    "keras": ("Keras", "train"),
    "sklearn": ("scikit-learn", "train"),
    "scipy": ("SciPy", "train"),
    "matplotlib": ("Matplotlib", "train"),
    "onnx": ("ONNX", "train"),
    "tf2onnx": ("tf2onnx", "train"),
    "threadpoolctl": ("threadpoolctl", "train"),
    "pyarrow": ("PyArrow", "parquet"),
    "flatbuffers": ("FlatBuffers", "train"),
    "ai_edge_litert": ("AI Edge LiteRT", "litert"),
    "openvino": ("OpenVINO", "openvino"),
    "pillow_heif": ("pillow-heif", "heic"),
    "tensorboard": ("TensorBoard", "tensorboard"),
    "mlflow": ("MLflow", "mlflow"),
    "sqlalchemy": ("SQLAlchemy", "mlflow"),
    "alembic": ("Alembic", "mlflow"),
}


class MissingExtra(PigeonholeError):
    """A package of an extra is not installed; the message ends with the command that installs it."""

    def __init__(self, what: str, module: str):
        package, extra = OPTIONAL[module]
        super().__init__(f'{what} needs {package}: pip install "pigeonhole[{extra}]"')


def modules_of(extra: str) -> list[str]:
    """The modules that an extra brings."""
    return [module for module, (_, brought_by) in OPTIONAL.items() if brought_by == extra]


def require(what: str, *modules: str) -> None:
    """Raise MissingExtra unless the modules are installed; nothing is imported.

    `what` begins the message, such as "training".
    """
    for module in modules:
        if importlib.util.find_spec(module) is None:
            raise MissingExtra(what, module)
