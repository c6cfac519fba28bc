import re
from pathlib import Path

import pytest

from pigeonhole.errors import UsageError
from pigeonhole.runs import creation


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_new_runs_are_named_by_date_and_never_shared():
    first, second = (creation.create(Path("runs")) for _ in range(2))
    assert first != second and first.folder.is_dir() and second.folder.is_dir()
    assert re.fullmatch(r"\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d(_\d+)?", first.name)


def test_named_run():
    assert creation.create(Path("a/b"), "été 1").folder == Path("a/b/été 1")
    with pytest.raises(UsageError, match="exists already"):
        creation.create(Path("a/b"), "été 1")


@pytest.mark.parametrize("name", ["", " ", ".", "..", "../up", "a/b", "a\\b", "C:x"])
def test_name_that_is_no_folder_name(name):
    with pytest.raises(UsageError, match="plain folder name"):
        creation.create(Path("runs"), name)


def test_a_name_that_no_file_system_takes():
    with pytest.raises(UsageError, match="longer than 255 bytes"):
        creation.check_name(Path("runs"), "é" * 150)


def test_an_output_that_cannot_be_written_is_named_as_it_was_given(tmp_path):
    Path("file").write_text("x")
    Path("link").symlink_to("nowhere")
    for name in ("file", "file/runs", "link"):
        with pytest.raises(UsageError, match=rf"^--output {name}: .*no folder; name another"):
            creation.check_output(Path(name))
    if Path("/proc/self").exists():
        with pytest.raises(UsageError, match=r"^--output /proc/x: /proc is not writable"):
            creation.check_output(Path("/proc/x"))
    creation.check_output(Path("new/runs"))
