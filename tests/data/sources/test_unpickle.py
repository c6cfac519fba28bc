"""What a pickle from a stranger may build, and that it can do nothing else."""

import os
import pickle
import pickletools
import struct
import subprocess
import sys
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest

from pigeonhole.data.sources.unpickle import MOST_BUILDS, MOST_OPCODES, UnpickleError, load

PLAIN = {
    "none": None,
    "yes": True,
    "n": -7,
    "big": 1 << 40,
    "x": 2.5,
    "text": "é",
    "raw": b"\0\xff",
    "t": (1, (2,)),
}
TUPLES_IN_TUPLES = b"\x80\x02" + b"K\x01" + b"\x85" * 200_000  # (((...(1,)...),),)
DOUBLED_TUPLES = b"\x80\x02" + b"K\x01" + b"q\x01h\x01\x86" * 60  # t = (t, t), sixty times
COLLIDING = (
    b"\x8a\x0c" + (number * sys.hash_info.modulus).to_bytes(12, "little") + b"N" for number in range(200_000)
)


def python2_string(text: bytes) -> bytes:
    return b"T" + struct.pack("<i", len(text)) + text


def python2_array(shape: tuple[int, int], data: bytes, code: bytes | None = None) -> bytes:
    """The opcodes by which Python 2 pickled a numpy array, as in the published CIFAR files.

    `code`: the opcodes of the dtype's code, for an evil one.
    """
    sides = b"".join(b"J" + struct.pack("<i", side) for side in shape)
    dtype = b"cnumpy\ndtype\n" + (code or python2_string(b"u1")) + b"K\0K\x01\x87R"
    dtype_state = b"(K\x03" + python2_string(b"|") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb"
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\0\x85" + python2_string(b"b") + b"\x87R"
    )
    return array + b"(K\x01" + sides + b"\x86" + dtype + dtype_state + b"\x89" + python2_string(data) + b"tb"


def python2_pickle(**items: bytes) -> bytes:
    content = b"".join(python2_string(key.encode()) + value for key, value in items.items())
    return b"\x80\x02}(" + content + b"u."


@pytest.mark.parametrize("protocol", [3, 4])
def test_plain_data_and_arrays_arrive_as_they_were(protocol):
    arrays = {
        "bytes": np.arange(24, dtype=np.uint8).reshape(2, 3, 4),
        "columns": np.asfortranarray(np.arange(6, dtype=">i2").reshape(2, 3)),
        "floats": np.linspace(0, 1, 5, dtype=np.float32),
    }
    loaded = load(pickle.dumps({**PLAIN, "list": [1, "two", [3.0, None]], **arrays}, protocol=protocol))
    assert {key: loaded[key] for key in PLAIN} == PLAIN
    assert loaded["list"] == [1, "two", [3.0, None]]
    for key, array in arrays.items():
        assert loaded[key].dtype == array.dtype
        np.testing.assert_array_equal(loaded[key], array)


def test_what_python_2_wrote_is_read_as_pickle_reads_it():
    data = python2_pickle(
        data=python2_array((2, 3), b"\x00\x01\x02\xfd\xfe\xff"), name=python2_string(b"caf\xe9")
    )
    loaded, expected = load(data), pickle.loads(data, encoding="latin1")
    assert loaded["name"] == expected["name"] == "café"
    np.testing.assert_array_equal(loaded["data"], expected["data"])


def test_a_published_batch_is_read_as_pickle_reads_it():
    path = Path(__file__).parents[4] / "shared" / "data" / "cifar10" / "batches.meta"
    if not path.exists():
        pytest.skip(f"{path} is not there")
    assert load(path.read_bytes()) == pickle.loads(path.read_bytes(), encoding="latin1")


class Calls:
    """Pickles as a call of `function`: what every pickle exploit is made of."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("function", ["os.system", "builtins.eval", "builtins.exec", "subprocess.check_call"])
def test_a_call_is_not_made(tmp_path, function, protocol):
    module, name = function.rsplit(".", 1)
    victim = tmp_path / "pwned"
    argument = f"touch {victim}" if function == "os.system" else f"open({str(victim)!r}, 'w')"
    if name == "check_call":
        argument = [sys.executable, "-c", argument]
    hostile = pickle.dumps({"data": Calls(getattr(__import__(module), name), argument)}, protocol=protocol)
    with pytest.raises(UnpickleError):
        load(hostile)
    assert not victim.exists()
    pickle.loads(hostile)  # proves that the pickle would have worked
    assert victim.exists()


HOSTILE = {
    "a function as a value": pickle.dumps({"a": os.system}),
    "getattr chain": pickle.dumps({"a": Calls(getattr, Calls(__import__, "os"), "system")}),
    "numpy function": pickle.dumps({"a": Calls(np.fromfile, "/etc/passwd")}),
    "numpy by a dotted name": b"\x80\x04\x8c\x05numpy\x8c\x12core.os.system.fun\x93.",
    "numpy.load": b"\x80\x02cnumpy\nload\nX\x01\0\0\0a\x85R.",
    "ndarray itself called": b"\x80\x02cnumpy\nndarray\n(J\xff\xff\xff\x7ft\x85R.",
    "ctypes": b"\x80\x02cctypes\nCDLL\nX\x01\0\0\0a\x85R.",
    "object array": pickle.dumps({"a": np.array([print, None], dtype=object)}),
    "object array of plain data": pickle.dumps({"a": np.array([1, "b"], dtype=object)}),
    "object array over bytes": python2_pickle(a=python2_array((1, 1), b"\x01" * 8, python2_string(b"O8"))),
    "record array": pickle.dumps({"a": np.zeros(2, dtype=[("x", "u1")])}),
    "array of strings": pickle.dumps({"a": np.array(["x"])}),
    "set": pickle.dumps({"a": {1}}),
    "ordered dict": pickle.dumps({"a": OrderedDict(b=1)}),
    "an instance": pickle.dumps({"a": Path("x")}),
    "persistent id": b"\x80\x02X\x01\0\0\0aQ.",
    "extension registry": b"\x80\x02\x82\x01.",
    "next buffer": b"\x80\x05\x97.",
    "protocol 0 instance": b"(ios\nsystem\n.",
    "huge shape": python2_pickle(a=python2_array((0x7FFFFFFF, 0x7FFFFFFF), b"12")),
    "astronomic shape": pickle.dumps({"a": np.zeros(3, np.uint8)}).replace(
        b"K\x03\x85", b"\x8a\x1e" + b"\x01" * 30 + b"\x85"
    ),
    "negative shape": python2_pickle(a=python2_array((-1, -2), b"12")),
    "too many dimensions": pickle.dumps({"a": np.zeros((1,) * 20, np.uint8)}),
    "memo index of four thousand million": b"\x80\x02N" + b"r\xff\xff\xff\xff" + b"h\x07.",
    "string longer than the file": b"\x80\x02T\xff\xff\xff\x7fab.",
    "bytes longer than the file": b"\x80\x04\x8e" + struct.pack("<Q", 1 << 60) + b"ab.",
    "frame longer than the file": b"\x80\x04\x95" + struct.pack("<Q", 1 << 60) + b"N.",
    "deep tuple as a key": b"\x80\x02}" + TUPLES_IN_TUPLES[2:] + b"Ns.",
    "doubled tuple as a key": b"\x80\x02}" + DOUBLED_TUPLES[2:] + b"Ns.",
    "doubled tuple as a dtype": python2_pickle(a=python2_array((1, 1), b"1", DOUBLED_TUPLES[2:])),
    "doubled tuple as a name": b"\x80\x04\x8c\x01a" + DOUBLED_TUPLES[2:] + b"\x93.",
    "deep lists": b"\x80\x02" + b"]" * 200_000 + b"a" * 199_999 + b".",
    "popping below the bottom": b"\x80\x02\x87\x86.",
    "no mark": b"\x80\x02NNt.",
    "appending to a number": b"\x80\x02K\x01K\x02a.",
    "odd number of items": b"\x80\x02}(Nu.",
    "building a dict": b"\x80\x02}}b.",
    "not a dict": pickle.dumps([1, 2]),
    "colliding numbers as keys": b"\x80\x02}(" + b"".join(COLLIDING) + b"u.",
    "a mark for each byte": b"\x80\x02" + b"(" * 30_000_000,
    "a list for each byte": b"\x80\x02}(X\x01\0\0\0a]" + b"]" * 30_000_000,
    "doubling by DUP": b"\x80\x02}N" + b"2\x86" * 60 + b"Ns.",
    "LONG4 longer than the file": b"\x80\x02\x8b\xff\xff\xff\x7f1.",
    "a number of a million digits": b"I" + b"9" * 1_000_000 + b"\n.",
    "state of a stand-in class": b"\x80\x02cnumpy\ndtype\n}X\x06\0\0\0dtypeXNsb.",
    "slots of a stand-in class": b"\x80\x02cnumpy\ndtype\nN}X\x05\0\0\0dtypeNs\x86b.",
    "dtype's own byte order a list": python2_pickle(a=python2_array((1, 1), b"1")).replace(
        python2_string(b"|"), b"]"
    ),
    "empty": b"",
    "cut": pickle.dumps({"a": [1, 2, 3]})[:-3],
    "no pickle": b"\x89PNG\r\n\x1a\n",
    "html": b"<html><body>moved</body></html>",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_pickle_is_refused(name):
    with pytest.raises(UnpickleError) as caught:
        load(HOSTILE[name])
    assert len(str(caught.value)) < 300
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["huge shape", "astronomic shape", "too many dimensions"])
def test_a_shape_is_compared_with_its_data_before_numpy_sees_it(name):
    with pytest.raises(UnpickleError, match="does not fit its"):
        load(HOSTILE[name])


def test_one_array_cannot_be_copied_for_ever():
    array, most = python2_array((1, 1), b"1"), MOST_BUILDS // 2
    assert len(load(python2_pickle(**{f"a{number}": array for number in range(most)}))) == most
    with pytest.raises(UnpickleError, match="arrays"):
        load(python2_pickle(**{f"a{number}": array for number in range(most + 1)}))


def test_the_bounds_leave_room_for_the_largest_version():
    batch = {name: [f"{number}" for number in range(50_000)] for name in ("fine", "coarse", "filenames")}
    data = pickle.dumps(batch, protocol=2)
    assert load(data) == batch
    assert 3 * sum(1 for _ in pickletools.genops(data)) < MOST_OPCODES


@pytest.mark.slow
def test_hostile_pickles_cost_neither_memory_nor_time():
    pytest.importorskip("resource", reason="limits of a process are a matter of POSIX")
    program = (
        "import resource\n"
        "from tests.data.sources.test_unpickle import HOSTILE, UnpickleError, load\n"
        "resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))\n"
        "resource.setrlimit(resource.RLIMIT_CPU, (30, 30))\n"
        "for name, data in HOSTILE.items():\n"
        "    try:\n"
        "        load(data)\n"
        "    except UnpickleError:\n"
        "        continue\n"
        "    raise SystemExit(name)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=Path(__file__).parents[3], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
