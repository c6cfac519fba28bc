"""The types of the public names, as a type checker sees them in somebody else's program."""

import os
import re
import site
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# Each line with what mypy must say about it.
CLIENT = """\
import numpy as np
from pigeonhole import Callback, Classifier, Run, train

class Stop(Callback):
    def on_step(self, network: str, progress: int) -> None: ...  # Argument 2 of "on_step" is incompatible

run = train("pictures", minutes=3, batch_size=8, callbacks=[lambda network, event: print(event.step)])
reveal_type(run)  # "pigeonhole.jobs.trained.Run"
reveal_type(run.report_page)  # "pathlib.Path"
reveal_type(run.interval)  # "tuple[float, float]"
found = Run.load("one").evaluate("tests")
reveal_type(found.accuracy)  # "float"
reveal_type(found.confusion)  # "numpy.ndarray
reveal_type(found.per_class[0].recall)  # "float | None"
with Classifier.load(engine="onnx") as classifier:
    reveal_type(classifier)  # "pigeonhole.jobs.classifying.Classifier"
    reveal_type(classifier.predict(["dog.jpg", b"bytes", np.zeros((3, 4, 3), np.uint8)]))  # "numpy.ndarray
    answer = classifier.answers("dog.jpg", nearest=2)[0]
reveal_type(answer.class_name)  # "str | None"
reveal_type(answer.confidence)  # "float"
reveal_type(answer.nearest[0].cosine)  # "float"
classifier.answers(5)  # Argument 1 to "answers" of "Classifier" has incompatible type "int"
train("pictures", minutes="3")  # Argument "minutes" to "train" has incompatible type "str"
from pigeonhole import Clasifier  # has no attribute "Clasifier"
"""


@pytest.mark.slow
def test_the_public_names_have_types(tmp_path):
    venv.create(tmp_path / "environment")
    (packages,) = (tmp_path / "environment").glob("lib/python*/site-packages")
    # As an editable installation does it: the types count because of py.typed alone.
    (packages / "pigeonhole.pth").write_text("\n".join([str(ROOT), *site.getsitepackages()]))
    (tmp_path / "client.py").write_text(CLIENT)
    python = tmp_path / "environment" / "bin" / "python"
    flags = ["--strict", "--cache-dir", os.devnull, "--python-executable", str(python)]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *flags, "client.py"], cwd=tmp_path, capture_output=True, text=True
    )
    said: dict[int, str] = {}
    for number, text in re.findall(r"client\.py:(\d+): (?:note|error): (.*)", done.stdout):
        said.setdefault(int(number), text)
    wanted = {
        number: line.partition("  # ")[2]
        for number, line in enumerate(CLIENT.splitlines(), 1)
        if "  # " in line
    }
    assert said.keys() == wanted.keys(), done.stdout + done.stderr
    for number, text in wanted.items():
        assert text in said[number]
