"""Trainings that go wrong: they stop, keep what was good, and say what to do."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pigeonhole.jobs.training_job import TrainingJob
from pigeonhole.model.classifier import Classifier
from pigeonhole.runs.config import TrainingConfig
from pigeonhole.training.failures import Diverged
from tests.support.drawn_folders import draw_patches


@pytest.fixture
def config(tmp_path) -> TrainingConfig:
    """A training of 54 steps."""
    return TrainingConfig(
        data=draw_patches(tmp_path / "pictures", 30),
        cache_dir=tmp_path / "cache",
        output=tmp_path / "runs",
        name="run",
        image_size=20,
        epochs=6,
        batch_size=8,
        precision="float32",
        threads=1,
        no_report=True,
    )


def progress(run: Path) -> str:
    return json.loads((run / "progress.json").read_text("utf-8"))["state"]


def test_a_loss_that_is_no_number_from_the_start_leaves_no_model(config):
    job = TrainingJob(replace(config, optimizer="sgd", learning_rate=1e30))
    with pytest.raises(
        Diverged, match=r"^the loss is no longer a number after step \d+; train .*-rate 1e\+29$"
    ):
        job.train()
    assert not job.run.has_model and not job.run.is_finished
    assert progress(job.run.folder) == "stopped"


def test_a_loss_that_is_no_number_later_keeps_the_best_network_before_it(config, capsys):
    # The decay turns into growth as the rate rises: 30 times a step at its peak.
    job = TrainingJob(replace(config, optimizer="adamw", learning_rate=5e-3, weight_decay=6000))
    assert job.train() == 1
    said = capsys.readouterr().out
    assert "stopped: the loss is no longer a number after step " in said and "--learning-rate 0.0005" in said
    assert "saving the best network before that, of epoch " in said
    assert job.run.has_model and not job.run.is_finished and progress(job.run.folder) == "stopped"
    assert "resume  " not in said, "that would end in the same way"
    Classifier.load(job.run).close()
    with job.run.history_file.open() as file:
        assert all(np.isfinite(float(row["valid_loss"])) for row in csv.DictReader(file))
