"""Reads pickles that come from strangers: arrays, dicts, lists, tuples, strings and numbers, nothing else.

A pickle is a small program, and `pickle.loads` lets it import and call anything. Here the standard library
only splits that program into its opcodes. The few that build plain data are carried out below; names are
compared and never looked up, so a hostile pickle finds nothing that it could call.
"""

import math
import pickletools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from pigeonhole.errors import PigeonholeError

MOST_DIMENSIONS = 8
MOST_ARRAYS = 16  # each costs a copy of its data, and a short program could ask for the same copy for ever
ARRAY_CLASS = "numpy ndarray"
ARRAY_FUNCTIONS = frozenset({"numpy.core.multiarray _reconstruct", "numpy._core.multiarray _reconstruct"})
DTYPE_FUNCTION = "numpy dtype"
ALLOWED_NAMES = ARRAY_FUNCTIONS | {ARRAY_CLASS, DTYPE_FUNCTION}
NUMBER_TYPES = frozenset({"b1", "u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8"})

IGNORED = frozenset({"PROTO", "FRAME", "STOP"})
CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
CONTAINERS = {"EMPTY_DICT": dict, "EMPTY_LIST": list, "EMPTY_TUPLE": tuple}
LITERALS = frozenset(
    {
        *("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT"),
        *("BINSTRING", "SHORT_BINSTRING", "BINUNICODE", "SHORT_BINUNICODE"),
        *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8"),
    }
)


class UnpickleError(PigeonholeError):
    """The bytes are not a pickle, or one that wants more than plain data."""


def load(data: bytes) -> dict[str, Any]:
    """Return the dict that a pickle of protocol 2 to 4 describes.

    Its arrays are read-only numpy arrays of numbers and may only be values of that outermost dict. Python 2's
    strings, which the published CIFAR files hold, become `str` (Latin-1). Raises `UnpickleError`.
    """
    machine = _Machine()
    try:
        for opcode, argument, _ in pickletools.genops(data):
            machine.execute(opcode.name, argument)
        result = machine.stack.pop()
    except (ValueError, TypeError, IndexError, KeyError) as error:
        raise UnpickleError(f"not a pickle of plain data ({error})") from error
    if not isinstance(result, dict):
        raise UnpickleError(f"not a pickled dict but {type(result).__name__}")
    return {key: value.values if isinstance(value, _Array) else value for key, value in result.items()}


@dataclass(frozen=True)
class _Name:
    """What stands on the stack where `pickle` would have put a class or a function."""

    text: str


@dataclass
class _Type:
    """A numpy dtype: its code ("u1") and, once its state is read, its byte order."""

    code: str
    byte_order: str = "|"


@dataclass
class _Array:
    """A numpy array, which a pickle first creates and fills later."""

    values: np.ndarray | None = None


class _Machine:
    """The pickle machine's stack and memo, with the opcodes that build plain data."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}
        self.arrays = 0

    def execute(self, opcode: str, argument: Any) -> None:
        """Carry out one opcode; raises ValueError, TypeError, IndexError or KeyError on a senseless one."""
        if opcode in LITERALS:
            self.stack.append(argument)
        elif opcode in CONSTANTS:
            self.stack.append(CONSTANTS[opcode])
        elif opcode in CONTAINERS:
            self.stack.append(CONTAINERS[opcode]())
        elif opcode in self.ACTIONS:
            self.ACTIONS[opcode](self, argument)
        elif opcode not in IGNORED:
            raise ValueError(f"it uses the opcode {opcode}")

    def _mark(self, _: None) -> None:
        self.marks.append(len(self.stack))

    def _pop(self, count: int) -> list[Any]:
        if count > len(self.stack):
            raise IndexError("its stack is empty")
        items = self.stack[len(self.stack) - count :]
        del self.stack[len(self.stack) - count :]
        return items

    def _pop_to_mark(self) -> list[Any]:
        return self._pop(max(0, len(self.stack) - self.marks.pop()))

    def _top(self, kind: type) -> Any:
        if not isinstance(self.stack[-1], kind):
            raise TypeError(f"it treats {type(self.stack[-1]).__name__} as {kind.__name__}")
        return self.stack[-1]

    def _extend(self, items: list[Any]) -> None:
        self._top(list).extend(items)

    def _update(self, items: list[Any]) -> None:
        target = self._top(dict)
        for key, value in zip(items[::2], items[1::2], strict=True):
            # Hashing a tuple that holds another a thousand deep would take for ever, or the whole C stack.
            if not isinstance(key, str):
                raise TypeError(f"it has {type(key).__name__} as a key")
            target[key] = value

    def _put(self, index: int) -> None:
        self.memo[index] = self.stack[-1]

    def _get(self, index: int) -> None:
        self.stack.append(self.memo[index])

    def _global(self, name: str) -> None:
        if name not in ALLOWED_NAMES:
            raise ValueError(f"it asks for {name[:100]!r}")
        self.stack.append(_Name(name))

    def _stack_global(self, _: None) -> None:
        module, name = self._pop(2)
        if not isinstance(module, str) or not isinstance(name, str):
            raise TypeError("it names a function by something that is not a string")
        self._global(f"{module} {name}")

    def _reduce(self, _: None) -> None:
        function, arguments = self._pop(2)
        if not isinstance(function, _Name) or not isinstance(arguments, tuple):
            raise TypeError("it calls something that is not a function")
        if function.text in ARRAY_FUNCTIONS:
            self.stack.append(_Array())
        elif function.text == DTYPE_FUNCTION:
            self.stack.append(_Type(arguments[0]))
        else:
            raise ValueError(f"it calls {function.text}")

    def _build(self, _: None) -> None:
        (state,) = self._pop(1)
        if isinstance(self.stack[-1], _Type):
            self.stack[-1].byte_order = state[1]
            return
        self.arrays += 1
        if self.arrays > MOST_ARRAYS:
            raise ValueError(f"it has more than {MOST_ARRAYS} arrays")
        self._top(_Array).values = _array(*state)

    ACTIONS: ClassVar[dict[str, Callable[["_Machine", Any], None]]] = {
        "MARK": _mark,
        "APPEND": lambda self, _: self._extend(self._pop(1)),
        "APPENDS": lambda self, _: self._extend(self._pop_to_mark()),
        "SETITEM": lambda self, _: self._update(self._pop(2)),
        "SETITEMS": lambda self, _: self._update(self._pop_to_mark()),
        "TUPLE": lambda self, _: self.stack.append(tuple(self._pop_to_mark())),
        "TUPLE1": lambda self, _: self.stack.append(tuple(self._pop(1))),
        "TUPLE2": lambda self, _: self.stack.append(tuple(self._pop(2))),
        "TUPLE3": lambda self, _: self.stack.append(tuple(self._pop(3))),
        "BINPUT": _put,
        "LONG_BINPUT": _put,
        "MEMOIZE": lambda self, _: self._put(len(self.memo)),
        "BINGET": _get,
        "LONG_BINGET": _get,
        "GLOBAL": _global,
        "STACK_GLOBAL": _stack_global,
        "REDUCE": _reduce,
        "BUILD": _build,
    }


def _array(
    version: int, shape: tuple[int, ...], kind: _Type, by_columns: bool, data: bytes | str
) -> np.ndarray:
    """Return the array that numpy's pickled state describes; its size must be that of the data it brings."""
    dtype = _dtype(kind)
    if not isinstance(shape, tuple) or not all(type(side) is int and side >= 0 for side in shape):
        raise TypeError("it has an array whose shape is not made of numbers")
    if isinstance(data, str):
        data = data.encode("latin-1")
    if not isinstance(data, bytes):
        raise TypeError(f"it has an array filled from {type(data).__name__}")
    if len(shape) > MOST_DIMENSIONS or math.prod(shape) * dtype.itemsize != len(data):
        raise ValueError(f"it has an array whose shape does not fit its {len(data)} bytes")
    return np.frombuffer(data, dtype).reshape(shape, order="F" if by_columns else "C")


def _dtype(kind: Any) -> np.dtype:
    # Values are compared only once they are known to be strings, and never shown: hashing or printing a tuple
    # that holds another twice, sixty deep, would never end.
    if not isinstance(kind, _Type) or not isinstance(kind.code, str) or kind.code not in NUMBER_TYPES:
        raise ValueError("it has an array of something else than numbers")
    if kind.byte_order not in ("|", "<", ">"):
        raise ValueError("it has an array of an unknown byte order")
    return np.dtype(kind.byte_order + kind.code)
