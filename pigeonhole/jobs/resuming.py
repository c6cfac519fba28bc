"""The config of a training that goes on with a previous run or repeats it."""

from collections.abc import Mapping
from dataclasses import replace

from pigeonhole.arguments import Effect
from pigeonhole.errors import PigeonholeError, UsageError
from pigeonhole.runs import checkpoints, previous, search
from pigeonhole.runs import config as configs
from pigeonhole.runs.config import NEWEST, TrainingConfig
from pigeonhole.runs.parts import Part
from pigeonhole.runs.previous import PreviousRun
from pigeonhole.runs.run import Run

OWN = ("output", "name", "workers")  # these are never taken from the previous run
RATE = (
    "schedule",
    "learning_rate",
    "decay_steps",
    "patience",
)  # these may differ in the steps that are added
REACHED = ("expected_accuracy", "interval_95", "validation_pictures", "validations", "seconds", "test")


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
    if asked.is_resumed and run.was_finished and not _is_being_lengthened(before):
        before = _lengthened(before, asked, workers)
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
    if before.is_lengthened:
        config = replace(config, **{name: getattr(asked, name) for name in lengths})
    elif changed := [name for name in lengths if getattr(config, name) != before.options.get(name)]:
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
        _require_more(asked, run, f"--resume {named}: this training is finished")
    if asked.repeat and not run.is_complete:
        raise UsageError(f"--repeat {named}: this training is not finished; --resume goes on with it")
    return run


def _require_more(asked: TrainingConfig, run: Run, finished: str) -> None:
    """Raise UsageError unless a finished run is asked for more steps and keeps what they go on from."""
    if not _length_of(asked):
        raise UsageError(
            f"{finished}; nothing is left to do, but --epochs, --steps or --minutes lengthens it"
        )
    if not run.was_finished:
        raise UsageError(
            f"{finished} and has no {run.last_state_file.name} to go on from, which older runs and those "
            f"of several ways do not keep; train --weights {run} starts a new training from its network"
        )


def _length_of(asked: TrainingConfig) -> str | None:
    """The flag that gives a length; None without one."""
    return next((name for name in configs.named(Effect.LENGTH) if getattr(asked, name) is not None), None)


def _is_being_lengthened(before: PreviousRun) -> bool:
    """Whether it has been begun to lengthen the run since it was finished the last time."""
    return bool(before.earlier) and before.earlier[-1].steps == checkpoints.last_step(before.run)


def _lengthened(before: PreviousRun, asked: TrainingConfig, workers: int) -> PreviousRun:
    """The finished run as if it had been asked for the greater length that is asked for now.

    Epochs and steps count from the training's begin, minutes are added. Raises UsageError for no more steps
    than there were.
    """
    length = _length_of(asked)
    if length is None:
        return before  # it was stopped before the first settings of a longer training were written
    if workers > 1:
        raise UsageError("--workers: a finished training is lengthened by one process; leave --workers out")
    done, total = checkpoints.last_step(before.run), None
    if length != "minutes":
        total = asked.steps or round(asked.epochs * before.steps_per_epoch)
        if total <= done:
            epochs = done / before.steps_per_epoch
            raise UsageError(
                f"--{length} {getattr(asked, length):g}: {before.run} has been trained for {epochs:.4g} "
                f"epochs already, {done:,} steps; ask for more in all"
            )
    changes = {name: getattr(asked, name) for name in RATE if getattr(asked, name) is not None}
    lengths = {name: getattr(asked, name) for name in configs.named(Effect.LENGTH)}
    reached = {name: value for name, value in _result(before.run).items() if name in REACHED}
    return replace(
        before,
        options={**before.options, **lengths, **changes},
        recipe=before.recipe.with_given(epochs=asked.epochs, **changes),
        total_steps=total,
        may_restart=False,
        earlier=(*before.earlier, Part(done, before.total_steps, before.recipe, reached)),
        is_lengthened=True,
    )


def _result(run: Run) -> dict[str, object]:
    try:
        return run.result()
    except PigeonholeError:
        return {}  # it may have been deleted, and is not needed to go on
