"""Files that are there whole or not at all."""

import os
import subprocess
import sys

import pytest

from pigeonhole import atomic_file


@pytest.mark.parametrize(
    "writer, content", [(atomic_file.write, "é\n"), (atomic_file.write_binary, b"\x00\r\n")]
)
def test_a_file_takes_its_place_when_it_is_complete(tmp_path, writer, content):
    path = tmp_path / "a.txt"
    path.write_text("before")
    with writer(path) as file:
        file.write(content)
        file.flush()
        assert path.read_text() == "before"
    assert path.read_bytes() == (content.encode() if isinstance(content, str) else content)
    assert os.listdir(tmp_path) == ["a.txt"]


def test_an_error_leaves_the_file_as_it_was(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("before")
    with pytest.raises(KeyError), atomic_file.write(path) as file:
        file.write("half")
        raise KeyError
    assert path.read_text() == "before" and os.listdir(tmp_path) == ["a.txt"]


def test_what_a_killed_process_leaves_is_removed_and_nothing_else(tmp_path):
    code = (
        "import os, signal, sys; from pathlib import Path; from pigeonhole import atomic_file\n"
        "with atomic_file.write(Path(sys.argv[1], 'a.txt')) as file:\n"
        "    os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", code, tmp_path], cwd=os.path.dirname(os.path.dirname(__file__)))
    (left,) = os.listdir(tmp_path)
    assert left.startswith(".a.txt.")
    for name in ("a.txt", ".hidden", ".a.b", "b.7"):
        (tmp_path / name).write_text("mine")
    atomic_file.remove_leftovers(tmp_path)
    assert sorted(os.listdir(tmp_path)) == [".a.b", ".hidden", "a.txt", "b.7"]
