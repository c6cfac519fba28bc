"""Archives of arrays (.npz), read completely and checked against all of their checksums."""

import io
import zipfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np

SEPARATOR = "\0"  # the one character that no file's name can hold


def read(file: Path | bytes) -> dict[str, np.ndarray]:
    """The arrays by name, of a file or of what it holds.

    Raises FileNotFoundError or NotADirectoryError, and ValueError with the reason where it is damaged.

    NumPy alone reads as many bytes as an array's header says. Where that is damaged and says too few, the
    checksum would not be compared.
    """

    def source() -> io.BytesIO | Path:
        return io.BytesIO(file) if isinstance(file, bytes) else file

    try:
        with zipfile.ZipFile(source()) as archive:
            if name := archive.testzip():
                raise ValueError(f"{name} has another checksum")
        with np.load(source()) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except (FileNotFoundError, NotADirectoryError):
        raise
    except Exception as error:  # zipfile, zlib and NumPy raise anything
        raise ValueError(str(error) or type(error).__name__) from error


def add(archive: zipfile.ZipFile, name: str, array: np.ndarray) -> None:
    """Put an array where `read` looks for it."""
    with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
        np.lib.format.write_array(file, array)


def packed(texts: Iterable[str]) -> np.ndarray:
    """Names or other texts as one array, uint8."""
    return np.frombuffer(SEPARATOR.join(texts).encode("utf-8", "surrogateescape"), np.uint8)


def unpacked(array: np.ndarray) -> list[str]:
    """The texts that `packed` was given, at least one. Raises ValueError where they cannot be such."""
    return array.tobytes().decode("utf-8", "surrogateescape").split(SEPARATOR)
