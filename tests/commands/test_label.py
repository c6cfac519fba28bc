"""The folder that `pigeonhole label` is given: there, new, or a mistake."""

import base64
import contextlib
import re
import subprocess
import sys
import urllib.error
import urllib.request

import pytest

from pigeonhole.commands import label
from pigeonhole.data.journal import Header
from pigeonhole.errors import UsageError
from tests.support.labelling_sessions import draw_heap


def test_a_new_folder_is_made_and_stays_once_something_lies_in_it(tmp_path, capsys):
    folder = tmp_path / "things"
    with label._perhaps_new(folder):
        assert folder.is_dir()
    assert not folder.exists() and "is new" in capsys.readouterr().out
    with label._perhaps_new(folder):
        (folder / "labels.csv").write_text("kept")
    assert (folder / "labels.csv").exists()
    capsys.readouterr()
    with label._perhaps_new(folder):
        assert not capsys.readouterr().out


def test_an_empty_folder_of_the_user_is_left_there(tmp_path):
    with label._perhaps_new(tmp_path):
        pass
    assert tmp_path.is_dir()


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("absent/things", "no such folder"),
        ("cat.png", "is a file; give the folder in which it lies, {0}"),
        ("photos.zip", "is an archive; unpack it and give the folder"),
        ("mine.csv", "is a file of labels; give the folder of its pictures, and --labels FILE"),
    ],
)
@pytest.mark.parametrize("flags", [(), ("--materialise", "new")])
def test_what_cannot_be_a_folder_is_told_with_the_mend(tmp_path, name, told, flags):
    for file in ("cat.png", "photos.zip"):
        (tmp_path / file).write_text("a file")
    (tmp_path / "mine.csv").write_bytes(Header.new().line)
    with pytest.raises(UsageError) as refused:
        label.main([str(tmp_path / name), "--no-browser", *flags])
    assert str(refused.value) == f"{tmp_path / name}: {told.format(tmp_path)}"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cat.png", "mine.csv", "photos.zip"]


@contextlib.contextmanager
def labelling(folder, *flags):
    """The program, by what it has said until it answers."""
    command = [
        sys.executable,
        "-m",
        "pigeonhole",
        "label",
        str(folder),
        "--no-browser",
        "--port",
        "0",
        *flags,
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as program:
        said = ""
        try:
            while "open " not in said:
                line = program.stdout.readline()
                assert line, said
                said += line
            yield said
        finally:
            program.terminate()


def status(url, password=None):
    request = urllib.request.Request(url)
    if password is not None:
        request.add_header("Authorization", f"Basic {base64.b64encode(f'me:{password}'.encode()).decode()}")
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def test_others_in_the_network_need_a_key(tmp_path):
    draw_heap(tmp_path / "heap", 2)
    flags = ("--cache-dir", str(tmp_path / "cache"))
    with labelling(tmp_path / "heap", "--host", "0.0.0.0", *flags) as said:
        url, key = re.search(r"open +(\S+)", said)[1], re.search(r"key +(\S+)", said)[1]
        assert status(url) == status(url, "wrong") == status(url + "thumbnails/0") == 401
        assert status(url, key) == status(url + "thumbnails/0", key) == 200


@pytest.mark.slow
def test_this_computer_alone_needs_no_key(tmp_path):
    draw_heap(tmp_path / "heap", 2)
    flags = ("--cache-dir", str(tmp_path / "cache"))
    with labelling(tmp_path / "heap", *flags) as said:
        assert "key " not in said and status(re.search(r"open +(\S+)", said)[1]) == 200
