"""Reads pickles from strangers: arrays, dicts, lists, tuples, strings and numbers, nothing else.

A pickle is a small program that may import and call anything. This reader gives it nothing to call: the four
names that numpy's arrays need lead to small classes of this module, every other name is refused. The standard
library's reader in Python is used, not the one in C, which reserves whatever memory a file asks for.
"""

import io
import math
import pickle
import pickletools
import re
from collections.abc import Container
from typing import Any, ClassVar

import numpy as np

from pigeonhole.errors import PigeonholeError

MOST_OPCODES = 2_000_000  # CIFAR-100 needs 300,000; each may cost some hundred bytes
MOST_BUILDS = 16  # an array and its dtype need two; each array may cost a copy of its data
MOST_DIMENSIONS = 8
NUMBER_TYPES = frozenset({"b1", "u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8"})
ALLOWED_OPCODES = re.findall(
    r"\w+",
    """
    PROTO FRAME STOP MARK NONE NEWTRUE NEWFALSE BININT BININT1 BININT2 LONG1 BINFLOAT
    BINSTRING SHORT_BINSTRING BINUNICODE SHORT_BINUNICODE BINBYTES SHORT_BINBYTES BINBYTES8
    EMPTY_DICT EMPTY_LIST EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 APPEND APPENDS SETITEM SETITEMS
    BINPUT LONG_BINPUT MEMOIZE BINGET LONG_BINGET GLOBAL STACK_GLOBAL REDUCE BUILD
    """,
)


class UnpickleError(PigeonholeError):
    """The bytes are not a pickle, or one that holds more than plain data."""


def load(data: bytes) -> dict[str, Any]:
    """Return the dict that a pickle of protocol 2 to 4 describes.

    Its arrays are read-only numpy arrays of numbers and may only be values of the outermost dict. Python 2's
    strings, which the published CIFAR files hold, become `str` (Latin-1). Raises `UnpickleError`.
    """
    result = read_one(io.BytesIO(data), _ArrayReader)
    if not isinstance(result, dict):
        raise UnpickleError(f"not a pickled dict but {type(result).__name__}")
    return {key: value.values if isinstance(value, _Array) else value for key, value in result.items()}


def read_one(stream: io.BytesIO, reader: type["Reader"], opcodes: Container[str] = ALLOWED_OPCODES) -> Any:
    """What the pickle at the stream's position describes; the stream is then behind it.

    `reader`: says which names the pickle may ask for. Raises `UnpickleError`.
    """
    try:
        start = stream.tell()
        _check_opcodes(stream, opcodes)
        stream.seek(start)
        return reader(stream, encoding="latin-1").load()
    except (pickle.UnpicklingError, ValueError, TypeError, LookupError, AttributeError, EOFError) as error:
        raise UnpickleError(f"not a pickle of plain data ({error})") from error


def _check_opcodes(stream: io.BytesIO, opcodes: Container[str]) -> None:
    builds = 0
    for count, (opcode, _, _) in enumerate(pickletools.genops(stream)):
        builds += opcode.name == "BUILD"
        if opcode.name not in opcodes:
            raise ValueError(f"it uses the opcode {opcode.name}")
        if count >= MOST_OPCODES or builds > MOST_BUILDS:
            raise ValueError("it has too many opcodes or arrays")


class _Type:
    """Stands for a numpy dtype: its code ("u1") and, once its state is read, its byte order."""

    def __init__(self, code: Any, *_: Any):
        self.code, self.byte_order = code, "|"

    def __setstate__(self, state: tuple) -> None:
        self.byte_order = state[1]

    def dtype(self) -> np.dtype:
        # Hashing or printing a tuple that holds another twice, sixty deep, would never end: strings only.
        if not isinstance(self.code, str) or self.code not in NUMBER_TYPES:
            raise ValueError("it has an array of something else than numbers")
        if not isinstance(self.byte_order, str) or self.byte_order not in ("|", "<", ">"):
            raise ValueError("it has an array of an unknown byte order")
        return np.dtype(self.byte_order + self.code)


class _Array:
    """Stands for a numpy array, which a pickle first creates and fills later."""

    values: np.ndarray | None = None

    def __init__(self, *_: Any):
        pass

    def __setstate__(self, state: tuple) -> None:
        """Take the array from numpy's state; its size must be that of the data that comes with it."""
        _, shape, kind, by_columns, data = state
        if not isinstance(shape, tuple) or not all(type(side) is int and side >= 0 for side in shape):
            raise TypeError("it has an array whose shape is not made of numbers")
        data = data.encode("latin-1") if isinstance(data, str) else data
        if not isinstance(data, bytes) or not isinstance(kind, _Type):
            raise TypeError("it has an array without data or without a type")
        dtype = kind.dtype()
        if len(shape) > MOST_DIMENSIONS or math.prod(shape) * dtype.itemsize != len(data):
            raise ValueError(f"it has an array whose shape does not fit its {len(data)} bytes")
        self.values = np.frombuffer(data, dtype).reshape(shape, order="F" if by_columns else "C")


class Reader(pickle._Unpickler):
    """Reads a pickle that may ask for the names in `NAMES` only, and fill objects of the types `FILLED` only.

    Each name stands for what `NAMES` gives in its place.
    """

    NAMES: ClassVar[dict[str, Any]]
    FILLED: ClassVar[tuple[type, ...]]

    def find_class(self, module: str, name: str) -> Any:
        if f"{module}.{name}" not in self.NAMES:
            raise ValueError(f"it asks for {f'{module} {name}'[:100]!r}")
        return self.NAMES[f"{module}.{name}"]

    def load_build(self) -> None:
        if not isinstance(self.stack[-2], self.FILLED):
            raise TypeError(f"it fills {type(self.stack[-2]).__name__} as if it were an array")
        super().load_build()

    def load_setitem(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._set(key, value)

    def load_setitems(self) -> None:
        items = self.pop_mark()
        for key, value in zip(items[::2], items[1::2], strict=True):
            self._set(key, value)

    def _set(self, key: Any, value: Any) -> None:
        """Strings only: numbers can be chosen to collide, and a deep tuple takes all of the C stack."""
        if not isinstance(key, str) or not isinstance(self.stack[-1], dict):
            raise TypeError(f"it has {type(key).__name__} as a key")
        self.stack[-1][key] = value

    dispatch: ClassVar[dict[int, Any]] = {
        **pickle._Unpickler.dispatch,
        pickle.BUILD[0]: load_build,
        pickle.SETITEM[0]: load_setitem,
        pickle.SETITEMS[0]: load_setitems,
    }


class _ArrayReader(Reader):
    NAMES: ClassVar[dict[str, Any]] = {
        "numpy.core.multiarray._reconstruct": _Array,
        "numpy._core.multiarray._reconstruct": _Array,
        "numpy.dtype": _Type,
        "numpy.ndarray": None,  # only ever an argument
    }
    FILLED: ClassVar[tuple[type, ...]] = (_Array, _Type)
