"""A training by several workers, each a process of its own: how they meet, and what all but the chief do."""

import contextlib
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from pigeonhole.jobs import choosing
from pigeonhole.jobs import setup as setups
from pigeonhole.runs.config import TrainingConfig
from pigeonhole.runs.previous import PreviousRun
from pigeonhole.terminal import say
from pigeonhole.training.distributed import agreement
from pigeonhole.training.distributed.cluster import Cluster

if TYPE_CHECKING:
    from pigeonhole.training.distributed.workers import Workers


def join(
    cluster: Cluster, asked: TrainingConfig, config: TrainingConfig, previous_run: PreviousRun | None = None
) -> tuple["Workers", dict[str, object]]:
    """Meet the other workers, and learn the chief's plan. `asked`: the flags of the command line alone."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # else TensorFlow reports workers that have ended well
    setups.start_tensorflow(config.threads)
    return agreement.join(cluster, agreement.plan(asked, config, previous_run))


def run_worker(asked: TrainingConfig, cluster: Cluster) -> int:
    """Train as one of several workers, with what the chief has been told and found; the exit status."""
    name = cluster.name(cluster.index)
    say(f"{name} of {len(cluster.addresses)}; {cluster.name(0)} writes the run")
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(None):
        workers, chiefs = join(cluster, asked, asked)
        config, previous_run = agreement.adopt(asked, chiefs, Path(folder))
        job = choosing.job(config, previous_run, workers)
        exit_status = job.follow_chief()
    say(f"{name} has ended after step {job.steps_done:,}")
    return exit_status
