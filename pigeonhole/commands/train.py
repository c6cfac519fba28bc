"""Train a classifier on a folder of class folders and save it as a run, from which `predict` answers.

    pigeonhole train --data training_data
    pigeonhole train --resume                 go on with the newest training that was interrupted
    pigeonhole train --repeat runs/NAME       train again with the same settings, and compare the outcome
    pigeonhole train --data training_data --workers 2    in two processes, as on two machines
    pigeonhole train --data my_pictures --weights runs/NAME      start from what a previous run has learnt

Ctrl-C ends the training early and saves the best network so far. To train on several machines, describe
them in TF_CONFIG on each.
"""

from pigeonhole import cli, extras
from pigeonhole.commands import training_flags
from pigeonhole.errors import UsageError
from pigeonhole.runs.config import TrainingConfig
from pigeonhole.training.distributed import cluster, launcher


def main(arguments: list[str]) -> int:
    """Train as the command line says; the exit status."""
    given = training_flags.parse(arguments, __doc__)
    extras.require("training", *extras.modules_of("train"))
    from pigeonhole.jobs import checks, choosing, resuming, together

    asked = TrainingConfig(**given)
    all_workers = cluster.from_environment()
    if all_workers and not all_workers.is_chief:
        return together.run_worker(asked, all_workers)
    count = len(all_workers.addresses) if all_workers else asked.workers or 1
    if asked.workers not in (None, count):
        raise UsageError(
            f"--workers {asked.workers}: {cluster.VARIABLE} names {count}; give one or the other"
        )
    config, previous_run = resuming.config_of(given, count)
    config = choosing.decided(config)
    checks.check(config, previous_run)
    if count > 1 and not all_workers:
        decided = ["--network", config.network] if config.network else []
        return launcher.run([*cli.process("train"), *arguments, *decided], count)
    workers, _ = together.join(all_workers, asked, config, previous_run) if all_workers else (None, None)
    return choosing.job(config, previous_run, workers).train()
