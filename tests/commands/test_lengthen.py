"""A finished training that is lengthened: it goes on from its last state, and a kill loses nothing."""

import json
import shutil
import signal
from pathlib import Path

import pytest

from pigeonhole.commands import train
from pigeonhole.model.classifier import Classifier
from pigeonhole.runs import search
from pigeonhole.runs.run import Run
from tests.support.drawn_folders import draw_patches
from tests.support.training_program import WEIGHTS, flags, resume, stopped

SHORT = 18  # steps: two epochs


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
