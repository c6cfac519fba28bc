"""Archives of arrays (.npz), read completely and checked against all of their checksums."""

import zipfile
from pathlib import Path

import numpy as np


def read(file: Path) -> dict[str, np.ndarray]:
    """The arrays by name. Raises FileNotFoundError, and ValueError with the reason where it is damaged.

    NumPy alone reads as many bytes as an array's header says. Where that is damaged and says too few, the
    checksum would not be compared.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            if name := archive.testzip():
                raise ValueError(f"{name} has another checksum")
        with np.load(file) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except FileNotFoundError:
        raise
    except Exception as error:  # zipfile, zlib and NumPy raise anything
        raise ValueError(str(error) or type(error).__name__) from error
