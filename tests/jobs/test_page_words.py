"""Why something cannot be done, for a page: no flag is named, and what to do there is."""

import pytest

from pigeonhole.errors import UsageError
from pigeonhole.jobs import page_words


@pytest.mark.parametrize(
    ("told", "shown"),
    [
        ("runs/a: no such file", "runs/a: no such file"),
        ("--data photos: no such folder", "photos: no such folder"),
        ("photos: cannot be read; --cache-dir FOLDER names another", "photos: cannot be read"),
        (
            "a was started differently: 1 picture new (a.png); --force accepts the changes",
            "a was started differently: 1 picture new (a.png); a new training takes them as they are now",
        ),
        (
            "photos: fewer than two usable in owl; add pictures or leave the class out with --classes",
            "photos: fewer than two usable in owl; label more of its pictures, or none",
        ),
    ],
)
def test_a_reason_names_no_flag(told, shown):
    assert page_words.reason(told) == shown


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(UsageError, match=f"^No model can be saved in {file}: no folder. Mend that") as raised:
        page_words.check_output(file)
    assert "--" not in str(raised.value)
    page_words.check_output(tmp_path / "new")


def test_what_a_web_page_lacks_is_said_with_the_folder_to_put_it_in(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="onnxruntime-web") as raised:
        page_words.check_web()
    assert str(tmp_path) in str(raised.value) and "--" not in str(raised.value)
