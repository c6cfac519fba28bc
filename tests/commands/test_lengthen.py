"""A finished training that is lengthened: it goes on from its last state, and a kill loses nothing."""

import json
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest

from pigeonhole.commands import train
from pigeonhole.errors import UsageError
from pigeonhole.model.classifier import Classifier
from pigeonhole.runs import search
from pigeonhole.runs.run import Run
from tests.support.drawn_folders import draw_patches
from tests.support.training_program import WEIGHTS, flags, resume, stopped

SHORT, LONG = 18, 36  # steps: two epochs and four


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    data = draw_patches(tmp_path_factory.mktemp("pictures") / "training data", 30)
    output = tmp_path_factory.mktemp("runs")
    assert train.main([*flags(data, output, "short"), "--epochs", "2", "--schedule", "constant"]) == 0
    return output / "short"


@pytest.fixture
def short(finished, tmp_path) -> Path:
    """A copy of a finished run of two epochs."""
    return shutil.copytree(finished, tmp_path / "runs" / "short")


def last_state(run: Path) -> dict[str, np.ndarray]:
    with np.load(run / Run.last_state_file.name) as arrays:
        return {name: arrays[name] for name in arrays.files}


def test_it_goes_on_from_weights_optimizer_and_step_and_keeps_what_was_reached(short, capsys):
    history, reached = Run(short).history(), Run(short).result()
    assert resume(short, "--epochs", "4", "--schedule", "one-cycle", "--learning-rate", "0.02") == 0
    said = capsys.readouterr().out
    assert f"from step {SHORT}, epoch 2.0" in said and f"lengthened after {SHORT} steps, epoch 2," in said
    settings, longer = Run(short).settings(), Run(short).history()
    assert settings["total_steps"] == LONG == last_state(short)["step"] and not settings["changed_midway"]
    assert LONG in [value for value in last_state(short).values() if value.shape == ()]  # Adam's iterations
    rows = len(history["step"])
    for column in history:
        np.testing.assert_array_equal(longer[column][:rows], history[column])
    assert longer["step"][rows:].min() > SHORT and longer["step"][-1] == LONG
    assert longer["learning_rate"][rows - 1] != 0.02 and longer["learning_rate"][-1] < 1e-3  # a cycle's end
    (before,) = Run(short).result()["before"]
    assert before["expected_accuracy"] == reached["expected_accuracy"]
    assert Run(short).is_complete and search.newest(short.parent).folder == short


def test_nothing_is_lengthened_without_more_steps(short):
    with pytest.raises(UsageError, match=r"finished; nothing is left to do, but --epochs"):
        resume(short)
    with pytest.raises(UsageError, match=r"--epochs 2: .* trained for 2 epochs already, 18 steps"):
        resume(short, "--epochs", "2")
    with pytest.raises(UsageError, match=r"--dropout was not given, now 0.3"):
        resume(short, "--steps", "30", "--dropout", "0.3")
    (short / Run.last_state_file.name).unlink()
    with pytest.raises(UsageError, match=r"has no last_state.npz to go on from"):
        resume(short, "--steps", "30")


@pytest.mark.slow
def test_killed_while_it_is_lengthened_it_answers_and_ends_with_the_same_bits(short, finished, tmp_path):
    whole = shutil.copytree(finished, tmp_path / "whole" / "short")
    longer = ["--epochs", "4", "--schedule", "cosine"]
    assert resume(whole, *longer) == 0
    before = (short / WEIGHTS).read_bytes()
    arguments = ["--resume", str(short), *longer, "--no-cache", "--log-every", "1"]
    status, said = stopped(arguments, signal.SIGTERM, "step 25/")
    assert status == 143, said
    run = Run(short)
    assert (short / WEIGHTS).read_bytes() == before and not run.is_complete
    assert "being lengthened" in run.describe() and search.newest(short.parent).folder == short
    with Classifier.load(run) as classifier:
        assert len(classifier.classes) == 3
    assert resume(short) == 0
    assert (short / WEIGHTS).read_bytes() == (whole / WEIGHTS).read_bytes()
    assert Run(short).history()["step"].tolist() == Run(whole).history()["step"].tolist()


@pytest.mark.slow
def test_twice_lengthened_once_by_minutes_it_can_be_repeated_in_one_go(short, tmp_path, capsys):
    assert resume(short, "--steps", "30") == 0
    assert resume(short, "--minutes", "0.05") == 0
    settings = json.loads((short / "settings.json").read_text("utf-8"))
    assert [part["steps"] for part in settings["earlier"]] == [SHORT, 30] and settings["total_steps"] > 30
    assert train.main(["--repeat", str(short), "--output", str(tmp_path), "--name", "again"]) == 0
    assert "identical to" in capsys.readouterr().out
