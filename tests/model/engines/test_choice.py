"""Which engine loads a model."""

import shutil
import sys

import numpy as np
import pytest

from pigeonhole import Classifier
from pigeonhole.errors import PigeonholeError, UsageError
from pigeonhole.model.engines import engine
from pigeonhole.model.interface import ForeignCheckpoint
from pigeonhole.runs.run import Run
from tests.support import saved_runs


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    return saved_runs.ready(tmp_path_factory.mktemp("runs") / "run", onnx=True)


@pytest.fixture
def run(original, tmp_path):
    return saved_runs.editable(shutil.copytree(original, tmp_path / "run"))


def test_the_fastest_that_loads_is_taken(original):
    with Classifier.load(original) as classifier:
        assert classifier.engine == "onnx" and classifier.passed_over == ()
    with Classifier.load(original, engine="tensorflow") as classifier:
        assert classifier.engine == "tensorflow" and classifier.passed_over == ()


@pytest.mark.parametrize(
    "spoil, reason",
    [
        (lambda run: (run / Run.onnx_file.name).unlink(), "no such file"),
        (lambda run: (run / Run.onnx_file.name).write_bytes(b"no model"), "not an ONNX file"),
    ],
)
def test_tensorflow_answers_where_onnx_cannot_and_the_reason_is_kept(run, original, spoil, reason):
    spoil(run)
    pixels = np.zeros((2, 16, 16, 3), np.uint8)
    with Classifier.load(run) as classifier, Classifier.load(original) as expected:
        assert classifier.engine == "tensorflow"
        (why,) = classifier.passed_over
        assert str(run / Run.onnx_file.name) in why and reason in why
        np.testing.assert_allclose(
            classifier.predict_pixels(pixels), expected.predict_pixels(pixels), atol=1e-5
        )


def test_an_engine_that_does_not_exist_and_flags_that_do_not_belong_are_refused(original):
    with pytest.raises(UsageError, match="--engine fast: no such engine; choose from auto, onnx, tensorflow"):
        Classifier.load(original, engine="fast")
    for choice in engine.CHOICES:
        with pytest.raises(UsageError, match="--labels: only for checkpoints of other programs"):
            Classifier.load(original, engine=choice, foreign=ForeignCheckpoint(labels=["a"]))


def test_an_engine_that_is_not_installed_is_told_in_one_line(run, monkeypatch):
    (run / Run.onnx_file.name).unlink()
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with pytest.raises(PigeonholeError, match=r"model\.onnx: no such file.*; this needs TensorFlow: pip"):
        Classifier.load(run)
