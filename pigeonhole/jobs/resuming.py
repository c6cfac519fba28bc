"""The config of a training that goes on with a previous run or repeats it."""

from collections.abc import Mapping
from dataclasses import replace

from pigeonhole.arguments import Effect
from pigeonhole.errors import UsageError
from pigeonhole.runs import config as configs
from pigeonhole.runs import previous, search
from pigeonhole.runs.config import NEWEST, TrainingConfig
from pigeonhole.runs.previous import PreviousRun
from pigeonhole.runs.run import Run

OWN = ("output", "name", "workers")  # these are never taken from the previous run


def config_of(given: Mapping[str, object], workers: int) -> tuple[TrainingConfig, PreviousRun | None]:
    """The config of a training for which these flags were given, by name.

    With `resume` and `repeat` also the run that is meant, whose flags hold wherever none is given.
    `workers`: how many processes will train. Raises UsageError where flags do not go together or there is no
    such run.
    """
    asked = TrainingConfig(**given)
    if not asked.is_resumed and asked.repeat is None:
        if asked.data is None:
            raise UsageError("--data is required: the folder that holds one folder per class")
        if asked.force:
            raise UsageError("--force belongs to --resume or --repeat")
        return asked, None
    if asked.name and asked.is_resumed:
        raise UsageError("--name cannot be given with --resume: the run keeps its name")
    run = _named_run(asked)
    before = previous.read(run)
    if asked.repeat and before.changed_midway:
        raise UsageError(
            f"--repeat {run}: its settings or data were changed midway ({'; '.join(before.changed_midway)})"
        )
    if before.environment["workers"] != str(workers):
        # Another number of workers has another number of threads each.
        before = replace(before, options={**before.options, "threads": asked.threads})
    inherited = {name: value for name, value in before.options.items() if name not in OWN}
    config = TrainingConfig(**{**inherited, **given, "resume": run.folder if asked.is_resumed else None})
    lengths = configs.named(Effect.LENGTH)
    if changed := [name for name in lengths if getattr(config, name) != before.options.get(name)]:
        config = replace(config, **{name: None for name in lengths if name not in changed})
    return config, before


def _named_run(asked: TrainingConfig) -> Run:
    """The run to go on with or to repeat. Raises UsageError when there is none."""
    if asked.resume == NEWEST:
        if run := search.last_interrupted(asked.output):
            return run
        raise UsageError(f"--resume: no interrupted training in {asked.output}")
    flag, named = ("--resume", asked.resume) if asked.is_resumed else ("--repeat", asked.repeat)
    folder = next((folder for folder in (named, asked.output / named) if folder.is_dir()), None)
    if folder is None:
        raise UsageError(f"{flag} {named}: no such run")
    run = Run(folder)
    if asked.is_resumed and run.is_complete:
        raise UsageError(f"--resume {named}: this training is finished; nothing is left to do")
    if asked.repeat and not run.is_complete:
        raise UsageError(f"--repeat {named}: this training is not finished; --resume goes on with it")
    return run
