"""The folder that `pigeonhole label` is given: there, new, or a mistake."""

import pytest

from pigeonhole.commands import label
from pigeonhole.errors import UsageError


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


@pytest.mark.parametrize("name", ["absent/things", "file"])
def test_what_cannot_be_a_folder_is_told(tmp_path, name):
    (tmp_path / "file").write_text("a file")
    with pytest.raises(UsageError, match="no such folder"), label._perhaps_new(tmp_path / name):
        pass
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file"]
