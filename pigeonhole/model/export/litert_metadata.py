"""LiteRT's metadata: what an image classifier of Android or MediaPipe reads before it feeds a model.

A flatbuffer of its own ("M001"; metadata_schema.fbs 1.5.0 of MediaPipe) in a buffer of the model, by the name
"TFLITE_METADATA". No kept library writes it, so the few tables that a classifier needs are written here.
"""

from collections.abc import Mapping, Sequence

import flatbuffers
import numpy as np

from pigeonhole.model.contract import Contract

NAME = "TFLITE_METADATA"
IDENTIFIER = b"M001"
PARSER_VERSION = "1.0.0"  # the oldest that knows all that is used here
IMAGE_PROPERTIES, NORMALIZATION_OPTIONS, FEATURE_PROPERTIES = 2, 1, 1  # of the schema's unions
AXIS_LABELS = 2  # kind of a file
RGB, GREY = 1, 2


def described(model: bytes, contract: Contract, labels: str) -> bytes:
    """The model with its metadata. `labels`: the name of the file of class names that is packed to it."""
    from ai_edge_litert import schema_py_generated as schema

    parts = schema.ModelT.InitFromObj(schema.Model.GetRootAs(model, 0))
    held = schema.BufferT()
    held.data = np.frombuffer(metadata(contract, labels), np.uint8)
    entry = schema.MetadataT()
    entry.name, entry.buffer = NAME, len(parts.buffers)
    parts.buffers.append(held)
    parts.metadata = [*(parts.metadata or ()), entry]
    builder = flatbuffers.Builder(len(model) + 4096)
    builder.Finish(parts.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def metadata(contract: Contract, labels: str) -> bytes:
    """The flatbuffer `ModelMetadata` of a classifier with this contract."""
    builder = flatbuffers.Builder(1024)
    picture, answer = _picture(builder, contract), _answer(builder, labels)
    subgraph = _table(
        builder, 9, {2: _vector(builder, [picture]), 3: _vector(builder, [answer])}
    )  # fields: input_tensor_metadata, output_tensor_metadata
    name = builder.CreateString("Pigeonhole image classifier")
    told = builder.CreateString(
        f"A network of Pigeonhole {contract.pigeonhole} ({contract.network}); its answers are calibrated "
        "probabilities"
    )
    version, subgraphs = builder.CreateString(PARSER_VERSION), _vector(builder, [subgraph])
    model = _table(builder, 8, {0: name, 1: told, 3: subgraphs, 7: version})
    builder.Finish(model, IDENTIFIER)
    return bytes(builder.Output())


def _picture(builder: flatbuffers.Builder, contract: Contract) -> int:
    """TensorMetadata of the input: an RGB or grey picture whose values are taken as they are, 0..255."""
    preprocessing = contract.preprocessing
    builder.StartObject(2)
    builder.PrependUint32Slot(0, preprocessing.image_size, 0)
    builder.PrependUint32Slot(1, preprocessing.image_size, 0)
    size = builder.EndObject()
    builder.StartObject(2)
    builder.PrependInt8Slot(0, RGB if preprocessing.channels == 3 else GREY, 0)
    builder.PrependUOffsetTRelativeSlot(1, size, 0)
    content = _content(builder, IMAGE_PROPERTIES, builder.EndObject())
    normalization = _table(builder, 2, {0: _floats(builder, [0.0]), 1: _floats(builder, [1.0])})
    builder.StartObject(2)
    builder.PrependUint8Slot(0, NORMALIZATION_OPTIONS, 0)
    builder.PrependUOffsetTRelativeSlot(1, normalization, 0)
    unit = builder.EndObject()
    stats = _table(builder, 2, {0: _floats(builder, [255.0]), 1: _floats(builder, [0.0])})
    name = builder.CreateString("image")
    told = builder.CreateString(
        "The whole picture, averaged over areas to the square of this size, not cropped; RGB or grey, 0..255"
    )
    units = _vector(builder, [unit])
    return _table(builder, 7, {0: name, 1: told, 3: content, 4: units, 5: stats})


def _answer(builder: flatbuffers.Builder, labels: str) -> int:
    """TensorMetadata of the output: a probability for each class name of the file `labels`."""
    file_name = builder.CreateString(labels)
    told = builder.CreateString("The class names, in the order of the probabilities")
    builder.StartObject(5)
    builder.PrependUOffsetTRelativeSlot(0, file_name, 0)
    builder.PrependUOffsetTRelativeSlot(1, told, 0)
    builder.PrependInt8Slot(2, AXIS_LABELS, 0)
    files = _vector(builder, [builder.EndObject()])
    content = _content(builder, FEATURE_PROPERTIES, _table(builder, 0, {}))
    stats = _table(builder, 2, {0: _floats(builder, [1.0]), 1: _floats(builder, [0.0])})
    name = builder.CreateString("probability")
    told = builder.CreateString("Of each class, calibrated; they sum to 1")
    return _table(builder, 7, {0: name, 1: told, 3: content, 5: stats, 6: files})


def _content(builder: flatbuffers.Builder, kind: int, properties: int) -> int:
    builder.StartObject(3)
    builder.PrependUint8Slot(0, kind, 0)
    builder.PrependUOffsetTRelativeSlot(1, properties, 0)
    return builder.EndObject()


def _table(builder: flatbuffers.Builder, slots: int, fields: Mapping[int, int]) -> int:
    """A table of so many slots with these offsets."""
    builder.StartObject(slots)
    for slot, offset in fields.items():
        builder.PrependUOffsetTRelativeSlot(slot, offset, 0)
    return builder.EndObject()


def _vector(builder: flatbuffers.Builder, offsets: Sequence[int]) -> int:
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return builder.EndVector()


def _floats(builder: flatbuffers.Builder, values: Sequence[float]) -> int:
    return builder.CreateNumpyVector(np.array(values, np.float32))
