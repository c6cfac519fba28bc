"""From a training to further ones: how long they will take follows from its own pace."""

import time
from dataclasses import replace

import numpy as np
import pytest

from pigeonhole.data.parallel import available_cores
from pigeonhole.jobs import trainers
from pigeonhole.jobs.training_job import TrainingJob
from pigeonhole.runs.config import TrainingConfig
from pigeonhole.runs.records import Score, Validation
from tests.support.drawn_folders import draw_patches

ATTEMPTS = 5


def validation(seconds: float) -> Validation:
    """The last 100 pictures were shown by then."""
    score = Score(80, 100, 0.5)
    return Validation(1.0, 10, 0.01, score, score, seconds, 50.0, True, np.ones(100, bool))


def test_the_pace_of_a_training_leaves_out_what_its_first_step_took_longer():
    validations = [validation(seconds) for seconds in (2.0, 2.4, 3.0)]
    assert trainers.pace(validations) == pytest.approx((200, 1.5))
    assert trainers.pace(validations[:1]) == pytest.approx((50, 0.0)), "it is not known what was the first's"


@pytest.mark.slow
def test_a_further_training_takes_as_long_as_forecast(tmp_path):
    """To within a quarter, at least once in a few attempts: the machine may be busy with something else."""
    config = TrainingConfig(
        data=draw_patches(tmp_path / "pictures", 30),
        cache_dir=tmp_path / "cache",
        output=tmp_path / "runs",
        image_size=32,
        epochs=30,
        precision="float32",
        threads=available_cores(),
        no_report=True,
    )
    ratios = []
    for attempt in range(ATTEMPTS):
        ratios.append(took_by_forecast(replace(config, name=str(attempt))))
        if 0.8 <= ratios[-1] <= 1.25:
            return
    raise AssertionError(f"took, by the forecast: {ratios}")


def took_by_forecast(config: TrainingConfig) -> float:
    job = TrainingJob(config)
    assert job.train() == 0
    retrainer, train = trainers.retrainer(job.setup, job.trainer), job.setup.sets.train
    began = time.perf_counter()
    retrainer.train(train)
    return (time.perf_counter() - began) / retrainer.seconds(train.num_examples)
