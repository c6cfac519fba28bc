"""A whole training called from Python, without a command line; what it inherits from a previous run."""

import json
import shutil
from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import pytest

from pigeonhole.data.parallel import available_cores
from pigeonhole.errors import UsageError
from pigeonhole.jobs import checks, resuming, setup
from pigeonhole.jobs.training_job import TrainingJob
from pigeonhole.runs.config import TrainingConfig
from pigeonhole.runs.run import Run
from pigeonhole.training.distributed import agreement
from tests.support.drawn_folders import draw_patches


@pytest.fixture(scope="module")
def job(tmp_path_factory) -> TrainingJob:
    """One that has trained."""
    folder = tmp_path_factory.mktemp("job")
    config = TrainingConfig(
        data=draw_patches(folder / "pictures", 10),
        cache_dir=folder / "cache",
        output=folder / "runs",
        name="first",
        image_size=20,
        epochs=2,
        seed=7,
        precision="float32",
        threads=available_cores(),  # those of all tests in this process
        no_report=True,
    )
    job = TrainingJob(config)
    assert job.run is None
    assert job.train() == 0
    return job


def test_a_training_needs_no_command_line(job):
    settings = json.loads((Path(job.run) / "settings.json").read_text("utf-8"))
    assert (Path(job.run) / "model.index").is_file() and not (Path(job.run) / "checkpoints").exists()
    assert settings["options"]["seed"] == 7 and settings["recipe"]["epochs"] == 2


def test_what_was_asked_for_is_not_what_was_settled(job):
    settings = json.loads((Path(job.run) / "settings.json").read_text("utf-8"))
    assert job.config.network is job.config.channels is None, "left open when asked"
    assert settings["options"]["network"] == "standard" and settings["options"]["channels"] == 3
    with pytest.raises(FrozenInstanceError):
        job.config.network = "deep"


@pytest.fixture
def again(job) -> dict[str, object]:
    """The flags of a repetition."""
    return {"repeat": Path(job.run)}


def test_a_repetition_inherits_every_flag_but_those_of_its_own_run(job, again):
    config, previous_run = resuming.config_of(again, workers=1)
    own = {"output": job.config.output, "name": "first", "repeat": None, "network": None, "channels": None}
    assert replace(config, **own) == job.config
    assert config.name is None and config.output == Path("runs")
    assert checks.check(config, previous_run).network == "standard"


def test_a_given_flag_holds_even_where_it_is_the_default(again):
    config, previous_run = resuming.config_of({**again, "seed": 0}, workers=1)
    assert config.seed == 0
    with pytest.raises(UsageError, match="--seed was 7, now 0"):
        checks.check(config, previous_run)
    checks.check(replace(config, force=True), previous_run)


def test_another_length_takes_the_place_of_the_previous_one(again):
    config, _ = resuming.config_of({**again, "steps": 5}, workers=1)
    assert config.steps == 5 and config.epochs is config.minutes is None


def test_another_number_of_workers_has_its_own_threads(again):
    config, previous_run = resuming.config_of(again, workers=2)
    assert config.threads is None
    assert checks.check(config, previous_run)


def test_another_worker_has_its_own_threads_too(job, again, tmp_path):
    config, previous_run = resuming.config_of(again, workers=1)
    plan = json.loads(json.dumps(agreement.plan(TrainingConfig(**again), config, previous_run)))
    theirs, before = agreement.adopt(TrainingConfig(data=job.config.data), plan, tmp_path)
    assert theirs.seed == 7 and theirs.threads is None
    assert checks.check(theirs, before, writes=False).network == "standard"


@pytest.mark.parametrize("more", [{}, {"seed": 8, "force": True}])
def test_a_repetition_takes_the_split_of_its_run_whatever_rule_made_it(job, tmp_path, more):
    run = Run(shutil.copytree(Path(job.run), tmp_path / "made before"))
    run.seals_file.unlink()  # earlier runs had none
    rows = run.split_file.read_text("utf-8")
    swapped = rows.replace(",train,", ",?,").replace(",valid,", ",train,").replace(",?,", ",valid,")
    run.split_file.write_text(swapped, "utf-8")
    config, previous_run = resuming.config_of({"repeat": run.folder, **more}, workers=1)
    sides = setup.prepare(config, previous_run).sets.sides
    its_own = {row["path"]: row["side"] for row in run.split()}
    assert (sides == its_own) is not bool(more), "unless another seed is asked for"
