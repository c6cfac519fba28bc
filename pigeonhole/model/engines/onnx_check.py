"""An ONNX file may name other files that its tensors are read from. Found before a session is made.

The file is a protocol buffer, and is looked through here as far as needed, so that answering by ONNX Runtime
needs no other package.
"""

from collections.abc import Iterator

from pigeonhole.errors import PigeonholeError

# Message -> field -> the message in it; those of onnx.proto in which a tensor can lie.
_MESSAGES = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {
        5: "tensor",
        6: "graph",
        10: "tensor",
        11: "graph",
        22: "sparse",
        23: "sparse",
    },
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {},
}
_NAME, _EXTERNAL_DATA, _DATA_LOCATION = 8, 13, 14  # fields of a tensor
_VARINT, _BYTES = 0, 2  # wire types
_FIXED = {1: 8, 5: 4}  # wire type -> bytes
_DEEPEST = 100  # messages inside each other; protocol buffers allow no more


def refuse_external_data(data: bytes) -> None:
    """Raise PigeonholeError where a tensor of the model lies in another file, or the model is damaged."""
    waiting = [("model", memoryview(data), 0)]
    while waiting:
        kind, content, depth = waiting.pop()
        name, is_external = "", False
        for field, value in _fields(content):
            if kind == "tensor":
                is_external |= field == _EXTERNAL_DATA or (field == _DATA_LOCATION and value != 0)
                if field == _NAME and not isinstance(value, int):
                    name = bytes(value[:60]).decode("utf-8", "replace")
            elif (inner := _MESSAGES[kind].get(field)) and not isinstance(value, int):
                if depth == _DEEPEST:
                    raise PigeonholeError("damaged, its messages are nested too deeply")
                waiting.append((inner, value, depth + 1))
        if is_external:
            raise PigeonholeError(f"refused: its tensor {name!r} lies in another file")


def _fields(content: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Number and value of each field: an int, or the bytes of a text or a message."""
    place = 0
    while place < len(content):
        key, place = _varint(content, place)
        field, wire = key >> 3, key & 7
        if not field:
            raise PigeonholeError("damaged or not an ONNX file")
        if wire == _VARINT:
            value, place = _varint(content, place)
        elif wire == _BYTES or wire in _FIXED:
            length, place = _varint(content, place) if wire == _BYTES else (_FIXED[wire], place)
            if length > len(content) - place:
                raise PigeonholeError("damaged, it ends too early")
            value = content[place : place + length]
            place += length
        else:
            raise PigeonholeError("damaged or not an ONNX file")
        yield field, value


def _varint(content: memoryview, place: int) -> tuple[int, int]:
    """A number of seven bits a byte, the lowest first, and the place behind it."""
    number = 0
    for shift in range(0, 70, 7):
        if place >= len(content):
            raise PigeonholeError("damaged, it ends too early")
        byte = content[place]
        place += 1
        number |= (byte & 127) << shift
        if byte < 128:
            return number, place
    raise PigeonholeError("damaged or not an ONNX file")
