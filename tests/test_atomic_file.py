"""Files that are there whole or not at all."""

import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from pigeonhole import atomic_file
from pigeonhole.errors import UsageError


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


@pytest.mark.parametrize("write", [atomic_file.write_out, atomic_file.write_bytes_out])
def test_what_the_user_names_keeps_its_kind(tmp_path, write):
    content = "é\n" if write is atomic_file.write_out else "é\n".encode()

    def fill(path):
        atomic_file.check("--csv", path)
        with write(path) as file:
            file.write(content)

    target, link, pipe = tmp_path / "a.csv", tmp_path / "link.csv", tmp_path / "pipe"
    target.write_text("before, and longer than after")
    link.symlink_to(target)
    fill(link)
    assert link.is_symlink() and target.read_bytes() == "é\n".encode()
    os.mkfifo(pipe)
    reader = subprocess.Popen(["cat", pipe], stdout=subprocess.PIPE)
    fill(pipe)
    assert reader.communicate()[0] == "é\n".encode() and pipe.is_fifo()
    fill(tmp_path / "new.csv")
    assert (tmp_path / "new.csv").read_bytes() == "é\n".encode()
    assert sorted(os.listdir(tmp_path)) == ["a.csv", "link.csv", "new.csv", "pipe"]


def test_a_device_is_written_to_and_its_error_names_it(tmp_path):
    full = tmp_path / "full"
    try:
        os.mknod(full, stat.S_IFCHR | 0o666, os.makedev(1, 7))
        full.open("wb").close()
    except OSError:
        pytest.skip("no devices can be made here")
    with pytest.raises(OSError, match=r"No space left.*full"), atomic_file.write_out(full) as file:
        file.write("a")
    assert full.is_char_device()


def test_an_error_leaves_what_a_link_leads_to_as_it_was(tmp_path):
    (tmp_path / "a").write_text("before")
    (tmp_path / "link").symlink_to(tmp_path / "a")
    with pytest.raises(KeyError), atomic_file.write_out(tmp_path / "link") as file:
        file.write("half")
        raise KeyError
    assert (tmp_path / "a").read_text() == "before"


def test_what_cannot_be_written_to_is_refused_before_any_work(tmp_path):
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
    for name, why in (("dangling", "leads nowhere"), ("socket", "neither a file"), ("x/a", "does not exist")):
        with pytest.raises(UsageError, match=f"--csv .*{name}: .*{why}"):
            atomic_file.check("--csv", tmp_path / name)
    with pytest.raises(UsageError, match=r"^--csv -: .*name a file"):
        atomic_file.check("--csv", Path("-"))


@pytest.mark.skipif(not Path("/proc/version").is_file(), reason="needs a folder that takes no file")
def test_a_file_or_folder_that_takes_nothing_is_refused_before_any_work(tmp_path):
    (tmp_path / "link").symlink_to("/proc/version")
    for path in (Path("/proc/e.csv"), tmp_path / "link"):
        with pytest.raises(UsageError, match=rf"^--csv {path}: cannot be written \("):
            atomic_file.check("--csv", path)


@pytest.mark.parametrize(
    "write",
    [
        "with atomic_file.write(path) as file: file.write(text)",
        "with atomic_file.write_binary(path) as file: file.write(text.encode())",
        "with atomic_file.write_out(path) as file: file.write(text)",
        "with atomic_file.naming(path), path.open('a') as file: file.write(text)",
    ],
)
@pytest.mark.parametrize("length", [2000, 200_000], ids=["when flushed", "when written"])
def test_the_error_of_a_full_disk_names_the_file(tmp_path, write, length):
    pytest.importorskip("resource")
    code = (
        "import resource, sys; from pathlib import Path; from pigeonhole import atomic_file, cli\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        f"path, text = Path(sys.argv[1]), 'x' * {length}\n"
        f"def main(arguments):\n    {write}\n"
        "cli.run(main)"
    )
    command = [sys.executable, "-c", code, tmp_path / "a.csv"]
    done = subprocess.run(command, cwd=Path(__file__).parents[1], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (1, f"error: File too large: {tmp_path / 'a.csv'}\n")
    assert not list(tmp_path.glob(".*"))


def test_a_file_of_the_program_replaces_a_link(tmp_path):
    (tmp_path / "outside").write_text("mine")
    (tmp_path / "report.html").symlink_to(tmp_path / "outside")
    with atomic_file.write(tmp_path / "report.html") as file:
        file.write("new")
    assert (tmp_path / "outside").read_text() == "mine" and not (tmp_path / "report.html").is_symlink()
