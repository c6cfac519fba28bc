"""Train a classifier on a folder of class folders and save it as a run, from which `predict` answers.

    pigeonhole train --data training_data
    pigeonhole train --resume                 go on with the newest training that was interrupted
    pigeonhole train --repeat runs/NAME       train again just so, and say whether the outcome is identical
    pigeonhole train --data training_data --workers 2    as on two machines; TF_CONFIG names real ones
    pigeonhole train --data my_pictures --weights runs/NAME      start from what an earlier run has learnt

Ctrl-C ends the training early; the best network so far is then saved all the same.
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
    from pigeonhole.jobs import checks, resuming, training_job

    asked = TrainingConfig(**given)
    together = cluster.from_environment()
    if together and not together.is_chief:
        return training_job.run_worker(asked, together)
    count = len(together.addresses) if together else asked.workers or 1
    if asked.workers not in (None, count):
        raise UsageError(
            f"--workers {asked.workers}: {cluster.VARIABLE} names {count}; give one or the other"
        )
    config, previous_run = resuming.config_of(given, count)
    checks.check(config, previous_run)
    if count > 1 and not together:
        return launcher.run([*cli.process("train"), *arguments], count)
    workers, _ = training_job.join(together, asked, config, previous_run) if together else (None, None)
    return training_job.TrainingJob(config, previous_run, workers).train()
