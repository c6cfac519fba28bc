"""Trainings that go wrong: they stop, keep what was good, and say what to do."""

import csv
import json
import re
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pigeonhole.data.parallel import available_cores
from pigeonhole.errors import PigeonholeError
from pigeonhole.jobs.train import outcome
from pigeonhole.jobs.training_job import TrainingJob
from pigeonhole.model.classifier import Classifier
from pigeonhole.runs import digests
from pigeonhole.runs.config import TrainingConfig
from pigeonhole.runs.run import Run
from pigeonhole.training.failures import Diverged
from tests.support.drawn_folders import draw_patches
from tests.support.training_program import done, stopped


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
        threads=available_cores(),  # those of all tests in this process
        no_report=True,
    )


def progress(run: Path) -> str:
    return json.loads((run / "progress.json").read_text("utf-8"))["state"]


def test_a_loss_that_is_no_number_from_the_start_leaves_no_model(config):
    job = TrainingJob(replace(config, optimizer="sgd", learning_rate=1e9))
    with pytest.raises(
        Diverged, match=r"^the loss is no longer a number after step \d+; train .*-rate 1e\+08$"
    ):
        job.train()
    assert not job.run.has_model
    assert progress(job.run.folder) == "stopped"


@pytest.mark.slow
def test_a_loss_that_is_no_number_later_keeps_the_best_network_before_it(config, capsys):
    # The decay turns into growth as the rate rises: 30 times a step at its peak.
    job = TrainingJob(replace(config, optimizer="adamw", learning_rate=5e-3, weight_decay=6000))
    assert job.train() == 1
    said = capsys.readouterr().out
    assert "stopped: the loss is no longer a number after step " in said and "--learning-rate 0.0005" in said
    assert "saving the best network before that, of epoch " in said
    assert job.run.has_model and not job.run.is_complete and progress(job.run.folder) == "stopped"
    assert "resume  " not in said, "that would end in the same way"
    with pytest.raises(PigeonholeError, match="run: the loss is no longer a number; the best network before"):
        outcome(job, 1)
    Classifier.load(job.run).close()
    with job.run.history_file.open() as file:
        assert all(np.isfinite(float(row["valid_loss"])) for row in csv.DictReader(file))


# --- a loss that does not move ---

STUCK = [
    "--learning-rate",
    "1e-9",
    "--epochs",
    "20",
    "--batch-size",
    "8",
    "--image-size",
    "20",
    "--threads",
    "1",
]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> Path:
    return draw_patches(tmp_path_factory.mktemp("pictures") / "data", 30)


def asked(pictures: Path, output: Path) -> list[str]:
    where = ["--data", pictures, "--output", output, "--name", "run", "--cache-dir", output / "cache"]
    return [*map(str, where), *STUCK, "--precision", "float32", "--no-report"]


@pytest.fixture(scope="module")
def restarted(pictures, tmp_path_factory) -> tuple[Run, str]:
    """A training that came to its end in its second attempt, and what it said."""
    output = tmp_path_factory.mktemp("restarted")
    process = done(*asked(pictures, output))
    assert process.returncode == 0, process.stderr
    return Run(output / "run"), process.stdout


@pytest.mark.slow
def test_a_training_whose_loss_does_not_move_starts_once_more_with_other_settings(restarted):
    run, said = restarted
    line = "the loss has not moved after step 36; again from the start with adamw, learning rate up to 0.0005"
    assert said.count(f"restarted   {line}\n") == 1
    settings = run.settings()
    assert settings["recipe"]["optimizer"] == "adamw" and settings["recipe"]["learning_rate"] == 5e-4
    assert settings["restarted_after"] == 36 and settings["may_restart"] is False
    assert run.history()["step"].tolist() == list(range(9, 181, 9)), "of the second attempt alone"
    assert run.has_model and not run.checkpoints_folder.exists()


@pytest.mark.slow
def test_the_time_printed_at_the_end_is_that_of_everything(restarted):
    run, said = restarted
    told = re.search(
        r"^time +(\d+):(\d\d) \(minutes:seconds\) for everything, (\d+):(\d\d) to train$", said, re.M
    )
    minutes, seconds, training_minutes, training_seconds = map(int, told.groups())
    assert 60 * minutes + seconds > 60 * training_minutes + training_seconds, "both attempts, and more"
    assert abs(60 * training_minutes + training_seconds - run.result()["seconds"]) <= 1


@pytest.mark.slow
def test_it_repeats_to_the_bit(restarted, tmp_path):
    run, _ = restarted
    where = ["--output", str(tmp_path), "--cache-dir", str(run.folder.parent / "cache")]
    process = done("--repeat", run.folder, *where)
    assert process.returncode == 0 and f"identical to {run}: weights, history" in process.stdout


@pytest.mark.slow
@pytest.mark.parametrize("after", ["epoch   2.0", "epoch   4.0", "restarted"])
def test_terminated_in_either_attempt_it_goes_on_to_the_same_bits(restarted, pictures, tmp_path, after):
    status, _ = stopped(asked(pictures, tmp_path), signal.SIGTERM, after)
    assert status == 143
    process = done("--resume", tmp_path / "run", "--cache-dir", tmp_path / "cache")  # with its own threads
    assert process.returncode == 0, process.stderr
    assert digests.read(Run(tmp_path / "run")) == digests.read(restarted[0])


@pytest.mark.slow
def test_a_training_that_learns_a_little_is_left_alone(config, capsys):
    job = TrainingJob(replace(config, epochs=20, learning_rate=1e-4))
    assert job.trainer.may_restart and job.train() == 0
    assert "restarted" not in capsys.readouterr().out


def test_the_settings_of_published_networks_are_never_changed(config):
    assert not TrainingJob(replace(config, network="tutorial")).trainer.may_restart
