"""Reads the tensors of a file that PyTorch's older `torch.save` wrote, with NumPy alone.

The file is five pickles in a row (a magic number, a version, facts about the machine, the tensors, the names
of the storages) and then for each storage an int64 count and its raw values. A tensor is a view of a storage.
The pickles are read with an allow-list (`unpickle.Reader`), so that they can call nothing.
"""

import io
import math
from typing import Any, ClassVar

import numpy as np
from numpy.lib.stride_tricks import as_strided

from pigeonhole.data.sources import unpickle
from pigeonhole.data.sources.unpickle import MOST_DIMENSIONS, UnpickleError

MAGIC = 0x1950A86A20F9469CFC6C
VERSION = 1001
OPCODES = frozenset({*unpickle.ALLOWED_OPCODES, "BINPERSID"})


def read(data: bytes) -> dict[str, np.ndarray]:
    """The tensors of a saved state dict by name, little-endian float32 or int64.

    Raises UnpickleError where the file is cut short, asks for anything but tensors, or has a tensor that
    reaches beyond its storage.
    """
    stream = io.BytesIO(data)
    if _pickled(stream) != MAGIC or _pickled(stream) != VERSION:
        raise UnpickleError("not a file of torch.save's older format")
    machine, tensors, keys = (_pickled(stream) for _ in range(3))
    if not isinstance(machine, dict) or machine.get("little_endian") is not True:
        raise UnpickleError("written on a machine of another byte order")
    if not isinstance(tensors, dict) or not all(isinstance(each, _Tensor) for each in tensors.values()):
        raise UnpickleError("holds something other than named tensors")
    try:
        storages = _storages(stream, keys, list(tensors.values()))
        _check_total(list(tensors.values()), len(data))
        return {name: tensor.array(storages) for name, tensor in tensors.items()}
    except (ValueError, TypeError, LookupError, OverflowError) as error:
        raise UnpickleError(f"damaged ({error})") from error


def _pickled(stream: io.BytesIO) -> Any:
    return unpickle.read_one(stream, _Reader, OPCODES)


class _Dict(dict):
    """Stands for an OrderedDict, whose own attributes are of no use here."""

    def __init__(self):
        super().__init__()

    def __setstate__(self, state: Any) -> None:
        pass


class _Storage:
    """A storage as the pickle names it: its values come after the pickles."""

    def __init__(self, kind: Any, key: Any, count: Any):
        if not isinstance(kind, np.dtype) or not isinstance(key, str) or not _is_count(count):
            raise TypeError("it has a storage without type, name or size")
        self.dtype, self.key, self.count = kind, key, count


class _Tensor:
    """A view of a storage; strides and offset are counted in values."""

    def __init__(self, storage: Any, offset: Any, sides: Any, strides: Any, *_: Any):
        if (
            not isinstance(storage, _Storage)
            or not isinstance(sides, tuple)
            or not isinstance(strides, tuple)
        ):
            raise TypeError("it has a tensor without a storage or a shape")
        numbers = (offset, *sides, *strides)
        if len(sides) != len(strides) or len(sides) > MOST_DIMENSIONS or not all(map(_is_count, numbers)):
            raise ValueError("it has a tensor of an impossible shape")
        self.storage, self.offset, self.sides, self.strides = storage, offset, sides, strides
        self.count = math.prod(sides)
        last = offset + sum((side - 1) * stride for side, stride in zip(sides, strides, strict=True))
        if self.count > storage.count or (self.count and last >= storage.count):
            raise ValueError("it has a tensor that reaches beyond its storage")

    def array(self, storages: dict[str, np.ndarray]) -> np.ndarray:
        values = storages[self.storage.key]
        if not self.count:
            return np.zeros(self.sides, values.dtype)
        strides = [stride * values.itemsize for stride in self.strides]
        return as_strided(values[self.offset :], self.sides, strides, writeable=False).copy()


def _is_count(number: Any) -> bool:
    return type(number) is int and 0 <= number < 2**40


def _check_total(tensors: list[_Tensor], most: int) -> None:
    """Many tensors may share a storage, so that a small file could ask for any amount of memory."""
    if sum(tensor.count * tensor.storage.dtype.itemsize for tensor in tensors) > most:
        raise ValueError("its tensors are larger than the file")


def _storages(stream: io.BytesIO, keys: Any, tensors: list[_Tensor]) -> dict[str, np.ndarray]:
    """The values of each storage. They lie in the file in the order of `keys`."""
    declared: dict[str, _Storage] = {}
    for storage in (tensor.storage for tensor in tensors):
        first = declared.setdefault(storage.key, storage)
        if (first.dtype, first.count) != (storage.dtype, storage.count):
            raise ValueError("it has two storages of one name")
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise TypeError("it has no list of storages")
    if len(set(keys)) != len(keys) or set(keys) != declared.keys():
        raise ValueError("its list of storages is not that of its tensors")
    storages = {}
    for key in keys:
        storage = declared[key]
        if int.from_bytes(stream.read(8), "little") != storage.count:
            raise ValueError("a storage has another size than its tensors say")
        values = stream.read(storage.count * storage.dtype.itemsize)
        if len(values) != storage.count * storage.dtype.itemsize:
            raise ValueError("it is cut short")
        storages[key] = np.frombuffer(values, storage.dtype)
    return storages


class _Reader(unpickle.Reader):
    NAMES: ClassVar[dict[str, Any]] = {
        "collections.OrderedDict": _Dict,
        "torch._utils._rebuild_tensor_v2": _Tensor,
        "torch.FloatStorage": np.dtype("<f4"),
        "torch.LongStorage": np.dtype("<i8"),
    }
    FILLED: ClassVar[tuple[type, ...]] = (_Dict,)

    def persistent_load(self, reference: Any) -> _Storage:
        """("storage", kind, name, device, number of values, view of another storage)"""
        if not isinstance(reference, tuple) or len(reference) != 6 or reference[0] != "storage":
            raise TypeError("it refers to something other than a storage")
        if reference[5] is not None:
            raise ValueError("it has a storage that is a view of another")
        return _Storage(reference[1], reference[2], reference[4])
