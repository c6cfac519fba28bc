"""What is said where a package of an extra is missing."""

import subprocess
import sys
from pathlib import Path

import pytest

from pigeonhole import extras

ROOT = Path(__file__).parents[1]
MISSING = "import sys; sys.modules['sklearn'] = sys.modules['tensorflow'] = None\n"


def test_what_is_there_is_not_missed():
    extras.require("training", "tensorflow", "sklearn")


def test_a_missing_package_is_told_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.setitem(extras.OPTIONAL, "nowhere", ("Nowhere", "train"))
    with pytest.raises(extras.MissingExtra) as raised:
        extras.require("training", "json", "nowhere")
    assert str(raised.value) == 'training needs Nowhere: pip install "pigeonhole[train]"'


@pytest.mark.parametrize(
    ("body", "line"),
    [
        ("from sklearn import metrics", 'error: this needs scikit-learn: pip install "pigeonhole[train]"'),
        ("import tensorflow as tf", 'error: this needs TensorFlow: pip install "pigeonhole[train]"'),
    ],
)
def test_an_import_that_fails_in_a_command_is_one_line(body, line):
    source = f"{MISSING}from pigeonhole import cli\ndef main(arguments):\n    {body}\ncli.run(main)\n"
    done = subprocess.run([sys.executable, "-c", source], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr.strip()) == (1, line)


def test_another_import_that_fails_is_a_mistake_of_ours():
    source = "from pigeonhole import cli\ndef main(arguments):\n    import no_such_module\ncli.run(main)\n"
    done = subprocess.run([sys.executable, "-c", source], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1 and "Traceback" in done.stderr
