"""Which way a training goes: several candidates, or one network."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from pigeonhole.features import pretrained
from pigeonhole.jobs import checks
from pigeonhole.jobs.job import Job
from pigeonhole.networks.registry import AUTO
from pigeonhole.runs.config import TrainingConfig
from pigeonhole.runs.previous import PreviousRun
from pigeonhole.terminal import say
from pigeonhole.training.callbacks import Listener

if TYPE_CHECKING:
    from pigeonhole.training.distributed.workers import Workers


def decided(config: TrainingConfig) -> TrainingConfig:
    """The config with its network named, where none is asked for and several ways are to be tried.

    With --backbone it is so in any case.
    So it is unless a flag says how one network is to be trained, or the pictures are grey thumbnails: scans,
    digits and letters, which are as unlike the photos of the pretrained network as they are quick to learn.
    Says so where only the pretrained weights are missing. Raises UsageError as `labelled.scan` does.
    """
    if config.network is not None:
        return config
    if config.backbone is not None:
        return replace(config, network=AUTO)
    if checks.about_one_training(config):
        return config
    from pigeonhole.data import labelled
    from pigeonhole.jobs import setup

    if config.data is None or not config.data.is_dir():
        return config  # that is told with the other mistakes
    glance = setup.glance(labelled.scan(config.data, config.classes, config.labels))
    if glance.shows_thumbnails and glance.all_grey:
        return config
    if not pretrained.available():
        hint = f"for better answers: pip install {pretrained.REQUIREMENT}"
        say(f"note: no pretrained features; {hint}", to=sys.stderr)
        return config
    return replace(config, network=AUTO)


def job(
    config: TrainingConfig,
    previous_run: PreviousRun | None = None,
    workers: "Workers | None" = None,
    callbacks: Sequence[Listener] = (),
) -> Job:
    """The training of a config that is `decided`, whose pictures are read by then. Arguments and errors as of
    the jobs."""
    if config.network == AUTO:
        from pigeonhole.jobs.auto_job import AutoJob

        return AutoJob(config, previous_run, workers, callbacks)
    from pigeonhole.jobs.training_job import TrainingJob

    return TrainingJob(config, previous_run, workers, callbacks)
